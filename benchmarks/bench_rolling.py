"""The program of a window, one slot later: built again against advanced.

    python benchmarks/bench_rolling.py [--windows 4 8 12] [--slots 24] [--instance FILE]

In a run of ``greedy_forecast``, every slot gives the window that ``rhc`` would solve there. The
program of each window is built again, and advanced from the one before; both must be equal bit for
bit. Columns: slots of a window; with knapsack rows or without; rows, columns and entries;
processor milliseconds to build, to advance, and to make a frame (medians over all windows); number
of frames; build time relative to advance time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.allocation.formulations.rolling import RollingProgram
from torta_opt.allocation.instance import Instance, load_instance
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.greedy_forecast import GreedyForecast
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.policies.window import window_instance

ABILENE = Path(__file__).parents[1] / "instances" / "paper" / "abilene.json.gz"
HEAD = "slots  knapsack     rows  columns  entries  build ms  advance ms  frame ms  frames   ratio"
ROUNDS = 5


class Onlooker(GreedyForecast):
    """Decides as ``greedy_forecast`` and keeps the windows it sees."""

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window
        self.windows: list[Instance] = []

    def commands(self, observation: Observation) -> tuple[np.ndarray, np.ndarray]:
        expected = self.wanted()
        self.windows.append(
            window_instance(self.tables.system, observation, expected, self.window, self.name)
        )
        return super().commands(observation)


def windows_of(instance: Instance, window: int) -> list[Instance]:
    policy = Onlooker(window)
    run(policy, instance)
    return policy.windows


def build(instance: Instance, knapsack: bool) -> AllocationProgram:
    program = build_allocation_program(instance)
    return with_knapsack_rows(program) if knapsack else program


def timed(make: Callable[[], AllocationProgram]) -> tuple[AllocationProgram, float]:
    began = time.process_time()
    program = make()
    return program, (time.process_time() - began) * 1e3


def check_same(built: AllocationProgram, advanced: AllocationProgram) -> None:
    for name in ("cost", "upper", "row_lower", "row_upper"):
        if getattr(built, name).tobytes() != getattr(advanced, name).tobytes():
            raise SystemExit(f"{name} differs")
    for name in ("data", "indices", "indptr"):
        if getattr(built.matrix, name).tobytes() != getattr(advanced.matrix, name).tobytes():
            raise SystemExit(f"the matrix differs in {name}")


def measure(windows: list[Instance], knapsack: bool) -> str:
    rolling, frames = RollingProgram(knapsack=knapsack), 0
    spent: dict[str, list[float]] = {"build": [], "advance": [], "frame": []}
    for turn in range(ROUNDS):
        for window in windows:
            built, took = timed(lambda window=window: build(window, knapsack))
            spent["build"].append(took)
            laid = rolling.rebuilt
            advanced, took = timed(lambda window=window: rolling.advance(window))
            spent["frame" if rolling.rebuilt > laid else "advance"].append(took)
            if turn == 0:
                check_same(built, advanced)
        frames = frames or rolling.rebuilt
    rows, columns = built.matrix.shape
    ms = {name: median(each) for name, each in spent.items()}
    return (
        f"{windows[0].slots:5d}  {'yes' if knapsack else 'no':8s} {rows:8d} {columns:8d}"
        f" {built.matrix.nnz:8d} {ms['build']:9.2f} {ms['advance']:11.2f} {ms['frame']:9.2f}"
        f" {frames:7d} {ms['build'] / ms['advance']:7.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instance", type=Path, default=ABILENE)
    parser.add_argument("--slots", type=int, default=24, help="slots of the run")
    parser.add_argument("--windows", type=int, nargs="+", default=[4, 8, 12])
    chosen = parser.parse_args()
    instance = load_instance(chosen.instance)
    if chosen.slots < instance.slots:
        instance = instance.cut(0, chosen.slots)
    print(HEAD)
    for window in chosen.windows:
        windows = windows_of(instance, window)
        for knapsack in (False, True):
            print(measure(windows, knapsack), flush=True)


if __name__ == "__main__":
    main()
