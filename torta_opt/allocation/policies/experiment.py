"""Instances × policies × seeds: one row per run in a table that only grows.

The table is a file of JSON lines. A row says what was run (hash of the instance, policy, seed,
version of torta-opt), what it cost, and its metrics; a row of a second kind holds a bound of an
instance. Started again, ``compare`` runs only what the table does not hold; a last line that a kill
cut short is dropped. Rows are written as runs finish, so after an interruption everything finished
is there.

Statistics. Independent draws are instances, so the unit of every interval is the instance:

    x[p,u]        mean of a figure over the runs of policy p on unit u
    summary       mean of x[p,u] over u               ± t·s/√n
    differences   mean of x[p,u] − x[a,u] over u      ± t·s/√n      a: the policy compared with
    ratios        mean of x[p,u]/x[a,u] over u        ± t·s/√n

with n units, s the standard deviation over them and t of n − 1 degrees of freedom (95 %). Further
seeds of a policy make x[p,u] more exact; they are no further units. Nor are instances that share
demand, as cuts of one day that overlap do (``units``). One unit has no interval.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from torta_opt import __version__
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.document import instance_sha256, instance_to_document
from torta_opt.allocation.policies.base import Policy, is_deterministic
from torta_opt.allocation.policies.failures import PolicyFailed, blamed_on
from torta_opt.allocation.policies.registry import check, create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.io import InvalidInput, VerificationFailed, sha256_of
from torta_opt.io.writing import descriptor_of, is_special, write_fully
from torta_opt.parallel import as_finished
from torta_opt.results import raise_if_refuted

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
Key = tuple[Any, ...]
Watch = Callable[[int, int], None]
Means = dict[str, dict[str, float]]  # policy → unit → value

SHOWN = ("slo_share", "expired_share", "response_mean_s")  # metrics beside the cost
NOT_SYSTEM = (
    *("name", "description", "weights", "initial"),
    *("outages", "price_usd_per_kwh", "carbon_g_per_kwh", "arrivals"),
)
ALIKE_SLOTS = 2  # in a row with the same requests: one slot may be alike by chance


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval (Student's t) over ``count`` independent values."""

    mean: float
    low: float
    high: float
    count: int

    def to_document(self) -> dict[str, float | int | None]:
        """Null for what does not exist: the interval of one instance, the mean of none."""
        ends = {"mean": self.mean, "low": self.low, "high": self.high}
        finite = {name: value if math.isfinite(value) else None for name, value in ends.items()}
        return {**finite, "instances": self.count}


# --- runs and bounds ----------------------------------------------------------------------------


def compare(
    instances: Sequence[Instance],
    policies: Sequence[str],
    seeds: Sequence[int],
    table: str | os.PathLike[str],
    jobs: int = 1,
    watch: Watch | None = None,
) -> list[Row]:
    """All rows asked for, in order: instances, then policies, then seeds.

    A deterministic policy runs once on each instance, with the first seed; an instance or a policy
    given twice counts once. ``jobs`` runs at once, each in a process of its own. ``watch`` gets
    runs done and of all.
    """
    for policy in policies:
        check(policy)
    chosen = {policy: seeds[:1] if runs_once(policy) else seeds for policy in policies}
    cells = [
        (sha256, instance, policy, seed)
        for sha256, instance in distinct(instances).items()
        for policy in chosen
        for seed in chosen[policy]
    ]
    tasks = {
        (sha256, policy, seed, __version__): (instance, sha256, policy, seed)
        for sha256, instance, policy, seed in cells
    }
    return _complete(tasks, _run, table, jobs, watch)


def bounds(
    instances: Sequence[Instance],
    method: str,
    table: str | os.PathLike[str],
    jobs: int = 1,
    watch: Watch | None = None,
) -> list[Row]:
    """A row for each instance: what no schedule of it can beat, by the bound ``method``."""
    tasks = {
        (sha256, method, __version__): (instance, sha256, method)
        for sha256, instance in distinct(instances).items()
    }
    return _complete(tasks, _prove, table, jobs, watch)


def runs_once(policy: str) -> bool:
    """Whether seeds change nothing. A policy that fails to be made fails once."""
    try:
        return is_deterministic(create(policy))
    except PolicyFailed:
        return True


def distinct(instances: Iterable[Instance]) -> dict[str, Instance]:
    """Hash → instance, each content once."""
    return {instance_sha256(instance): instance for instance in instances}


