"""Data frames of schedules add up to what the evaluator says, on random tiny instances."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.tiny import random_feasible_schedule, random_tiny_instance

from torta_opt.allocation.instance.data import OFF
from torta_opt.allocation.schedule import evaluate
from torta_opt.allocation.schedule.frames import TABLES
from torta_opt.allocation.schedule.metrics import responses
from torta_opt.allocation.schedule.timeline import trace_queues, trace_servers
from torta_opt.io import InvalidInput


def cases() -> list[Any]:
    rng = np.random.default_rng(7)
    instances = [random_tiny_instance(rng) for _ in range(40)]
    return [(each, random_feasible_schedule(each, rng)) for each in instances]


@pytest.fixture(scope="module")
def pairs() -> list[Any]:
    return cases()


def test_costs_by_cell_add_up_to_the_components(pairs: list[Any]) -> None:
    for instance, schedule in pairs:
        costs = evaluate(instance, schedule).costs
        scale = sum(map(abs, costs.values())) + 1e-12
        found = schedule.to_frame(instance, "costs").groupby("component")["usd"].sum()
        for name, value in costs.items():
            assert found.get(name, 0.0) == pytest.approx(value, abs=1e-9 * scale)


def test_costs_by_slot_add_up_too(pairs: list[Any]) -> None:
    for instance, schedule in pairs[:10]:
        evaluation = evaluate(instance, schedule)
        by_slot = schedule.to_frame(instance, "costs").groupby("slot")["usd"].sum()
        expected = evaluation.to_frame()["cost"]
        found = by_slot.reindex(range(instance.slots), fill_value=0.0)
        scale = expected.abs().sum() + 1e-12
        assert np.allclose(found, expected, atol=1e-9 * scale)


def test_servers_requests_and_commands_are_those_of_the_schedule(pairs: list[Any]) -> None:
    for instance, schedule in pairs:
        servers, queues = trace_servers(instance, schedule), trace_queues(instance, schedule)
        frame = schedule.to_frame(instance, "servers")
        assert frame[["ready", "loading"]].to_numpy().sum() == (servers.model != OFF).sum()
        frame = schedule.to_frame(instance, "queues")
        for name, part in (("routed", queues.inflow), ("served", queues.served)):
            assert frame[name].sum() == part.sum()
        for name, part in (("waiting", queues.queued), ("expired", queues.expired)):
            assert frame[name].sum() == part.sum()
        assert len(schedule.to_frame(instance, "commands")) == np.count_nonzero(schedule.command)
        assert schedule.to_frame(instance, "routing")["requests"].sum() == schedule.routing.sum()
        processed = schedule.to_frame(instance, "processing")["requests"].sum()
        assert processed == schedule.processing.sum()


def test_responses_have_the_mean_that_the_evaluator_has(pairs: list[Any]) -> None:
    seen = 0
    for instance, schedule in pairs:
        metrics = evaluate(instance, schedule).metrics
        found = responses(instance, schedule)
        assert found.count.sum() == metrics["served"]
        if metrics["served"]:
            seen += 1
            seconds = found.network_s + found.wait_s + found.service_s
            mean = (found.count * seconds).sum() / found.count.sum()
            assert mean == pytest.approx(metrics["response_mean_s"])
    assert seen > 10


def test_an_unknown_table_is_one_plain_line(pairs: list[Any]) -> None:
    instance, schedule = pairs[0]
    with pytest.raises(InvalidInput, match="'sums' is not a table; known: costs, queues"):
        schedule.to_frame(instance, "sums")


def test_every_table_has_columns_even_without_rows(pairs: list[Any]) -> None:
    for instance, schedule in pairs[:5]:
        for table in TABLES:
            assert len(schedule.to_frame(instance, table).columns) >= 4
