"""What the studies share that write tables into pages of ``docs/``."""

from __future__ import annotations

from pathlib import Path

from torta_opt.allocation.policies.experiment import Interval


def write_between(page: Path, what: str, text: str) -> None:
    """Replace what stands between ``<!-- what -->`` and ``<!-- end of what -->``; exit without."""
    begin, end = f"<!-- {what} -->\n", f"<!-- end of {what} -->"
    before, begun, rest = page.read_text().partition(begin)
    _, ended, after = rest.partition(end)
    if not (begun and ended):
        raise SystemExit(f"{page}: lacks the markers of {what}")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def shown(found: Interval, digits: int = 3) -> str:
    """The mean, and the interval in brackets."""
    mean, low, high = (f"{value:.{digits}f}" for value in (found.mean, found.low, found.high))
    return f"{mean} ({low} to {high})"


def progress(done: int, of: int) -> None:
    """A line that counts; what ``experiment`` reports to."""
    print(f"\r{done}/{of}", end="" if done < of else "\n", flush=True)
