"""The example package is installed as a user would, and used through the command line.

Beside it stands a package whose every entry point is broken in another way: it must stop nothing.
All commands run in one process, which starts with both packages on its path.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "torta_opt_example"
BROKEN = {
    "entry_points.txt": """
[torta_opt.policies]
lost_policy = no_such_module:Policy

[torta_opt.importers]
azure = broken_entries:Anything
lost_importer = no_such_module:READER
wrong_importer = broken_entries:Anything
bad_times = broken_entries:BAD_TIMES
raising_importer = broken_entries:RAISING_IMPORTER

[torta_opt.bounds]
floor = broken_entries:HUGE
lost_bound = no_such_module:BOUND
wrong_bound = broken_entries:Anything
boasting = broken_entries:BOASTING
huge = broken_entries:HUGE
endless = broken_entries:ENDLESS
raising_bound = broken_entries:RAISING_BOUND

[torta_opt.families]
allocation = broken_entries:Anything
lost_family = no_such_module:FAMILY
unnamed = broken_entries:Anything
copy_of_ours = broken_entries:COPY
sibling = broken_entries:HEIR
misnamed = broken_entries:HEIR
raising_family = broken_entries:RAISING_FAMILY
""",
    "METADATA": "Metadata-Version: 2.1\nName: broken-entries\nVersion: 0.1\n",
}
BROKEN_CODE = '''
"""Entry points that fail in every way that their loader must survive."""

from dataclasses import replace

import numpy as np
from torta_opt.allocation.bounds.registry import compute
from torta_opt.allocation.instance.imports import Batch, Importer
from torta_opt.family import BoundMethod, Preset
from torta_opt.placement.family import PlacementFamily
from torta_opt.results import BoundResult
from torta_opt_example.jobs import JobsFamily, three, write_jobs


class Anything:
    pass


def times_before_the_beginning(path, reading):
    yield Batch(np.array([-5]), np.array([1]), np.array([1]))


def raising(*_):
    raise RuntimeError("on strike\\nfor good")


def boast(instance, request):
    """Half of the floor, which holds, under a certificate of nobody's."""
    return BoundResult(0.5, "floor", certified=True, certificate="trust me")


BAD_TIMES = Importer("times below zero", times_before_the_beginning)
RAISING_IMPORTER = Importer("raises", raising)
BOASTING = BoundMethod("says that it is certified", boast)
HUGE = BoundMethod("above every cost", lambda instance, request: BoundResult(1e9, "huge"))
ENDLESS = BoundMethod("no number", lambda instance, request: BoundResult(float("nan"), "endless"))
RAISING_BOUND = BoundMethod("raises", raising)


class Copy(PlacementFamily):
    name = "copy_of_ours"


class Others:
    """Jobs of a class of their own."""

    def __init__(self, name, jobs):
        self.name, self.jobs = name, jobs


def read_others(document):
    found = JobsFamily.formats["instance"].read(document)
    return Others(found.name, found.jobs)


def write_others(instance):
    return {**write_jobs(instance), "format": "raising/jobs"}


class Heir(JobsFamily):
    """Its instances are those of another family."""

    name = "sibling"
    formats = {
        kind: replace(each, name=each.name.replace("example", "sibling"))
        for kind, each in JobsFamily.formats.items()
    }


class Raising(JobsFamily):
    """Like the example's family under another name, but for a method and a description."""

    name = "raising_family"
    formats = {
        kind: replace(each, name=each.name.replace("example", "raising"))
        for kind, each in JobsFamily.formats.items()
    }
    formats["instance"] = replace(formats["instance"], read=read_others, write=write_others)
    methods = {**JobsFamily.methods, "strike": replace(JobsFamily.methods["smith"], solve=raising)}
    presets = {"raising/three": Preset("three jobs", lambda seed: Others("o", three().jobs))}
    instance_type = Others
    describe = raising


