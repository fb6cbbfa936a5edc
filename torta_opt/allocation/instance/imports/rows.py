"""Requests as they come out of a trace, and the account of the rows that did not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from torta_opt.io import InvalidInput

Progress = Callable[[int, int], None]  # (bytes or windows done, all of them)

MAX_TOKENS = 10_000_000  # above the longest context window on offer
NAMED_BAD_ROWS = 5  # how many bad rows a message names
NAMED_UNUSED = 40  # and of the columns that are not used, this many


@dataclass(frozen=True, eq=False)
class Batch:
    """Some requests of a trace, in the order of the file.

    arrival_ms                    (n,) milliseconds since 1970 UTC, or since the trace's own zero
    input_tokens, output_tokens   (n,)
    model                         (n,) position in ``Tally.models``; None where the trace has none
    client                        (n,) uint64, equal for requests of one client or session; or None
    origin                        (n,) position in ``Tally.origins``; None where none was asked for
    """

    arrival_ms: np.ndarray
    input_tokens: np.ndarray
    output_tokens: np.ndarray
    model: np.ndarray | None = None
    client: np.ndarray | None = None
    origin: np.ndarray | None = None

    def where(self, keep: np.ndarray) -> Batch:
        """The requests that ``keep`` (n,) marks."""
        return Batch(
            self.arrival_ms[keep],
            self.input_tokens[keep],
            self.output_tokens[keep],
            None if self.model is None else self.model[keep],
            None if self.client is None else self.client[keep],
            None if self.origin is None else self.origin[keep],
        )


@dataclass(frozen=True, order=True)
class BadRow:
    """A row that could not be used: where it stands and what is wrong with it."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


@dataclass
class Tally:
    """What became of every row of a trace; a reader fills it in as it goes.

    rows        rows read, header and blank lines aside
    failed      requests the trace itself marks as failed, left out
    bad         rows that break a rule, left out; ``bad_rows`` names the first of them
    models      names of the models in the trace, in order of appearance
    origins     names of the origins in the column that the user named, in order of appearance
    notes       what else a user should know
    fractions   times of a trace that counts milliseconds which are no whole ones
    unused      titles of the columns, or keys, that nothing was read from
    """

    rows: int = 0
    failed: int = 0
    bad: int = 0
    bad_rows: list[BadRow] = field(default_factory=list)
    models: dict[str, int] = field(default_factory=dict)
    origins: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    fractions: int = 0
    unused: list[str] = field(default_factory=list)

    def refuse(self, line: int, reason: str) -> None:
        """Count a bad row, and remember it if it is among the first."""
        self.bad += 1
        if len(self.bad_rows) < NAMED_BAD_ROWS or line < self.bad_rows[-1].line:
            self.bad_rows = sorted([*self.bad_rows, BadRow(line, reason)])[:NAMED_BAD_ROWS]

    def model(self, name: str) -> int:
        """Position of a model named in the trace."""
        return self.models.setdefault(name, len(self.models))

    def origin(self, name: str) -> int:
        """Position of an origin named in the trace."""
        return self.origins.setdefault(name, len(self.origins))

    def leave_out(self, titles: Iterable[str]) -> None:
        """Remember columns that are not used, each once, and not more than anyone would read."""
        shown = filter(None, (title.strip()[:40] for title in titles))
        self.unused = list(dict.fromkeys([*self.unused, *shown]))[:NAMED_UNUSED]

    def absorb(self, other: Tally, file: str) -> None:
        """Add the account of one file among several."""
        self.rows += other.rows
        for row in other.bad_rows:
            self.refuse(row.line, f"{row.reason} ({file})")
        self.bad += other.bad - len(other.bad_rows)
        self.leave_out(other.unused)

    def check(self, max_bad_share: float, file: str) -> None:
        """Refuse a file that holds no request, or too many bad rows."""
        if self.bad > max_bad_share * self.rows:
            first = "; ".join(str(row) for row in self.bad_rows[:2])
            raise InvalidInput(
                f"{self.bad} of {self.rows} rows are bad, more than the share of "
                f"{max_bad_share:g} that is let pass: {first}",
                file=file,
            )
        if self.rows == self.bad + self.failed:
            raise InvalidInput("holds no request", file=file)


def refuse_where(
    tally: Tally, lines: np.ndarray, bad: np.ndarray, reason: Callable[[int], str]
) -> None:
    """Count the rows that ``bad`` marks; ``reason`` words the rule for one position."""
    positions = np.flatnonzero(bad)
    for position in positions[:NAMED_BAD_ROWS]:
        tally.refuse(int(lines[position]), reason(int(position)))
    tally.bad += max(0, positions.size - NAMED_BAD_ROWS)
