"""What the default weights make of the baselines: shares of the cost above the floor.

Run alone: python studies/cost_split.py [PRESET] [--policies a,b] [--set name=value ...]

The rule the default weights are held to, over the baselines on paper/abilene: each of

    time        network + service + waiting + transfer, above the floor's
    servers     energy + rent, above the floor's energy
    switching   starts + switches

lies between 10 % and 70 % of the cost above the floor. Re-routing and expiry are what they are.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from torta_opt.allocation.bounds.floor import floor
from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import evaluate

BASELINES = "round_robin,skylb,sdib,greedy_forecast,torta_ot"
LOW, HIGH = 0.10, 0.70
GROUPS = {
    "time": ("network", "service", "waiting", "transfer"),
    "servers": ("energy", "rent"),
    "switching": ("starts", "switches"),
    "re-routing": ("rerouting",),
    "expiry": ("expiry",),
}
HELD = ("time", "servers", "switching")


def shares(costs: dict[str, float], least: dict[str, float]) -> dict[str, float]:
    """Each group's part of the cost above the floor."""
    above = sum(costs.values()) - sum(least.values())
    return {
        group: sum(costs.get(name, 0.0) - least.get(name, 0.0) for name in names) / above
        for group, names in GROUPS.items()
    }


def report(instance: Instance, policies: list[str]) -> bool:
    """Print one row per policy; whether all of them keep the rule."""
    least = floor(instance)
    print(f"{instance.name}: {instance.requests} requests, floor {least.value:.0f} $")
    heading = "".join(f"{group:>12}" for group in GROUPS)
    print(f"{'policy':<18}{'cost $':>9}{'above':>9}{heading}{'starts':>8}{'s':>7}")
    kept = True
    for name in policies:
        begin = time.perf_counter()
        schedule = run(create(name), instance).schedule
        seconds = time.perf_counter() - begin
        evaluation = evaluate(instance, schedule)
        parts = shares(evaluation.costs, least.costs)
        kept &= all(LOW <= parts[group] <= HIGH for group in HELD)
        row = "".join(f"{parts[group]:>12.1%}" for group in GROUPS)
        above = evaluation.cost - least.value
        starts = int((schedule.command == 1).sum())
        print(f"{name:<18}{evaluation.cost:>9.0f}{above:>9.0f}{row}{starts:>8}{seconds:>7.1f}")
    print(f"each of {', '.join(HELD)} in [{LOW:.0%}, {HIGH:.0%}]: {'yes' if kept else 'NO'}")
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("preset", nargs="?", default="paper/abilene")
    parser.add_argument("--policies", default=BASELINES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    arguments = parser.parse_args()
    parameters = dict(setting.split("=", 1) for setting in arguments.set)
    parameters = {name: json.loads(value) for name, value in parameters.items()}
    instance = generate(arguments.preset, arguments.seed, **parameters)
    return 0 if report(instance, arguments.policies.split(",")) else 1


if __name__ == "__main__":
    sys.exit(main())
