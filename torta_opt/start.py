"""Where the program begins: Ctrl-C or SIGTERM ends in one line from the first moment to the last.

Loading the packages that a command needs takes up to seconds. A KeyboardInterrupt in the middle of
that would end in a traceback, or come out of a half-loaded package as another error. So this module
imports next to nothing, and says what Ctrl-C does before anything else is loaded:

    while the command line is loaded    one line, and the process ends: nothing has been done yet
    while a command runs                KeyboardInterrupt, which the command answers with what it
                                        has; an error that follows from it counts as interruption
    at the end                          nothing: all is written, and the exit code stands

SIGTERM, by which batch systems and containers end a process, has the same effect. A signal that
the parent process had ignored stays ignored.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys

NOTHING_FOUND = 4  # LimitReached.exit_code; loading it here would take too long


def main() -> None:
    """Entry point of ``torta-opt``."""
    ctrl_c = _CtrlC(sys.argv[1:])
    _on_signals(ctrl_c.leave)
    from torta_opt.cli import app as cli

    sys.unraisablehook = ctrl_c.unraisable
    try:
        _on_signals(ctrl_c.interrupt)
        cli.main()
    except SystemExit:
        _on_signals(signal.SIG_IGN)
        _forget_interruption()
        raise
    except BaseException:
        if not ctrl_c.pressed:
            raise
        ctrl_c.leave()


def _on_signals(handler: signal._HANDLER) -> None:
    """What Ctrl-C and SIGTERM do from now on, unless they are ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


class _CtrlC:
    """The effect of Ctrl-C, which depends on the part of the program that runs."""

    def __init__(self, arguments: list[str]) -> None:
        self._arguments = arguments
        self.pressed = False

    def leave(self, *_: object) -> None:
        """Say so, and end without exit handlers, which may wait for packages half loaded."""
        if "--json" in self._arguments:
            _write(1, '{\n  "status": "interrupted"\n}\n')
        _write(2, "torta-opt: interrupted before there was a result\n")
        os._exit(NOTHING_FOUND)

    def interrupt(self, *_: object) -> None:
        self.pressed = True
        raise KeyboardInterrupt

    def unraisable(self, event: sys.UnraisableHookArgs) -> None:
        """An interruption that came where none can be raised comes again a little later."""
        if issubclass(event.exc_type, KeyboardInterrupt):
            return _thread.interrupt_main()
        return sys.__unraisablehook__(event)


def _forget_interruption() -> None:
    """Keep ``python -m`` from ending by SIGINT although Ctrl-C has been answered.

    Where Ctrl-C came while Python ran code given as text, as dataclasses do, Python remembers that
    until it runs such code again, and puts the signal in place of the exit code.
    """
    exec("")


def _write(descriptor: int, text: str) -> None:
    """Past the buffers of Python, which a signal may have come in the middle of."""
    try:
        os.write(descriptor, text.encode())
    except OSError:  # nobody listens; contextlib would take time to load
        return
