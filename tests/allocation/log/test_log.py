"""A log becomes the schedule that it describes where that is legal, and says what it bent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.plain import make_instance
from support.tiny import random_feasible_schedule, random_tiny_instance

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.log import from_log
from torta_opt.allocation.log.nearest import legal_routing
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import Schedule, evaluate, verify
from torta_opt.allocation.schedule.timeline import trace_servers
from torta_opt.io import InvalidInput


def write_log(
    instance: Instance, schedule: Schedule, folder: Path, kind: str = "class", typed: bool = True
) -> tuple[Path, Path]:
    """The routes and the servers of a schedule as the two files of a log."""
    system, rng = instance.system, np.random.default_rng(0)
    rows = [f"time_s,origin,region,{kind}"]
    for t, i, j, c in np.argwhere(schedule.routing > 0):
        what = system.classes[c] if kind == "class" else system.models[system.class_model[c]]
        for at in (t + rng.random(schedule.routing[t, i, j, c])) * system.slot_s:
            rows.append(f"{at:.6f},{system.regions[i]},{system.regions[j]},{what}")
    servers = trace_servers(instance, schedule)
    lines = ["time_s,region,type,model,replicas" if typed else "time_s,region,model,replicas"]
    types = len(system.types) if typed else 1
    for t in range(instance.slots):
        for j, k, m in np.ndindex(len(system.regions), types, len(system.models)):
            here = servers.on[t] & (system.server_region == j) & (servers.model[t] == m)
            if typed:
                here &= system.server_type == k
            kinds = f"{system.types[k]}," if typed else ""
            at = t * system.slot_s
            lines.append(f"{at:.3f},{system.regions[j]},{kinds}{system.models[m]},{here.sum()}")
    (folder / "requests.csv").write_text("\n".join(rows) + "\n")
    (folder / "replicas.csv").write_text("\n".join(lines) + "\n")
    return folder / "requests.csv", folder / "replicas.csv"


@pytest.fixture(scope="module")
def abilene() -> tuple[Instance, Schedule]:
    instance = generate("paper/abilene", slots=6, load=0.1)
    return instance, run(create("greedy_forecast"), instance).schedule


def test_a_legal_log_is_followed_to_the_letter(abilene, tmp_path):
    instance, schedule = abilene
    _, made, bent = from_log(instance, *write_log(instance, schedule, tmp_path))
    assert np.array_equal(made.routing, schedule.routing)
    found = bent.to_document()
    assert not any(found[name] for name in ("added", "dropped", "moved", "missing", "extra"))
    assert found["rows"] == found["logged"] == instance.arrivals.sum()
    on = (trace_servers(instance, each).on.sum(axis=1).tolist() for each in (made, schedule))
    assert next(on) == next(on)
    costs = [evaluate(instance, each).cost for each in (made, schedule)]
    assert costs[0] == pytest.approx(costs[1], rel=0.1)  # servers of a type swap places


def test_models_are_split_into_classes_as_the_instance_has_them(abilene, tmp_path):
    instance, schedule = abilene
    files = write_log(instance, schedule, tmp_path, "model", typed=False)
    _, made, bent = from_log(instance, *files)
    assert (bent.added, bent.dropped) == (0, 0)
    by_model = np.eye(len(instance.system.models), dtype=int)[instance.system.class_model]
    assert np.array_equal(made.routing @ by_model, schedule.routing @ by_model)


@pytest.mark.parametrize("draw", range(12))
def test_any_log_of_tiny_instances_gives_a_legal_schedule(draw: int, tmp_path):
    """Also a log of another instance's decisions: other outages, other forbidden pairs."""
    rng = np.random.default_rng(draw)
    instance = random_tiny_instance(rng, slots=4, regions=2, servers=4)
    schedule = random_feasible_schedule(instance, rng)
    if not schedule.routing.any():
        pytest.skip("nothing was routed")
    files = write_log(instance, schedule, tmp_path, typed=draw % 2 == 0)
    _, made, bent = from_log(instance, *files)
    assert verify(instance, made).ok
    assert np.array_equal(made.routing, schedule.routing)
    assert bent.moved == 0
    found = evaluate(instance, made).metrics
    assert (bent.expired, bent.logged) == (found["expired"], schedule.routing.sum())


