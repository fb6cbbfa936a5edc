"""Instances × policies × seeds: one row per run in a table that only grows.

The table is a file of JSON lines. A row says what was run (hash of the instance, policy, seed,
version of torta-opt), what it cost, and its metrics. Started again, ``compare`` runs only what the
table does not hold; a last line that a kill cut short is dropped. Rows are written as runs finish,
so after an interruption everything finished is there.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from torta_opt import __version__
from torta_opt.instance.data import Instance
from torta_opt.instance.document import instance_sha256
from torta_opt.io import InvalidInput, VerificationFailed
from torta_opt.io.writing import descriptor_of, is_special, write_fully
from torta_opt.policies.base import Policy
from torta_opt.policies.failures import PolicyFailed, blamed_on
from torta_opt.policies.registry import check, create
from torta_opt.policies.runner import run
from torta_opt.schedule import evaluate, verify

Row = dict[str, Any]
Watch = Callable[[int, int], None]


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval (Student's t) over ``count`` values."""

    mean: float
    low: float
    high: float
    count: int


def compare(
    instances: Sequence[Instance],
    policies: Sequence[str],
    seeds: Sequence[int],
    table: str | os.PathLike[str],
    jobs: int = 1,
    watch: Watch | None = None,
) -> list[Row]:
    """All rows asked for, in order: instances, then policies, then seeds.

    ``jobs`` runs at once, each in a process of its own. ``watch`` gets runs done and of all.
    """
    for policy in policies:
        check(policy)
    hashes = [instance_sha256(instance) for instance in instances]
    cells = [(n, p, s) for n in range(len(instances)) for p in policies for s in seeds]
    known = {_key(row): row for row in read_table(table) if "failed" not in row}
    wanted = [(hashes[n], policy, seed, __version__) for n, policy, seed in cells]
    missing = [cell for cell, key in zip(cells, wanted, strict=True) if key not in known]
    done = len(cells) - len(missing)
    if watch is not None:
        watch(done, len(cells))
    with _appending(table) as write:
        tasks = ((instances[n], hashes[n], policy, seed) for n, policy, seed in missing)
        for row in _rows(tasks, min(jobs, len(missing))):
            write(json.dumps(row, allow_nan=False) + "\n")
            known[_key(row)] = row
            done += 1
            if watch is not None:
                watch(done, len(cells))
    return [known[key] for key in wanted]


@contextlib.contextmanager
def _appending(table: str | os.PathLike[str]) -> Iterator[Callable[[str], None]]:
    """What adds a line to ``table``, and leaves no part of it where the disk is full."""
    own = descriptor_of(table)
    flags = os.O_WRONLY | os.O_APPEND | (0 if is_special(table) else os.O_CREAT)
    with _complaining(table):
        handle = os.open(table, flags, 0o666) if own is None else os.dup(own)
    has_size = own is None and stat.S_ISREG(os.fstat(handle).st_mode)

    def write(line: str) -> None:
        with _complaining(table):
            before = os.fstat(handle).st_size
            try:
                write_fully(handle, line.encode())
                if has_size:
                    os.fsync(handle)
            except OSError:
                if has_size:
                    os.ftruncate(handle, before)
                raise

    try:
        yield write
    finally:
        os.close(handle)


