"""A problem family: jobs on one machine, least weighted sum of completion times (1 || Σ w·C).

    cost          Σ_j w_j · C_j, C_j the time at which job j ends
    floor         Σ_j w_j · p_j: no job ends before its own length
    pairs         floor + Σ_{i<j} min(w_i · p_j, w_j · p_i): of two jobs one waits for the other

Smith's rule, jobs by p/w, makes every pair wait the cheaper way: its cost is the bound ``pairs``.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from torta_opt.family import (
    AUTO,
    FLOOR,
    BoundMethod,
    Document,
    Facts,
    Family,
    Format,
    Method,
    Preset,
    Request,
)
from torta_opt.io import InvalidInput, VerificationFailed
from torta_opt.io.schema import Name, Strict, parse
from torta_opt.results import BoundResult, Check, Evaluation, Found, Verification, Violation

# --- data: an instance, a schedule, and their files ----------------------------------------------


class Job(Strict):
    seconds: int = Field(ge=1, le=10**6)
    weight: int = Field(ge=0, le=10**6)


class JobsFile(Strict):
    format: str
    version: int
    name: Name
    jobs: tuple[Job, ...] = Field(min_length=1, max_length=1000, strict=False)


class OrderFile(Strict):
    format: str
    version: int
    instance: Name
    method: Name
    order: tuple[int, ...] = Field(strict=False)


class BoundFile(Strict):
    format: str
    version: int
    instance: Name
    source: Name
    value: float = Field(allow_inf_nan=False)


@dataclass(frozen=True)
class Jobs:
    name: str
    jobs: tuple[Job, ...]


@dataclass(frozen=True)
class Order:
    """Positions of the jobs in the order in which they run."""

    method: str
    order: tuple[int, ...]
    seed: int | None = None


def read_jobs(document: Document) -> Jobs:
    entry: JobsFile = parse(JobsFile, document)
    return Jobs(entry.name, entry.jobs)


def write_jobs(instance: Jobs) -> Document:
    jobs = [job.model_dump() for job in instance.jobs]
    return {"format": "example/jobs", "version": 1, "name": instance.name, "jobs": jobs}


def read_order(document: Document, instance: Jobs) -> Order:
    entry: OrderFile = parse(OrderFile, document)
    check_name(entry.instance, instance)
    return Order(entry.method, entry.order)


def write_order(order: Order, instance: Jobs) -> Document:
    head = {"format": "example/order", "version": 1, "instance": instance.name}
    return {**head, "method": order.method, "order": list(order.order)}


def read_bound(document: Document, instance: Jobs) -> BoundResult:
    entry: BoundFile = parse(BoundFile, document)
    check_name(entry.instance, instance)
    value = pairs(instance)
    if entry.value > value:
        raise VerificationFailed(f"bound-too-high: value is {entry.value!r}, proved is {value!r}")
    return BoundResult(value, "pairs")


def write_bound(bound: BoundResult, instance: Jobs) -> Document:
    head = {"format": "example/jobs-bound", "version": 1, "instance": instance.name}
    return {**head, "source": bound.source, "value": bound.value}


def check_name(name: str, instance: Jobs) -> None:
    if name != instance.name:
        raise InvalidInput(f"is of {name!r:.60}, not of {instance.name!r:.60}", field="instance")


# --- methods and bounds --------------------------------------------------------------------------


def smith(instance: Jobs, request: Request) -> Found:
    began, jobs = time.perf_counter(), instance.jobs
    # p_i / w_i ≤ p_j / w_j without a division; jobs of weight 0 come last
    ratio = [job.seconds / job.weight if job.weight else float("inf") for job in jobs]
    order = tuple(sorted(range(len(jobs)), key=ratio.__getitem__))
    return Found(Order("smith", order), time.perf_counter() - began)


def as_given(instance: Jobs, request: Request) -> Found:
    return Found(Order("as_given", tuple(range(len(instance.jobs)))), 0.0)


def floor(instance: Jobs) -> float:
    return float(sum(job.weight * job.seconds for job in instance.jobs))


def pairs(instance: Jobs) -> float:
    two = itertools.combinations(instance.jobs, 2)
    waits = (min(a.weight * b.seconds, b.weight * a.seconds) for a, b in two)
    return floor(instance) + float(sum(waits))


def three(seed: int = 0) -> Jobs:
    given = ((4, 1), (1, 3), (2, 2))
    return Jobs("jobs/three", tuple(Job(seconds=p, weight=w) for p, w in given))


# --- the family ----------------------------------------------------------------------------------


class JobsFamily(Family):
    name: ClassVar[str] = "jobs"
    unit: ClassVar[str] = "weighted s"
    default_method: ClassVar[str] = "smith"
    instance_type = Jobs
    schedule_type = Order
    formats: ClassVar[Mapping[str, Format]] = {
        "instance": Format("example/jobs", 1, read_jobs, write_jobs, JobsFile.model_json_schema),
        "schedule": Format(
            "example/order", 1, read_order, write_order, OrderFile.model_json_schema
        ),
        "bound": Format(
            "example/jobs-bound", 1, read_bound, write_bound, BoundFile.model_json_schema
        ),
    }
    presets: ClassVar[Mapping[str, Preset]] = {
        "jobs/three": Preset("three jobs on one machine", three, as_text=True)
    }
    methods: ClassVar[Mapping[str, Method]] = {
        "smith": Method("by length over weight: the best order", smith),
        "as_given": Method("in the order of the file", as_given),
    }
    bounds: ClassVar[Mapping[str, BoundMethod]] = {
        FLOOR: BoundMethod(
            "no job ends before its own length",
            lambda instance, request: BoundResult(
                floor(instance), FLOOR, costs={"processing": floor(instance)}, stronger="pairs"
            ),
        ),
        "pairs": BoundMethod(
            "of two jobs one waits for the other",
            lambda instance, request: BoundResult(pairs(instance), "pairs"),
        ),
    }

    def bound(self, instance: Jobs, method: str, request: Request) -> BoundResult:
        chosen = "pairs" if method == AUTO else method
        if chosen not in self.bounds:
            known = ", ".join([*self.bounds, AUTO])
            raise InvalidInput(f"{method!r:.60} is not a bound; known: {known}", field="method")
        return self.bounds[chosen].compute(instance, request)

    def verify(self, instance: Jobs, schedule: Order) -> Verification:
        if sorted(schedule.order) == list(range(len(instance.jobs))):
            return Verification()
        found = Violation("order", "must name each job once")
        return Verification((found,), {found.rule: 1})

    def evaluate(self, instance: Jobs, schedule: Order) -> Evaluation:
        end = own = 0
        weighted = 0
        for job in (instance.jobs[j] for j in schedule.order):
            end += job.seconds
            own += job.weight * job.seconds
            weighted += job.weight * end
        costs = {"processing": float(own), "waiting": float(weighted - own)}
        return Evaluation(float(weighted), costs, {"last_end_s": end})

    def check(self, instance: Jobs, kind: str, document: Document) -> Check:
        if kind == "bound":
            try:
                return Check(instance.name, kind, bound=read_bound(document, instance).value)
            except VerificationFailed as error:
                return Check(instance.name, kind, (str(error),), {"bound-too-high": 1})
        schedule = read_order(document, instance)
        found = self.verify(instance, schedule)
        priced = self.evaluate(instance, schedule) if found.ok else None
        return Check(instance.name, kind, found.problems, found.counts, priced)

    def describe(self, instance: Jobs) -> Facts:
        return {"instance": instance.name, "jobs": len(instance.jobs), "floor": floor(instance)}

    def described(self, facts: Facts) -> dict[str, str]:
        return {"jobs": str(facts["jobs"]), "floor": f"{facts['floor']:g} {self.unit}"}

    def size(self, instance: Jobs) -> tuple[Facts, str]:
        return {"jobs": len(instance.jobs)}, f"{len(instance.jobs)} jobs"


JOBS = JobsFamily()
