"""Certificates as a user meets them: written, checked, measured from, refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.sizes import examples

from torta_opt import api, gaps
from torta_opt.allocation.bounds.document import bound_from_document, certificate_from_document
from torta_opt.allocation.instance import Instance, save_instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.cli import app as cli
from torta_opt.io import InvalidInput, VerificationFailed, read_document

ROOT = Path(__file__).parents[1]
ABILENE = ROOT / "instances" / "paper" / "abilene.json.gz"
BUNDLED = ROOT / "certificates" / "abilene.json.gz"
Torta = Callable[..., tuple[int, str, str]]


@pytest.fixture
def torta(capsys: pytest.CaptureFixture[str]) -> Torta:
    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.run([str(argument) for argument in arguments])
        return (code, *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def instance() -> Instance:
    return generate("small/switch")


@pytest.fixture
def file(instance: Instance, tmp_path: Path) -> Path:
    save_instance(instance, tmp_path / "instance.json")
    return tmp_path / "instance.json"


@pytest.mark.parametrize("method", ["lp", "merged", "windows"])
@pytest.mark.parametrize("name", ["b.json", "b.json.gz"])
def test_written_and_checked(
    method: str, name: str, torta: Torta, file: Path, tmp_path: Path
) -> None:
    path = tmp_path / name
    code, out, _ = torta("bound", file, "--method", method, "-o", path, "--json")
    proved = json.loads(out)
    assert (code, proved["certified"]) == (0, True)
    code, out, _ = torta("verify", file, path, "--json")
    checked = json.loads(out)
    assert (code, checked["valid"], checked["bound"]) == (0, True, proved["value"])
    assert torta("verify", file, path)[1].rstrip().endswith(f"{proved['value']:.10g}")


def test_a_file_of_the_default_can_always_be_checked(torta: Torta, tmp_path: Path) -> None:
    """``auto`` may go beyond what is certified: the file holds what is, and the command says so."""
    instance, path = tmp_path / "i.json", tmp_path / "b.json"
    save_instance(generate("small/loading"), instance)
    code, out, err = torta("bound", instance, "-o", path, "--json")
    proved = json.loads(out)
    assert (code, proved["source"], proved["certified"]) == (0, "milp", False)
    assert "holds the certified bound" in err
    code, out, _ = torta("verify", instance, path, "--json")
    assert (code, json.loads(out)["bound"]) == (0, proved["certified_value"])
    assert proved["certified_value"] < proved["value"]


def test_of_slots_and_of_weights(torta: Torta, file: Path, tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    where = ("--slots", "1:4", "--weights", "x2")
    assert torta("bound", file, "--method", "lp", *where, "-o", path)[0] == 0
    assert torta("verify", file, path, *where)[0] == 0
    for other in ((), where[:2], where[2:], ("--slots", "0:3", "--weights", "x2")):
        code, out, err = torta("verify", file, path, *other)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert "instance_sha256: is not that of instance" in err
    code, out, err = torta("gap", file, "--certificate", path, "--policies", "skylb")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    code, out, _ = torta(
        "gap", file, *where, "--certificate", path, "--policies", "skylb", "--json"
    )
    assert (code, json.loads(out)["bound"]["certified"]) == (0, True)


def test_a_claim_beyond_the_certificate_fails_in_one_line(
    torta: Torta, file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "b.json"
    torta("bound", file, "--method", "lp", "-o", path)
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"value": document["value"] * 1.0001}))
    code, out, err = torta("verify", file, path)
    assert (code, err) == (5, "")
    # Where lines end depends on the length of the path.
    assert " ".join(out.split()).count("bound-too-high: value is") == 1
    code, out, err = torta("gap", file, "--certificate", path, "--policies", "skylb")
    assert (code, out, len(err.splitlines())) == (5, "", 1)
    assert "bound-too-high" in err


@pytest.mark.parametrize("method", ["floor", "lp", "merged", "windows"])
def test_the_next_number_above_what_is_proved_is_a_claim_too_high(
    method: str, torta: Torta, file: Path, tmp_path: Path
) -> None:
    """There is no tolerance: not one unit in the last place."""
    path = tmp_path / "b.json"
    torta("bound", file, "--method", method, "-o", path)
    document = json.loads(path.read_text())
    assert torta("verify", file, path)[0] == 0
    for towards, code in ((math.inf, 5), (-math.inf, 0)):
        value = math.nextafter(document["value"], towards)
        path.write_text(json.dumps(document | {"value": value}))
        assert torta("verify", file, path)[0] == code
        assert torta("gap", file, "--certificate", path, "--policies", "skylb")[0] == code


def test_a_certificate_that_proves_more_than_is_claimed_counts_in_full(
    torta: Torta, file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "b.json"
    torta("bound", file, "--method", "lp", "-o", path)
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"value": document["value"] / 2}))
    code, out, _ = torta("verify", file, path, "--json")
    assert (code, json.loads(out)["bound"]) == (0, document["value"])


def test_gap_measures_from_a_certificate_as_from_the_bound_itself(
    instance: Instance, tmp_path: Path
) -> None:
    proved = api.bound(instance, "lp")
    (tmp_path / "b.json").write_text(json.dumps(api.bound_to_document(proved, instance)))
    loaded = api.load_bound(tmp_path / "b.json", instance)
    assert (loaded.value, loaded.source, loaded.certified) == (proved.value, "lp", True)
    fresh, measured = (
        gaps.gap(instance, ["greedy_forecast", "clairvoyant"], bound_method="lp", proved=known)
        for known in (None, loaded)
    )
    assert [r.gap for r in fresh.results] == [r.gap for r in measured.results]
    assert measured.bound.certified


@pytest.mark.parametrize("method", ["lp", "merged"])
def test_schedules_must_lie_inside_the_program_of_the_certificate(
    method: str, instance: Instance, tmp_path: Path
) -> None:
    proved = api.bound(instance, method)
    (tmp_path / "b.json").write_text(json.dumps(api.bound_to_document(proved, instance)))
    loaded = api.load_bound(tmp_path / "b.json", instance)
    result = api.solve(instance, "greedy_forecast")
    assert loaded.holds is not None
    assert loaded.holds(result.schedule, result.cost).ok
    assert not loaded.holds(result.schedule, 0.5 * result.cost).ok


def test_other_weights_get_a_bound_of_their_own(instance: Instance, tmp_path: Path) -> None:
    proved = api.bound(instance, "lp")
    (tmp_path / "b.json").write_text(json.dumps(api.bound_to_document(proved, instance)))
    loaded = api.load_bound(tmp_path / "b.json", instance)
    report = gaps.gap(instance, ["skylb"], proved=loaded, sensitivity=("x4",))
    assert report.sensitivity["x4"].bound.source == "lp"
    assert report.sensitivity["x4"].bound.value > report.bound.value


def test_a_bound_without_a_certificate_is_nothing_to_measure_from(
    torta: Torta, file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "b.json"
    torta("bound", file, "--method", "lp", "-o", path)
    document: dict[str, Any] = json.loads(path.read_text())
    del document["certificate"]
    path.write_text(json.dumps(document | {"certified": False}))
    for command in (("verify", file, path), ("gap", file, "--certificate", path)):
        code, out, err = torta(*command)
        assert (code, out) == (2, "")
        assert "cannot be checked without a solver or a certificate" in err
    torta("bound", file, "--method", "floor", "-o", path)
    code, out, _ = torta("gap", file, "--certificate", path, "--policies", "skylb", "--json")
    assert (code, json.loads(out)["bound"]["certified"]) == (0, False)


def test_what_certificates_do_not_go_with(torta: Torta, file: Path, tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    torta("bound", file, "--method", "lp", "-o", path)
    for further in ((file,), ("--bound", "lp")):
        code, _, err = torta("gap", file, *further, "--certificate", path)
        assert (code, "--certificate: can only be used with one instance" in err) == (2, True)
    placement = tmp_path / "placement.json"
    torta("generate", "placement/tiny", "-o", placement)
    code, _, err = torta("gap", placement, "--certificate", path)
    assert (code, "torta-opt/placement-bound" in err) == (2, True)


def test_flipping_bytes_of_a_file_never_raises_the_bound(
    instance: Instance, tmp_path: Path
) -> None:
    """Whatever a broken disk or a clever hand writes: refused, or true."""
    text = json.dumps(api.bound_to_document(api.bound(instance, "lp"), instance)).encode()
    least = api.solve(instance, "optimal").cost
    rng, path, accepted = np.random.default_rng(1), tmp_path / "b.json", []
    for _ in range(examples(300)):
        broken = bytearray(text)
        broken[rng.integers(len(broken))] = rng.integers(32, 127)
        path.write_bytes(broken)
        try:
            accepted.append(api.load_bound(path, instance).value)
        except (InvalidInput, VerificationFailed):
            continue
    assert max(accepted) <= least * (1 + 1e-9)
    assert 0 < len(accepted) < 300


# --- the bundled one ----------------------------------------------------------------------------


def test_the_bundled_certificate_is_that_of_the_bundled_instance() -> None:
    instance = api.open_instance(ABILENE)
    entry = bound_from_document(read_document(BUNDLED, {"torta-opt/bound": 1}), instance)
    assert (entry.certified, instance.slots) == (True, 480)
    assert certificate_from_document(entry, instance) is not None
    assert BUNDLED.stat().st_size < 2_000_000


@pytest.mark.slow
def test_the_bundled_certificate_proves_what_it_claims(torta: Torta) -> None:
    code, out, _ = torta("verify", ABILENE, BUNDLED, "--json")
    merged = api.bound(api.open_instance(ABILENE), "merged").value
    assert (code, json.loads(out)["valid"]) == (0, True)
    assert json.loads(out)["bound"] > merged
