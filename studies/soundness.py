"""Two solvers and brute force on thousands of random instances of every program (`make soundness`).

    python studies/soundness.py [STEP ...] [--count N] [--minutes M] [--jobs 0] [-o FOLDER]

Instance n of a step is drawn from [seed, n], so a run that was ended goes on where it was: what is
done is kept in FOLDER/STEP.json after every few instances. Instances that brute force cannot try in
a second are left out and do not count. Where answers differ, the program is kept beside it as MPS,
the instance is named by its seed, and the exit code is 5; --again tries the disagreements of
earlier runs once more.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from soundness_steps import STEPS, Disagreement
from support.tiny import TooLarge

from torta_opt.io.files import read_object, write_document
from torta_opt.parallel import in_order
from torta_opt.solvers import Problem, write_problem

FORMAT = {"format": "torta-opt/soundness", "version": 1}
CHUNK = 25  # instances between two times that what is done is kept
LEFT_OUT = "left out"


@dataclass
class Record:
    """What is known of a step: the next instance, what was counted, and where answers differ."""

    seed: int
    following: int = 0
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    disagreements: list[dict[str, Any]] = field(default_factory=list)

    @property
    def tried(self) -> int:
        return self.following - self.counts[LEFT_OUT]

    def to_document(self) -> dict[str, Any]:
        return {**FORMAT, **vars(self), "counts": dict(sorted(self.counts.items()))}


def load(path: Path, seed: int) -> Record:
    """The record of an earlier run with this seed, or a new one."""
    if not path.exists():
        return Record(seed)
    kept = {key: value for key, value in read_object(path).items() if key not in FORMAT}
    record = Record(**{**kept, "counts": Counter(kept["counts"])})
    if record.seed != seed:
        sys.exit(f"{path}: seed: is {record.seed}, not {seed}: name another folder with -o")
    return record


def tried(name: str, seed: int, n: int) -> tuple[dict[str, int], str, Problem | None]:
    """What instance n counts, what is wrong with it, and the program that shows it."""
    try:
        return STEPS[name].run(np.random.default_rng([seed, n]), n), "", None
    except TooLarge:
        return {LEFT_OUT: 1}, "", None
    except Disagreement as error:
        return {}, str(error), error.problem
    except Exception:  # a crash is a disagreement too: told, kept and counted as one
        return {}, traceback.format_exc(limit=-3), None


def advance(name: str, record: Record, folder: Path, numbers: range, jobs: int) -> None:
    """Try some instances more, and keep what they gave."""
    began = time.perf_counter()
    found = in_order(tried, [(name, record.seed, n) for n in numbers], jobs)
    for n, (counts, wrong, problem) in zip(numbers, found, strict=True):
        record.counts.update(counts)
        if wrong:
            record.disagreements.append({"instance": n, "says": wrong})
            print(f"{name} [{record.seed}, {n}]: {wrong}", file=sys.stderr, flush=True)
        if problem is not None:
            write_problem(problem, folder / f"{name}-{record.seed}-{n}.mps")
    record.following = numbers.stop
    record.seconds += time.perf_counter() - began
    write_document(folder / f"{name}.json", record.to_document())


def again(name: str, record: Record, folder: Path) -> None:
    """Try the disagreements of earlier runs once more, and forget those that are gone."""
    old, record.disagreements = record.disagreements, []
    following = record.following
    for entry in old:
        advance(name, record, folder, range(entry["instance"], entry["instance"] + 1), 1)
    record.following = following
    write_document(folder / f"{name}.json", record.to_document())


def row(name: str, record: Record) -> str:
    counts = ", ".join(f"{number:,} {what}" for what, number in sorted(record.counts.items()))
    wrong = f"{len(record.disagreements)} DISAGREE" if record.disagreements else "all agree"
    return f"{name:14}{record.tried:7,}  {wrong:12}  {record.seconds:7.0f} s  {counts}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("steps", nargs="*", choices=[[], *STEPS], metavar="STEP")
    parser.add_argument("--count", type=int, help="instances of each step; else its own number")
    parser.add_argument("--minutes", type=float, default=np.inf, help="of each step, at most")
    parser.add_argument("--jobs", type=int, default=1, help="processes; 0: one per core")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--again", action="store_true", help="earlier disagreements first")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/soundness"))
    chosen = parser.parse_args()
    chosen.output.mkdir(parents=True, exist_ok=True)
    rows, wrong = [], 0
    for name in chosen.steps or STEPS:
        record = load(chosen.output / f"{name}.json", chosen.seed)
        if chosen.again:
            again(name, record, chosen.output)
        count, ends = chosen.count or STEPS[name].count, time.monotonic() + 60 * chosen.minutes
        while record.tried < count and time.monotonic() < ends:
            first = record.following
            size = min(CHUNK, count - record.tried)
            advance(name, record, chosen.output, range(first, first + size), chosen.jobs)
            print(f"{row(name, record)} of {count:,}", file=sys.stderr, flush=True)
        rows.append(row(name, record))
        wrong += len(record.disagreements)
    print(*rows, sep="\n")
    sys.exit(5 if wrong else 0)


if __name__ == "__main__":
    main()
