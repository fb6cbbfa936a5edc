"""Parallel work on each engine: what a task weighs, what it costs, what two workers gain.

    python benchmarks/bench_engines.py [--engines loky,dask,ray] [--workers 1,2] [--slots 24]

The first table has tasks of three kinds on paper/abilene: a window of four slots of a pass of the
bound ``windows``; a policy on an instance, as ``compare`` runs it; a future of the bound
``nonanticipative``. Columns: tasks; bytes that go to a worker and come back, on average; processor
seconds of a task, on average, in one process. The second table has wall-clock seconds of the start
of a cluster on this machine, of an empty task, over 200 of them, and of all windows of the first
table; processor seconds that all processes together spent on these windows; and two shares of the
processor seconds of the windows in one process: of workers times wall-clock seconds (where other
load shows), and of the processor seconds of all processes, which are read twice a second: what a
process that ends spends after the last reading is missed. Ray has no row for one worker, as joblib
would then work in this process. Engines whose extra is not installed are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from torta_opt import __version__
from torta_opt.allocation.bounds import windows
from torta_opt.allocation.foresight import scenarios
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.instance import Instance, load_instance
from torta_opt.allocation.instance.document import instance_sha256
from torta_opt.allocation.law import law_of
from torta_opt.allocation.policies.experiment import runs
from torta_opt.parallel import Deadline, engine, in_order
from torta_opt.parallel.tasks import run_task
from torta_opt.solvers import Limits

ABILENE = Path(__file__).parents[1] / "instances" / "paper" / "abilene.json.gz"
PACKAGES = {"loky": "joblib", "dask": "distributed", "ray": "ray"}
EMPTY, EVERY = 200, 0.5  # tasks, seconds between two readings
Tasks = Sequence[tuple[Any, ...]]


def window_tasks(instance: Instance) -> Tasks:
    program = with_knapsack_rows(build_allocation_program(instance))
    cuts = windows._cuts(instance.slots, windows.WINDOW, shifted=False)
    split = windows.Split.of(program)
    found = split.windows(cuts, np.zeros(len(program.row_lower)))
    return [(each.problem, Limits(threads=1), Deadline.after(3600)) for each in found]


def run_tasks(instance: Instance) -> Tasks:
    sha256 = instance_sha256(instance)
    return [(instance, sha256, "torta_ot", seed) for seed in range(2)]


def future_tasks(instance: Instance) -> Tasks:
    spec = scenarios.Spec(instance, law_of(instance), scenarios.NONE, 0, tiers=1)
    return [(spec, number, ["torta_ot"], None) for number in range(2)]


def weighed(name: str, work: Callable[..., Any], tasks: Tasks) -> float:
    """Print what tasks weigh and cost in this process; processor seconds of all of them."""
    began = time.process_time()
    out = back = 0
    for number, task in enumerate(tasks):
        out += len(ForkingPickler.dumps((work, task)))
        back += len(ForkingPickler.dumps(run_task(__version__, number, work, task)))
    seconds = time.process_time() - began
    count = len(tasks)
    print(f"{name:<8} {count:5d} {out // count:10,d} {back // count:10,d} {seconds / count:9.2f}")
    return seconds


def timed(name: str, workers: int, work: Callable[..., Any], tasks: Tasks, alone: float) -> None:
    """Print wall-clock seconds of tasks on an engine."""
    began = time.perf_counter()
    with engine(name, None, workers):
        start = time.perf_counter() - began
        list(in_order(work, [tasks[0]] * workers, workers))  # the workers import what they need
        began = time.perf_counter()
        list(in_order(abs, [(n,) for n in range(EMPTY)], workers))
        empty = (time.perf_counter() - began) / EMPTY
        began = time.perf_counter()
        with ProcessorSeconds() as spent:
            list(in_order(work, tasks, workers))
            wall = time.perf_counter() - began
    shares = alone / (workers * wall), alone / spent.total
    figures = f"{start:8.1f} {empty:8.4f} {wall:8.1f} {spent.total:8.1f}"
    print(f"{name:<6} {workers:7d} {figures} {shares[0]:9.2f} {shares[1]:9.2f}", flush=True)


class ProcessorSeconds:
    """Seconds of this process and all that it has started, also of those that end meanwhile."""

    def __init__(self) -> None:
        self.before, self.latest = self._read(), dict[tuple[int, float], float]()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> ProcessorSeconds:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.latest |= self._read()

    @property
    def total(self) -> float:
        return sum(seconds - self.before.get(one, 0.0) for one, seconds in self.latest.items())

    def _follow(self) -> None:
        while not self._ended.wait(EVERY):
            self.latest |= self._read()

    @staticmethod
    def _read() -> dict[tuple[int, float], float]:
        """Seconds by number and start of a process; numbers are given anew."""
        here, seconds = psutil.Process(), {}
        for each in (here, *here.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = each.cpu_times()
                seconds[each.pid, each.create_time()] = times.user + times.system
        return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engines", default="loky,dask,ray")
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--slots", type=int, default=24)
    chosen = parser.parse_args()
    instance = load_instance(ABILENE).cut(0, chosen.slots)
    print("task     tasks  bytes out bytes back    s each")
    tasks = window_tasks(instance)
    alone = weighed("window", windows._duals, tasks)
    weighed("run", runs._run, run_tasks(instance))
    weighed("future", scenarios.scenario, future_tasks(instance))
    print("\nengine workers  start s  empty s   wall s    cpu s  of wall    of cpu")
    for name in chosen.engines.split(","):
        if find_spec(PACKAGES[name]) is None:
            continue
        for workers in map(int, chosen.workers.split(",")):
            if (name, workers) == ("ray", 1):
                continue  # joblib would work in this process
            timed(name, workers, windows._duals, tasks, alone)


if __name__ == "__main__":
    main()
