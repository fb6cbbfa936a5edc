"""Block placement through the same commands as everything else."""

from __future__ import annotations

import gzip
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from torta_opt import api, gaps
from torta_opt.api import open_instance, save_instance, save_schedule
from torta_opt.cli import app as cli
from torta_opt.io import TortaOptError
from torta_opt.placement.family import FAMILY
from torta_opt.placement.instance.document import (
    instance_from_document,
    instance_to_document,
    placement_sha256,
)
from torta_opt.placement.instance.presets import PRESETS, clustered, mix, placement_preset, tiny
from torta_opt.placement.methods import METHODS
from torta_opt.placement.schedule.data import Placement, PlacementSchedule, Route
from torta_opt.placement.schedule.document import schedule_to_document
from torta_opt.solvers import Limits


@pytest.fixture
def torta(capsys):
    """Run a command: (exit code, stdout, stderr)."""

    def call(*arguments):
        code = cli.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def file(tmp_path) -> Path:
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
    assert "Traceback" not in err


@pytest.mark.parametrize("method", METHODS)
def test_solve_then_verify(torta, file, tmp_path, method):
    schedule = tmp_path / "s.json.gz"
    solved = _document(torta("solve", file, "--method", method, "-o", schedule, "--json"))
    checked = _document(torta("verify", file, schedule, "--json"))
    assert checked["valid"] is True
    assert checked["cost"] == solved["cost"]
    assert solved["method"] == method
    assert sum(solved["costs"].values()) == pytest.approx(solved["cost"])
    assert "token_mean_s_published" in solved["metrics"]
    assert "token_mean_s_zero" in solved["metrics"]


def test_the_same_seed_writes_the_same_bytes(torta, file, tmp_path):
    written = []
    for name in ("one.json", "two.json"):
        path = tmp_path / name
        torta("solve", file, "--method", "petals", "--seed", 3, "-o", path)
        written.append(path.read_bytes())
    assert written[0] == written[1]


def test_gap_compares_every_method(torta, file):
    report = _document(torta("gap", file, "--json"))
    assert [result["policy"] for result in report["results"]] == list(METHODS)
    for result in report["results"]:
        assert result["feasible"]
        assert result["cost"] >= report["bound"]["value"] * (1 - 1e-9)
        assert 0 <= result["gap"] < 1
    assert report["floor"] <= report["bound"]["value"]
    assert report["bound"]["source"] in FAMILY.bounds


def test_gap_of_named_methods_and_of_a_schedule_of_ones_own(torta, file, tmp_path):
    own = tmp_path / "own.json"
    torta("solve", file, "--method", "ws_rr", "-o", own)
    answer = torta("gap", file, "--policies", "cg_bprr", "--schedule", own, "--json")
    assert [result["policy"] for result in _document(answer)["results"]] == ["own.json", "cg_bprr"]


def test_methods_that_find_nothing_are_left_out_and_named(torta, tmp_path):
    path = tmp_path / "tiny.json"
    save_instance(tiny(0), path)
    report = _document(torta("gap", path, "--json"))
    assert "petals" in report["left_out"]
    assert "petals" not in [result["policy"] for result in report["results"]]
    assert "left out: petals: tiny-0: PETALS places 0 of 4 blocks" in torta("gap", path)[2]
    _refused(torta("gap", path, "--policies", "petals"), 3, "petals: tiny-0: PETALS places 0 of 4")


def test_bound_file_there_and_back(torta, file, tmp_path):
    path = tmp_path / "bound.json"
    proved = _document(torta("bound", file, "--method", "floor", "-o", path, "--json"))
    assert _document(torta("verify", file, path, "--json"))["bound"] == proved["value"]
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "value": proved["value"] * 1.01}))
    assert torta("verify", file, path)[0] == 5
    path.write_text(json.dumps({**document, "source": "magic"}))
    _refused(torta("verify", file, path), 2, "cannot be checked")
    save_instance(clustered(1), file)
    path.write_text(json.dumps(document))
    _refused(torta("verify", file, path), 2, "the bound was made for another one")


