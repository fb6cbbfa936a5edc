"""new, profile, build, plan: as a planner types them, and as the documentation shows them."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from support.sites import write_site

from torta_opt.allocation.instance.generate.loading import PRESETS
from torta_opt.allocation.profiles.readers import READERS
from torta_opt.allocation.site.build import build_site
from torta_opt.allocation.site.schema import SiteDocument
from torta_opt.allocation.site.template import FOLDER, write_template
from torta_opt.cli.app import run

DOCS = Path(__file__).parents[2] / "docs"
SITE, RECIPES = (DOCS / name for name in ("site.md", "site-recipes.md"))


def torta(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run([str(each) for each in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


class TestCommands:
    def test_from_a_site_to_a_plan(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        site, instance = str(write_site(tmp_path)), str(tmp_path / "i.json.gz")
        schedule, folder = str(tmp_path / "s.json.gz"), str(tmp_path / "plan")
        code, out, _ = torta(capsys, "build", site, "-o", instance)
        assert code == 0
        assert "report on 4xH100: 2 requests/s, 16 s (stated: site file)" in out
        assert (
            torta(capsys, "solve", instance, "--method", "greedy_forecast", "-o", schedule)[0] == 0
        )
        code, out, _ = torta(
            capsys, "plan", instance, schedule, "--site", site, "-o", folder, "--export", "hpa"
        )
        assert code == 0
        assert "you pay" in out
        assert (tmp_path / "plan" / "plan.json").exists()
        assert list((tmp_path / "plan" / "hpa").iterdir())

    @pytest.mark.parametrize("start", ["9998-12-31T23:30:00Z", "0001-01-01T00:00:00+14:00"])
    def test_a_plan_stays_within_the_calendar(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], start: str
    ) -> None:
        instance, schedule = str(tmp_path / "i.json"), str(tmp_path / "s.json")
        torta(capsys, "build", write_site(tmp_path), "-o", instance)
        torta(capsys, "solve", instance, "--method", "round_robin", "-o", schedule)
        folder = tmp_path / "plan"
        code, _, err = torta(capsys, "plan", instance, schedule, "-o", folder, "--start", start)
        assert (code, folder.exists()) == (2, False)
        assert "start: must keep the plan within the years 1 to 9998" in err

    @pytest.mark.parametrize("name", ["site.toml", "demand.csv", "profiles/8b_L4.json"])
    def test_build_never_writes_over_what_it_reads(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
    ) -> None:
        site = tmp_path / "site"
        write_template(site)
        before = (site / name).read_bytes()
        code, _, err = torta(capsys, "build", site, "-o", site / name)
        assert (code, (site / name).read_bytes()) == (2, before)
        assert "is read by this command" in err

    def test_profile_never_writes_into_a_benchmark_of_its_folder(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_template(tmp_path / "site")
        folder = tmp_path / "site" / "bench" / "8b_L4"
        file = folder / "concurrency_016.json"
        before = file.read_bytes()
        named = ("--set", "gpu=L4", "--set", "gpus=1")
        code, _, err = torta(capsys, "profile", "vllm", folder, *named, "-o", file)
        assert (code, file.read_bytes()) == (2, before)
        assert "is read by this command" in err

    @pytest.mark.parametrize(
        ("good", "bad", "rule"),
        [
            ("hours = 24", "hours = " + "9" * 5000, "holds a number with too many digits"),
            ('"demand.csv"', '"a\\u0000b"', "file: must not hold a zero byte"),
        ],
    )
    def test_values_that_no_reader_takes(
        self,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        good: str,
        bad: str,
        rule: str,
    ) -> None:
        write_template(tmp_path / "site")
        file = tmp_path / "site" / "site.toml"
        file.write_text(file.read_text().replace(good, bad, 1))
        code, _, err = torta(capsys, "build", file, "-o", tmp_path / "i.json")
        assert code == 2
        assert f"torta-opt: {file}: {rule}" in err

    def test_a_part_of_the_horizon_keeps_its_clock(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        site, instance = str(write_site(tmp_path)), str(tmp_path / "i.json")
        schedule, folder = str(tmp_path / "s.json"), tmp_path / "plan"
        torta(capsys, "build", site, "-o", instance)
        part = ("--slots", "3:6")
        torta(capsys, "solve", instance, *part, "--method", "round_robin", "-o", schedule)
        arguments = (instance, schedule, *part, "--site", site, "-o", str(folder), "--json")
        code, out, _ = torta(capsys, "plan", *arguments)
        assert code == 0
        assert json.loads(out)["start"] == "2026-11-30T00:15:00Z"
        assert "0,2026-11-30T00:15:00Z," in (folder / "servers.csv").read_text()

    def test_long_tables_are_summed_on_the_terminal(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        site, instance = str(write_site(tmp_path)), str(tmp_path / "i.json")
        schedule, folder = str(tmp_path / "s.json"), str(tmp_path / "plan")
        torta(capsys, "build", site, "-o", instance)
        torta(capsys, "solve", instance, "--method", "round_robin", "-o", schedule)
        _, whole, _ = torta(capsys, "plan", instance, schedule, "-o", folder, "--site", site)
        monkeypatch.setattr("torta_opt.cli.plan.MOST_ROWS", 0)
        _, short, _ = torta(capsys, "plan", instance, schedule, "-o", folder, "--site", site)
        assert "eu-west-1" in whole
        assert "eu-west-1" not in short
        (total,) = re.findall(r"^you pay ([\d,.]+) \$$", whole, re.M)
        assert f"you pay {total} $" in short

    def test_json_is_one_document(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        site = str(write_site(tmp_path))
        code, out, _ = torta(capsys, "build", site, "-o", str(tmp_path / "i.json"), "--json")
        assert code == 0
        assert json.loads(out)["site"]["fixed_usd_per_hour"] == 0

    def test_all_omissions_are_lines_of_one_complaint(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        site = write_site(tmp_path, ("hours = 1\n", ""), ("target_s = 10\n", ""))
        code, out, err = torta(capsys, "build", str(site), "-o", str(tmp_path / "i.json"))
        assert (code, out) == (2, "")
        first, *lines = err.splitlines()
        assert first.endswith("2 things are missing or wrong:")
        assert len(lines) == 2
        assert all("site.toml: " in line and "; add: " in line for line in lines)

    def test_new_says_what_comes_next(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code, out, _ = torta(capsys, "new", str(tmp_path / "fleet"))
        assert code == 0
        assert f"torta-opt build {tmp_path}/fleet/site.toml" in out

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (("profile", "vllm", "none.json"), "none.json: cannot be read"),
            (("profile", "vlm", "x"), "kind: 'vlm' is not known"),
            (("profile", "vllm", "x", "--set", "gpuz=1"), "--set gpuz: is not a setting"),
            (("build", "none.toml", "-o", "i.json"), "none.toml: cannot be read"),
            (("plan", "none.json", "s.json", "-o", "p"), "none.json: cannot be read"),
        ],
    )
    def test_errors_are_one_plain_line(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        arguments: tuple[str, ...],
        complaint: str,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        code, out, err = torta(capsys, *arguments)
        assert (code, out) == (2, "")
        assert complaint in err
        assert err.count("\n") == 1

    def test_a_start_that_is_no_time(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        site, instance = str(write_site(tmp_path)), str(tmp_path / "i.json")
        schedule = str(tmp_path / "s.json")
        torta(capsys, "build", site, "-o", instance)
        torta(capsys, "solve", instance, "--method", "round_robin", "-o", schedule)
        code, _, err = torta(
            capsys, "plan", instance, schedule, "-o", str(tmp_path / "p"), "--start", "noon"
        )
        assert code == 2
        assert "--start: 'noon' must be a date and time" in err


class TestDocumentation:
    TEXT = SITE.read_text()

    def commands(self) -> list[list[str]]:
        blocks = re.findall(r"^```sh\n(.*?)^```", self.TEXT, re.M | re.S)
        lines = [line for block in blocks for line in block.splitlines()]
        return [shlex.split(line)[1:] for line in lines]

    def test_ten_steps(self) -> None:
        assert re.findall(r"^\*\*(\d+)\. ", self.TEXT, re.M) == [str(n) for n in range(1, 11)]

    def test_the_steps_before_solving_work(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        names = [line[0] for line in self.commands()]
        assert names == [
            "new", "profile", "profile", "profile", "build", "describe", "solve", "plan", "gap",
            "plan",
        ]  # fmt: skip
        for line in self.commands()[:6]:
            code, _, err = torta(capsys, *line)
            assert code == 0, err

    @pytest.mark.slow
    def test_all_steps_work_one_after_the_other(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        for line in self.commands():
            code, _, err = torta(capsys, *line)
            assert code == 0, err
        for kind in ("keda", "hpa", "skyserve", "csv"):
            assert list((tmp_path / "plan" / kind).iterdir())

    @pytest.mark.parametrize("kind", READERS)
    def test_every_profile_kind_stands_there(self, kind: str) -> None:
        assert f"| `{kind}` |" in self.TEXT

    @pytest.mark.parametrize("preset", list(PRESETS))
    def test_every_loading_preset_stands_there(self, preset: str) -> None:
        assert f"| `{preset}` |" in self.TEXT
        assert preset in (FOLDER / "site.toml").read_text()

    @pytest.mark.parametrize("name", list(SiteDocument.model_fields))
    def test_every_part_stands_there(self, name: str) -> None:
        if name not in ("format", "version"):
            assert re.search(rf"\[{name}\]|`{name}`", self.TEXT)

    def test_template_commands_exist(self) -> None:
        tomllib.loads((FOLDER / "site.toml").read_text())

    @pytest.mark.parametrize(
        "recipe", re.findall(r"<!-- recipe -->\n```toml\n(.*?)```", RECIPES.read_text(), re.S)
    )
    def test_every_recipe_builds(self, recipe: str, tmp_path: Path) -> None:
        write_template(tmp_path / "fleet")
        site = tmp_path / "fleet" / "site.toml"
        text = site.read_text()
        site.write_text(text.replace("[demand]", recipe + "\n[demand]", 1).replace(DOUBLED, ""))
        instance, report = build_site(site)
        assert instance.requests > 0
        assert report.chosen


DOUBLED = """\
[[fleet]]
region = "eu-west"
gpu = "H100"
gpus = 8
usd_per_gpu_hour = 3.20
"""
