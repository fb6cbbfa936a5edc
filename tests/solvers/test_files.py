"""Problems as files: a second solver reads them and finds the same optimum."""

from __future__ import annotations

import gzip
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import highspy
import numpy as np
import pytest
import scipy.sparse as sparse
from support.random_problems import solvable
from support.second_opinion import by_scip, by_scip_from_file

from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.instance import load_instance
from torta_opt.io.errors import InvalidInput
from torta_opt.solvers import Problem, solve_milp, write_problem
from torta_opt.solvers.files import file_names

SMALL = sorted((Path(__file__).parents[2] / "instances" / "small").glob("*.json"))
ENDINGS = (".mps", ".lp", ".mps.gz", ".lp.gz")


@contextmanager
def read(path: Path) -> Iterator[highspy.HighsLp]:
    """What HiGHS reads; it belongs to a HiGHS that must live as long."""
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    assert solver.readModel(str(path)) == highspy.HighsStatus.kOk
    yield solver.getLp()


def close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.stem)
def test_scip_finds_the_same_optimum_in_the_file(path: Path, tmp_path: Path):
    problem = build_allocation_program(load_instance(path)).problem()
    least = solve_milp(problem).objective
    endings = (".lp",) if path.stem == "switch" else ENDINGS  # it takes SCIP two seconds
    for ending in endings:
        target = tmp_path / f"program{ending}"
        write_problem(problem, target)
        found = by_scip_from_file(target)
        assert found.status == "optimal"
        assert close(found.objective, least), ending


@pytest.mark.parametrize("ending", [".mps", ".lp"])
@pytest.mark.parametrize("seed", range(12))
def test_rows_of_every_kind_integers_and_offset_survive(seed: int, ending: str, tmp_path: Path):
    problem = solvable(seed, integers=0.5)
    write_problem(problem, tmp_path / f"p{ending}")
    found = by_scip_from_file(tmp_path / f"p{ending}")
    assert close(found.objective, by_scip(problem).objective)


@pytest.mark.parametrize("ending", ENDINGS)
def test_numbers_keep_their_digits(ending: str, tmp_path: Path):
    rng = np.random.default_rng(3)
    problem = Problem(
        sparse.csr_array(rng.normal(size=(2, 3)) * 10.0 ** rng.integers(-7, 8, (2, 3))),
        rng.normal(size=2) - 2,
        [math.inf, math.inf],  # the LP format writes a row with two sides as two rows
        [-math.inf, -1 / 3, 0.0],
        [math.inf, 2 / 3, math.inf],
        rng.normal(size=3) * 1e-6,
    )
    write_problem(problem, tmp_path / f"p{ending}")
    with read(tmp_path / f"p{ending}") as lp:
        entries = (lp.a_matrix_.value_, lp.a_matrix_.index_, lp.a_matrix_.start_)
        assert (lp.num_row_, lp.num_col_) == (2, 3)
        assert lp.a_matrix_.format_ == highspy.MatrixFormat.kColwise
        held = sparse.csc_array(entries, shape=(2, 3)).toarray()
        order = [lp.col_names_.index(name) for name in ("c0", "c1", "c2")]
        assert held[:, order] == pytest.approx(problem.matrix.toarray(), rel=1e-14)
        assert np.array(lp.col_cost_)[order] == pytest.approx(problem.cost, rel=1e-14)
        assert np.array(lp.col_lower_)[order] == pytest.approx(problem.col_lower, rel=1e-14)
        assert np.array(lp.col_upper_)[order] == pytest.approx(problem.col_upper, rel=1e-14)
        assert sorted(lp.row_lower_) == pytest.approx(sorted(problem.row_lower), rel=1e-14)


def test_names_say_what_they_are(tmp_path: Path):
    problem = build_allocation_program(load_instance(SMALL[0])).problem()
    write_problem(problem, tmp_path / "p.lp")
    with read(tmp_path / "p.lp") as lp:
        assert "x(0,east,east,ask)" in lp.col_names_
        assert "route(0,east,ask)" in lp.row_names_
        assert len(set(lp.col_names_)) == problem.columns
        assert len(set(lp.row_names_)) == problem.rows