@pytest.fixture
def binding(tmp_path) -> Path:
    path = tmp_path / "mix.json"
    save_instance(mix(1), path)
    return path


@pytest.mark.parametrize(
    ("method", "limit"),
    [  # nodes cost the tree little; the program of milp may spend long on its first one
        ("combinatorial", ("--work-limit", 5)),
        ("tree", ("--work-limit", 5)),
        ("milp", ("--time-limit", 3)),
    ],
)
def test_a_certified_bound_is_derived_from_its_proof(torta, binding, tmp_path, method, limit):
    path = tmp_path / "bound.json"
    make = ("bound", binding, "--method", method, *limit, "-o", path, "--json")
    proved = _document(torta(*make))
    assert proved["certified"] is True
    assert _document(torta("verify", binding, path, "--json"))["bound"] == proved["value"]
    document = json.loads(path.read_text())
    assert (len(document["proof"]) > 1) == (method != "combinatorial")

    path.write_text(json.dumps({**document, "value": proved["value"] * (1 + 1e-6)}))
    code, out, _ = torta("verify", binding, path)
    assert code == 5
    assert "bound-too-high" in out

    leaf = next(step for step in document["proof"] if step.get("block_price"))
    server = next(iter(leaf["block_price"]))
    leaf["block_price"][server] *= 1.5
    path.write_text(json.dumps(document))
    assert torta("verify", binding, path)[0] == 5
    leaf["block_price"][server] *= -1
    path.write_text(json.dumps(document))
    _refused(torta("verify", binding, path), 2, "proves nothing: a block price is negative")
    del document["proof"]
    path.write_text(json.dumps(document))
    _refused(torta("verify", binding, path), 2, "without a solver or a proof")


@pytest.mark.parametrize("loose", [False, True])
@pytest.mark.parametrize("method", ["floor", "combinatorial", "tree"])
def test_the_next_number_above_what_is_proved_is_a_claim_too_high(torta, tmp_path, method, loose):
    """No tolerance, where memory binds and where it does not (there the floor is all that is)."""
    instance, path, file = mix(1), tmp_path / "bound.json", tmp_path / "i.json"
    if loose:
        servers = replace(instance.servers, memory_bytes=instance.servers.memory_bytes * 100)
        instance = replace(instance, servers=servers)
    save_instance(instance, file)
    torta("bound", file, "--method", method, "--work-limit", 5, "-o", path)
    document = json.loads(path.read_text())
    for value, code in (
        (document["value"], 0),
        (math.nextafter(document["value"], math.inf), 5),
        (math.nextafter(document["value"], -math.inf), 0),
    ):
        path.write_text(json.dumps({**document, "value": value}))
        assert torta("verify", file, path)[0] == code


@pytest.mark.parametrize("block", [1e15, 1e16, 1e308])
@pytest.mark.parametrize("visit", [0.0, -1e308, 1.7e308])
def test_prices_so_high_that_sums_overflow_prove_nothing(torta, binding, tmp_path, block, visit):
    path = tmp_path / "bound.json"
    torta("bound", binding, "-o", path)
    document = json.loads(path.read_text())
    servers = [entry["name"] for entry in json.loads(binding.read_text())["servers"]]
    clients = [entry["name"] for entry in json.loads(binding.read_text())["clients"]]
    prices = {
        "block_price": dict.fromkeys(servers, block),
        "visit_price": {client: dict.fromkeys(servers, visit) for client in clients},
    }
    claim = {**document, "value": 100 * document["value"], "proof": [prices]}
    path.write_text(json.dumps(claim))
    assert torta("verify", binding, path)[0] in (2, 5)


