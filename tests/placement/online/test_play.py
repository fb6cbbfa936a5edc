"""`torta-opt simulate`: methods, traces, what is written, what is refused."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from torta_opt.api import save_instance, save_schedule
from torta_opt.cli import app as cli
from torta_opt.placement.instance.presets import clustered, placement_preset, tiny
from torta_opt.placement.methods import METHODS as OFFLINE
from torta_opt.placement.methods import solve_offline
from torta_opt.placement.online.contenders import contender
from torta_opt.placement.online.events import simulate
from torta_opt.placement.online.in_turn import poisson_arrivals
from torta_opt.placement.online.play import METHODS, play
from torta_opt.placement.schedule.data import Placement, PlacementSchedule


@pytest.fixture
def torta(capsys):
    """Run a command: (exit code, stdout, stderr)."""

    def call(*arguments):
        code = cli.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "clustered.json"
    save_instance(clustered(), path)
    return path


def _document(answer):
    code, out, err = answer
    assert code == 0, err
    return json.loads(out)


def _refused(answer, code, text):
    found, out, err = answer
    assert found == code, err
    assert out == ""
    assert len(err.splitlines()) == 1
    assert text in err


@pytest.mark.parametrize("method", METHODS)
def test_every_method_serves_everybody_at_a_light_load(method):
    instance = placement_preset("bellcanada", 1)
    found = play(instance, method, requests=40, rate_per_s=0.01, seed=1)
    assert found.method == method
    assert found.metrics["completed"] == 40
    assert found.metrics["token_mean_s"] < 2
    again = play(instance, method, requests=40, rate_per_s=0.01, seed=1)
    assert np.array_equal(found.result.response_ms, again.result.response_ms)


def test_it_is_the_simulator_with_the_rate_that_is_asked_for():
    instance = placement_preset("abovenet", 2)
    loaded = instance.with_rate(1.5)
    plain = simulate(loaded, contender(loaded, "proposed"), poisson_arrivals(loaded, 80, 7))
    found = play(instance, "ws_rr", requests=80, rate_per_s=1.5, seed=7)
    assert np.array_equal(found.result.response_ms, plain.response_ms)
    assert found.rate_per_s == pytest.approx(1.5)
    assert found.metrics["response_mean_s"] == pytest.approx(plain.response_ms.mean() / 1000)
    assert found.metrics["most_at_once"] == plain.most_at_once
    assert found.planned > play(instance, "ws_rr", requests=5, rate_per_s=0.1).planned


def test_published_delays_are_those_of_the_method():
    instance = clustered()
    for method, extra in (("ws_rr", 60.0), ("petals", 250.0), ("opt_rr", 250.0)):
        zero, published = (
            play(instance, method, requests=3, rate_per_s=1e-4, delays=delays)
            for delays in ("zero", "published")
        )
        added = published.metrics["response_mean_s"] - zero.metrics["response_mean_s"]
        assert added == pytest.approx(extra)


def test_who_gives_up_is_counted():
    """The first retry comes after 1 s, too late for those that wait half a second at most."""
    instance = tiny(4, servers=4, blocks=5, requests=2)
    found = play(instance, "cg_bprr", requests=60, rate_per_s=900.0, give_up_s=0.5)
    metrics = found.metrics
    assert metrics["given_up"] > 0
    assert metrics["completed"] + metrics["given_up"] == metrics["requests"] == 60
    assert metrics["wait_max_s"] <= 0.5
    patient = play(instance, "cg_bprr", requests=60, rate_per_s=900.0)
    assert patient.metrics["completed"] == 60
    assert patient.metrics["wait_max_s"] >= 1.0
    assert patient.metrics["waited_share"] > 0


def test_a_trace_sets_the_rates(tmp_path):
    instance = tiny(4, servers=4, blocks=5, clients=2, requests=2)
    path = tmp_path / "trace.csv"
    path.write_text("arrival_s,client\n0,client-0\n5,client-0\n10,client-1\n")
    found = play(instance, "ws_rr", trace=path)
    assert found.metrics["requests"] == 3
    assert found.rate_per_s == pytest.approx(0.2)
    assert found.metrics["span_s"] == 10.0
    assert play(instance, "ws_rr", trace=path, rate_per_s=3.0).rate_per_s == pytest.approx(3.0)
    path.write_text("arrival_s\n7\n7\n")
    assert play(instance, "ws_rr", trace=path).rate_per_s == instance.clients.rate_per_s.sum()


def test_simulate_prints_and_writes_every_request(torta, file, tmp_path):
    path = tmp_path / "requests.csv"
    run = ("simulate", file, "--requests", 30, "--rate", 0.2, "--seed", 5, "-o", path)
    document = _document(torta(*run, "--json"))
    rows = list(csv.DictReader(path.open()))
    assert len(rows) == document["metrics"]["requests"] == 30
    mean = np.mean([float(row["response_s"]) for row in rows])
    assert mean == pytest.approx(document["metrics"]["response_mean_s"])
    assert document["method"] == "ws_rr"
    assert document["delays"] == "zero"
    first = path.read_bytes()
    code, out, _ = torta(*run)
    assert code == 0
    assert "ws_rr at 0.2 requests/s" in out
    assert path.read_bytes() == first


def test_what_was_written_is_a_trace(torta, file, tmp_path):
    path = tmp_path / "requests.csv"
    one = _document(torta("simulate", file, "--requests", 20, "-o", path, "--json"))
    two = _document(torta("simulate", file, "--trace", path, "--rate", 0.1, "--json"))
    assert two["metrics"] == one["metrics"]


def test_requests_that_give_up_have_empty_fields(torta, file, tmp_path):
    path = tmp_path / "requests.csv"
    run = ("simulate", file, "--requests", 300, "--rate", 50, "--give-up", 1, "-o", path, "--json")
    document = _document(torta(*run, "--method", "petals"))
    lost = [row for row in csv.DictReader(path.open()) if not row["response_s"]]
    assert len(lost) == document["metrics"]["given_up"] > 0
    assert {row["wait_s"] for row in lost} == {""}


def test_a_schedule_lends_its_placement(torta, file, tmp_path):
    instance = clustered()
    path = tmp_path / "s.json"
    save_schedule(solve_offline(instance, "petals"), instance, path)
    own = _document(torta("simulate", file, "--schedule", path, "--requests", 5, "--json"))
    assert own["method"] == "petals"
    assert own["planned_requests"] is None
    whole = np.array([8] + [0] * 8)
    broken = PlacementSchedule("own", Placement([0] * 9, whole), ())
    save_schedule(broken, instance, path)
    _refused(torta("simulate", file, "--schedule", path), 5, "own: ")


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (("--method", "optimal"), 2, "does not route requests one by one; known: ws_rr"),
        (("--requests", 0), 2, "requests: must lie in 1"),
        (("--requests", 10**9), 2, "requests: must lie in 1"),
        (("--rate", 0), 2, "rate: must be above 0 and below"),
        (("--rate", "nan"), 2, "rate: must be above 0 and below"),
        (("--rate", "inf"), 2, "rate: must be above 0 and below"),
        (("--delays", "some"), 2, "delays: must be one of published, zero"),
        (("--give-up", -1), 2, "give-up: must be 0 or more"),
        (("--give-up", "nan"), 2, "give-up: must be 0 or more"),
        (("--jitter", 2), 2, "jitter: must lie in 0 to 1"),
        (("--trace", "none.csv"), 2, "none.csv: cannot be read"),
        (("--trace", "none.csv", "--requests", 5), 2, "--trace: cannot be combined"),
        (("--schedule", "s.json", "--method", "ws_rr"), 2, "--schedule: cannot be combined"),
        (("-o", "/nowhere/at/all.csv"), 2, "there is no such folder"),
    ],
)
def test_bad_options_are_one_line(torta, file, options, code, text):
    _refused(torta("simulate", file, *options), code, text)


def test_bad_traces_and_instances_are_one_line(torta, file, tmp_path):
    trace = tmp_path / "trace.csv"
    trace.write_text("arrival_s,client\n1,nobody\n")
    _refused(torta("simulate", file, "--trace", trace), 2, "trace.csv: line 2: names an unknown")
    trace.write_text("arrival_s\n")
    _refused(torta("simulate", file, "--trace", trace), 2, "trace.csv: holds no request")
    _refused(torta("simulate", file, "-o", file), 2, "is read by this command")
    allocation = tmp_path / "a.json"
    torta("generate", "small/drain", "-o", allocation)
    _refused(torta("simulate", allocation), 2, "of allocation, must be one of placement")
    save_instance(tiny(0, servers=1, blocks=90), file)
    _refused(torta("simulate", file), 3, "stay uncovered")


def test_methods_lists_them(torta):
    known = _document(torta("methods", "--json"))
    assert set(known["placement online"]) == set(METHODS)
    assert set(OFFLINE) <= set(METHODS)