AWKWARD = [
    "x[0,Los Angeles]",
    "x[0,Los_Angeles]",
    "x[0,Los_Angeles]_c1",
    "x[0,Zürich]",
    "x[0,日本]",
    "free",
    "INF",
    "End",
    "obj",
    "e5",
    "E.1",
    "7up",
    ".5",
    "(a)",
    "",
    "a:b<=c+d*e^2",
    "x" * 300,
    "x" * 300,
    "x" * 299 + "y",
    "st",
    "inflow[0]",
    "NaNs",
]


def awkward() -> Problem:
    n = len(AWKWARD)
    matrix = sparse.eye_array(n, format="csr")
    low = np.arange(n, dtype=float)
    every = {"row_names": AWKWARD, "col_names": AWKWARD}
    return Problem(
        matrix, low, np.full(n, np.inf), np.zeros(n), np.full(n, 99.0), np.ones(n), **every
    )


@pytest.mark.parametrize("ending", [".mps", ".lp"])
def test_awkward_names_are_read_by_both(ending: str, tmp_path: Path):
    problem = awkward()
    write_problem(problem, tmp_path / f"p{ending}")
    least = float(np.arange(problem.columns).sum())
    assert by_scip_from_file(tmp_path / f"p{ending}").objective == least
    with read(tmp_path / f"p{ending}") as lp:
        assert len(lp.col_names_) == problem.columns


@pytest.mark.parametrize("letter", ["c", "r"])
def test_names_are_unique_legal_and_short(letter: str):
    names = file_names(AWKWARD, len(AWKWARD), letter)
    assert len(set(names)) == len(names)
    for name in names:
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.(),]*", name)
        assert len(name) <= 255
    assert names[0] == "x(0,Los_Angeles)"


def test_a_name_made_unique_does_not_meet_a_later_one():
    assert len(set(file_names(["a", "a", "a_c1", "a_c1_"], 4, "c"))) == 4


def test_without_names_numbers():
    assert file_names(None, 2, "r") == ["r0", "r1"]


def test_the_ending_says_the_format_unless_one_is_named(tmp_path: Path):
    problem = solvable(0)
    for name, given, first in (
        ("a.mps", None, b"NAME"),
        ("a.lp", None, b"\\ File"),
        ("a.txt", "mps", b"NAME"),
        ("a.mps", "lp", b"\\ File"),
    ):
        write_problem(problem, tmp_path / name, given)
        assert (tmp_path / name).read_bytes().startswith(first)
    write_problem(problem, tmp_path / "a.lp.gz")
    assert gzip.decompress((tmp_path / "a.lp.gz").read_bytes()).startswith(b"\\ File")


@pytest.mark.parametrize("name", ["a", "a.txt", "a.gz", "mps"])
def test_other_endings_are_refused(name: str, tmp_path: Path):
    with pytest.raises(InvalidInput, match=r"must end in \.mps, \.lp or \.tex"):
        write_problem(solvable(0), tmp_path / name)
    with pytest.raises(InvalidInput, match="not mps, lp or latex"):
        write_problem(solvable(0), tmp_path / name, "docx")


def test_what_stands_there_stays_until_the_file_is_whole(tmp_path: Path, monkeypatch):
    target = tmp_path / "p.mps"
    target.write_text("old")
    monkeypatch.setattr("torta_opt.solvers.files.check", _refuse)
    with pytest.raises(RuntimeError):
        write_problem(solvable(0), target)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["p.mps"]


def _refuse(status: object, call: str) -> None:
    if call == "writeModel":
        raise RuntimeError(call)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(InvalidInput, match="cannot be written"):
        write_problem(solvable(0), tmp_path / "no" / "p.mps")


def test_the_same_problem_gives_the_same_bytes(tmp_path: Path):
    for name in ("a.mps.gz", "b.mps.gz"):
        write_problem(solvable(5, integers=0.5), tmp_path / name)
    assert (tmp_path / "a.mps.gz").read_bytes() == (tmp_path / "b.mps.gz").read_bytes()
