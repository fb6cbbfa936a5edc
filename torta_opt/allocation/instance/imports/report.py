"""What an import read, chose and made: for people, and for ``--json``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torta_opt.allocation.instance.imports.rows import BadRow


@dataclass(frozen=True)
class ClassReport:
    """A class of the instance; token counts are means over the requests of the trace."""

    name: str
    model: str
    input_tokens: float
    output_tokens: float
    requests: int


@dataclass(frozen=True)
class ImportReport:
    """The account of an import.

    rows                rows read; left out: ``bad_rows`` that break a rule, and ``failed_rows``,
                        requests that failed by the trace's own account
    bad_row_examples    the first bad rows: line and reason
    out_of_order        requests that stood behind a later one; they are put in order of time
    requests_in_trace   requests read, or drawn from the rates of a ServeGen workload
    requests_used       those in the part of the trace that was taken
    requests            those of the instance: ``requests_used`` times ``demand_factor``, about
    part                which part of the trace that is
    origins             how the requests were spread over the regions
    load                share of the fleet's time that the demand takes at the least
    unused_columns      columns or keys of the trace that nothing was read from
    seconds             how long the import took
    """

    kind: str
    file: str
    rows: int
    bad_rows: int
    bad_row_examples: tuple[BadRow, ...]
    failed_rows: int
    out_of_order: int
    requests_in_trace: int
    requests_used: int
    requests: int
    part: str
    slots: int
    drain_slots: int
    slot_ms: int
    classes: tuple[ClassReport, ...]
    regions: int
    servers: int
    gpu_counts: dict[str, int]
    origins: str
    demand_factor: float
    load: float
    hot_permille: int
    unused_columns: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float

    def to_document(self) -> dict[str, Any]:
        """As a JSON object."""
        document = asdict(self)
        document["bad_row_examples"] = [asdict(row) for row in self.bad_row_examples]
        return document

    def lines(self) -> list[str]:
        """As text, one fact a line."""
        fleet = ", ".join(f"{count} {gpu}" for gpu, count in self.gpu_counts.items())
        lines = [
            f"{self.file}: {self.rows} rows read, {self.bad_rows} bad, {self.failed_rows} failed, "
            f"{self.out_of_order} out of order",
            *(f"  {row}" for row in self.bad_row_examples),
            f"{self.requests_used} of {self.requests_in_trace} requests taken: {self.part}",
            f"{self.slots} slots of {self.slot_ms / 1000:g} s, the last {self.drain_slots} "
            f"to drain; {self.regions} regions; {self.origins}",
            f"{self.servers} servers ({fleet}), load {self.load:.1%}; each request "
            f"{self.demand_factor:.4g} times, {self.requests} in all",
            *(
                f"  {kind.name}: {kind.requests} requests, mean {kind.input_tokens:.0f} tokens in, "
                f"{kind.output_tokens:.0f} out"
                for kind in self.classes
            ),
            *(
                [f"columns not used: {', '.join(self.unused_columns)}"]
                if self.unused_columns
                else []
            ),
            *self.notes,
        ]
        return lines
