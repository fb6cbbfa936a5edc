"""Run policies on instances and seeds, and prove bounds of the instances; resume."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from torta_opt import __version__
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.policies.base import Policy, is_deterministic
from torta_opt.allocation.policies.experiment.table import (
    Key,
    Row,
    appending,
    key_of,
    line_of,
    read_rows,
)
from torta_opt.allocation.policies.experiment.units import distinct
from torta_opt.allocation.policies.failures import PolicyFailed, blamed_on
from torta_opt.allocation.policies.registry import check, create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.io import VerificationFailed
from torta_opt.parallel import as_finished

Watch = Callable[[int, int], None]


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
    read_rows(table)  # what is no table is refused before it is opened for writing
    with appending(table) as write:
        known = {key_of(row): row for row in read_rows(table, mend=True) if "failed" not in row}
        missing = [task for key, task in tasks.items() if key not in known]
        done = len(tasks) - len(missing)
        if watch is not None:
            watch(done, len(tasks))
        for _, row in as_finished(work, missing, jobs):
            write(line_of(row))
            known[key_of(row)] = row
            done += 1
            if watch is not None:
                watch(done, len(tasks))
    return [known[key] for key in tasks]


def raise_if_failed(rows: Iterable[Row]) -> None:
    """Raise VerificationFailed that names the first policy that failed, and why."""
    failed = [row for row in rows if "failed" in row]
    if failed:
        first = failed[0]
        more = f" (and {len(failed) - 1} more runs)" if len(failed) > 1 else ""
        place = f"{first['policy']}: on {first['instance']}, seed {first['seed']}"
        raise VerificationFailed(f"{place}: {first['failed']}{more}")


def _run(instance: Instance, sha256: str, name: str, seed: int) -> Row:
    """One row; of a policy that fails it has no cost, and says why under ``failed``."""
    row = {
        "instance": instance.name,
        "sha256": sha256,
        "policy": name,
        "seed": seed,
        "version": __version__,
    }
    try:
        return row | _outcome(create(name), instance, name, seed)
    except PolicyFailed as error:
        return row | {"cost": None, "costs": {}, "metrics": {}, "failed": error.reason}


def _outcome(policy: Policy, instance: Instance, name: str, seed: int) -> Row:
    """What a run cost, and how long it took."""
    if hasattr(policy, "show"):
        with blamed_on(name, "show", is_ours=True):
            policy.show(instance)  # forecasts of studies: perfect, corrupted
    outcome = run(policy, instance, seed)
    verify(instance, outcome.schedule).raise_if_broken(name)
    priced = evaluate(instance, outcome.schedule)
    p50, p99 = np.quantile(outcome.slot_seconds, [0.5, 0.99])
    return {
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
