"""What a schedule of the placement family costs: seconds of response, summed over requests.

The cost leaves the authors' fixed delays out (delay setting ``zero``); the metrics hold the mean
time per token and to the first token in both settings, since they differ by up to 250 s a request.
Knows no formulation, no algorithm and no solver.
"""

from __future__ import annotations

from collections import Counter

from torta_opt.placement.instance.data import DELAY_SETTINGS, PlacementInstance
from torta_opt.placement.schedule.data import PlacementSchedule
from torta_opt.placement.schedule.performance import (
    Prices,
    direct_network_ms,
    direct_response_ms,
    first_token_prices,
    path_ms,
    prices,
)
from torta_opt.results import Evaluation

# Methods to whose responses the authors' scripts add PETALS's fixed delay.
PETALS_DELAY = frozenset(
    (
        "petals",
        "petals_rebalanced",
        "petals_simulated",
        "petals_throughput",
        "opt_order",
        "opt_number",
        "opt_rr",
    )
)


def is_petals_like(method: str) -> bool:
    """Whether the authors' scripts add PETALS's fixed delay to this method."""
    return method in PETALS_DELAY


def evaluate(
    instance: PlacementInstance, schedule: PlacementSchedule, server_to_server: bool = False
) -> Evaluation:
    """Price ``schedule``; hub and spoke unless ``server_to_server``."""
    paid = prices(instance)
    network = computation = 0.0
    slowest = 0.0
    direct = 0.0
    for route, requests in Counter(schedule.routes).items():
        blocks = schedule.blocks_on(route)
        parts = path_ms(paid, route.client, route.servers, blocks)
        handed_on = direct_response_ms(instance, route.client, route.servers, blocks)
        direct += requests * sum(handed_on)
        if server_to_server:
            parts = handed_on
        network += requests * parts[0]
        computation += requests * parts[1]
        slowest = max(slowest, sum(parts))
    start = instance.delays.start_ms * len(schedule.routes)
    costs = {
        "network": network / 1000,
        "computation": computation / 1000,
        "start": start / 1000,
    }
    cost = sum(costs.values())
    metrics = _metrics(instance, schedule, cost, (slowest + instance.delays.start_ms) / 1000)
    metrics |= _first_token(instance, schedule, server_to_server)
    if schedule.routes:
        mean = direct / len(schedule.routes) + instance.delays.start_ms
        metrics["response_mean_s_server_to_server"] = mean / 1000
    return Evaluation(cost, costs, metrics)


def total_ms(paid: Prices, schedule: PlacementSchedule) -> float:
    """Σ over requests of the path cost under ``paid``: what the programs minimise."""
    return sum(
        requests * sum(path_ms(paid, route.client, route.servers, schedule.blocks_on(route)))
        for route, requests in Counter(schedule.routes).items()
    )


def _metrics(
    instance: PlacementInstance, schedule: PlacementSchedule, cost: float, slowest_s: float
) -> dict[str, float | int | None]:
    requests = len(schedule.routes)
    metrics: dict[str, float | int | None] = {
        "requests": requests,
        "servers_used": len({j for route in schedule.routes for j in route.servers}),
        "blocks_placed": int(schedule.placement.count.sum()),
        "response_max_s": slowest_s if requests else None,
    }
    if not requests:
        return metrics
    for setting in DELAY_SETTINGS:
        fixed = instance.delays.fixed_ms(setting, is_petals_like(schedule.method)) / 1000
        mean = cost / requests + fixed
        if setting == "zero":
            metrics["response_mean_s"] = mean
        metrics[f"response_mean_s_{setting}"] = mean
        metrics[f"token_mean_s_{setting}"] = mean / instance.output_tokens
    return metrics


def _first_token(
    instance: PlacementInstance, schedule: PlacementSchedule, server_to_server: bool
) -> dict[str, float]:
    """Mean time to the first token, in both delay settings."""
    if not schedule.routes:
        return {}
    paid = first_token_prices(instance)
    total = 0.0
    for route, requests in Counter(schedule.routes).items():
        network, computation = path_ms(paid, route.client, route.servers, schedule.blocks_on(route))
        if server_to_server:
            network = direct_network_ms(instance, route.client, route.servers, prompt=True)
        total += requests * (network + computation)
    mean = (total / len(schedule.routes) + instance.delays.start_ms) / 1000
    like_petals = is_petals_like(schedule.method)
    return {
        f"first_token_mean_s_{setting}": mean
        + instance.delays.fixed_ms(setting, like_petals) / 1000
        for setting in DELAY_SETTINGS
    }
