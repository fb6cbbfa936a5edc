"""Errors a user can meet, each with the exit code the command line answers with."""

from __future__ import annotations


class TortaOptError(Exception):
    """Base of every error that is reported as one plain line."""

    exit_code = 1


class InvalidInput(TortaOptError):
    """A file or an argument breaks a rule; names the file, the field and the rule."""

    exit_code = 2

    def __init__(self, rule: str, field: str | None = None, file: str | None = None):
        self.rule, self.field, self.file = _one_line(rule), field and _one_line(field), file
        parts = (file and _one_line(file), self.field, self.rule)
        super().__init__(": ".join(part for part in parts if part))

    def within(self, file: str) -> InvalidInput:
        """The same complaint, naming the file it came from."""
        return InvalidInput(self.rule, self.field, file)


class Infeasible(TortaOptError):
    """No answer satisfies the constraints."""

    exit_code = 3


class LimitReached(TortaOptError):
    """A limit was reached with nothing to show."""

    exit_code = 4


class VerificationFailed(TortaOptError):
    """A schedule, a bound or a certificate did not pass its check."""

    exit_code = 5


class MethodFailed(VerificationFailed):
    """A method's own code failed: it raised, or gave what is no schedule.

    method   its name
    reason   what went wrong, and where
    """

    def __init__(self, method: str, reason: str):
        self.method, self.reason = method, reason
        super().__init__(f"{method}: {reason}")

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        """Exceptions with arguments of their own do not pass between processes otherwise."""
        return type(self), (self.method, self.reason)


def _one_line(text: str, longest: int = 400) -> str:
    """``text`` with control characters escaped and its end cut off if it is too long to read."""
    if len(text) > longest:
        text = text[:longest] + "..."
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
