"""A command line, run as a script, that tells when Ctrl-C is taken care of."""

# Says when the command line is about to be loaded: Ctrl-C is taken care of then.
AT_TIME = """
import sys

def watch(event, values):
    if event == "import" and values[0] == "torta_opt.cli.app" and not told:
        told.append(True)
        print("BEGUN", file=sys.stderr, flush=True)

told = []
sys.addaudithook(watch)
sys.argv = ["torta-opt", *sys.argv[1:]]
from torta_opt.start import main
main()
"""