@pytest.mark.parametrize(
    ("proof", "text"),
    [
        ([], "the tree breaks off"),
        ([{"block_price": {"nobody": 1.0}}], "proof[0]: names an unknown one, 'nobody'"),
        ([{"block_price": {}}, {"block_price": {}}], "goes on after its last leaf"),
        ([{"server": "a100-0"}], "proof[0]"),
        ({"block_price": {}}, "proof"),
    ],
)
def test_a_proof_that_is_none_is_one_line(torta, binding, tmp_path, proof, text):
    path = tmp_path / "bound.json"
    torta("bound", binding, "-o", path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "proof": proof}))
    _refused(torta("verify", binding, path), 2, text)


def test_optimal_stops_at_a_gap_and_goes_on_from_a_start(torta, binding, tmp_path):
    path = tmp_path / "s.json"
    solve = ("solve", binding, "--method", "optimal", "--json")
    near = _document(torta(*solve, "--gap", 0.01, "-o", path))
    assert near["method"] == "optimal"
    assert 0 < near["gap"] <= 0.01
    again = _document(torta(*solve, "--start", path, "--time-limit", 0.001))
    assert again["cost"] == near["cost"]
    assert _document(torta(*solve, "--time-limit", 0.001))["cost"] > near["cost"]

    document = json.loads(path.read_text())
    document["hosts"][0]["count"] += 9
    path.write_text(json.dumps(document))
    _refused(torta(*solve, "--start", path), 5, "start: ")
    _refused(
        torta("solve", binding, "--method", "petals", "--start", path), 2, "takes no --gap and no"
    )


def test_a_broken_schedule_says_what_is_broken(torta, file, tmp_path):
    instance = clustered()
    count = len(instance.servers)
    hosting = Placement([0] * count, [0] * 8 + [71])
    broken = PlacementSchedule("own", hosting, (Route(0, (8,)),))
    save_schedule(broken, instance, tmp_path / "s.json")
    code, out, err = torta("verify", file, tmp_path / "s.json", "--json")
    document = json.loads(out)
    assert code == 5
    assert err == ""
    assert set(document["violations_by_rule"]) == {"span", "limit", "finish", "memory", "demand"}
    assert torta("gap", file, "--schedule", tmp_path / "s.json")[0] == 5


def test_describe(torta, file):
    facts = _document(torta("describe", file, "--json"))
    assert facts["sha256"] == placement_sha256(clustered())
    assert facts["servers_by_type"] == {"MIG": 7, "A100": 2}
    assert facts["blocks"] == 70
    assert facts["requests_at_once_by_rate"] > 1
    assert facts["warnings"] == []
    assert "9 (7 MIG, 2 A100)" in torta("describe", file)[1]


def test_describe_warns_of_what_cannot_be_served(torta, tmp_path):
    path = tmp_path / "many.json"
    save_instance(clustered(requests=5000), path)
    code, out, err = torta("describe", path)
    assert code == 0
    assert "infeasible" in out
    assert "warning: clustered-0: 5000 requests at once need" in err


def test_methods_lists_what_there_is(torta):
    known = _document(torta("methods", "--json"))
    assert set(known["placement"]) == set(METHODS)
    assert set(known["placement bound"]) == set(FAMILY.bounds)
    assert {f"placement/{name}" for name in PRESETS} <= set(known["preset"])


@pytest.mark.parametrize("name", PRESETS)
def test_generate(torta, tmp_path, name):
    path = tmp_path / "i.json.gz"
    document = _document(torta("generate", f"placement/{name}", "-o", path, "--seed", 2, "--json"))
    assert document["instance"] == open_instance(path).name
    assert placement_sha256(open_instance(path)) == placement_sha256(placement_preset(name, 2))


