"""Policies that fail: whatever their code raises becomes one line, and others go on.

A policy may be a user's code. If it raises, returns something that is not a decision, or ends the
process, the run of this one policy has failed, as if its schedule broke a rule; the message says
what was raised and where. With TORTA_DEBUG=1 in the environment the traceback is printed as well;
in Python it is the ``__cause__``. Ctrl-C goes through.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from torta_opt import plugins
from torta_opt.io.errors import MethodFailed


class PolicyFailed(MethodFailed):
    """A policy cannot be made or run, or decides what is no decision."""


def blamed_on(policy: str, what: str, *, is_ours: bool = False) -> AbstractContextManager[None]:
    """Whatever is raised inside is the failure of ``policy`` while it does ``what``.

    Errors that a built-in policy raises for wrong input pass unchanged.
    """
    passing = plugins.ANY_OF_OURS if is_ours else ()
    return plugins.blamed_on(policy, what, PolicyFailed, passing)
