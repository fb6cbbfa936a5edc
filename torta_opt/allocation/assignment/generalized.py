"""The generalized assignment problem: n jobs to m agents, each job to one, within capacities.

    minimise (or maximise)  Σ cost[i,j]·x[i,j]
    subject to              Σ_i x[i,j] = 1                       (assign)
                            Σ_j need[i,j]·x[i,j] ≤ capacity[i]   (capacity)     x ∈ {0, 1}

It is the assignment program of one slot whose groups have one request each, ``task_of``. Files are
read in three forms:

    OR-Library    P, then for each problem: m n, m rows of cost, m rows of need, m capacities
    Yagiura       the same for one problem, without P
    JSON          {"cost": [m][n], "req": [m][n], "cap": [m]}

Source of the first: J. E. Beasley, OR-Library, Journal of the Operational Research Society 41, 1990.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from torta_opt.allocation.formulations.assignment import Assignment
from torta_opt.io.errors import InvalidInput

LARGEST = 10**9  # of any number in a file


@dataclass(frozen=True, eq=False)
class Generalized:
    """cost, need (m, n) and capacity (m,), whole numbers; ``maximise`` turns the sense around."""

    name: str
    cost: np.ndarray
    need: np.ndarray
    capacity: np.ndarray
    maximise: bool = False

    def __post_init__(self) -> None:
        agents, jobs = self.cost.shape
        if self.need.shape != (agents, jobs) or self.capacity.shape != (agents,):
            raise InvalidInput(f"{self.name}: cost, need and capacity differ in size")
        if not (agents and jobs):
            raise InvalidInput(f"{self.name}: has no agents or no jobs")
        if (self.need < 0).any() or (self.capacity < 0).any():
            raise InvalidInput(f"{self.name}: needs and capacities must not be negative")

    @property
    def price(self) -> np.ndarray:
        """(m, n) what is to be minimised."""
        return -self.cost if self.maximise else self.cost

    def value(self, agent: np.ndarray) -> int:
        """Σ cost of jobs at ``agent`` (n,)."""
        return int(self.cost[agent, np.arange(self.cost.shape[1])].sum())

    def is_assignment(self, agent: np.ndarray) -> bool:
        """Whether every job has an agent and no agent more than its capacity."""
        agents, jobs = self.cost.shape
        if agent.shape != (jobs,) or (agent < 0).any() or (agent >= agents).any():
            return False
        used = np.zeros(agents, np.int64)
        np.add.at(used, agent, self.need[agent, np.arange(jobs)])
        return bool((used <= self.capacity).all())


def task_of(problem: Generalized) -> Assignment:
    """The same as an assignment task: servers are agents, every group is one request that must be
    served in the only slot. Jobs that need nothing get a need of 1 and capacities of their own
    size more, since a request takes some time."""
    agents, jobs = problem.cost.shape
    free = problem.need == 0
    scale = jobs + 1 if free.any() else 1
    need = np.where(free, 1, problem.need * scale)
    capacity = problem.capacity * scale + (jobs if free.any() else 0)
    need = np.where(need > capacity[:, None], 0, need)
    price = problem.price.astype(float)
    return Assignment(
        group_model=np.zeros(jobs, np.int64),
        arrivals=np.ones((1, jobs)),
        waiting=np.zeros((jobs, 0), np.int64),
        deadline_slots=np.zeros(jobs, np.int64),
        work_ms=need,
        serve_usd=np.where(need > 0, price, np.inf)[None],
        hot_usd=np.zeros((agents, jobs)),
        hot_permille=0,
        quota=np.zeros((agents, jobs), np.int64),
        count=np.ones(agents, np.int64),
        usable_ms=capacity[:, None, None, None],
        option_usd=np.zeros((agents, 1)),
        wait_usd=0.0,
        expiry_usd=np.full(jobs, np.inf),
        left_usd=np.zeros(jobs),
    )


def read_generalized(path: str | os.PathLike[str], maximise: bool = False) -> list[Generalized]:
    """All problems of a file; a file does not say whether it is to be maximised."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", file=str(path)) from None
    except UnicodeDecodeError:
        raise InvalidInput("is not a text file", file=str(path)) from None
    stem = Path(path).stem
    if text.lstrip().startswith("{"):
        return [_of_json(text, path, stem, maximise)]
    return _of_numbers(_whole_numbers(text, path), path, stem, maximise)


def _of_json(text: str, path: str | os.PathLike[str], stem: str, maximise: bool) -> Generalized:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInput("is not JSON", file=str(path)) from None
    arrays = []
    for field, axes in (("cost", 2), ("req", 2), ("cap", 1)):
        try:
            array = np.array(document[field])
        except KeyError:
            raise InvalidInput("is missing", file=str(path), field=field) from None
        except ValueError:
            raise InvalidInput("has rows of different length", file=str(path), field=field) from None
        if array.ndim != axes or array.dtype.kind not in "iu" or not _within(array):
            rule = f"must be whole numbers in {axes} dimension{'s' * (axes > 1)}"
            raise InvalidInput(rule, file=str(path), field=field)
        arrays.append(array.astype(np.int64))
    try:
        return Generalized(stem, *arrays, maximise)
    except InvalidInput as error:
        raise InvalidInput(str(error), file=str(path)) from None


def _within(array: np.ndarray) -> bool:
    return bool((np.abs(array) <= LARGEST).all())


def _whole_numbers(text: str, path: str | os.PathLike[str]) -> np.ndarray:
    try:
        numbers = np.array(text.split(), dtype=np.int64)
    except (ValueError, OverflowError):
        raise InvalidInput("must hold whole numbers only", file=str(path)) from None
    if numbers.size < 2 or not _within(numbers):
        raise InvalidInput(f"must hold numbers up to {LARGEST:g}", file=str(path))
    return numbers


def _of_numbers(
    numbers: np.ndarray, path: str | os.PathLike[str], stem: str, maximise: bool
) -> list[Generalized]:
    """Yagiura's form where the size fits it, else that of the OR-Library."""
    agents, jobs = int(numbers[0]), int(numbers[1])
    if agents > 0 and jobs > 0 and len(numbers) == 2 + 2 * agents * jobs + agents:
        return [_problem(numbers[2:], agents, jobs, stem, maximise)]
    problems, at = [], 1
    for n in range(1, int(numbers[0]) + 1):
        agents, jobs = (int(size) for size in numbers[at : at + 2]) if at + 2 <= len(numbers) else (0, 0)
        end = at + 2 + 2 * agents * jobs + agents
        if agents <= 0 or jobs <= 0 or end > len(numbers):
            raise InvalidInput(f"ends within problem {n}", file=str(path))
        problems.append(_problem(numbers[at + 2 : end], agents, jobs, f"{stem}/{n}", maximise))
        at = end
    if at != len(numbers) or not problems:
        raise InvalidInput(f"holds more than its {len(problems)} problems", file=str(path))
    return problems


def _problem(
    numbers: np.ndarray, agents: int, jobs: int, name: str, maximise: bool
) -> Generalized:
    cost, need, capacity = np.split(numbers, [agents * jobs, 2 * agents * jobs])
    shape = agents, jobs
    return Generalized(name, cost.reshape(shape), need.reshape(shape), capacity, maximise)
