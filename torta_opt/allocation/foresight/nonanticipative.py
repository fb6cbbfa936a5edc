"""The bound ``nonanticipative``: what no policy can beat that does not see ahead, on average.

    min_π E[C(π)]  ≥  E_ω[ inner value of ω ]                     docs/bounds/nonanticipative.md

over futures ω of the instance's law of demand. The inner values are proved one by one; their mean
over N futures is an estimate with a 95 % interval (Student's t), not a certified number, and says
nothing about one schedule of one future.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from torta_opt.allocation.foresight.estimates import Estimate, summary
from torta_opt.allocation.foresight.fit import Oracle, maximised, shrunk
from torta_opt.allocation.foresight.futures import TRAINING, future_of
from torta_opt.allocation.foresight.inner import errors_along, kinds_of, merged_of, solved
from torta_opt.allocation.foresight.kept import kept_penalty
from torta_opt.allocation.foresight.penalty import (
    HORIZONS,
    Errors,
    Penalty,
    features,
    size_of,
)
from torta_opt.allocation.foresight.scenarios import (
    NONE,
    PENALTY,
    TREE,
    WAYS,
    Spec,
    Watch,
    scenarios,
)
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.law import law_of
from torta_opt.allocation.law.base import DemandLaw
from torta_opt.allocation.policies.base import INFORMATION, information_of
from torta_opt.allocation.policies.experiment import Interval
from torta_opt.allocation.policies.registry import create
from torta_opt.family import Request
from torta_opt.io import InvalidInput, LimitReached
from torta_opt.results import BoundResult, Foresight
from torta_opt.solvers import Limits

METHOD = "nonanticipative"
CONTROL = "greedy_forecast"  # the policy whose penalty has mean zero and goes with the inner value
FIT_SLOTS, FIT_FUTURES, TRIED_FUTURES, FIT_ROUNDS = 48, 10, 6, 6
MOST_SCENARIOS = 100_000  # far beyond what a run has time for; their list alone is memory
LEAVES, CHILDREN = 16, 2  # of a tree, where nothing else is asked for


@dataclass(frozen=True)
class Options:
    """How a bound is estimated.

    scenarios   N ≥ 2 futures, or trees of them
    way         ``none``, ``penalty`` or ``tree``
    children    of every node at which a tree parts
    block       slots from one branch of a tree to the next; None: as many as give ``leaves`` leaves
    window      slots of a window that has a tree of its own; None: one tree over the whole horizon
    leaves      of a tree where ``block`` does not say, and at most of one in a window
    tiers       groups that the servers of a type are divided into by what they cost; None: as many
                as keep the merged program small. Fewer are faster and prove less
    folder      where finished scenarios are kept, and taken from
    jobs        processes side by side; 0: one for each core
    """

    scenarios: int = 30
    way: str = NONE
    children: int = CHILDREN
    block: int | None = None
    window: int | None = None
    leaves: int = LEAVES
    tiers: int | None = None
    folder: Path | None = None
    jobs: int = 1

    def __post_init__(self) -> None:
        _check_whole(self.scenarios, "scenarios", 2, MOST_SCENARIOS)
        _check_whole(self.children, "children", 2)
        _check_whole(self.leaves, "leaves", 2)
        _check_whole(self.jobs, "jobs", 0)
        if self.block is not None:
            _check_whole(self.block, "block", 1)
        if self.window is not None:
            _check_whole(self.window, "window", 1)
            if self.way != TREE:
                raise InvalidInput(f"is for way {TREE}, found way {self.way!r:.40}", "window")
        if self.folder is not None:
            object.__setattr__(self, "folder", Path(self.folder))
        if self.tiers is not None:
            _check_whole(self.tiers, "tiers", 1)
        if self.way not in WAYS:
            raise InvalidInput(f"must be one of {', '.join(WAYS)}, found {self.way!r:.40}", "way")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Options:
        known = [field.name for field in dataclasses.fields(cls)]
        for name in given:
            if name not in known:
                raise InvalidInput(f"is no option of {METHOD}; known: {', '.join(known)}", name)
        return cls(**given)


def _check_whole(value: object, name: str, least: int, most: int | None = None) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidInput(f"must be a whole number, at least {least}, found {value!r:.40}", name)
    if most is not None and value > most:
        raise InvalidInput(f"must be at most {most}, found {value!r:.40}", name)


# --- the run ------------------------------------------------------------------------------------


def estimate(
    instance: Instance,
    options: Options,
    policies: Sequence[str] = (),
    *,
    seed: int = 0,
    law: DemandLaw | None = None,
    limits: Limits | None = None,
    watch: Callable[[str, int, int], None] = lambda step, done, total: None,
) -> Estimate:
    """The bound over ``options.scenarios`` futures, and policies on the same futures.

    Raises InvalidInput, and LimitReached if Ctrl-C came before two scenarios were done.
    """
    try:
        spec = spec_of(instance, options, seed=seed, law=law, limits=limits, watch=watch)
    except KeyboardInterrupt:
        raise LimitReached(f"{METHOD}: Ctrl-C came before a scenario was finished") from None
    names = list(dict.fromkeys(policies))
    if options.way == PENALTY and CONTROL not in names:
        names.append(CONTROL)
    step: Watch = lambda done, total: watch(METHOD, done, total)  # noqa: E731
    found = scenarios(
        spec, options.scenarios, names, jobs=options.jobs, folder=options.folder, watch=step
    )
    return summary(found, policies, CONTROL if options.way == PENALTY else None)


def spec_of(
    instance: Instance,
    options: Options,
    *,
    seed: int = 0,
    law: DemandLaw | None = None,
    limits: Limits | None = None,
    watch: Callable[[str, int, int], None] = lambda step, done, total: None,
) -> Spec:
    """What the scenarios of a run depend on; coefficients of a penalty are fitted here."""
    law = law or law_of(instance)
    branches = branches_of(instance.slots, options) if options.way == TREE else ()
    spec = Spec(
        instance,
        law,
        options.way,
        seed,
        branches=branches,
        children=options.children,
        window=options.window,
        tiers=options.tiers,
        limits=limits,
    )
    if options.way != PENALTY:
        return spec
    penalty = kept_penalty(options.folder, spec, lambda: fitted(instance, law, seed, limits, watch))
    return dataclasses.replace(spec, penalty=penalty)


def branches_of(slots: int, options: Options) -> tuple[int, ...]:
    """Slots at which a tree parts; with windows, slots after the beginning of each."""
    if options.window is not None:
        return window_branches(min(options.window, slots), options)
    if options.block is not None:
        found = tuple(range(options.block, slots, options.block))
    else:
        times = max(1, int(np.log(options.leaves) / np.log(options.children) + 1e-9))
        block = max(1, -(-slots // (times + 1)))
        found = tuple(range(block, slots, block))
    if options.children ** len(found) > 4096:
        rule = f"gives {options.children}^{len(found)} leaves; at most 4096 are possible"
        raise InvalidInput(rule, field="block")
    return found


def window_branches(window: int, options: Options) -> tuple[int, ...]:
    """From the first slot of a window on, as many as give at most ``leaves`` leaves: a tree that
    is wide early has several slots left in which what it did not foresee costs something."""
    block, most = options.block or 2, max(options.leaves, options.children)
    times = int(np.log(most) / np.log(options.children) + 1e-9)
    return tuple(range(0, window, block))[:times]


# --- the penalty --------------------------------------------------------------------------------


def fitted(
    instance: Instance,
    law: DemandLaw,
    seed: int,
    limits: Limits | None = None,
    watch: Callable[[str, int, int], None] = lambda step, done, total: None,
) -> Penalty:
    """A penalty fitted to futures that no scenario uses, over the first slots of the horizon."""
    short = instance if instance.slots <= FIT_SLOTS else instance.cut(0, FIT_SLOTS)
    own = law if short is instance else law_of(short)
    everyone = []
    for number in range(FIT_FUTURES + TRIED_FUTURES):
        watch("fitting the penalty", number, FIT_FUTURES + TRIED_FUTURES)
        future = future_of(own, short, seed, number, TRAINING)
        everyone.append(_Training.of(future, errors_along(own, future, HORIZONS), limits))
    basis = _basis(instance, everyone)
    oracles = [_tied(each.ask, basis) for each in everyone]
    found = maximised(oracles[:FIT_FUTURES], np.ones(basis.shape[1]), FIT_ROUNDS)
    found = shrunk(oracles[FIT_FUTURES:], found)
    return Penalty.of(instance.system, basis @ found, HORIZONS)


@dataclass(frozen=True, eq=False)
class _Training:
    """One future that coefficients are fitted to."""

    errors: Errors
    ask: Oracle
    on_usd: float

    @classmethod
    def of(cls, future: Instance, errors: Errors, limits: Limits | None) -> _Training:
        merged = merged_of(future, 1)
        found = features(merged.program, kinds_of(merged), errors)

        def ask(vector: np.ndarray) -> tuple[float, np.ndarray]:
            result = solved(merged, found @ vector, limits)
            return result.objective, found.T @ result.x

        return cls(errors, ask, float(np.abs(merged.pools.on_usd).mean()))


def _basis(instance: Instance, everyone: Sequence[_Training]) -> np.ndarray:
    """(coefficients, 2·H): what is fitted is one number for each horizon, of ready servers of all
    types and models alike, and one of waiting requests; all coefficients apart would fit noise.

    Unit: what a server, or a waiting request, costs in a slot, per usual surprise.
    """
    system, ahead = instance.system, len(HORIZONS)
    usd = float(np.mean([each.on_usd for each in everyone]))
    wait = system.weights.time_usd_per_s * system.slot_s
    basis = np.zeros((size_of(system, HORIZONS), 2 * ahead))
    by_model = _per_usual([each.errors.by_model for each in everyone], usd)
    servers = len(system.types) * len(system.models) * ahead
    for n in range(ahead):
        alone = np.zeros((len(system.types), *by_model.shape))
        alone[:, :, n] = by_model[:, n]
        basis[:servers, n] = alone.ravel()
        alone = np.zeros((len(system.classes), ahead))
        alone[:, n] = _per_usual([each.errors.by_class for each in everyone], wait)[:, n]
        basis[-alone.size :, ahead + n] = alone.ravel()
    return basis


def _per_usual(errors: Sequence[np.ndarray], usd: float) -> np.ndarray:
    """(M or C, H) dollars per root mean square of the errors (T, H, M or C); 0 where that is 0."""
    usual = np.sqrt(np.mean([(each**2).mean(axis=0) for each in errors], axis=0))
    scaled: np.ndarray = np.where(usual > 0, usd / np.where(usual > 0, usual, 1.0), 0.0).T
    return scaled


def _tied(ask: Oracle, basis: np.ndarray) -> Oracle:
    """The oracle of coefficients ``basis @ ·``."""

    def tied(vector: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = ask(basis @ vector)
        return value, basis.T @ slope

    return tied


# --- the bound method ---------------------------------------------------------------------------


def compute(instance: Instance, request: Request) -> BoundResult:
    """The bound method ``nonanticipative``; ``request.options`` as in ``Options``."""
    return _run(instance, (), request)[0]


def beside(
    instance: Instance, policies: Sequence[str], request: Request
) -> tuple[BoundResult, dict[str, Foresight]]:
    """The bound, and what part of each policy's distance from the clairvoyant is foresight.

    Raises InvalidInput for a policy that says it sees the future: the bound does not hold for it.
    """
    for name in policies:
        if information_of(create(name)) == INFORMATION[-1]:
            rule = f"{name} sees the future, so the bound does not hold for it"
            raise InvalidInput(rule, field="policy")
    bound, found = _run(instance, policies, request)
    least = max(0.0, found.foresight.low)
    most = min((each.high for each in found.beyond.values()), default=math.inf)
    return bound, {
        name: Foresight(
            _ends(found.cost[name]),
            _ends(found.difference[name]),
            _ends(found.beyond[name]),
            (min(least, most), most),
        )
        for name in policies
    }


def _run(
    instance: Instance, policies: Sequence[str], request: Request
) -> tuple[BoundResult, Estimate]:
    began = time.perf_counter()
    found = estimate(
        instance,
        Options.of(request.options),
        policies,
        seed=request.seed,
        limits=request.limits,
        watch=request.watch,
    )
    bound = BoundResult(
        found.value.mean,
        METHOD,
        seconds=time.perf_counter() - began,
        interrupted=found.interrupted,
        statistical=True,
        interval=(found.value.low, found.value.high),
        scenarios=found.scenarios,
        clairvoyant=found.clairvoyant.mean,
    )
    return bound, found


def _ends(found: Interval) -> tuple[float, float, float]:
    return found.low, found.mean, found.high