ONE = "time_s,region,model,replicas\n0,east,a,1\n"


def two_regions(**changes: Any) -> Instance:
    names = {"server_region": [0, 0, 1], "server_ms": 9000, "initial": {"model": [0, 0, 0]}}
    return make_instance([[[2], [0]], [[0], [1]]], **{**names, **changes})


def log_of(instance: Instance, requests: str, replicas: str, folder: Path, **options: Any):
    system = instance.system
    names = {"EAST": system.regions[0], "WEST": system.regions[1], "MODEL": system.models[0]}
    for name, actual in {**names, "CLASS": system.classes[0], "S2": system.servers[2]}.items():
        requests, replicas = requests.replace(name, actual), replicas.replace(name, actual)
    (folder / "q.csv").write_text(requests)
    (folder / "r.csv").write_text(replicas)
    return from_log(instance, folder / "q.csv", folder / "r.csv", **options)


REPLICAS = "time_s,region,model,replicas\n0,EAST,MODEL,2\n0,WEST,MODEL,1\n"
REQUESTS = "time_s,origin,region,class\n1,EAST,WEST,CLASS\n2,EAST,EAST,CLASS\n50,WEST,WEST,CLASS\n"


class TestBent:
    def test_nothing(self, tmp_path):
        _, made, bent = log_of(two_regions(), REQUESTS, REPLICAS, tmp_path)
        assert made.routing[0, 0, :, 0].tolist() == [1, 1]
        assert (bent.logged, bent.waiting, bent.expired, bent.missing) == (3, 0, 0, 0)
        assert bent.replica_slots == 6

    def test_a_forbidden_pair_goes_to_the_nearest_region(self, tmp_path):
        instance = two_regions(latency_s=[[0.0, np.nan], [1.0, 0.0]])
        _, made, bent = log_of(instance, REQUESTS, REPLICAS, tmp_path)
        assert made.routing[0, 0, :, 0].tolist() == [2, 0]
        assert bent.moved == 1

    def test_the_log_has_fewer_or_more_requests(self, tmp_path):
        more = REQUESTS + "60,EAST,EAST,CLASS\n61,EAST,EAST,CLASS\n"
        fewer = more.replace("1,EAST,WEST,CLASS\n", "", 1)
        _, made, bent = log_of(two_regions(), fewer, REPLICAS, tmp_path)
        assert (bent.added, bent.dropped) == (1, 2)
        assert made.routing[0, 0, :, 0].tolist() == [2, 0]
        taken, made, bent = log_of(two_regions(), more, REPLICAS, tmp_path, take_demand=True)
        assert taken.arrivals[:, :, 0].tolist() == [[2, 0], [2, 1]]
        assert (bent.added, bent.dropped) == (0, 0)

    def test_more_replicas_than_servers(self, tmp_path):
        many = REPLICAS.replace("EAST,MODEL,2", "EAST,MODEL,5")
        *_, bent = log_of(two_regions(), REQUESTS, many, tmp_path)
        assert (bent.missing, bent.extra) == (6, 0)

    def test_servers_that_load_take_no_command(self, tmp_path):
        """Start takes three slots: the log's stop in the second slot cannot be followed."""
        instance = two_regions(start_ms=120000, initial={"model": [-1, -1, 0]}, deadline_slots=3)
        off = "45,EAST,MODEL,0\n"
        *_, bent = log_of(instance, REQUESTS, REPLICAS + off, tmp_path)
        assert (bent.missing, bent.extra, bent.loading) == (0, 2, 4)

    def test_a_change_counts_from_the_next_slot_on(self, tmp_path):
        _, made, bent = log_of(two_regions(), REQUESTS, REPLICAS + "3,EAST,MODEL,1\n", tmp_path)
        on = trace_servers(two_regions(), made).on.sum(axis=1)
        assert on.tolist() == [3, 2]
        assert bent.extra == 0

    def test_a_named_server_is_used_if_it_can(self, tmp_path):
        named = "time_s,origin,server,class\n1,EAST,S2,CLASS\n2,EAST,S2,CLASS\n50,WEST,S2,CLASS\n"
        _, made, bent = log_of(two_regions(), named, REPLICAS, tmp_path)
        assert made.processing[:, 2, 0].tolist() == [2, 1]
        assert bent.other_server == 0
        *_, bent = log_of(two_regions(server_ms=30000), named, REPLICAS, tmp_path)
        assert (bent.other_server, bent.waiting) == (1, 1)

    def test_rows_outside_are_counted(self, tmp_path):
        *_, bent = log_of(two_regions(), REQUESTS + "95,EAST,EAST,CLASS\n", REPLICAS, tmp_path)
        assert (bent.rows, bent.outside, bent.logged) == (4, 1, 3)

    def test_clock_times(self, tmp_path):
        clock = REQUESTS.replace("\n1,", "\n1700000001,").replace("\n2,", "\n1700000002,")
        clock = clock.replace("\n50,", "\n1700000050,")
        at = REPLICAS.replace("\n0,", "\n1700000000,")
        *_, bent = log_of(two_regions(), clock, at, tmp_path, start_s=1.7e9)
        assert bent.logged == 3
        with pytest.raises(InvalidInput, match="--start"):
            log_of(two_regions(), clock, at, tmp_path)


