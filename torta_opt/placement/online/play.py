"""Requests that come one by one, played by the event-driven simulator: what ``simulate`` does.

    found = play(instance, "ws_rr", requests=1000, rate_per_s=0.5)
    found.metrics["response_mean_s"]

A method places blocks and routes every request when it comes. A schedule of one's own can stand in
for the placement; its requests are then routed by WS-RR.
"""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from torta_opt.io import Infeasible, InvalidInput, write_bytes
from torta_opt.io.text import as_cell
from torta_opt.placement.instance.data import DELAY_SETTINGS, PlacementInstance
from torta_opt.placement.instance.rules import check_feasible
from torta_opt.placement.online.contenders import Contender, contender
from torta_opt.placement.online.events import read_arrivals, simulate
from torta_opt.placement.online.in_turn import Arrivals, OnlineResult, poisson_arrivals
from torta_opt.placement.online.routers import max_throughput, min_latency, shortest_path, ws_rr
from torta_opt.placement.online.swarm import own_pool, petals_pool
from torta_opt.placement.policies.cg_bp import cg_bp
from torta_opt.placement.policies.cg_bprr import online_requests
from torta_opt.placement.policies.petals import petals_placement
from torta_opt.placement.schedule.data import PlacementSchedule
from torta_opt.placement.schedule.evaluate import is_petals_like
from torta_opt.placement.schedule.verify import verify

MOST_REQUESTS = 10**7


@dataclass(frozen=True)
class OnlineMethod:
    """A placement and a router, in a line and as a function of instance, |R| and seed."""

    summary: str
    build: Callable[[PlacementInstance, int, int], Contender]


@dataclass(frozen=True, eq=False)
class Played:
    """What became of the requests.

    planned    requests at once that the placement was made for; None if it has no such number
    metrics    seconds, over completed requests; None where there are none
    """

    method: str
    seed: int
    delays: str
    planned: int | None
    rate_per_s: float
    seconds: float
    arrivals: Arrivals = field(repr=False)
    result: OnlineResult = field(repr=False)

    @property
    def metrics(self) -> dict[str, float | int | None]:
        result, count = self.result, len(self.arrivals)
        waited = result.wait_ms[~np.isnan(result.wait_ms)] > 0
        metrics: dict[str, float | int | None] = {
            "requests": count,
            "completed": result.completed,
            "given_up": count - result.completed,
            "waited_share": float(waited.mean()) if len(waited) else None,
            "most_at_once": result.most_at_once,
            "span_s": float(np.ptp(self.arrivals.at_ms)) / 1000,
            "token_mean_s": result.token_mean_s if result.completed else None,
        }
        for name in ("response", "first_token", "wait"):
            values = getattr(result, f"{name}_ms")
            metrics |= _spread(name, values[~np.isnan(values)] / 1000)
        return metrics

    def to_document(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "seed": self.seed,
            "delays": self.delays,
            "planned_requests": self.planned,
            "rate_per_s": self.rate_per_s,
            "seconds": self.seconds,
            "metrics": self.metrics,
        }


def play(
    instance: PlacementInstance,
    method: str | PlacementSchedule = "ws_rr",
    requests: int = 1000,
    rate_per_s: float | None = None,
    trace: str | os.PathLike[str] | None = None,
    delays: str = "zero",
    give_up_s: float | None = None,
    jitter: float = 0.0,
    seed: int = 0,
) -> Played:
    """Play Poisson arrivals, or those of a ``trace`` (CSV), against a method or a schedule.

    rate_per_s   of all clients; the instance's own (a trace's own) if not given
    delays       ``zero`` or ``published``: whether the authors' fixed delays are added
    give_up_s    a request gives up once it would have waited that long
    jitter       spreads gaps between tries by ± that share

    Raises InvalidInput, Infeasible where the method places too few blocks, or VerificationFailed
    where the schedule breaks a rule.
    """
    _check(requests, rate_per_s, delays, give_up_s, jitter)
    check_feasible(instance)
    if trace is None:
        loaded = instance if rate_per_s is None else instance.with_rate(rate_per_s)
        arrivals = poisson_arrivals(loaded, requests, seed)
    else:
        arrivals = read_arrivals(trace, instance)
        if not len(arrivals):
            raise InvalidInput("holds no request", file=os.fspath(trace))
        if rate_per_s is None:
            loaded = _at_rate_of(instance, arrivals)
        else:
            loaded = instance.with_rate(rate_per_s)
    chosen, planned = _contender(loaded, method, seed)
    fixed = instance.delays.fixed_ms(delays, is_petals_like(chosen.name))
    begin = time.perf_counter()
    result = simulate(loaded, chosen, arrivals, fixed, give_up_s, jitter, seed)
    seconds = time.perf_counter() - begin
    rate = float(loaded.clients.rate_per_s.sum())
    return Played(chosen.name, seed, delays, planned, rate, seconds, arrivals, result)