def test_generate_with_parameters(torta, tmp_path):
    path = tmp_path / "i.json"
    torta("generate", "placement/abovenet", "--set", "servers=12", "--set", "clients=2", "-o", path)
    assert len(open_instance(path).servers) == 12
    answer = torta("generate", "placement/abovenet", "--set", "nodes=1", "-o", path)
    _refused(answer, 2, "nodes: is not a parameter; known: servers")
    _refused(torta("generate", "placement/none", "-o", path), 2, "not one of clustered")


def test_generate_on_a_network(torta, tmp_path):
    graph, path = tmp_path / "line.graph", tmp_path / "i.json"
    edges = "".join(f"e {a} {a + 1} 1 1 1000\n" for a in range(5))
    nodes = "".join(f"n{a} 0 0\n" for a in range(6))
    graph.write_text(f"NODES 6\nlabel x y\n{nodes}\nEDGES 5\nlabel src dest w bw delay\n{edges}")
    make = ("generate", "placement/network", "-o", path)
    assert torta(*make, "--set", f"network={graph}", "--set", "servers=4")[0] == 0
    assert len(open_instance(path).servers) == 4
    _refused(torta(*make), 2, "network=FILE")
    graph.write_text(graph.read_text().replace("1000", "-1000"))
    _refused(torta(*make, "--set", f"network={graph}"), 2, "negative")
    graph.write_text(graph.read_text().replace("-1000", "1000").replace("e 2 3", "e 2 1"))
    _refused(torta(*make, "--set", f"network={graph}"), 2, "must be connected")


def _written(tmp_path, change, name="broken.json"):
    document = instance_to_document(clustered())
    change(document)
    path = tmp_path / name
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda d: d["links"]["token_ms"][0].__setitem__(2, -5.0),
            "links.token_ms[0][2]: must not",
        ),
        (lambda d: d["links"]["token_ms"][0].__setitem__(2, float("nan")), "broken.json"),
        (lambda d: d["links"]["token_ms"][0].__setitem__(2, None), "links.token_ms[0][2]"),
        (lambda d: d["types"][0].update(decode_ms="fast"), "types[0].decode_ms"),
        (lambda d: d.pop("servers"), "servers"),
        (lambda d: d["llm"].update(blocks=-70), "llm.blocks"),
        (lambda d: d.update(links=[]), "links"),
    ],
)
@pytest.mark.parametrize("command", ["describe", "gap", "bound"])
def test_bad_input_is_one_line_and_2(torta, tmp_path, change, text, command):
    _refused(torta(command, _written(tmp_path, change)), 2, text)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d: d["llm"].update(blocks=700), "blocks stay uncovered"),
        (lambda d: d["llm"].update(block_bytes=10**12), "0 of 70 blocks"),
        (lambda d: d["clients"][0].update(requests=10**5), "requests at once need at least"),
        (lambda d: [kind.update(most_blocks=3) for kind in d["types"]], "27 of 70 blocks"),
    ],
)
@pytest.mark.parametrize("command", [("solve", "--method", "cg_bprr"), ("gap",), ("bound",)])
def test_infeasible_is_one_line_and_3(torta, tmp_path, change, text, command):
    name, *options = command
    _refused(torta(name, _written(tmp_path, change), *options), 3, text)


LITERALS = [None, True, "text", "", [], {}, -1, 0, 0.5, 1e400, float("nan"), 10**30, -(10**30)]


def _leaves(node, path=()):
    """Paths to everything in a document."""
    if path:
        yield path
    entries = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in entries:
        if isinstance(value, (dict, list)):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key)


def _replaced(document, path, value):
    copied = json.loads(json.dumps(document))
    node = copied
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return copied


def test_anything_in_the_place_of_anything_is_an_instance_or_refused():
    """Every value of an instance, replaced by every kind of literal: no other error gets out."""
    document = instance_to_document(tiny(0))
    refusals, read = [], 0
    for path in _leaves(document):
        for literal in LITERALS:
            try:
                instance = instance_from_document(_replaced(document, path, literal))
                FAMILY.describe(instance)
                gaps.gap(instance)
                read += 1
            except TortaOptError as error:
                refusals.append(error)
    assert min(read, len(refusals)) > 50
    assert {error.exit_code for error in refusals} == {2, 3}
    assert not any("\n" in str(error) for error in refusals)