@pytest.mark.parametrize(
    ("requests", "replicas", "message"),
    [
        (REQUESTS.replace("time_s", "time_ms"), REPLICAS, "found 'time_ms': convert it"),
        (REQUESTS.replace("region", "place"), REPLICAS, "lacks a column server or region"),
        (REQUESTS.replace("class", "size"), REPLICAS, "lacks a column class or model"),
        (REQUESTS.replace("2,EAST,EAST", "2,EAST,north"), REPLICAS, "line 3, region: 'north'"),
        (REQUESTS.replace("2,EAST", "soon,EAST"), REPLICAS, "line 3, time_s: 'soon' is not"),
        (
            "time_s,origin,region,class\n1000,EAST,EAST,CLASS\n50000,WEST,WEST,CLASS\n",
            REPLICAS,
            "are these milliseconds?",
        ),
        ("time_s,origin,region,class\n", REPLICAS, "has no rows"),
        (REQUESTS, REPLICAS.replace("MODEL,2", "MODEL,-2"), "-2 must be at least 0"),
        (REQUESTS, REPLICAS.replace("MODEL,2", "MODEL,2.5"), "'2.5' is not a whole number"),
        (REQUESTS, REPLICAS.replace("0,EAST", "0,south"), "line 2, region: 'south'"),
        (REQUESTS, "time_s,region\n0,EAST\n", "lacks the column model"),
    ],
)
def test_bad_input_is_named(requests: str, replicas: str, message: str, tmp_path):
    with pytest.raises(InvalidInput) as caught:
        log_of(two_regions(), requests, replicas, tmp_path)
    assert message in str(caught.value)
    assert ".csv" in str(caught.value)


def test_routes_add_up_for_any_log():
    rng = np.random.default_rng(1)
    for draw in range(20):
        instance = random_tiny_instance(np.random.default_rng(draw), slots=3, regions=3)
        shape = (*instance.arrivals.shape[:2], *instance.arrivals.shape[1:])
        routes, _ = legal_routing(instance, rng.integers(0, 4, shape))
        assert np.array_equal(routes.sum(axis=2), instance.arrivals)
        assert not routes[:, ~instance.system.allowed].any()
