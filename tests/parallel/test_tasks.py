"""Tasks side by side: the same results in the same order, whoever computes them and dies of it."""

from __future__ import annotations

import weakref
from pathlib import Path

import pytest
from support.work import always_killed, killed_once, process, refused, slower_first, square

from torta_opt.io import InvalidInput
from torta_opt.parallel import as_finished, in_order, tasks, worker_count


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_tasks(workers: int) -> None:
    given = [(x, 6) for x in range(6)]
    assert list(in_order(slower_first, given, workers)) == list(range(6))


def test_results_come_as_they_are_finished_each_with_its_number() -> None:
    given = [(x,) for x in range(20)]
    assert dict(as_finished(square, given, workers=2, batch=4)) == {x: x * x for x in range(20)}


def test_every_result_is_seen_once_even_if_others_precede_it() -> None:
    seen: list[int] = []
    given = [(x, 5) for x in range(5)]
    assert list(in_order(slower_first, given, 2, seen=seen.append)) == list(range(5))
    assert sorted(seen) == list(range(5))


def test_more_than_one_process_works() -> None:
    assert len(set(in_order(process, [(x,) for x in range(6)], workers=2))) == 2


def test_one_worker_is_this_process() -> None:
    given = [(lambda: 7,), (lambda: 8,)]  # what cannot be pickled
    assert list(in_order(lambda f: f(), given, workers=1)) == [7, 8]


def test_no_tasks_give_no_results() -> None:
    assert list(in_order(square, [], workers=2)) == []


def test_a_task_whose_worker_is_killed_is_repeated(tmp_path: Path) -> None:
    marker = tmp_path / "killed"
    given = [(x, str(marker)) for x in range(8)]
    assert list(in_order(killed_once, given, workers=2)) == [x * x for x in range(8)]
    assert marker.exists()


def test_a_task_that_kills_every_worker_ends_the_run_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tasks, "MOST_LOSSES", 2)
    with pytest.raises(InvalidInput, match=r"backend loky: workers were lost 2 times") as caught:
        list(in_order(always_killed, [(1,), (2,)], workers=2))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_task_raises_is_raised_here(workers: int, recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(KeyError, match="no ") as caught:
        list(in_order(refused, [(1,), (2,)], workers))
    if workers == 2:
        assert "refused" in "".join(caught.value.__notes__)
    assert not recwarn.list  # joblib warns of tasks that are given up


def test_a_worker_of_another_version_refuses() -> None:
    number, answer = tasks.run_task("0.0.0", 4, square, (2,))
    assert number == 4
    with pytest.raises(InvalidInput, match=r"a worker has torta-opt .*, this process has 0\.0\.0"):
        answer.value()


def test_arguments_are_what_joblib_leaves_in_the_task() -> None:
    """It moves what weak references can be made of, if it is large."""
    with pytest.raises(TypeError, match="weak reference"):
        weakref.ref((b"x" * 10_000,))


def test_the_number_of_workers() -> None:
    assert worker_count(8, tasks=3) == 3
    assert worker_count(2, tasks=0) == 1
    assert worker_count(0, tasks=10_000) >= 1