def test_anything_in_the_place_of_anything_in_a_schedule():
    instance = tiny(0)
    schedule = api.solve(instance, "cg_bprr").schedule
    document = schedule_to_document(schedule, instance)
    refusals = []
    for path in _leaves(document):
        for literal in LITERALS:
            try:
                FAMILY.check(instance, "schedule", _replaced(document, path, literal))
            except TortaOptError as error:
                refusals.append(error)
    assert {error.exit_code for error in refusals} == {2}


def test_truncated_files(torta, file):
    text = file.read_text()
    file.write_text(text[: len(text) // 2])
    _refused(torta("gap", file), 2, "clustered.json")
    packed = file.with_suffix(".json.gz")
    packed.write_bytes(gzip.compress(text.encode())[:200])
    _refused(torta("gap", packed), 2, "clustered.json.gz")


def test_a_schedule_of_an_empty_route_is_broken_not_a_crash(torta, file, tmp_path):
    path = tmp_path / "s.json"
    document = {
        "format": "torta-opt/placement-schedule",
        "version": 1,
        "instance": "clustered-0",
        "method": "own",
        "hosts": [],
        "routes": [{"client": "client-0", "servers": [], "requests": 3}],
    }
    path.write_text(json.dumps(document))
    assert torta("verify", file, path)[0] == 5


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("gap", "--slots", "0:3"), "--slots"),
        (("gap", "--weights", "paper"), "placement instances have no weights"),
        (("gap", "--policies", "greedy_forecast"), "does not place blocks"),
        (("solve", "--method", "round_robin"), "does not place blocks"),
        (("bound", "--method", "lp?"), "is not a bound"),
        (("export", "-o", "x.mps"), "placement instances have no program"),
    ],
)
def test_what_does_not_go_with_placement(torta, file, arguments, text):
    name, *options = arguments
    _refused(torta(name, file, *options), 2, text)


def test_a_schedule_of_another_kind_is_refused(torta, file, tmp_path):
    allocation = tmp_path / "a.json"
    torta("generate", "small/drain", "-o", allocation)
    own = tmp_path / "own.json"
    torta("solve", file, "--method", "cg_bprr", "-o", own)
    _refused(torta("verify", allocation, own), 2, "format")


def test_the_door_in_python(tmp_path, file):
    instance = api.open_instance(file)
    result = api.solve(instance, "cg_bprr")
    assert api.bound(instance).value <= result.cost
    api.save_schedule(result.schedule, instance, tmp_path / "s.json")
    assert api.load_schedule(tmp_path / "s.json", instance).routes == result.schedule.routes
    assert api.verify_file(instance, tmp_path / "s.json").ok
    assert gaps.gap(instance, ["cg_bprr"]).results[0].cost == result.cost


@pytest.mark.parametrize("name", PRESETS)
def test_kept_instances_are_what_generate_writes(name):
    folder = Path(__file__).parents[2] / "instances" / "placement"
    (path,) = folder.glob(f"{name}.json*")
    assert placement_sha256(open_instance(path)) == placement_sha256(placement_preset(name))


def test_optimal_within_no_time_is_a_limit(binding):
    found = api.solve(api.open_instance(binding), "optimal", limits=Limits(seconds=0.0))
    assert (found.status, found.stopped) == ("limit", "the time limit came first")
    assert api.solve(api.open_instance(binding), "cg_bprr").status == "done"
    small = placement_preset("tiny")
    assert api.solve(small, "optimal").status == "done"
    assert api.bound(small, "tree").status == "done"
    cut = api.bound(api.open_instance(binding), "tree", limits=Limits(seconds=0.0))
    assert cut.status == "limit"
