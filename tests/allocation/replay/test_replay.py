"""Requests played one by one: by hand, against a recursion, and against queueing theory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.plain import make_instance, make_schedule
from support.sizes import examples
from support.tiny import random_feasible_schedule, random_tiny_instance

from torta_opt.allocation.replay import Replay, replay
from torta_opt.allocation.replay.play import loaded_s, reached_s
from torta_opt.allocation.schedule import evaluate, verify
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.io import InvalidInput, VerificationFailed

READY = {"model": [0]}


def one_server(arrivals: list[int], processing: list[int], **changes: Any):
    values = {
        "server_ms": 9000,
        "service_s": 20.0,
        "initial": READY,
        "deadline_slots": 3,
        **changes,
    }
    instance = make_instance(np.array(arrivals)[:, None, None], **values)
    return instance, make_schedule(
        instance, processing=[(t, 0, 0, z) for t, z in enumerate(processing)]
    )


def given(path: Path, seconds: list[float]) -> Path:
    rows = "".join(f"{at},{ORIGIN},{CLASS}\n" for at in seconds)
    path.write_text(f"time_s,origin,class\n{rows}")
    return path


ORIGIN, CLASS = (getattr(make_instance([[[0]]]).system, name)[0] for name in ("regions", "classes"))


class TestByHand:
    def test_requests_queue_behind_one_another(self, tmp_path):
        """Server time 9 s: the second of two at the same moment is admitted 9 s later."""
        instance, schedule = one_server([3, 0], [3, 0])
        played = replay(instance, schedule, times=given(tmp_path / "t.csv", [10, 10, 40]))
        assert played.queue_s.tolist() == pytest.approx([0, 9, 0])
        assert played.modelled_s.tolist() == [20, 20, 20]
        assert played.replayed_s.tolist() == pytest.approx([20, 29, 20])
        assert not played.late.any()

    def test_work_is_carried_over_the_end_of_the_slot(self, tmp_path):
        instance, schedule = one_server([2, 1], [2, 1])
        played = replay(instance, schedule, times=given(tmp_path / "t.csv", [44, 44, 46]))
        assert played.queue_s.tolist() == pytest.approx([0, 9, 16])
        assert played.late.tolist() == [False, True, False]

    def test_a_wait_of_a_slot_counts_from_the_arrival(self, tmp_path):
        """Planned for the next slot, it waits 5 s; the model counts 45."""
        instance, schedule = one_server([1, 0], [0, 1])
        played = replay(instance, schedule, times=given(tmp_path / "t.csv", [40]))
        assert played.modelled_s.tolist() == [65]
        assert (played.queue_s.item(), played.rounding_s.item()) == pytest.approx((0, -40))

    def test_nothing_is_admitted_while_a_server_loads(self, tmp_path):
        instance = make_instance(
            [[[1]], [[0]]], server_ms=9000, start_ms=30000, initial={"model": [-1]}
        )
        commands, processing = [(0, 0, "start", 0)], [(0, 0, 0, 1)]
        schedule = make_schedule(instance, commands=commands, processing=processing)
        played = replay(instance, schedule, times=given(tmp_path / "t.csv", [4]))
        assert played.queue_s.item() == pytest.approx(26)

    def test_what_expires_is_not_played(self):
        instance, schedule = one_server([4, 0], [2, 0], deadline_slots=0)
        assert len(replay(instance, schedule).load) == 2

    def test_load_and_overdue(self, tmp_path):
        instance, schedule = one_server([4, 0], [4, 0], deadline_slots=0)
        played = replay(instance, schedule, times=given(tmp_path / "t.csv", [30, 31, 32, 33]))
        assert played.load.tolist() == [0.8] * 4
        assert played.overdue.tolist() == [False, False, True, True]
        bands = played.to_document()["by_load"]
        assert [each["requests"] for each in bands.values()] == [0, 0, 4, 0, 0]


def recursion(played: Replay, schedule: Schedule) -> np.ndarray:
    """Admission times by hand: begin = max(reached, loaded, end of the one before)."""
    requests, instance = played.requests, played.instance
    reached, loaded = reached_s(instance, requests), loaded_s(instance, schedule, requests)
    kind = instance.system.server_type[requests.server]
    work = instance.system.server_ms[kind, requests.group] / 1000
    begin, free = np.empty(len(reached)), {}
    for n in sorted(range(len(reached)), key=lambda n: (reached[n], n)):
        s = int(requests.server[n])
        begin[n] = max(reached[n], loaded[n], free.get(s, -np.inf))
        free[s] = begin[n] + work[n]
    return begin


@pytest.mark.parametrize("draw", range(examples(25)))
def test_random_schedules_match_the_recursion_and_the_evaluator(draw: int):
    rng = np.random.default_rng(draw)
    instance = random_tiny_instance(rng)
    schedule = random_feasible_schedule(instance, rng)
    assert verify(instance, schedule).ok
    played = replay(instance, schedule, seed=draw)
    metrics = evaluate(instance, schedule).metrics
    assert len(played.load) == metrics["served"]
    assert played.queue_s + reached_s(instance, played.requests) == pytest.approx(
        recursion(played, schedule)
    )
    assert (played.queue_s >= -1e-9).all()
    assert (played.rounding_s <= 1e-9).all()
    if metrics["served"] and not metrics["expired"]:
        assert played.modelled_s.mean() == pytest.approx(metrics["response_mean_s"])
    per_server = np.zeros_like(schedule.processing)
    requests = played.requests
    np.add.at(per_server, (requests.slot_out, requests.server, requests.group), 1)
    assert np.array_equal(per_server, schedule.processing)


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_mean_wait_is_that_of_poisson_arrivals_and_constant_service(load: float):
    """M/D/1 (Pollaczek-Khinchine): W = load·u / (2·(1 − load)); 20,000 requests are within 10 %."""
    u_ms, slots = 450, int(200 / load)
    arrivals = np.random.default_rng(5).poisson(100 * load, slots).clip(0, 100)
    instance, schedule = one_server(list(arrivals), list(arrivals), server_ms=u_ms)
    played = replay(instance, schedule, seed=3)
    assert played.queue_s.mean() == pytest.approx(load * u_ms / 1000 / (2 * (1 - load)), rel=0.1)


def test_the_seed_decides_the_times():
    instance, schedule = one_server([3, 2], [3, 2])
    one, two, three = (replay(instance, schedule, seed).requests.arrival_s for seed in (0, 0, 1))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, three)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("time_s,origin\n1,a\n", "line 1: lacks the column class"),
        (f"time_s,origin,class\n30000,{ORIGIN},{CLASS}\n", "are these milliseconds?"),
        (f"time_s,origin,class\n1,nowhere,{CLASS}\n", "line 2, origin: 'nowhere' is not a region"),
        (f"time_s,origin,class\n1,{ORIGIN},none\n", "line 2, class: 'none' is not a class"),
        (f"time_s,origin,class\nx,{ORIGIN},{CLASS}\n", "line 2, time_s: 'x' is not a number"),
        (f"time_s,origin,class\n1,{ORIGIN},{CLASS}\n", "has 1 requests in slot 0"),
    ],
)
def test_times_that_do_not_fit_are_named(tmp_path, rows: str, message: str):
    path = tmp_path / "times.csv"
    path.write_text(rows)
    instance, schedule = one_server([2, 0], [2, 0])
    with pytest.raises(InvalidInput) as caught:
        replay(instance, schedule, times=path)
    assert message in str(caught.value)
    assert "times.csv" in str(caught.value)


def test_an_illegal_schedule_is_not_played():
    instance, schedule = one_server([1, 0], [2, 0])
    with pytest.raises(VerificationFailed):
        replay(instance, schedule)
