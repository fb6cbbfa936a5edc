"""The command line as a user meets it: one JSON document or a table, exit codes, plain errors."""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from torta_opt import __version__
from torta_opt.allocation.bounds.document import bound_to_document
from torta_opt.allocation.family import FAMILY
from torta_opt.allocation.instance import instance_to_document, load_instance, save_instance
from torta_opt.allocation.instance.generate import generate, preset_names
from torta_opt.allocation.policies.registry import create, policy_names
from torta_opt.allocation.policies.runner import run as run_policy
from torta_opt.allocation.schedule import save_schedule
from torta_opt.allocation.schedule.document import schedule_to_document
from torta_opt.cli import app as cli
from torta_opt.io import LimitReached
from torta_opt.io.structure import MOST
from torta_opt.results import BoundResult
from torta_opt.solvers import Result, Status, solve_lp

PRESET = "small/loading"


@dataclass
class Answer:
    """What one command gave back."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """The one plain line of a refusal."""
        assert self.out == ""
        lines = self.err.splitlines()
        assert len(lines) == 1
        assert "Traceback" not in self.err
        return lines[0]


Torta = Callable[..., Answer]


@pytest.fixture
def torta(capsys: pytest.CaptureFixture[str]) -> Torta:
    def call(*arguments: object) -> Answer:
        capsys.readouterr()
        code = cli.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return call


def torta_process(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own, as a shell would start it."""
    command = [sys.executable, "-m", "torta_opt", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An instance, a schedule of it that is valid, and one that breaks rules."""
    folder = tmp_path_factory.mktemp("files")
    instance = generate(PRESET)
    paths = {name: folder / f"{name}.json" for name in ("instance", "valid", "broken")}
    save_instance(instance, paths["instance"])
    schedule = run_policy(create("greedy_forecast"), instance, 0).schedule
    save_schedule(schedule, paths["valid"])
    document = json.loads(paths["valid"].read_text())
    for column, value in {"slot": 0, "server": 0, "class": 0, "requests": 50}.items():
        document["processing"][column].append(value)
    paths["broken"].write_text(json.dumps(document))
    return paths


class TestRoot:
    def test_help_lists_every_command(self, torta: Torta) -> None:
        answer = torta("--help")
        assert answer.code == 0
        for name in cli.command_line().commands:
            assert f" {name} " in answer.out

    def test_version(self, torta: Torta) -> None:
        assert torta("--version").out == f"torta-opt {__version__}\n"

    def test_nothing_asked_for_shows_the_help(self, torta: Torta) -> None:
        answer = torta()
        assert (answer.code, answer.err) == (2, "")
        assert "Usage: torta-opt" in answer.out

    @pytest.mark.parametrize(
        ("arguments", "rule"),
        [
            (
                ["generate", "paper/abilene", "-o", "x", "--set", "name=1"],
                "name: is not a parameter",
            ),
            (["generate", "placement/tiny", "-o", "x", "--set", "name=1"], "name: is not a"),
            (["bound", "x", "--threads", "999999999"], "Invalid value for '--threads'"),
            (["gap", "x", "--policies", ","], "--policies: names no policy"),
            (["fly"], "No such command 'fly'"),
            (["gap"], "Missing argument 'INSTANCE...'"),
            (["gap", "x", "--fast"], "No such option: --fast"),
            (["solve", "x"], "Missing option '--method'"),
            (["generate", PRESET, "-o", "x", "--seed", "one"], "Invalid value for '--seed'"),
            (["generate", PRESET, "-o", "x", "--seed", "-1"], "Invalid value for '--seed'"),
        ],
    )
    def test_usage_errors_are_one_line(self, arguments: list[str], rule: str, torta: Torta) -> None:
        answer = torta(*arguments)
        assert answer.code == 2
        assert answer.complaint.startswith(f"torta-opt: {rule}")


class TestGenerate:
    def test_writes_an_instance(self, torta: Torta, tmp_path: Path) -> None:
        answer = torta("generate", PRESET, "-o", tmp_path / "i.json", "--json")
        assert answer.code == 0
        assert answer.document["instance"] == PRESET
        assert load_instance(tmp_path / "i.json").name == PRESET

    def test_same_seed_same_bytes_other_seed_others(self, torta: Torta, tmp_path: Path) -> None:
        settings = ["--set", "slots=12", "--set", 'gpu_counts={"A100": 3, "T4": 20}']
        for name, seed in (("a", 1), ("b", 1), ("c", 2)):
            path = tmp_path / f"{name}.json.gz"
            answer = torta("generate", "paper/abilene", "-o", path, "--seed", seed, *settings)
            assert answer.code == 0, answer.err
        a, b, c = ((tmp_path / f"{name}.json.gz").read_bytes() for name in "abc")
        assert a == b != c

    def test_own_topology(self, torta: Torta, tmp_path: Path) -> None:
        graph = tmp_path / "net.gml"
        graph.write_text(
            'graph [ node [ id 0 label "A" ] node [ id 1 label "B" ] edge [ source 0 target 1 ] ]'
        )
        path = tmp_path / "i.json"
        answer = torta("generate", "--topology", graph, "-o", path, "--set", "slots=10")
        assert answer.code == 0, answer.err
        assert load_instance(path).system.regions == ("A", "B")

    def test_all_writes_every_preset_but_variants(
        self, torta: Torta, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = [name for name in preset_names() if name.startswith("small/")]
        names += ["paper/polska+surge"]
        few = {name: FAMILY.presets[name] for name in names}
        monkeypatch.setitem(FAMILY.__dict__, "presets", few)
        answer = torta("generate", "--all", "-o", tmp_path, "--json")
        written = sorted(str(path) for path in tmp_path.rglob("*.json*"))
        assert sorted(answer.document["files"]) == written
        small = [path for path in written if "placement" not in Path(path).parts]
        assert len(small) == len(names) - 1

    @pytest.mark.parametrize(
        ("arguments", "rule"),
        [
            (["small/none", "-o", "x.json"], "preset: 'small/none' is not known"),
            ([PRESET], "--output: is required: the file to write"),
            (["-o", "x.json"], "give a preset, --topology FILE or --all"),
            ([PRESET, "--all", "-o", "x"], "give a preset, --topology FILE or --all"),
            ([PRESET, "-o", "x.json", "--set", "load"], "--set: 'load' must be KEY=VALUE"),
            (["paper/polska", "-o", "x.json", "--set", "load=much"], "load: must be a number"),
            (["paper/polska", "-o", "x.json", "--set", "load=NaN"], "load: must lie in"),
            (["paper/polska", "-o", "x.json", "--set", "speed=1"], "speed: is not a parameter"),
            (
                ["paper/polska", "-o", "x", "--set", "load=1", "--set", "load=2"],
                "--set: load is given twice",
            ),
        ],
    )
    def test_refusals(
        self,
        arguments: list[str],
        rule: str,
        torta: Torta,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        answer = torta("generate", *arguments)
        assert answer.code == 2
        assert answer.complaint.startswith(f"torta-opt: {rule}")
        assert not list(tmp_path.iterdir())


class TestDescribeAndMethods:
    def test_describe(self, torta: Torta, files: dict[str, Path]) -> None:
        facts = torta("describe", files["instance"], "--json").document
        instance = load_instance(files["instance"])
        assert facts["instance"] == instance.name
        assert facts["requests"] == instance.requests
        assert facts["floor"] > 0
        text = torta("describe", files["instance"]).out
        assert f"{instance.slots} slots of 45 s" in text

    def test_describe_warns_on_stderr(self, torta: Torta, tmp_path: Path) -> None:
        instance = generate(PRESET)
        save_instance(
            instance.with_weights(instance.system.weights.scaled(0)), tmp_path / "free.json"
        )
        answer = torta("describe", tmp_path / "free.json", "--json")
        assert answer.code == 0
        assert answer.document["warnings"]
        assert answer.err.startswith("warning: weights.expiry_usd")

    def test_methods(self, torta: Torta) -> None:
        known = torta("methods", "--json").document
        assert {"round_robin", "greedy_forecast"} <= set(known["policy"])
        assert {"floor", "lp", "milp"} <= set(known["bound"])
        assert "optimal" in known["offline"]
        assert {PRESET, "paper/abilene"} <= set(known["preset"])
        assert "azure" in known["import"]
        assert "greedy_forecast" in torta("methods").out


class TestSolveVerifyBound:
    def test_solve_writes_a_schedule_that_verifies(
        self, torta: Torta, files: dict[str, Path], tmp_path: Path
    ) -> None:
        path = tmp_path / "s.json.gz"
        solved = torta(
            "solve", files["instance"], "--method", "round_robin", "-o", path, "--json"
        ).document
        checked = torta("verify", files["instance"], path, "--json").document
        assert solved["status"] == "done"
        assert solved["method"] == "round_robin"
        assert checked["valid"] is True
        assert checked["cost"] == solved["cost"] == pytest.approx(sum(solved["costs"].values()))

    def test_solve_without_output_prints_the_cost_split(
        self, torta: Torta, files: dict[str, Path]
    ) -> None:
        answer = torta("solve", files["instance"], "--method", "greedy_forecast")
        assert answer.code == 0
        assert "service" in answer.out

    def test_verify_names_the_broken_rule(self, torta: Torta, files: dict[str, Path]) -> None:
        answer = torta("verify", files["instance"], files["broken"], "--json")
        assert answer.code == 5
        assert answer.document["valid"] is False
        assert answer.document["violations"] >= 1
        assert "processing-off" in answer.document["violations_by_rule"]
        text = torta("verify", files["instance"], files["broken"])
        assert text.code == 5
        assert "processing-off: slot" in text.out

    def test_bound_there_and_back(
        self, torta: Torta, files: dict[str, Path], tmp_path: Path
    ) -> None:
        path = tmp_path / "b.json"
        proved = torta(
            "bound", files["instance"], "--method", "floor", "-o", path, "--json"
        ).document
        assert (proved["source"], proved["certified"]) == ("floor", False)
        checked = torta("verify", files["instance"], path, "--json")
        assert checked.code == 0
        assert checked.document["bound"] == proved["value"]

    def test_a_bound_that_is_too_high_fails(
        self, torta: Torta, files: dict[str, Path], tmp_path: Path
    ) -> None:
        path = tmp_path / "b.json"
        torta("bound", files["instance"], "--method", "floor", "-o", path)
        document = json.loads(path.read_text())
        path.write_text(json.dumps(document | {"value": document["value"] * 1.001}))
        answer = torta("verify", files["instance"], path)
        assert answer.code == 5
        assert "bound-too-high" in answer.out

    @pytest.mark.parametrize("command", ["solve", "bound"])
    def test_unknown_method(self, command: str, torta: Torta, files: dict[str, Path]) -> None:
        answer = torta(command, files["instance"], "--method", "magic")
        assert answer.code == 2
        assert "'magic'" in answer.complaint


class TestProgram:
    """Bounds of the allocation program, its best schedules, and its files."""

    def test_optimal_is_within_its_gap_and_starts_where_told(
        self, torta: Torta, files: dict[str, Path], tmp_path: Path
    ) -> None:
        path = tmp_path / "best.json.gz"
        arguments = ["solve", files["instance"], "--method", "optimal", "--gap", "0.01", "--json"]
        solved = torta(*arguments, "-o", path).document
        assert solved["status"] == "done"
        assert solved["cost"] - solved["bound"] == pytest.approx(solved["gap"] * solved["cost"])
        assert 0 <= solved["gap"] <= 0.01
        again = torta(*arguments, "--start", path, "--time-limit", 60, "--work-limit", 9).document
        assert again["cost"] <= solved["cost"]
        text = torta("solve", files["instance"], "--method", "optimal").out
        assert "no schedule costs less than" in text

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--method", "round_robin", "--gap", "0.1"],
            ["--method", "round_robin", "--start", "START"],
            ["--method", "optimal", "--gap", "nan"],
            ["--method", "optimal", "--time-limit", "-1"],
            ["--method", "optimal", "--work-limit", "-1"],
            ["--method", "optimal", "--threads", "-1"],
            ["--method", "optimal", "--start", "none.json"],
            ["--method", "optimal", "--slots", "1"],
        ],
    )
    def test_refusals(self, arguments: list[str], torta: Torta, files: dict[str, Path]) -> None:
        arguments = [str(files["valid"]) if word == "START" else word for word in arguments]
        refuses(torta("solve", files["instance"], *arguments))

    @pytest.mark.parametrize("method", ["optimal", "clairvoyant"])
    def test_no_time_writes_the_schedule_of_a_policy(
        self, method: str, torta: Torta, tmp_path: Path
    ) -> None:
        path, output = tmp_path / "i.json", tmp_path / "s.json"
        save_instance(generate("paper/polska", slots=6), path)
        arguments = ["--method", method, "--time-limit", 0, "-o", output, "--json"]
        answer = torta("solve", path, *arguments)
        assert (answer.code, answer.document["status"]) == (0, "limit")
        assert "limit" in answer.document["stopped"]
        assert answer.document["bound"] <= answer.document["cost"]
        assert torta("verify", path, output, "--json").document["cost"] == answer.document["cost"]

    def test_a_limit_with_nothing_to_show(
        self, torta: Torta, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def late(*_: Any, **__: Any) -> Any:
            raise LimitReached("no schedule found within the limits")

        monkeypatch.setattr("torta_opt.api.solve", late)
        output = files["instance"].parent / "none.json"
        arguments = ["solve", files["instance"], "--method", "optimal", "-o", output]
        answer = torta(*arguments, "--json")
        assert answer.code == 4
        assert answer.document["status"] == "limit"
        assert "within the limits" in torta(*arguments).complaint
        assert not output.exists()

    def test_a_bound_cut_short_says_so(
        self, torta: Torta, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = torta("bound", files["instance"], "--method", "lp", "--json").document
        assert whole["status"] == "done"
        cut = torta("bound", files["instance"], "--method", "milp", "--work-limit", 0, "--json")
        assert cut.document["status"] in ("done", "limit")

        def late(*_: Any, **__: Any) -> Any:
            raise LimitReached("no bound found within the limits")

        monkeypatch.setattr("torta_opt.allocation.bounds.lp.lp_bound", late)
        answer = torta("bound", files["instance"], "--method", "lp", "--json")
        assert answer.code == 0
        found = answer.document
        assert (found["status"], found["source"]) == ("limit", "floor")
        assert found["stopped"].startswith("lp: ")
        assert found["value"] <= whole["value"]

    def test_gap_from_the_relaxation_at_other_weights_too(
        self, torta: Torta, files: dict[str, Path]
    ) -> None:
        report = torta(
            "gap", files["instance"], "--bound", "lp", "--sensitivity", "--json"
        ).document
        assert report["bound"]["source"] == "lp"
        assert report["bound"]["value"] >= report["floor"]
        assert list(report["sensitivity"]) == ["x0.25", "x4"]
        for other in report["sensitivity"].values():
            assert other["bound"]["source"] == "lp"
            assert [one["policy"] for one in other["results"]] == [
                one["policy"] for one in report["results"]
            ]
        assert other["bound"]["value"] > report["bound"]["value"]
        assert "gap, avoidable gap at" in torta("gap", files["instance"], "--sensitivity").out
        answer = torta("gap", files["instance"], "--sensitivity", "--weights", "paper")
        assert answer.code == 2

    def test_a_schedule_outside_the_program_is_no_gap(
        self, torta: Torta, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As if the program charged more than a schedule costs."""
        from torta_opt.allocation.bounds import of_program

        whole = of_program.check_lift

        def dearer(*arguments: Any) -> Any:
            found = whole(*arguments)
            return dataclasses.replace(found, objective=found.objective + 1.0)

        monkeypatch.setattr(of_program, "check_lift", dearer)
        answer = torta("gap", files["instance"], "--bound", "lp", "--json")
        assert answer.code == 5
        assert "the program is wrong" in answer.complaint

    @pytest.mark.parametrize("name", ["p.lp", "p.mps", "p.mps.gz"])
    def test_export(self, name: str, torta: Torta, files: dict[str, Path], tmp_path: Path) -> None:
        size = torta("export", files["instance"], "-o", tmp_path / name, "--json").document
        assert size["integers"] > 0
        assert (tmp_path / name).stat().st_size > 500
        relaxed = torta("export", files["instance"], "-o", tmp_path / name, "--relaxed", "--json")
        assert relaxed.document["integers"] == 0
        assert relaxed.document["rows"] == size["rows"]
        plain = torta("export", files["instance"], "-o", tmp_path / name, "--plain", "--json")
        assert plain.document["knapsack_rows"] == 0
        assert plain.document["rows"] == size["rows"] - size["knapsack_rows"]
        text = torta("export", files["instance"], "-o", tmp_path / name).out
        assert f"({size['knapsack_rows']} knapsack)" in text

    def test_export_by_format(self, torta: Torta, files: dict[str, Path], tmp_path: Path) -> None:
        arguments = ["export", files["instance"], "-o", tmp_path / "program.txt"]
        refuses(torta(*arguments), tmp_path / "program.txt")
        refuses(torta(*arguments, "--format", "xls"))
        assert torta(*arguments, "--format", "mps").code == 0
        assert "ROWS" in (tmp_path / "program.txt").read_text()


class TestGap:
    CONTRACT = ("instance", "floor", "bound", "results", "made_by")
    BOUND = ("value", "source", "certified", "certified_value", "seconds", "why", "stronger")
    RESULT = (
        "policy",
        "cost",
        "gap",
        "gap_at_least",
        "avoidable_gap",
        "feasible",
        "violations",
        "violations_by_rule",
        "problems",
        "seconds",
        "costs",
        "metrics",
    )
    METRICS = (
        "response_mean_s",
        "response_p95_s",
        "wait_mean_s",
        "inference_mean_s",
        "load_balance",
        "energy_usd",
        "overhead_usd",
        "expired_share",
    )

    def test_json_is_the_contract(self, torta: Torta, files: dict[str, Path]) -> None:
        answer = torta("gap", files["instance"], "--policies", "round_robin", "--json")
        assert answer.code == 0
        report = answer.document
        assert tuple(report) == self.CONTRACT
        assert tuple(report["bound"]) == self.BOUND
        (result,) = report["results"]
        assert tuple(result) == self.RESULT
        assert set(self.METRICS) <= set(result["metrics"])
        assert result["gap"] == pytest.approx(
            (result["cost"] - report["bound"]["value"]) / result["cost"]
        )
        assert result["avoidable_gap"] == pytest.approx(
            (result["cost"] - report["bound"]["value"]) / (result["cost"] - report["floor"])
        )

    def test_all_policies_by_default(self, torta: Torta, files: dict[str, Path]) -> None:
        report = torta("gap", files["instance"], "--json").document
        assert [result["policy"] for result in report["results"]] == list(policy_names())

    def test_own_schedule_alone(self, torta: Torta, files: dict[str, Path]) -> None:
        report = torta("gap", files["instance"], "--schedule", files["valid"], "--json").document
        (result,) = report["results"]
        assert (result["policy"], result["seconds"]) == ("valid.json", None)

    def test_own_schedule_beside_policies(self, torta: Torta, files: dict[str, Path]) -> None:
        arguments = ["--schedule", files["valid"], "--policies", "round_robin", "--json"]
        report = torta("gap", files["instance"], *arguments).document
        assert [r["policy"] for r in report["results"]] == ["valid.json", "round_robin"]

    def test_broken_schedule_is_shown_without_numbers_and_fails(
        self, torta: Torta, files: dict[str, Path]
    ) -> None:
        arguments = ["--schedule", files["broken"], "--schedule", files["valid"]]
        answer = torta("gap", files["instance"], *arguments, "--json")
        assert answer.code == 5
        broken, valid = answer.document["results"]
        assert (broken["feasible"], broken["cost"], broken["gap"]) == (False, None, None)
        assert valid["feasible"] is True
        assert answer.err.startswith("torta-opt: broken.json: ")
        assert torta("gap", files["instance"], *arguments).code == 5

    def test_several_instances_are_a_list(
        self, torta: Torta, files: dict[str, Path], tmp_path: Path
    ) -> None:
        save_instance(generate("small/outage"), tmp_path / "other.json")
        answer = torta(
            "gap", files["instance"], tmp_path / "other.json", "--policies", "round_robin", "--json"
        )
        assert [report["instance"] for report in answer.document] == [PRESET, "small/outage"]

    def test_slots_cut_the_horizon(self, torta: Torta, files: dict[str, Path]) -> None:
        arguments = ["--policies", "round_robin", "--slots", "0:2", "--json"]
        report = torta("gap", files["instance"], *arguments).document
        assert report["instance"] == f"{PRESET}[0:2]"

    @pytest.mark.parametrize("weights", ["paper", "x4", "x0.25"])
    def test_other_weights(self, weights: str, torta: Torta, files: dict[str, Path]) -> None:
        arguments = ["--schedule", files["valid"], "--json"]
        usual = torta("gap", files["instance"], *arguments).document
        other = torta("gap", files["instance"], *arguments, "--weights", weights).document
        assert other["floor"] != usual["floor"]
        assert other["results"][0]["cost"] != usual["results"][0]["cost"]

    @pytest.mark.parametrize(
        ("arguments", "rule"),
        [
            (["--policies", "magic"], "'magic'"),
            (["--slots", "3"], "--slots: '3' must be A:B"),
            (["--slots", "3:1"], "slots: 3:1 must satisfy"),
            (["--slots", "0:99"], "slots: 0:99 must satisfy"),
            (["--bound", "magic"], "'magic' is not a bound"),
            (["--weights", "none.json"], "none.json: cannot be read"),
            (["--weights", "x0"], "weights: x0 must lie in"),
            (["--weights", "xnan"], "weights: xnan must lie in"),
            (["--schedule", "none.json"], "none.json: cannot be read"),
        ],
    )
    def test_refusals(
        self, arguments: list[str], rule: str, torta: Torta, files: dict[str, Path]
    ) -> None:
        answer = torta("gap", files["instance"], *arguments, "--json")
        assert answer.code == 2
        assert rule in answer.complaint

    def test_one_schedule_cannot_go_with_two_instances(
        self, torta: Torta, files: dict[str, Path]
    ) -> None:
        answer = torta("gap", files["instance"], files["instance"], "--schedule", files["valid"])
        assert answer.complaint == "torta-opt: --schedule: can only be used with one instance"

    def test_table_is_plain_and_narrow_when_piped(self, files: dict[str, Path]) -> None:
        done = torta_process("gap", files["instance"])
        assert done.returncode == 0
        assert "\x1b" not in done.stdout
        assert max(map(len, done.stdout.splitlines())) <= 100
        for word in ("policy", "cost $", "gap", "avoidable", "floor", "bound", "service"):
            assert word in done.stdout
        assert done.stderr == ""

    def test_a_terminal_that_knows_only_ascii_is_no_reason_to_fail(
        self, files: dict[str, Path]
    ) -> None:
        environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
        arguments = ("--policies", "round_robin", "--bound", "floor")
        done = torta_process("gap", files["instance"], *arguments, env=environment)
        assert done.returncode == 0, done.stderr


class TestDoctorAndSchema:
    def test_doctor_finds_what_is_needed(self, torta: Torta) -> None:
        answer = torta("doctor", "--json")
        assert answer.code == 0
        assert answer.document["highs"]
        assert None not in answer.document["packages"].values()
        assert "HiGHS" in torta("doctor").out

    def test_doctor_says_what_is_missing(
        self, torta: Torta, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("torta_opt.doctor._version", lambda name: None)
        answer = torta("doctor", "--json")
        assert answer.code == 2
        assert answer.document["packages"]["torch"] is None

    def test_schema(self, torta: Torta, tmp_path: Path) -> None:
        answer = torta("schema", "-o", tmp_path / "new", "--json")
        assert [Path(file).exists() for file in answer.document["files"]] == [True] * 7
        assert set(torta("schema").document) == {
            f"torta-opt/{path.stem}" for path in (tmp_path / "new").iterdir()
        }


MARK = 31415  # stands in a document where a count is broken
DEEP = "[" * 100_000 + "]" * 100_000
LITERALS = {
    "text for a number": '"3"',
    "truth value": "true",
    "null": "null",
    "array": "[]",
    "object": "{}",
    "deep nesting": DEEP,
    "NaN": "NaN",
    "minus infinity": "-Infinity",
    "1e400": "1e400",
    "10^9999": "1" + "0" * 9999,
    "fraction": "3.5",
    "negative": "-3",
    "more than 64 bits": "3" * 19,
    "10^400": "1" + "0" * 400,
}
LEGAL_BOUND = {"fraction", "negative", "more than 64 bits"}  # value is a real number
LEGAL_WEIGHT = {"fraction", "null"}  # so is a weight, which may also be left out
WHOLE_FILES = {
    "empty": b"",
    "white space": b" \n",
    "not JSON": b"hello",
    "binary": bytes(range(256)),
    "array": b"[1, 2]",
    "null": b"null",
    "number": b"3",
    "deep nesting": DEEP.encode(),
    "gzip in name only": b"\x1f\x8b",
    "gzip of nothing": gzip.compress(b""),
}


def broken_versions(document: dict[str, Any], legal: Iterable[str] = ()) -> dict[str, bytes]:
    """``document``, in which MARK stands somewhere, broken in many ways."""
    text = json.dumps(document)
    assert text.count(str(MARK)) == 1

    def without(field: str) -> bytes:
        return json.dumps({k: v for k, v in document.items() if k != field}).encode()

    def changed(**fields: Any) -> bytes:
        return json.dumps(document | fields).encode()

    literals = {
        f"count: {kind}": text.replace(str(MARK), literal).encode()
        for kind, literal in LITERALS.items()
        if kind not in legal
    }
    return literals | {
        **WHOLE_FILES,
        "UTF-16": text.encode("utf-16"),
        "truncated": text[: len(text) // 2].encode(),
        "truncated gzip": gzip.compress(text.encode())[:-20],
        "no format": without("format"),
        "unknown format": changed(format="torta-opt/other"),
        "format is a list": changed(format=[]),
        "no version": without("version"),
        "unknown version": changed(version=99),
        "version is text": changed(version="1"),
        "unknown field": changed(colour=1),
        "line break in a field name": json.dumps(document | {"a\nb": 1}).encode(),
        "lone surrogate": json.dumps(document | {"\ud800": 1}).encode(),
        "field given twice": text.replace("{", '{"version": 1, ', 1).encode(),
    }


def marked_instance() -> dict[str, Any]:
    document = instance_to_document(generate(PRESET))
    document["arrivals"][0][0][0] = MARK
    return document


def marked_schedule() -> dict[str, Any]:
    schedule = run_policy(create("greedy_forecast"), generate(PRESET), 0).schedule
    document = schedule_to_document(schedule)
    document["routing"]["requests"][0] = MARK
    return document


def marked_bound() -> dict[str, Any]:
    instance = generate(PRESET)
    return bound_to_document(BoundResult(MARK, "floor", False, 0.0), instance)


def marked_weights() -> dict[str, Any]:
    return {"format": "torta-opt/weights", "version": 1, "reroute_usd": MARK}


def refuses(answer: Answer, path: Path | None = None) -> None:
    assert answer.code == 2
    assert answer.complaint.startswith("torta-opt: " if path is None else f"torta-opt: {path}: ")
    assert len(answer.complaint) < 1200


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    return tmp_path / "bad.json"


class TestBrokenFiles:
    """Every broken file is refused in one line that names it; never a traceback, never a number."""

    @pytest.mark.parametrize("kind", broken_versions(marked_instance()))
    def test_instance(self, kind: str, torta: Torta, bad: Path) -> None:
        bad.write_bytes(broken_versions(marked_instance())[kind])
        refuses(torta("describe", bad), bad)
        refuses(torta("gap", bad, "--json"), bad)

    @pytest.mark.parametrize("kind", broken_versions(marked_schedule()))
    def test_schedule(self, kind: str, torta: Torta, files: dict[str, Path], bad: Path) -> None:
        bad.write_bytes(broken_versions(marked_schedule())[kind])
        refuses(torta("verify", files["instance"], bad), bad)
        refuses(torta("gap", files["instance"], "--schedule", bad, "--json"), bad)

    @pytest.mark.parametrize("kind", broken_versions(marked_bound(), LEGAL_BOUND))
    def test_bound(self, kind: str, torta: Torta, files: dict[str, Path], bad: Path) -> None:
        bad.write_bytes(broken_versions(marked_bound(), LEGAL_BOUND)[kind])
        refuses(torta("verify", files["instance"], bad, "--json"), bad)

    @pytest.mark.parametrize("kind", broken_versions(marked_weights(), LEGAL_WEIGHT))
    def test_weights(self, kind: str, torta: Torta, files: dict[str, Path], bad: Path) -> None:
        bad.write_bytes(broken_versions(marked_weights(), LEGAL_WEIGHT)[kind])
        refuses(torta("gap", files["instance"], "--weights", bad), bad)

    def test_missing_and_folder(self, torta: Torta, files: dict[str, Path], tmp_path: Path) -> None:
        for path in (tmp_path / "none.json", tmp_path):
            refuses(torta("describe", path), path)
            refuses(torta("verify", files["instance"], path), path)
            refuses(torta("gap", files["instance"], "--weights", path), path)

    def test_a_file_that_grows_without_end_is_refused(
        self, torta: Torta, bad: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("torta_opt.io.files.read_document.__defaults__", (None, 1 << 20, MOST))
        bad.write_bytes(gzip.compress(b" " * (3 << 20)))
        assert bad.stat().st_size < 10_000
        refuses(torta("describe", bad), bad)

    def test_an_instance_is_no_schedule_and_the_other_way_round(
        self, torta: Torta, files: dict[str, Path]
    ) -> None:
        refuses(torta("describe", files["valid"]), files["valid"])
        refuses(torta("verify", files["instance"], files["instance"]), files["instance"])

    def test_a_schedule_of_another_instance_is_refused(
        self, torta: Torta, files: dict[str, Path], tmp_path: Path
    ) -> None:
        save_instance(generate("small/outage"), tmp_path / "other.json")
        answer = torta("verify", tmp_path / "other.json", files["valid"])
        refuses(answer, files["valid"])
        assert "was made for another one" in answer.complaint


class TestOutput:
    @pytest.mark.parametrize(
        "command",
        [
            ["generate", PRESET],
            ["solve", "INSTANCE", "--method", "round_robin"],
            ["bound", "INSTANCE"],
        ],
    )
    def test_unwritable_output_is_refused_before_the_work(
        self, command: list[str], torta: Torta, files: dict[str, Path], tmp_path: Path
    ) -> None:
        command = [str(files["instance"]) if word == "INSTANCE" else word for word in command]
        refuses(torta(*command, "-o", tmp_path), tmp_path)
        refuses(torta(*command, "-o", tmp_path / "no" / "x.json"), tmp_path / "no" / "x.json")

    def test_schema_into_a_file_is_refused(self, torta: Torta, files: dict[str, Path]) -> None:
        refuses(torta("schema", "-o", files["valid"]), files["valid"])

    def test_a_reader_that_stops_early_is_no_error_of_ours(self, files: dict[str, Path]) -> None:
        command = f"{sys.executable} -m torta_opt schema | head -c 10"
        done = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False
        )
        assert "Traceback" not in done.stderr

    def test_every_command_keeps_stdout_for_the_document(
        self, files: dict[str, Path], tmp_path: Path
    ) -> None:
        """In a process of their own, one after the other: solvers print past Python's stdout."""
        commands = [
            ["generate", PRESET, "-o", tmp_path / "g.json"],
            ["describe", files["instance"]],
            ["methods"],
            ["solve", files["instance"], "--method", "greedy_forecast"],
            ["bound", files["instance"]],
            ["gap", files["instance"]],
            ["verify", files["instance"], files["valid"]],
            ["doctor"],
            ["schema"],
        ]
        script = (
            "import json, sys\nfrom torta_opt.cli import app as cli\n"
            "for command in json.loads(sys.argv[1]):\n"
            "    assert cli.run(command) == 0, command\n"
        )
        words = json.dumps([[*map(str, command), "--json"] for command in commands])
        done = subprocess.run(
            [sys.executable, "-c", script, words], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        rest = done.stdout
        for command in commands:
            document, end = json.JSONDecoder().raw_decode(rest)
            assert document, command
            rest = rest[end:].lstrip()
        assert rest == ""


class TestInputsStay:
    """No command writes over a file that it reads."""

    @pytest.mark.parametrize(
        "command",
        [
            ["solve", "{}", "--method", "round_robin", "-o", "{}"],
            ["bound", "{}", "--method", "floor", "-o", "{}"],
            ["export", "{}", "--format", "mps", "-o", "{}"],
            ["compare", "{}", "--policies", "round_robin", "-o", "{}"],
            ["import", "azure", "{}", "-o", "{}"],
            ["generate", "--topology", "{}", "-o", "{}"],
        ],
    )
    def test_output_is_not_an_input(
        self, command: list[str], torta: Torta, files: dict[str, Path]
    ) -> None:
        before = files["instance"].read_bytes()
        answer = torta(*(each.format(files["instance"]) for each in command))
        assert answer.code == 2
        assert answer.complaint.endswith("is read by this command: write to another file")
        assert files["instance"].read_bytes() == before


def interrupted_at_its_end(*arguments: Any, **options: Any) -> Result:
    """What a linear program gives when Ctrl-C comes in its last iteration."""
    return dataclasses.replace(solve_lp(*arguments, **options), status=Status.INTERRUPTED)


class TestInterrupt:
    def test_gap_keeps_what_is_complete(
        self, torta: Torta, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ran: list[str] = []

        def interrupted(policy: Any, *arguments: Any) -> Any:
            ran.append("policy")
            if len(ran) == 2:
                raise KeyboardInterrupt
            return run_policy(policy, *arguments)

        monkeypatch.setattr("torta_opt.allocation.policies.runner.run", interrupted)
        arguments = ["--policies", "round_robin,greedy_forecast", "--json"]
        answer = torta("gap", files["instance"], files["instance"], *arguments)
        assert answer.code == 0
        (report,) = answer.document
        assert report["status"] == "interrupted"
        assert [result["policy"] for result in report["results"]] == ["round_robin"]

    @pytest.mark.parametrize("options", [[], ["--json"]])
    def test_gap_that_has_compared_nothing_has_no_result(
        self, options: list[str], torta: Torta, files: dict[str, Path], monkeypatch: Any
    ) -> None:
        """It comes while the bound is proved: what is proved by then is no comparison."""
        monkeypatch.setattr("torta_opt.allocation.bounds.lp.solve_lp", interrupted_at_its_end)
        arguments = ["--policies", "round_robin", "--bound", "lp", *options]
        answer = torta("gap", files["instance"], files["instance"], *arguments)
        assert answer.code == 4
        assert answer.err == "torta-opt: interrupted before there was a result\n"
        told = {"status": "interrupted", "message": "interrupted before there was a result"}
        assert (json.loads(answer.out) if options else answer.out) == (told if options else "")
        proved = torta("bound", files["instance"], "--method", "lp", "--json")
        assert (proved.code, proved.document["status"]) == (0, "interrupted")

    def test_gap_keeps_the_rows_of_instances_before_the_one_whose_bound_was_interrupted(
        self, torta: Torta, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        solved: list[bool] = []

        def second_time(*arguments: Any, **options: Any) -> Any:
            solved.append(True)
            solve = solve_lp if len(solved) == 1 else interrupted_at_its_end
            return solve(*arguments, **options)

        monkeypatch.setattr("torta_opt.allocation.bounds.lp.solve_lp", second_time)
        arguments = ["--policies", "round_robin", "--bound", "lp", "--json"]
        answer = torta("gap", files["instance"], files["instance"], *arguments)
        assert (answer.code, answer.err) == (0, "interrupted\n")
        assert [report.get("status") for report in answer.document] == [None, "interrupted"]
        assert [len(report["results"]) for report in answer.document] == [1, 0]

    def test_ctrl_c_in_the_middle_of_a_long_run(self, tmp_path: Path) -> None:
        save_instance(generate("paper/abilene", slots=6), tmp_path / "long.json.gz")
        policies = ",".join(["round_robin"] * 9)
        started = tmp_path / "started"
        script = (
            "import pathlib, time\n"
            "from torta_opt.gaps import run\n"
            "from torta_opt.cli import app as cli\n"
            "judged, names = run._Run._judged, []\n"
            "def telling(self, name, answer, picked):\n"
            "    names.append(name)\n"
            f"    if len(names) > 2: pathlib.Path({str(started)!r}).touch()\n"
            "    while len(names) > 2: time.sleep(0.01)\n"
            "    return judged(self, name, answer, picked)\n"
            "run._Run._judged = telling\n"
            "cli.main()\n"
        )
        command = [sys.executable, "-c", script, "gap", str(tmp_path / "long.json.gz")]
        process = subprocess.Popen(
            [*command, "--bound", "floor", "--policies", policies, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not started.exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0
        report = json.loads(out)
        assert report["status"] == "interrupted"
        assert len(report["results"]) == 2
        assert err == "interrupted\n"

    def test_ctrl_c_twice_ends_at_once(self, tmp_path: Path) -> None:
        """The solver still works then, and C++ would abort the process on the usual way out."""
        save_instance(generate("paper/abilene", slots=60), tmp_path / "i.json.gz")
        started = tmp_path / "started"
        script = (
            "import sys, threading, time, pathlib\n"
            "from torta_opt.cli import app as cli\n"
            "from torta_opt.solvers import running\n"
            "def tell():\n"
            "    while not running.is_left_behind(): time.sleep(0.01)\n"
            f"    pathlib.Path({str(started)!r}).touch()\n"
            "threading.Thread(target=tell, daemon=True).start()\n"
            "cli.main()\n"
        )
        command = [sys.executable, "-c", script, "bound", str(tmp_path / "i.json.gz")]
        process = subprocess.Popen(
            [*command, "--method", "lp", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not started.exists():
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert json.loads(out)["status"] == "interrupted"
        if process.returncode == 4:  # the second came while the first was being answered
            assert err.endswith("torta-opt: interrupted before there was a result\n")
            assert "Traceback" not in err
        else:
            assert (process.returncode, err) == (0, "interrupted\n")

    def test_gap_ends_with_an_offline_method_that_was_interrupted(
        self, torta: Torta, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from torta_opt.allocation.search import merged_plan as merged

        plan = merged.plan_merged

        def interrupted(*arguments: Any) -> Any:
            raise merged.PlanInterrupted(plan(*arguments))

        monkeypatch.setattr(merged, "plan_merged", interrupted)
        arguments = ["--policies", "clairvoyant,round_robin", "--json"]
        answer = torta("gap", files["instance"], *arguments)
        assert (answer.code, answer.document["status"]) == (0, "interrupted")
        assert [each["policy"] for each in answer.document["results"]] == ["clairvoyant"]
        solved = torta("solve", files["instance"], "--method", "clairvoyant", "--json")
        assert (solved.code, solved.document["status"]) == (0, "interrupted")
        assert solved.document["cost"] == answer.document["results"][0]["cost"]

    @pytest.mark.slow
    def test_ctrl_c_keeps_the_best_schedule_so_far(self, tmp_path: Path) -> None:
        """Rounding the relaxation gives one; branch and bound then goes on for hours."""
        save_instance(generate("paper/polska", slots=10), tmp_path / "i.json.gz")
        command = [sys.executable, "-m", "torta_opt", "solve", tmp_path / "i.json.gz"]
        process = subprocess.Popen(
            [*command, "--method", "optimal", "--gap", "0", "-o", tmp_path / "s.json", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        time.sleep(25)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "interrupted\n")
        solved = json.loads(out)
        assert solved["status"] == "interrupted"
        checked = torta_process("verify", tmp_path / "i.json.gz", tmp_path / "s.json", "--json")
        assert json.loads(checked.stdout)["cost"] == solved["cost"]

    def test_ctrl_c_elsewhere(
        self, torta: Torta, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(*_: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("torta_opt.allocation.policies.runner.run", interrupted)
        answer = torta("solve", files["instance"], "--method", "round_robin", "--json")
        assert answer.code == 4
        assert answer.document["status"] == "interrupted"
        assert "before there was a result" in answer.err


def test_a_bug_looks_like_a_bug(
    torta: Torta, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_: Any) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("torta_opt.api.describe", wrong)
    with pytest.raises(ZeroDivisionError):
        torta("describe", files["instance"])


class TestImport:
    TRACE = "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "".join(
        f"2023-11-16 18:17:{second:02d}.0000000,{100 + second},{10 + second}\n"
        for second in range(60)
    )

    def test_a_trace_becomes_an_instance(self, torta: Torta, tmp_path: Path) -> None:
        trace, output = tmp_path / "trace.csv", tmp_path / "i.json.gz"
        trace.write_text(self.TRACE)
        answer = torta("import", "azure", trace, "-o", output, "--set", "topology=polska", "--json")
        assert answer.code == 0, answer.err
        assert answer.document["import"]["requests_in_trace"] == 60
        assert len(load_instance(output).system.regions) == 12
        assert torta("import", "azure", trace, "-o", output).out.startswith("trace.csv: 60 rows")

    @pytest.mark.parametrize(
        ("arguments", "rule"),
        [
            (["magic", "TRACE"], "kind: 'magic' is not known"),
            (["azure", "none.csv"], "none.csv: cannot be read"),
            (["azure", "TRACE", "--set", "speed=1"], "speed: is not a parameter"),
            (["azure", "TRACE", "--set", "seed=1"], "--set: seed is not a parameter"),
            (["azure", "TRACE", "--set", "progress=1"], "--set: progress is not a parameter"),
            (["azure", "TRACE", "--set", "name=3"], "name: must be"),
            (["tables", "TRACE"], "TRACE: is not a folder"),
            (
                ["tables", ".", "--set", "load=1"],
                "--set: cannot be used with tables, only with traces",
            ),
        ],
    )
    def test_refusals(self, arguments: list[str], rule: str, torta: Torta, tmp_path: Path) -> None:
        trace = tmp_path / "trace.csv"
        trace.write_text(self.TRACE)
        arguments = [str(trace) if word == "TRACE" else word for word in arguments]
        answer = torta("import", *arguments, "-o", tmp_path / "i.json")
        assert answer.code == 2
        assert answer.complaint.startswith(f"torta-opt: {rule.replace('TRACE', str(trace))}")
        assert not (tmp_path / "i.json").exists()

    @pytest.mark.parametrize("kind", ["azure", "burstgpt", "mooncake", "servegen", "tables"])
    @pytest.mark.parametrize(
        "content",
        [b"", b"a,b\n1,2\n", b"\0" * 99, b"\x1f\x8b\x08cut", b"NaN\nNaN\n", b"9" * 10_000_000],
        ids=["empty", "other columns", "zero bytes", "cut gzip", "not a number", "10^7 digits"],
    )
    def test_any_broken_file_is_one_plain_line(
        self, kind: str, content: bytes, torta: Torta, tmp_path: Path
    ) -> None:
        trace = tmp_path / "trace"
        trace.write_bytes(content)
        answer = torta("import", kind, trace, "-o", tmp_path / "i.json")
        assert answer.code == 2
        assert str(tmp_path) in answer.complaint
        assert len(answer.complaint) < 500 + len(str(trace))
        assert not (tmp_path / "i.json").exists()

    def test_bad_rows_are_told_with_their_lines(self, torta: Torta, tmp_path: Path) -> None:
        trace = tmp_path / "trace.csv"
        trace.write_text(self.TRACE + "2023-11-16 18:17:03,-1,2\nsoon,1,2\n")
        answer = torta("import", "azure", trace, "-o", tmp_path / "i.json")
        assert answer.code == 0
        assert "62 rows read, 2 bad" in answer.out
        assert "line 62: ContextTokens '-1' is negative" in answer.out
        assert "line 63: TIMESTAMP 'soon' is not an ISO 8601 date and time" in answer.out


class TestTables:
    def test_there_and_back_are_the_same_bytes(self, torta: Torta, tmp_path: Path) -> None:
        instance, back = tmp_path / "i.json", tmp_path / "back.json"
        save_instance(generate("small/outage"), instance)
        answer = torta("tables", instance, "-o", tmp_path / "folder", "--json")
        assert answer.code == 0
        assert len(answer.document["files"]) == 17
        answer = torta("import", "tables", tmp_path / "folder", "-o", back, "--json")
        assert answer.document["instance"] == "small/outage"
        assert back.read_bytes() == instance.read_bytes()

    def test_placement_instances_have_no_tables(self, torta: Torta, tmp_path: Path) -> None:
        path = tmp_path / "p.json"
        torta("generate", "placement/tiny", "-o", path)
        answer = torta("tables", path, "-o", tmp_path / "folder")
        assert answer.code == 2
        assert "is an instance of placement, must be one of allocation" in answer.complaint
        assert not (tmp_path / "folder").exists()

    def test_a_folder_that_cannot_be_made(self, torta: Torta, tmp_path: Path) -> None:
        path = tmp_path / "i.json"
        save_instance(generate("small/outage"), path)
        answer = torta("tables", path, "-o", path / "folder")
        assert answer.code == 2
        assert "cannot be made" in answer.complaint
