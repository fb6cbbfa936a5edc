"""How long policies take to decide, and what their schedules cost.

    python benchmarks/bench_policies.py [--slots N] [policy …]

The instances are paper/abilene (12 regions, 250 servers, about a million requests) and paper/cost2
(32 regions). Policies that solve a program in every slot (rhc, afhc) decide only a few slots, so
their costs are not comparable. Columns: slots; seconds of the run; time of a decision relative to
round_robin; its mean and 99th percentile in ms; peak memory of its process; cost.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource

import numpy as np

from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.policies.registry import create, policy_names
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import evaluate, verify

PRESETS = ("paper/abilene", "paper/cost2")
SOLVING = ("rhc", "afhc")  # a program in every slot
SLOTS_OF_PROGRAMS = 8
PEER = "round_robin"
LEARNED = "torta"  # with the weights that fit the topology
HEAD = ("policy", "slots", "seconds", "ratio", "mean ms", "p99 ms", "peak MB", "cost $")


def measure(preset: str, policy: str, slots: int | None) -> tuple[float, ...]:
    """Slots, seconds, ms per slot (mean, p99), peak MB, and cost of one run."""
    instance = generate(preset)
    if slots is not None and slots < instance.slots:
        instance = instance.cut(0, slots)
    outcome = run(create(policy), instance)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    verify(instance, outcome.schedule).raise_if_broken(preset)
    ms = 1000 * outcome.slot_seconds
    cost = evaluate(instance, outcome.schedule).cost
    return instance.slots, outcome.seconds, ms.mean(), np.percentile(ms, 99), peak, cost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("policies", nargs="*", default=[*policy_names(), LEARNED, *SOLVING])
    parser.add_argument("--slots", type=int, help="first slots only")
    given = parser.parse_args()
    for preset in PRESETS:
        print(f"\n{preset}\n{HEAD[0]:<18}" + "".join(f"{name:>10}" for name in HEAD[1:]))
        peer_ms = None
        for policy in [PEER, *(name for name in given.policies if name != PEER)]:
            slots = SLOTS_OF_PROGRAMS if policy.split(":")[0] in SOLVING else given.slots
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                count, seconds, mean, p99, peak, cost = pool.apply(measure, (preset, policy, slots))
            peer_ms = peer_ms or mean
            print(
                f"{policy:<18}{count:>10}{seconds:>10.2f}{mean / peer_ms:>10.1f}{mean:>10.1f}"
                f"{p99:>10.1f}{peak:>10.0f}{cost:>10.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
