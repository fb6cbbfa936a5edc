"""The noise of ``sample`` against ``apportion``: what drawing regions by lot costs torta_ot.

    python studies/sampling_noise.py [--instance FILE] [--seeds 5] [--slots 480]

A policy that sends every request by itself re-routes traffic from slot to slot even where the plan
A_t stands still. For each way to split requests over regions: the share of re-routed requests,
Σ min(D_t, D_{t−1})·½‖A_t − A_{t−1}‖₁ / Σ min(D_t, D_{t−1}), the cost of re-routing, the whole cost
and its ratio to apportion's, mean response and expired share. The part of re-routing that is noise
alone is that of sample less that of apportion; the last line gives what a binomial split of a
constant plan would re-route.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from torta_opt.allocation.instance import Instance, load_instance
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import Schedule, evaluate, verify

ABILENE = Path(__file__).parents[1] / "instances" / "paper" / "abilene.json.gz"


def rerouted_share(routing: np.ndarray) -> float:
    """Share of the requests that could stay on their way and did not; ``routing`` (T, R, R)."""
    demand = routing.sum(axis=2)
    shares = routing / np.maximum(demand, 1)[:, :, None]
    stays = np.minimum(demand[1:], demand[:-1])
    moved = np.abs(np.diff(shares, axis=0)).sum(axis=2) / 2
    return float((stays * moved).sum() / max(stays.sum(), 1))


def noise_of_a_constant_plan(routing: np.ndarray, rng: np.random.Generator) -> float:
    """What lots alone re-route: every origin's mean shares, drawn anew in every slot."""
    shares = routing.sum(axis=0) / np.maximum(routing.sum(axis=(0, 2)), 1)[:, None]
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-300)
    demand = routing.sum(axis=2)
    drawn = np.array([rng.multinomial(requests, shares) for requests in demand])
    return rerouted_share(drawn)


def report(label: str, instance: Instance, schedule: Schedule, base: float | None) -> float:
    verify(instance, schedule).raise_if_broken(label)
    found = evaluate(instance, schedule)
    ratio = found.cost / (base or found.cost)
    share = rerouted_share(schedule.routing.sum(axis=3))
    print(
        f"{label:<22} {100 * share:8.2f} % {found.costs['rerouting']:10.2f} {found.cost:10.2f}"
        f" {ratio:8.4f} {found.metrics['response_mean_s']:10.3f}"
        f" {100 * found.metrics['expired_share']:8.3f} %",
        flush=True,
    )
    return found.cost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instance", type=Path, default=ABILENE)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--slots", type=int)
    chosen = parser.parse_args()
    instance = load_instance(chosen.instance)
    instance = instance.cut(0, chosen.slots) if chosen.slots else instance
    print(f"{instance.name}: {instance.requests} requests, {instance.slots} slots")
    print("split                  re-routed  rerouting$      cost    ratio  response s   expired")
    plan = run(create("torta_ot"), instance).schedule
    base = report("apportion", instance, plan, None)
    costs = []
    for seed in range(chosen.seeds):
        schedule = run(create("torta_ot:split=sample"), instance, seed).schedule
        costs.append(report(f"sample, seed {seed}", instance, schedule, base))
    print(
        f"sample: cost ratio {np.mean(costs) / base:.4f}, {min(costs) / base:.4f} to "
        f"{max(costs) / base:.4f} over {chosen.seeds} seeds of one instance"
    )
    lots = noise_of_a_constant_plan(plan.routing.sum(axis=3), np.random.default_rng(0))
    print(f"lots alone, constant plan: {100 * lots:.2f} % re-routed")


if __name__ == "__main__":
    main()