COPY, HEIR, RAISING_FAMILY = Copy(), Heir(), Raising()
'''

# Runs commands given as JSON on stdin, and answers with what each printed.
SESSION = """
import contextlib, io, json, sys, traceback
from torta_opt.cli.app import run

answers = []
for arguments in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = run(arguments)
        except BaseException:
            code = 1
            traceback.print_exc()
    answers.append([code, out.getvalue(), err.getvalue()])
json.dump(answers, sys.stdout)
"""
LOG = "\n".join(
    [
        "second,prompt_tokens,answer_tokens",
        *(f"{0.5 * n},{100 + n % 7 * 50},{20 + n % 5 * 30}" for n in range(240)),
        "late,1,1",
    ]
)
FILES = {  # that commands read
    "log.csv": LOG,
    "lost.json": '{"format": "lost/instance", "version": 1}',
    "twice.json": json.dumps(
        {
            "format": "example/order",
            "version": 1,
            "instance": "jobs/three",
            "method": "mine",
            "order": [0, 0, 1],
        }
    ),
}
COMMANDS = """
methods --json
import request_log log.csv -o log.json --json
bound log.json --method best_of_two --json -o log-bound.json
verify log.json log-bound.json --json
gap log.json --policies keep_home:safety=3,round_robin --certificate log-bound.json --json
generate jobs/three -o jobs.json
describe jobs.json
bound jobs.json --json -o jobs-bound.json
solve jobs.json --method as_given -o order.json
verify jobs.json order.json --json
verify jobs.json twice.json --json
verify jobs.json jobs-bound.json --json
gap jobs.json --schedule order.json --json
gap jobs.json
generate small/loading -o small.json
gap small.json --policies keep_home --bound best_of_two
bound small.json --method lost_bound
bound small.json --method wrong_bound
bound small.json --method endless
bound small.json --method raising_bound
bound small.json --method boasting
bound small.json --method floor
gap small.json --policies greedy_forecast --bound huge
solve small.json --method lost_policy
import lost_importer log.csv -o x.json
import wrong_importer log.csv -o x.json
import bad_times log.csv -o x.json
import raising_importer log.csv -o x.json
generate raising/three -o raising.json
gap raising.json --json
describe raising.json
solve raising.json --method strike
describe lost.json
schema --json
""".strip().splitlines()


@dataclass(frozen=True)
class Done:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example installed by pip, without a network, and the broken package."""
    source, target = tmp_path_factory.mktemp("source") / "example", tmp_path_factory.mktemp("site")
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("build", "*.egg-info"))
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    install = [sys.executable, "-m", "pip", "install", "-q", *options, "--target", target, source]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (target / "broken_entries-0.1.dist-info").mkdir()
    for name, text in BROKEN.items():
        (target / "broken_entries-0.1.dist-info" / name).write_text(text)
    (target / "broken_entries.py").write_text(BROKEN_CODE)
    return target


@pytest.fixture(scope="module")
def done(site: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    """What each of the commands answered, one after the other in one folder."""
    folder = tmp_path_factory.mktemp("work")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    session = subprocess.run(
        [sys.executable, "-c", SESSION],
        input=json.dumps([shlex.split(command) for command in COMMANDS]),
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])},
    )
    assert session.returncode == 0, session.stderr
    answers = json.loads(session.stdout)
    return {command: Done(*answer) for command, answer in zip(COMMANDS, answers, strict=True)}


def refusal(done: Done, code: int = 5) -> str:
    """What a command says when it refuses: one line."""
    assert (done.code, done.err.count("\n")) == (code, 1), done
    return done.err


def test_nothing_ends_in_a_traceback(done: dict[str, Done]) -> None:
    assert not [command for command, each in done.items() if "Traceback" in each.err]


def test_methods_lists_all_four_and_says_what_is_broken(done: dict[str, Done]) -> None:
    answer = done["methods --json"]
    known = answer.json
    for kind, name in (
        ("policy", "keep_home"),
        ("import", "request_log"),
        ("bound", "best_of_two"),
        ("preset", "jobs/three"),
        ("jobs", "smith"),
        ("jobs bound", "pairs"),
    ):
        assert name in known[kind]
    assert known["policy"]["keep_home"] == "from package torta-opt-example"
    left_out = dict(line.split(": ", 2)[1:] for line in answer.err.splitlines())
    assert list(left_out) == ["copy_of_ours", "lost_family", "misnamed", "sibling", "unnamed"]
    assert "belongs to another family" in left_out["copy_of_ours"]
    assert "would be taken for Jobs of another family" in left_out["sibling"]
    assert "loading it from package broken-entries: Module" in left_out["lost_family"]
    assert "its entry point is called misnamed, the family sibling" in left_out["misnamed"]
    assert "Anything of package broken-entries is no Family" in left_out["unnamed"]


def test_names_of_ours_cannot_be_taken_over(done: dict[str, Done]) -> None:
    known = done["methods --json"].json
    assert known["bound"]["floor"].startswith("closed form")
    assert "Azure" in known["import"]["azure"]
    assert "source floor, not certified" in done["bound small.json --method floor"].out
    assert "torta-opt/placement" in done["schema --json"].json


def test_policy_importer_and_bound(done: dict[str, Done]) -> None:
    report = done["import request_log log.csv -o log.json --json"].json["import"]
    assert (report["rows"], report["bad_rows"], report["requests_in_trace"]) == (241, 1, 240)

    proved = done["bound log.json --method best_of_two --json -o log-bound.json"].json
    assert (proved["source"], proved["certified"]) == ("best_of_two", True)
    assert proved["value"] == proved["certified_value"] > 0
    assert done["verify log.json log-bound.json --json"].json["valid"]

    command = "--policies keep_home:safety=3,round_robin --certificate log-bound.json --json"
    report = done[f"gap log.json {command}"].json
    assert [row["policy"] for row in report["results"]] == ["keep_home:safety=3", "round_robin"]
    assert all(row["feasible"] and row["gap"] >= 0 for row in report["results"])
    shown = done["gap small.json --policies keep_home --bound best_of_two"].out
    assert "(source best_of_two, certified" in " ".join(shown.split())


def test_family(done: dict[str, Done]) -> None:
    assert done["generate jobs/three -o jobs.json"].code == 0
    assert "11 weighted s" in done["describe jobs.json"].out
    bound = done["bound jobs.json --json -o jobs-bound.json"].json
    assert (bound["value"], bound["source"], bound["certified"]) == (16.0, "pairs", False)
    assert done["verify jobs.json jobs-bound.json --json"].json["bound"] == 16.0
    check = done["verify jobs.json order.json --json"].json
    assert (check["valid"], check["cost"]) == (True, 33.0)
    wrong = done["verify jobs.json twice.json --json"]
    assert (wrong.code, wrong.json["problems"]) == (5, ["order: must name each job once"])
    (row,) = done["gap jobs.json --schedule order.json --json"].json["results"]
    assert row["gap"] == pytest.approx(17 / 33)
    assert "smith" in done["gap jobs.json"].out


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("bound small.json --method lost_bound", "loading it from package broken-entries: Module"),
        ("bound small.json --method wrong_bound", "Anything of .* is no BoundMethod"),
        ("bound small.json --method endless", "endless: proving a bound: gave .*, no finite bound"),
        (
            "bound small.json --method raising_bound",
            r"raising_bound: proving a bound: RuntimeError: on strike for good \(broken_entries.py",
        ),
        ("gap small.json --policies greedy_forecast --bound huge", "less than the huge bound"),
        ("solve small.json --method lost_policy", "loading it from package broken-entries: Module"),
        ("import lost_importer log.csv -o x.json", "loading it from .*: ModuleNotFoundError"),
        ("import wrong_importer log.csv -o x.json", "Anything of .* is no Importer"),
        ("import bad_times log.csv -o x.json", r"ValueError: arrival_ms must lie in \[0, "),
        ("import raising_importer log.csv -o x.json", "reading a trace: RuntimeError: on strike"),
        ("describe raising.json", "package broken-entries: RuntimeError: on strike for good"),
        ("solve raising.json --method strike", "strike: running it: RuntimeError: on strike"),
    ],
)
def test_what_fails_is_one_plain_line(done: dict[str, Done], command: str, said: str) -> None:
    assert re.search(said, refusal(done[command]))


def test_a_bound_that_only_says_it_is_certified_is_not(done: dict[str, Done]) -> None:
    found = done["bound small.json --method boasting"]
    assert "(source boasting, not certified)" in found.out


def test_a_method_of_a_family_that_fails_is_a_row_and_the_others_go_on(
    done: dict[str, Done],
) -> None:
    found = done["gap raising.json --json"]
    rows = {row["policy"]: row for row in found.json["results"]}
    assert rows["smith"]["feasible"]
    assert "RuntimeError: on strike for good" in rows["strike"]["failed"]
    assert found.code == 5


def test_a_file_of_a_family_that_cannot_be_loaded_is_told_why(done: dict[str, Done]) -> None:
    said = refusal(done["describe lost.json"], code=2)
    assert "lost_family" in said
    assert "torta-opt methods says why" in said


def test_snippets_of_the_page_are_the_example() -> None:
    """docs/extending.md shows the files of the example as they are."""
    text = (ROOT / "docs" / "extending.md").read_text()
    source = "\n".join(path.read_text() for path in EXAMPLE.rglob("*.*") if path.suffix != ".md")
    snippets = re.findall(r"^<!-- example -->\n```\w+\n(.*?)^```", text, re.S | re.M)
    assert len(snippets) >= 4
    for snippet in snippets:
        for piece in snippet.split("...\n"):
            assert piece in source, piece
