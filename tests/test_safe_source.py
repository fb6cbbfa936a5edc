"""The package runs no code that stands in a file: no pickle, eval, exec, unsafe YAML or shell.

Read from the syntax tree of every module, so that no test has to reach the line.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "torta_opt"
MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "jsonpickle"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
# By their last two names, whatever the module is called where it is used.
CALLS = {
    "joblib.load",
    "joblib.dump",
    "os.popen",
    "os.system",
    "pd.read_pickle",
    "pandas.read_pickle",
    "subprocess.getoutput",
    "tempfile.mktemp",
    "torch.load",
    "torch.save",
    "yaml.full_load",
    "yaml.load",
    "yaml.load_all",
    "yaml.unsafe_load",
}
FLAGS = {"allow_pickle", "shell"}  # must not be anything but False
KNOWN = {("start.py", "exec('')")}  # no code at all: it makes Python forget that Ctrl-C came


def dotted(node: ast.expr) -> str:
    """``a.b.c`` of nested attributes; empty where they begin with something else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def dangers(source: str) -> list[str]:
    """Statements and calls that could run code out of data, as they stand."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{each.name}" for each in node.names)]
        if any(name.split(".")[0] in MODULES or name in CALLS for name in names):
            found.append(ast.unparse(node))
        if isinstance(node, ast.Call):
            name = ".".join(dotted(node.func).split(".")[-2:])
            flagged = [
                word
                for word in node.keywords
                if word.arg in FLAGS
                and not (isinstance(word.value, ast.Constant) and word.value.value is False)
            ]
            if name in BUILTINS | CALLS or flagged:
                found.append(ast.unparse(node))
    return found


def test_no_module_runs_code_out_of_data() -> None:
    found = {
        (str(path.relative_to(ROOT)), danger)
        for path in ROOT.rglob("*.py")
        for danger in dangers(path.read_text())
    }
    assert found == KNOWN


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import torch, marshal as m",
        "from cloudpickle import loads",
        "from yaml import unsafe_load",
        "eval(text)",
        "def f():\n    if True:\n        exec(text)",
        "code = compile(text, 'a', 'exec')",
        "yaml.load(stream, Loader=yaml.Loader)",
        "document = yaml.unsafe_load(text)",
        "numpy.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "torch.load(path, weights_only=True)",
        "subprocess.run(line, shell=True)",
        "os.system('ls')",
        "__import__(name)",
        "pd.read_pickle(path)",
    ],
)
def test_what_must_not_be_there_would_be_found(source: str) -> None:
    assert dangers(source)


def test_what_is_harmless_is_let_through() -> None:
    assert not dangers("import yaml, re\nyaml.safe_load(text)\nre.compile(text)\nmodel.eval()")
    assert not dangers("np.load(path, allow_pickle=False)\nast.literal_eval(text)\nos.path.join(a)")
