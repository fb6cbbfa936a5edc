"""Errors that a user can cause, each with the exit code of the command line."""

from __future__ import annotations


class TortaOptError(Exception):
    """Base of every error that is reported as one plain line.

    Attributes
    ----------
    exit_code : int
        What the command line exits with.
    """

    exit_code = 1


class InvalidInput(TortaOptError):
    """A file or an argument breaks a rule.

    Parameters
    ----------
    rule
        The rule that is broken.
    field
        The field or argument that breaks it.
    file
        The file that it stands in.

    Attributes
    ----------
    exit_code : int
        2.

    Examples
    --------
    >>> from torta_opt import InvalidInput
    >>> print(InvalidInput("must be at least 0", field="seed", file="a.json"))
    a.json: seed: must be at least 0
    """

    exit_code = 2

    def __init__(self, rule: str, field: str | None = None, file: str | None = None):
        self.rule, self.field, self.file = _one_line(rule), field and _one_line(field), file
        name = "''" if file == "" else file and _one_line(file)
        parts = (name, self.field, self.rule)
        super().__init__(": ".join(part for part in parts if part))

    def within(self, file: str) -> InvalidInput:
        """The same error with the name of the file."""
        return InvalidInput(self.rule, self.field, file)


class Infeasible(TortaOptError):
    """The instance or the constraints leave no schedule.

    Attributes
    ----------
    exit_code : int
        3.
    """

    exit_code = 3


class LimitReached(TortaOptError):
    """A limit or Ctrl-C ended the run before it had a result.

    Attributes
    ----------
    exit_code : int
        4.
    """

    exit_code = 4


class VerificationFailed(TortaOptError):
    """A schedule, a bound or a certificate did not pass its check.

    Attributes
    ----------
    exit_code : int
        5.
    """

    exit_code = 5


class MethodFailed(VerificationFailed):
    """The code of a method failed: it raised an exception, or returned no schedule.

    Parameters
    ----------
    method
        Name of the method.
    reason
        What went wrong, and where.
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