def _complete(
    tasks: Mapping[Key, tuple[Any, ...]],
    work: Callable[..., Row],
    table: str | os.PathLike[str],
    jobs: int,
    watch: Watch | None,
) -> list[Row]:
    """The rows of ``tasks``; those that the table lacks are made by ``work`` and appended.

    The table is locked meanwhile: a line that another process is writing looks like one that a kill
    cut short, and would be cut off.
    """
    _read(table)  # what is no table is refused before it is opened for writing
    with _appending(table) as write:
        known = {_key(row): row for row in _read(table, mend=True) if "failed" not in row}
        missing = [task for key, task in tasks.items() if key not in known]
        done = len(tasks) - len(missing)
        if watch is not None:
            watch(done, len(tasks))
        for _, row in as_finished(work, missing, jobs):
            write(_line(row))
            known[_key(row)] = row
            done += 1
            if watch is not None:
                watch(done, len(tasks))
    return [known[key] for key in tasks]


@contextlib.contextmanager
def _appending(table: str | os.PathLike[str]) -> Iterator[Callable[[str], None]]:
    """What adds a line to ``table``, and leaves no part of it where the disk is full.

    Raises InvalidInput if another process does so already.
    """
    own = descriptor_of(table)
    flags = os.O_WRONLY | os.O_APPEND | (0 if is_special(table) else os.O_CREAT)
    with _complaining(table):
        handle = os.open(table, flags, 0o666) if own is None else os.dup(own)
    has_size = own is None and stat.S_ISREG(os.fstat(handle).st_mode)
    if has_size and _is_locked(handle):
        os.close(handle)
        rule = "is being written by another process: wait for it, or name another file"
        raise InvalidInput(rule, file=str(table))

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