def save_requests(
    played: Played, instance: PlacementInstance, path: str | os.PathLike[str]
) -> None:
    """A CSV file, one line a request; fields of those that gave up are empty."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["arrival_s", "client", "tokens", "wait_s", "first_token_s", "response_s"])
    arrivals, result = played.arrivals, played.result
    columns = (result.wait_ms, result.first_token_ms, result.response_ms)
    names = instance.clients.names
    for r in range(len(arrivals)):
        times = ["" if np.isnan(column[r]) else repr(float(column[r]) / 1000) for column in columns]
        at = repr(float(arrivals.at_ms[r]) / 1000)
        rows.writerow([at, as_cell(names[arrivals.client[r]]), int(arrivals.tokens[r]), *times])
    write_bytes(path, text.getvalue().encode())


def _check(
    requests: int, rate_per_s: float | None, delays: str, give_up_s: float | None, jitter: float
) -> None:
    if not 1 <= requests <= MOST_REQUESTS:
        raise InvalidInput(f"must lie in 1 to {MOST_REQUESTS}", field="requests")
    if rate_per_s is not None and not 0 < rate_per_s < 1e6:
        raise InvalidInput("must be above 0 and below 1000000", field="rate")
    if delays not in DELAY_SETTINGS:
        raise InvalidInput(f"must be one of {', '.join(DELAY_SETTINGS)}", field="delays")
    if give_up_s is not None and not 0 <= give_up_s < float("inf"):
        raise InvalidInput("must be 0 or more", field="give-up")
    if not 0 <= jitter <= 1:
        raise InvalidInput("must lie in 0 to 1", field="jitter")


def _at_rate_of(instance: PlacementInstance, arrivals: Arrivals) -> PlacementInstance:
    """With the trace's mean rate by client; its own rates if all arrive at once."""
    span = float(np.ptp(arrivals.at_ms)) / 1000
    if span == 0:
        return instance
    count = np.bincount(arrivals.client, minlength=len(instance.clients))
    rates = count * (len(arrivals) - 1) / (len(arrivals) * span)
    return replace(instance, clients=replace(instance.clients, rate_per_s=rates))


def _contender(
    instance: PlacementInstance, method: str | PlacementSchedule, seed: int
) -> tuple[Contender, int | None]:
    if isinstance(method, PlacementSchedule):
        verify(instance, method).raise_if_broken(method.method)
        placement = method.placement
        return Contender(method.method, placement, own_pool(instance, placement), ws_rr), None
    if method not in METHODS:
        raise InvalidInput(
            f"{method!r:.60} does not route requests one by one; known: {', '.join(METHODS)}",
            field="method",
        )
    planned = online_requests(instance)
    try:
        return METHODS[method].build(instance, planned, seed), planned
    except Infeasible as error:
        raise Infeasible(f"{method}: {error}") from None


def _named(name: str) -> Callable[[PlacementInstance, int, int], Contender]:
    """A contender of the authors' simulator, by our name of the method."""
    known = {"ws_rr": "proposed", "petals_simulated": "petals"}.get(name, name)

    def build(instance: PlacementInstance, requests: int, seed: int) -> Contender:
        return replace(contender(instance, known, seed, requests), name=name)

    return build


def _cg_bprr(instance: PlacementInstance, requests: int, seed: int) -> Contender:
    placement = cg_bp(instance, requests).placement
    return Contender("cg_bprr", placement, own_pool(instance, placement), shortest_path)


def _petals(instance: PlacementInstance, requests: int, seed: int) -> Contender:
    placement = petals_placement(instance, seed)
    return Contender("petals", placement, petals_pool(instance, placement), min_latency)


def _petals_rebalanced(instance: PlacementInstance, requests: int, seed: int) -> Contender:
    placement = petals_placement(instance, seed, rebalanced=True)
    pool = petals_pool(instance, placement)
    return Contender("petals_rebalanced", placement, pool, min_latency)


def _petals_throughput(instance: PlacementInstance, requests: int, seed: int) -> Contender:
    placement = petals_placement(instance, seed)
    pool = petals_pool(instance, placement)
    return Contender("petals_throughput", placement, pool, max_throughput(seed))


METHODS: dict[str, OnlineMethod] = {
    "ws_rr": OnlineMethod(
        "CG-BP's placement, route with the least time and waiting", _named("ws_rr")
    ),
    "cg_bprr": OnlineMethod("CG-BP's placement, always the shortest route", _cg_bprr),
    "petals": OnlineMethod("PETALS as its code implements it", _petals),
    "petals_rebalanced": OnlineMethod("PETALS after servers have moved", _petals_rebalanced),
    "petals_throughput": OnlineMethod("PETALS, routes drawn at random by span", _petals_throughput),
    "petals_simulated": OnlineMethod(
        "PETALS as the authors of CG-BPRR simulate it", _named("petals_simulated")
    ),
    "opt_order": OnlineMethod(
        "PETALS as simulated, but servers join in CG-BP's order", _named("opt_order")
    ),
    "opt_number": OnlineMethod(
        "PETALS as simulated, but with CG-BP's number of blocks", _named("opt_number")
    ),
    "opt_rr": OnlineMethod(
        "PETALS as simulated, but each request on the best route for it", _named("opt_rr")
    ),
}


def _spread(name: str, seconds: np.ndarray) -> dict[str, float | None]:
    if not len(seconds):
        return {f"{name}_{part}_s": None for part in ("mean", "p50", "p95", "p99", "max")}
    middle, high, highest = np.percentile(seconds, [50, 95, 99])
    return {
        f"{name}_mean_s": float(seconds.mean()),
        f"{name}_p50_s": float(middle),
        f"{name}_p95_s": float(high),
        f"{name}_p99_s": float(highest),
        f"{name}_max_s": float(seconds.max()),
    }
