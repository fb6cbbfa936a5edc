"""Run tasks, repeat those that were lost, hand on results in order.

The arguments of a task travel as one tuple. joblib puts single large arguments on a worker of Dask,
where they would be lost with it; a tuple is kept by the scheduler until the result has come. What
comes back is the result, or the exception of the task, so any other exception means that workers or
the way to them failed.
"""

from __future__ import annotations

import os
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from torta_opt import __version__
from torta_opt.io.errors import InvalidInput

Result = TypeVar("Result")
Task = tuple[Any, ...]

MOST_LOSSES = 3  # in a row, without a task finished in between


@dataclass(frozen=True)
class Engine:
    """Workers that joblib reaches.

    backend    a name or an object of joblib
    workers    processes; −1: all that the engine has
    """

    name: str
    backend: Any
    workers: int


ACTIVE: ContextVar[Engine | None] = ContextVar("engine", default=None)


def worker_count(asked: int, tasks: int) -> int:
    """Processes of this machine for ``tasks`` tasks; ``asked`` 0 stands for one per core."""
    return max(min(asked or os.cpu_count() or 1, tasks), 1)


def is_elsewhere() -> bool:
    """Whether tasks go to workers of a cluster, however many the caller asks for."""
    return ACTIVE.get() is not None


def in_order(
    work: Callable[..., Result],
    tasks: Sequence[Task],
    workers: int = 1,
    batch: int = 1,
    seen: Callable[[Result], Any] = lambda result: None,
) -> Iterator[Result]:
    """Results of ``work(*task)`` in the order of the tasks. See ``as_finished``.

    ``seen`` is called with each as it comes, also with those that others still precede.
    """
    early: dict[int, Result] = {}
    expected = 0
    with closing(as_finished(work, tasks, workers, batch)) as found:
        for number, result in found:
            seen(result)
            early[number] = result
            while expected in early:
                yield early.pop(expected)
                expected += 1


def as_finished(
    work: Callable[..., Result], tasks: Sequence[Task], workers: int = 1, batch: int = 1
) -> Generator[tuple[int, Result], None, None]:
    """Number of a task and result of ``work(*task)``, as they come.

    work      a function of a module: workers import it
    workers   processes of this machine, 0 for one per core; a Dask or Ray engine has its own
    batch     tasks sent at a time, where they are short

    An exception of a task is raised here. Raises InvalidInput if workers are lost ``MOST_LOSSES``
    times in a row without a result in between.
    """
    engine = ACTIVE.get()
    if engine is None:
        engine = Engine("loky", "loky", worker_count(workers, len(tasks)))
        if engine.workers == 1:
            return ((number, work(*task)) for number, task in enumerate(tasks))
    return _repeated(engine, work, tasks, batch)


def _repeated(
    engine: Engine, work: Callable[..., Result], tasks: Sequence[Task], batch: int
) -> Generator[tuple[int, Result], None, None]:
    """All results, however often workers are lost on the way."""
    left = dict(enumerate(tasks))
    losses = 0
    while left:
        with closing(_submitted(engine, work, left, batch)) as found:
            try:
                for number, answer in found:
                    result = answer.value()
                    del left[number]
                    losses = 0
                    yield number, result
            except _Lost as lost:
                losses += 1
                if losses >= MOST_LOSSES:
                    raise _gave_up(engine, lost.reason) from lost.reason


def _submitted(
    engine: Engine, work: Callable[..., Any], left: dict[int, Task], batch: int
) -> Generator[tuple[int, _Answer], None, None]:
    """One round of joblib. Raises _Lost where workers, not tasks, failed."""
    import joblib

    parallel = joblib.Parallel(
        n_jobs=engine.workers,
        backend=engine.backend,
        return_as="generator_unordered",
        batch_size=batch,
        pre_dispatch=f"{2 * batch}*n_jobs",
        max_nbytes=None,  # no arguments in files that a killed worker leaves behind
    )
    run = joblib.delayed(run_task)
    sent = (run(__version__, number, work, task) for number, task in list(left.items()))
    answers = None
    try:
        answers = parallel(sent)
        for answer in answers:  # noqa: UP028 - `yield from` would close it outside of the block below
            yield answer
    except Exception as error:
        raise _Lost(error) from error
    finally:
        if answers is not None:
            with warnings.catch_warnings():  # tasks that are given up after an error or Ctrl-C
                warnings.filterwarnings("ignore", category=UserWarning, module="joblib")
                answers.close()


class _Lost(Exception):
    """Workers or the way to them failed."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


def _gave_up(engine: Engine, reason: Exception) -> InvalidInput:
    said = str(reason).strip().splitlines()
    what = f"{type(reason).__name__}: {said[0]}" if said else type(reason).__name__
    rule = f"workers were lost {MOST_LOSSES} times without finishing a task (is memory short?)"
    return InvalidInput(f"{rule}: {what:.200}", field=f"backend {engine.name}")


# --- on both sides ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Answer:
    """What a task returned, or what it raised."""

    result: Any = None
    error: BaseException | None = None

    def value(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.result


def run_task(
    version: str, number: int, work: Callable[..., Any], task: Task
) -> tuple[int, _Answer]:
    """In the worker: the number of a task that torta-opt ``version`` sent, and its answer."""
    if version != __version__:
        rule = f"a worker has torta-opt {__version__}, this process has {version}"
        return number, _Answer(error=InvalidInput(rule, field="backend"))
    try:
        return number, _Answer(work(*task))
    except (Exception, KeyboardInterrupt) as error:
        error.add_note("in a worker:\n" + "".join(traceback.format_tb(error.__traceback__)))
        return number, _Answer(error=error)