def _is_locked(handle: int) -> bool:
    """Whether another process holds the lock; otherwise this one does, until it closes the file.

    Where the file system has no locks, nobody holds one.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextlib.contextmanager
def _complaining(table: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidInput(f"cannot be written: {error.strerror}", file=str(table)) from None


def read_table(table: str | os.PathLike[str]) -> list[Row]:
    """The runs in a table, none if it does not exist; an incomplete last line does not count.

    A file that is something else is refused. A device or a pipe holds no rows.
    """
    return [row for row in _read(table) if not _is_bound(row)]


def _read(table: str | os.PathLike[str], mend: bool = False) -> list[Row]:
    """Rows of both kinds; ``mend`` cuts off a last line that is incomplete."""
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
    if cut_short and mend:
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
        _parsed_row(line)
    except (KeyError, TypeError):
        return False
    except (ValueError, RecursionError):
        return True
    return True


def _parsed_row(line: bytes) -> Row:
    """A row of either kind. Raises ValueError, KeyError, TypeError or RecursionError."""
    row = json.loads(line, parse_constant=_finite)
    hash(_key(row))
    number = row["value"] if _is_bound(row) else row.get("cost")
    if number is not None:
        _finite(number)
    return row


def _finite(number: Any) -> None:
    if not math.isfinite(float(number)):
        raise ValueError(f"{number} is no number of JSON")


def _truncate(path: Path, size: int) -> None:
    try:
        os.truncate(path, size)
    except OSError as error:
        raise InvalidInput(f"cannot be written: {error.strerror}", file=str(path)) from None


def _parsed(whole: bytes, path: Path) -> list[Row]:
    rows: list[Row] = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            row = _parsed_row(line)
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


def _line(row: Row) -> str:
    try:
        return json.dumps(row, allow_nan=False) + "\n"
    except ValueError:
        what = row["bound"] if _is_bound(row) else row["policy"]
        raise VerificationFailed(f"{what}: gives no finite number on {row['instance']}") from None


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


def _prove(instance: Instance, sha256: str, method: str) -> Row:
    from torta_opt.allocation.bounds.registry import compute

    proved = compute(instance, method)
    if proved.interrupted:  # more time would have made it better: not for the table
        raise KeyboardInterrupt
    return {
        "instance": instance.name,
        "sha256": sha256,
        "bound": method,
        "version": __version__,
        "source": proved.source,
        "value": proved.value,
        "certified": proved.certified,
        "seconds": proved.seconds,
    }


def _is_bound(row: Row) -> bool:
    return "bound" in row


def _key(row: Row) -> Key:
    """What a row is known by; KeyError or TypeError if it is no row of ours."""
    if _is_bound(row):
        return row["sha256"], row["bound"], row["version"]
    return row["sha256"], row["policy"], row["seed"], row["version"]


# --- statistics ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """What a table of runs says about its policies, each by name.

    against      the policy that the others are compared with
    runs         how many there are of each
    cost         means over units
    difference, ratio    of costs to those of ``against``, paired
    figures      further means: ``gap`` and ``SHOWN``
    seeds        least and greatest cost over the seeds of one instance (``seed_spread``)
    """

    against: str
    runs: dict[str, int]
    cost: dict[str, Interval]
    difference: dict[str, Interval]
    ratio: dict[str, Interval]
    figures: dict[str, dict[str, Interval]]
    seeds: dict[str, tuple[float, float]]

    def to_document(self) -> dict[str, Any]:
        return {
            "against": self.against,
            "cost": {name: self._cost_document(name) for name in self.cost},
            "difference": _documents(self.difference),
            "ratio": _documents(self.ratio),
            **{name: _documents(found) for name, found in self.figures.items()},
        }

    def to_frame(self) -> pd.DataFrame:
        """One row for each policy: number of runs, means, and the ends of 95 % intervals.

        ``difference`` and ``ratio`` are to ``against``, paired by instance.
        """
        import pandas as pd

        tables = {"cost": self.cost, "difference": self.difference, "ratio": self.ratio}
        rows = []
        for name in self.cost:
            row: dict[str, Any] = {"policy": name, "runs": self.runs[name]}
            for title, table in {**tables, **self.figures}.items():
                if name in table:
                    row[title] = table[name].mean
                    row |= {f"{title}_low": table[name].low, f"{title}_high": table[name].high}
            rows.append(row)
        return pd.DataFrame(rows)

    def _cost_document(self, name: str) -> dict[str, Any]:
        spread = self.seeds.get(name)
        seeds = {} if spread is None else {"least_seed": spread[0], "greatest_seed": spread[1]}
        return {**self.cost[name].to_document(), "runs": self.runs[name], **seeds}


def _documents(found: Mapping[str, Interval]) -> dict[str, Any]:
    return {name: each.to_document() for name, each in found.items()}


def comparison(
    rows: Sequence[Row], against: str, unit_of: Mapping[str, str] | None = None
) -> Comparison:
    """All that the runs in ``rows`` say; ``gap`` where they have one (``with_gaps``)."""
    shown = ("gap", *SHOWN) if any("gap" in row for row in rows) else SHOWN
    return Comparison(
        against=against,
        runs=dict(Counter(row["policy"] for row in rows)),
        cost=summary(rows, "cost", unit_of),
        difference=differences(rows, against, "cost", unit_of),
        ratio=ratios(rows, against, "cost", unit_of),
        figures={name: summary(rows, name, unit_of) for name in shown},
        seeds=seed_spread(rows),
    )


def units(instances: Iterable[Instance]) -> dict[str, str]:
    """Hash of an instance → hash of the first one that it shares demand with, or its own.

    Two share demand if their systems are the same, weights aside, and one begins within the other
    with the same requests in every slot that both have, ``ALIKE_SLOTS`` in a row at the least that
    have any: cuts that overlap, and the same demand at other prices, weights or outages.
    """
    found: dict[str, str] = {}
    seen: list[tuple[str, str, list[bytes]]] = []
    for sha256, instance in distinct(instances).items():
        system, demand = _system_sha256(instance), [each.tobytes() for each in instance.arrivals]
        alike = [found[one] for one, its, other in seen if its == system and _alike(demand, other)]
        found[sha256] = alike[0] if alike else sha256
        merged = set(alike)
        found = {one: found[sha256] if unit in merged else unit for one, unit in found.items()}
        seen.append((sha256, system, demand))
    return found


def system_count(instances: Iterable[Instance]) -> int:
    """How many systems the instances are of: fleets with their regions, models and classes."""
    return len({_system_sha256(instance) for instance in instances})


def _system_sha256(instance: Instance) -> str:
    """Hash of the fleet, the models, the classes and what they do, without weights and demand."""
    document = instance_to_document(instance.cut(0, 1))
    return sha256_of({name: each for name, each in document.items() if name not in NOT_SYSTEM})


def _alike(one: list[bytes], two: list[bytes]) -> bool:
    """Whether either begins within the other and is the same as far as both go."""
    if one == two:
        return True
    return _continues(one, two) or _continues(two, one)


def _continues(earlier: list[bytes], later: list[bytes]) -> bool:
    for start, slot in enumerate(earlier):
        if slot != later[0]:
            continue
        common = earlier[start : start + len(later)]
        if common == later[: len(common)] and _is_busy(common):
            return True
    return False


def _is_busy(slots: list[bytes]) -> bool:
    """Whether requests arrive in ``ALIKE_SLOTS`` slots in a row."""
    run = 0
    for slot in slots:
        run = run + 1 if any(slot) else 0
        if run == ALIKE_SLOTS:
            return True
    return False


def with_gaps(rows: Iterable[Row], proved: Iterable[Row]) -> list[Row]:
    """The runs with ``gap``, (cost − bound)/|cost|, null where no gap exists.

    Raises VerificationFailed if a run costs less than the bound: then one of the two is wrong.
    """
    by_instance = {row["sha256"]: row for row in proved}
    return [{**row, "gap": _gap(row, by_instance.get(row["sha256"]))} for row in rows]


def _gap(row: Row, proved: Row | None) -> float | None:
    cost = _number(row, "cost")
    if cost is None or proved is None:
        return None
    raise_if_refuted(
        row["policy"], row["instance"], row["costs"], proved["value"], proved["source"]
    )
    return max(cost - proved["value"], 0.0) / abs(cost) if cost else None


def unit_means(
    rows: Iterable[Row], value: str = "cost", unit_of: Mapping[str, str] | None = None
) -> Means:
    """Policy → unit → mean of ``value`` (a field, or a metric): over the runs on an instance
    first, then over instances of a unit (``units``; else every instance is one)."""
    runs: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        number = _number(row, value)
        if number is not None:
            sha256 = row["sha256"]
            unit = (unit_of or {}).get(sha256, sha256)
            runs.setdefault((row["policy"], unit, sha256), []).append(number)
    instances: dict[str, dict[str, list[float]]] = {}
    for (policy, unit, _), values in runs.items():
        instances.setdefault(policy, {}).setdefault(unit, []).append(float(np.mean(values)))
    return {
        policy: {unit: float(np.mean(values)) for unit, values in by_unit.items()}
        for policy, by_unit in instances.items()
    }


def _number(row: Row, value: str) -> float | None:
    """A field or a metric of a run; None where it has none."""
    number = row[value] if value in row else (row.get("metrics") or {}).get(value)
    return None if number is None else float(number)


def summary(
    rows: Iterable[Row], value: str = "cost", unit_of: Mapping[str, str] | None = None
) -> dict[str, Interval]:
    """Policy → mean of ``value`` over units, with its 95 % interval."""
    means = unit_means(rows, value, unit_of)
    return {policy: interval(list(by_unit.values())) for policy, by_unit in means.items()}


def differences(
    rows: Iterable[Row],
    against: str,
    value: str = "cost",
    unit_of: Mapping[str, str] | None = None,
) -> dict[str, Interval]:
    """Policy → mean over units of its ``value`` less that of ``against`` on the same unit."""
    pairs = _pairs(rows, against, value, unit_of)
    return {policy: interval([x - y for x, y in both]) for policy, both in pairs.items()}


def ratios(
    rows: Iterable[Row],
    against: str,
    value: str = "cost",
    unit_of: Mapping[str, str] | None = None,
) -> dict[str, Interval]:
    """Policy → mean over units of its ``value`` divided by that of ``against`` on the same unit.

    None of a policy where that of ``against`` is not above 0 on every one: no ratio says anything.
    """
    pairs = _pairs(rows, against, value, unit_of)
    return {
        policy: interval([x / y for x, y in both] if all(y > 0 for _, y in both) else [])
        for policy, both in pairs.items()
    }


def _pairs(
    rows: Iterable[Row], against: str, value: str, unit_of: Mapping[str, str] | None
) -> dict[str, list[tuple[float, float]]]:
    """Policy → its value and that of ``against`` on every unit that has both."""
    means = unit_means(rows, value, unit_of)
    base = means.get(against, {})
    return {
        policy: [(number, base[unit]) for unit, number in by_unit.items() if unit in base]
        for policy, by_unit in means.items()
    }


def seed_spread(rows: Iterable[Row], value: str = "cost") -> dict[str, tuple[float, float]]:
    """Policy → least and greatest ``value`` over its seeds, where it ran on one instance alone with
    several: no interval of a comparison, but all that can be said."""
    found: dict[str, list[tuple[str, float]]] = {}
    for row in rows:
        number = _number(row, value)
        if number is not None:
            found.setdefault(row["policy"], []).append((row["sha256"], number))
    return {
        policy: (min(number for _, number in runs), max(number for _, number in runs))
        for policy, runs in found.items()
        if len(runs) > 1 and len({sha256 for sha256, _ in runs}) == 1
    }


def interval(values: Sequence[float], share: float = 0.95) -> Interval:
    """Mean and Student's t interval, mean ± t·s/√n; a single value has no interval, NaN."""
    from scipy.stats import t

    array = np.asarray(values, float)
    if array.size < 2:
        mean = float(array[0]) if array.size else math.nan
        return Interval(mean, math.nan, math.nan, int(array.size))
    mean = float(array.mean())
    spread = float(array.std(ddof=1))
    half = float(t.ppf((1 + share) / 2, array.size - 1)) * spread / math.sqrt(array.size)
    return Interval(mean, mean - half, mean + half, int(array.size))
