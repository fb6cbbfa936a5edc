"""Another package's policy that fails: its run says why, whatever it raises or gives."""

from __future__ import annotations

import os
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from joblib.externals.loky import get_reusable_executor
from support.plain import make_instance
from support.work import policy_failed

from torta_opt import api, gaps
from torta_opt.allocation.instance import save_instance
from torta_opt.allocation.policies.experiment import compare, raise_if_failed, read_table, summary
from torta_opt.allocation.policies.failures import PolicyFailed
from torta_opt.allocation.policies.forecasters import Learned
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import Schedule, load_schedule, save_schedule
from torta_opt.io import InvalidInput, VerificationFailed
from torta_opt.parallel import in_order

PLUGIN = Path(__file__).parents[2] / "support" / "plugin"
INSTANCE = make_instance(
    [[[3], [1]], [[2], [0]], [[4], [5]]],
    initial={"model": [0, 0]},
    weights={"time_usd_per_s": 1e-3, "expiry_usd": 1.0},
)

# What the policy does wrong → what its failure says.
WRONG = {
    "constructor": r"making it: RuntimeError: no licence found \(torta_opt_example.py, line \d+\)",
    "name": r"its name must be text",
    "reset": r"reset: KeyError: 'system' \(torta_opt_example.py, line \d+\)",
    "decide": r"slot 1: ZeroDivisionError: .* by zero \(torta_opt_example.py, line \d+\)",
    "exit": r"slot 0: SystemExit: 0 \(torta_opt_example.py, line \d+\)",
    "refusal": r"slot 0: InvalidInput: observation: is not to my liking \(",
    "silent": r"slot 0: Wordless \(torta_opt_example.py, line \d+\)",
    "none": r"slot 0: decide returned NoneType, which has no routing, command, command_model, proc",
    "text": r"slot 0: decide returned str, which has no routing, ",
    "table": r"slot 0: decide returned dict, which has no routing, ",
    "ragged": r"slot 0: ValueError: ",
    "rule": r"slot 0: .*",
    "huge": r"slot 0: .*",
    "forecast": r"slot 0: ValueError: could not convert string",
    "forecast_huge": r"slot 0: the forecast must be 2 numbers from 0 to 1e\+15",
    "forecast_nan": r"slot 0: the forecast must be 2 numbers from 0 to 1e\+15",
}


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example package, installed as far as importlib.metadata can tell."""
    monkeypatch.syspath_prepend(PLUGIN)
    yield
    sys.modules.pop("torta_opt_example", None)


def spec(how: str) -> str:
    return "failing" if how == "constructor" else f"failing:how={how}"


@pytest.mark.usefixtures("plugin")
class TestRuns:
    @pytest.mark.parametrize("how", WRONG)
    def test_the_failure_names_policy_place_and_reason_on_one_line(self, how: str) -> None:
        with pytest.raises(PolicyFailed) as caught:
            run(create(spec(how)), INSTANCE)
        told = str(caught.value)
        assert re.match(f"(?i)failing.*: {WRONG[how]}", told), told
        assert told.isprintable()
        assert len(told) < 600

    def test_it_may_serve_well(self) -> None:
        assert run(create("failing:how=well"), INSTANCE).schedule.method == "failing:how=well"

    def test_ctrl_c_goes_through(self) -> None:
        with pytest.raises(KeyboardInterrupt):
            run(create("failing:how=ctrl_c"), INSTANCE)
        report = gaps.gap(INSTANCE, ["failing:how=ctrl_c"], bound_method="floor")
        assert (report.status, report.results) == ("interrupted", ())

    def test_a_value_that_it_refuses_is_the_users(self) -> None:
        with pytest.raises(InvalidInput, match="policy: 'failing:how=value': how must be some"):
            create("failing:how=value")

    def test_the_traceback_is_at_hand(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("TORTA_DEBUG", "1")
        with pytest.raises(PolicyFailed) as caught:
            run(create("failing:how=decide"), INSTANCE)
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert "Traceback (most recent call last)" in capsys.readouterr().err

    def test_a_failure_passes_between_processes(self) -> None:
        rule = "slot 3: no room"
        error = PolicyFailed("mine", rule)
        with pytest.raises(PolicyFailed) as caught:
            list(in_order(policy_failed, [(rule,), (rule,)], workers=2))
        assert (str(caught.value), caught.value.reason) == (str(error), error.reason)


def test_a_bug_of_ours_is_told_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("torta_opt.allocation.policies.round_robin.RoundRobin.route", wrong)
    with pytest.raises(PolicyFailed, match=r"^round_robin: slot 0: ZeroDivisionError: ours \("):
        run(create("round_robin"), INSTANCE)


def test_a_refusal_of_ours_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise InvalidInput("no network fits")

    monkeypatch.setattr("torta_opt.allocation.policies.round_robin.RoundRobin.reset", refuse)
    with pytest.raises(InvalidInput, match=r"^no network fits$"):
        run(create("round_robin"), INSTANCE)


@pytest.mark.usefixtures("plugin")
class TestGap:
    @pytest.mark.parametrize("how", WRONG)
    def test_its_row_says_no_and_the_others_stand(self, how: str) -> None:
        names = ["round_robin", spec(how), "skylb"]
        report = gaps.gap(INSTANCE, names, bound_method="floor")
        assert [result.policy for result in report.results] == names
        assert [result.feasible for result in report.results] == [True, False, True]
        failed = report.results[1]
        assert (failed.cost, failed.gap, failed.schedule) == (None, None, None)
        assert re.search(WRONG[how], report.to_document()["results"][1]["failed"])
        with pytest.raises(VerificationFailed, match=WRONG[how]) as caught:
            failed.raise_if_infeasible()
        assert caught.value.exit_code == 5

    def test_all_policies_run_beside_those_that_cannot_be_made(self) -> None:
        report = gaps.gap(INSTANCE, bound_method="floor")
        feasible = {result.policy: result.feasible for result in report.results}
        failing = {name for name, is_feasible in feasible.items() if not is_feasible}
        assert failing == {"broken", "failing", "unfinished"}
        assert len(feasible) > 6

    def test_other_weights_too(self) -> None:
        report = gaps.gap(INSTANCE, ["failing"], bound_method="floor", sensitivity=("x4",))
        assert not report.sensitivity["x4"].results[0].feasible

    def test_solve_ends_with_it(self) -> None:
        with pytest.raises(PolicyFailed, match="slot 1: ZeroDivisionError"):
            api.solve(INSTANCE, "failing:how=decide")


@pytest.mark.usefixtures("plugin")
class TestCompare:
    def test_a_row_says_why_and_no_mean_counts_it(self, tmp_path: Path) -> None:
        names = ["round_robin", "failing", "failing:how=decide"]
        rows = compare([INSTANCE], names, [0], tmp_path / "t.jsonl")
        assert [row["policy"] for row in rows] == names
        assert [row.get("failed", "")[:9] for row in rows] == ["", "making it", "slot 1: Z"]
        assert list(summary(rows)) == ["round_robin"]
        with pytest.raises(VerificationFailed, match=r"^failing: on by hand, seed 0: making it: "):
            raise_if_failed(rows)

    def test_it_runs_again_next_time(self, tmp_path: Path) -> None:
        for _ in range(2):
            compare([INSTANCE], ["round_robin", "failing"], [0], tmp_path / "t.jsonl")
        policies = [row["policy"] for row in read_table(tmp_path / "t.jsonl")]
        assert policies == ["round_robin", "failing", "failing"]


class TestCommandLine:
    @pytest.fixture
    def files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.syspath_prepend(PLUGIN)
        save_instance(INSTANCE, tmp_path / "i.json")
        yield tmp_path / "i.json"
        sys.modules.pop("torta_opt_example", None)

    def call(self, capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
        from torta_opt.cli import app as cli

        code = cli.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    @pytest.mark.parametrize("jobs", ["1", "2"])
    def test_gap(
        self,
        files: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        jobs: str,
    ) -> None:
        monkeypatch.setenv("PYTHONPATH", str(PLUGIN), prepend=os.pathsep)
        get_reusable_executor().shutdown()  # workers that started without it
        arguments = ["--policies", "failing:how=decide,skylb", "--bound", "floor", "--jobs", jobs]
        code, out, err = self.call(capsys, "gap", files, *arguments)
        assert code == 5
        assert re.search(r"failing:how=decide .* NO ", out)
        assert re.search(r"skylb .* yes ", out)
        assert "ZeroDivisionError" in out
        assert "Traceback" not in err
        assert err.splitlines()[-1].startswith(
            "torta-opt: failing:how=decide: policy-failed: slot 1"
        )

    def test_solve(self, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, err = self.call(capsys, "solve", files, "--method", "failing")
        assert (code, out) == (5, "")
        assert err.startswith("torta-opt: failing: making it: RuntimeError: no licence found (")
        assert len(err.splitlines()) == 1

    def test_compare(self, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        arguments = ["--policies", "failing,skylb", "-o", tmp_path / "t.jsonl"]
        code, out, err = self.call(capsys, "compare", files, *arguments)
        assert code == 5
        assert "skylb" in out
        assert err.splitlines()[-1].startswith("torta-opt: failing: on by hand, seed 0: making it")


class TestForecasts:
    """1e308 requests: no sum of them is a number."""

    HUGE = 1e308

    def schedule(self) -> Schedule:
        return run(create("round_robin"), INSTANCE).schedule

    @pytest.mark.parametrize("value", [HUGE, np.inf, np.nan, -1.0])
    def test_a_schedule_refuses_them(self, value: float) -> None:
        import dataclasses

        forecast = np.full((3, 2), value)
        with pytest.raises(InvalidInput, match=r"forecast: must hold numbers from 0 to 1e\+15"):
            dataclasses.replace(self.schedule(), forecast=forecast)

    def test_a_schedule_file_refuses_them(self, tmp_path: Path) -> None:
        path = tmp_path / "s.json"
        save_schedule(self.schedule(), path)
        text = path.read_text()
        at = text.index('"forecast"')
        path.write_text(text[:at] + re.sub(r"0\.0", "1e308", text[at:], count=1))
        assert path.read_text() != text
        with pytest.raises(InvalidInput, match=r"forecast\[0\]\[0\]: "):
            load_schedule(path, INSTANCE)

    def test_the_largest_that_pass_are_priced_without_a_warning(self) -> None:
        import dataclasses

        from torta_opt.allocation.schedule import evaluate
        from torta_opt.allocation.schedule.data import MAX_FORECAST

        schedule = dataclasses.replace(self.schedule(), forecast=np.full((3, 2), MAX_FORECAST))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert evaluate(INSTANCE, schedule).metrics["prediction_accuracy"] == 0

    @pytest.mark.parametrize("value", [HUGE, np.inf, np.nan])
    def test_a_network_that_expects_them_is_refused(self, value: float) -> None:
        learned = Learned(lambda history: np.full(2, value), 0.4)
        learned.see(np.zeros((1, 3, 2)))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(InvalidInput, match="weights: the network expects more than"):
                learned.update(np.ones((2, 1), int))
