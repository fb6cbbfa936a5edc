"""How fast the learning environment is, and how close its rewards are to the evaluator's costs.

    python benchmarks/bench_environment.py [--slots N]

The instances are sixteen of paper/abilene (12 regions, 250 servers each, seeds 1000 to 1015).
Columns: steps per processor second of one environment alone, and of sixteen that run together
(steps of all of them); their ratio; the largest relative difference between the cost of a run
according to its rewards and the cost from ``evaluate``. Rows are variants of dispatch, from the
simplest to the default.
"""

from __future__ import annotations

import argparse
import time

from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.learning.environment import BatchedMacro
from torta_opt.allocation.learning.task import Task
from torta_opt.allocation.schedule import evaluate

MICROS = {
    "able, no load score": {"reach": "able", "load_weight": 0.0},
    "able": {"reach": "able"},
    "held (default)": {},
}
COUNT = 16


def measure(instances, micro: dict) -> tuple[float, float]:
    """Steps per processor second, and the largest relative error of rewards."""
    env = BatchedMacro(instances, Task(micro=micro))
    env.reset()
    earned, over, start = 0.0, False, time.process_time()
    while not over:
        _, reward, over, _ = env.step(env.target)
        earned = earned + reward
    rate = env.slots * env.count / (time.process_time() - start)
    costs = [
        evaluate(instance, schedule).cost
        for instance, schedule in zip(instances, env.schedules(), strict=True)
    ]
    error = abs(-earned * env.cost_unit_usd - costs) / costs
    return rate, float(error.max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slots", type=int, default=60)
    slots = parser.parse_args().slots
    instances = [generate("paper/abilene", 1000 + n).cut(0, slots) for n in range(COUNT)]
    print(f"{'dispatch':28} {'one /s':>8} {'16 /s':>8} {'ratio':>6} {'reward error':>14}")
    for name, micro in MICROS.items():
        alone, _ = measure(instances[:1], micro)
        rate, error = measure(instances, micro)
        print(f"{name:28} {alone:8.0f} {rate:8.0f} {rate / alone:6.1f} {error:14.1e}")


if __name__ == "__main__":
    main()