@contextlib.contextmanager
def _complaining(table: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidInput(f"cannot be written: {error.strerror}", file=str(table)) from None


def read_table(table: str | os.PathLike[str]) -> list[Row]:
    """The rows of a table, none if it does not exist; cuts off a last line that is incomplete.

    A file that is something else is refused and stays as it is. A device or a pipe holds no rows.
    """
    path = Path(table)
    if not path.exists() or is_special(path):
        return []
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", file=str(path)) from None
    whole = content[: content.rfind(b"\n") + 1]
    rows = _parsed(whole, path)
    cut_short = content[len(whole) :]
    if cut_short and not _may_begin_a_row(cut_short):
        raise InvalidInput("is not a table of comparisons", file=str(path))
    if cut_short:
        _truncate(path, len(whole))
    return rows


def _may_begin_a_row(line: bytes) -> bool:
    """Whether a kill could have left ``line``: the start of a row, and not a whole JSON document.

    A row that lacks nothing but its line end counts as cut short too.
    """
    start = b'{"instance": "'
    if not (line.startswith(start) or start.startswith(line)):
        return False
    try:
        _key(json.loads(line))
    except (KeyError, TypeError):
        return False
    except (ValueError, RecursionError):
        return True
    return True


def _truncate(path: Path, size: int) -> None:
    try:
        os.truncate(path, size)
    except OSError as error:
        raise InvalidInput(f"cannot be written: {error.strerror}", file=str(path)) from None


def _parsed(whole: bytes, path: Path) -> list[Row]:
    rows: list[Row] = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            row = json.loads(line)
            _key(row)
        except (ValueError, KeyError, TypeError, RecursionError):
            rule = f"line {number} is not a row of a comparison"
            raise InvalidInput(rule, file=str(path)) from None
        rows.append(row)
    return rows


def raise_if_failed(rows: Iterable[Row]) -> None:
    """Raise VerificationFailed that names the first policy that failed, and why."""
    failed = [row for row in rows if "failed" in row]
    if failed:
        first = failed[0]
        more = f" (and {len(failed) - 1} more runs)" if len(failed) > 1 else ""
        place = f"{first['policy']}: on {first['instance']}, seed {first['seed']}"
        raise VerificationFailed(f"{place}: {first['failed']}{more}")


def summary(rows: Iterable[Row], value: str = "cost") -> dict[str, Interval]:
    """Policy → mean of ``value`` (a field, or a metric) over runs, with its 95 % interval."""
    found: dict[str, list[float]] = {}
    for row in rows:
        number = row[value] if value in row else row["metrics"].get(value)
        if number is not None:
            found.setdefault(row["policy"], []).append(float(number))
    return {policy: interval(values) for policy, values in found.items()}


def ratios(rows: Iterable[Row], against: str, value: str = "cost") -> dict[str, Interval]:
    """Policy → mean ratio to the policy ``against`` on the same instance and seed."""
    rows = list(rows)

    def number(row: Row) -> float | None:
        return row[value] if value in row else row["metrics"].get(value)

    base = {(r["sha256"], r["seed"]): number(r) for r in rows if r["policy"] == against}
    found: dict[str, list[float]] = {}
    for row in rows:
        above, below = number(row), base.get((row["sha256"], row["seed"]))
        if above is not None and below:
            found.setdefault(row["policy"], []).append(above / below)
    return {policy: interval(values) for policy, values in found.items()}


def interval(values: Sequence[float], share: float = 0.95) -> Interval:
    """Mean and Student's t interval, mean ± t·s/√n; a single value has no interval, NaN."""
    from scipy.stats import t

    array = np.asarray(values, float)
    if array.size < 2:
        mean = float(array[0]) if array.size else math.nan
        return Interval(mean, math.nan, math.nan, int(array.size))
    mean = float(array.mean())
    half = t.ppf((1 + share) / 2, array.size - 1) * array.std(ddof=1) / math.sqrt(array.size)
    return Interval(mean, mean - half, mean + half, int(array.size))


def _rows(tasks: Iterable[tuple[Instance, str, str, int]], jobs: int) -> Iterable[Row]:
    if jobs <= 1:
        return (_run(*task) for task in tasks)
    from joblib import Parallel, delayed

    return Parallel(n_jobs=jobs, return_as="generator_unordered")(
        delayed(_run)(*task) for task in tasks
    )


def _run(instance: Instance, sha256: str, name: str, seed: int) -> Row:
    """One row; of a policy that fails it has no cost, and says why under ``failed``."""
    try:
        return _run_of(create(name), instance, sha256, name, seed)
    except PolicyFailed as error:
        return {
            "instance": instance.name,
            "sha256": sha256,
            "policy": name,
            "seed": seed,
            "version": __version__,
            "cost": None,
            "costs": {},
            "metrics": {},
            "failed": error.reason,
        }


def _run_of(policy: Policy, instance: Instance, sha256: str, name: str, seed: int) -> Row:
    if hasattr(policy, "show"):
        with blamed_on(name, "show", is_ours=True):
            policy.show(instance)  # forecasts of studies: perfect, corrupted
    outcome = run(policy, instance, seed)
    verify(instance, outcome.schedule).raise_if_broken(name)
    priced = evaluate(instance, outcome.schedule)
    p50, p99 = np.quantile(outcome.slot_seconds, [0.5, 0.99])
    return {
        "instance": instance.name,
        "sha256": sha256,
        "policy": name,
        "seed": seed,
        "version": __version__,
        "cost": priced.cost,
        "costs": priced.costs,
        "metrics": priced.metrics,
        "seconds": outcome.seconds,
        "decision_p50_s": float(p50),
        "decision_p99_s": float(p99),
    }


def _key(row: Row) -> tuple[str, str, int, str]:
    return row["sha256"], row["policy"], row["seed"], row["version"]
