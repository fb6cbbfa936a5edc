"""The assignment program as arrays: the twin of ``assignment_model``, which states the equations.

``Assignment`` is the data: groups of identical requests, named servers, and for each server the
ways (*options*) in which it can spend the window. ``build_assignment_program`` makes the matrix
from it with a fixed number of array operations, however many servers and groups there are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import combinations

import numpy as np

from torta_opt.allocation.formulations.knapsack import Facet
from torta_opt.allocation.formulations.matrix import Entries
from torta_opt.allocation.formulations.program import Family
from torta_opt.allocation.formulations.server_hull import facets_of
from torta_opt.io.errors import InvalidInput
from torta_opt.solvers.problem import Problem

HULL_GROUPS = 3  # of one model on a server: with more of them the pairs outnumber what they cut off
COLUMNS = ("pick", "z", "hot", "q", "expired")
ROWS = ("choose", "queue", "expire", "capacity", "fit", "hull", "hot_served", "reuse")


@dataclass(frozen=True, eq=False)
class Assignment:
    """Requests of one region and the servers that can take them, H slots ahead.

    group_model    (G,) model of each group of identical requests
    arrivals       (H, G) requests that come in each slot; whole in slots < ``whole_slots``
    waiting        (G, A) requests that wait already, by age: column a came a + 1 slots ago
    deadline_slots (G,) ℓ: what came in t and is not served by the end of t + ℓ expires
    work_ms        (S, G) u, whole server time of one request; 0 where a server cannot take it
    serve_usd      (H, S, G) $ of serving one request, cold
    hot_usd        (S, G) $ that a hot request saves, at least 0
    hot_permille   h: of z[t,s,g], min(z[t,s,g], ⌊h·z[t−1,s,g]/1000⌋) requests are hot
    quota          (S, G) requests of slot 0 that would be hot, ⌊h·z[−1]/1000⌋
    count          (S,) servers that the row stands for; more than 1 where servers alike are counted
    usable_ms      (S, K, H, M) time that option k of a server leaves for requests of each model
    option_usd     (S, K) $ of an option: loading, less what the loaded server is worth at the end
                   of the window; infinite where a server has no such option
    wait_usd       $ of one request waiting for one slot
    expiry_usd     (G,) π; infinite where every request must be served
    left_usd       (G,) $ of a request that waits at the end of the window, beside its wait there
    whole_slots    slots, from the first, in which requests are whole; at least 1
    """

    group_model: np.ndarray
    arrivals: np.ndarray
    waiting: np.ndarray
    deadline_slots: np.ndarray
    work_ms: np.ndarray
    serve_usd: np.ndarray
    hot_usd: np.ndarray
    hot_permille: int
    quota: np.ndarray
    count: np.ndarray
    usable_ms: np.ndarray
    option_usd: np.ndarray
    wait_usd: float
    expiry_usd: np.ndarray
    left_usd: np.ndarray
    whole_slots: int = 1

    def __post_init__(self) -> None:
        slots, servers, groups = self.sizes
        shapes = {
            "group_model": (groups,),
            "waiting": (groups, self.waiting.shape[-1]),
            "deadline_slots": (groups,),
            "work_ms": (servers, groups),
            "hot_usd": (servers, groups),
            "quota": (servers, groups),
            "count": (servers,),
            "usable_ms": (servers, self.option_usd.shape[-1], slots, self.usable_ms.shape[-1]),
            "expiry_usd": (groups,),
            "left_usd": (groups,),
        }
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise InvalidInput(f"must have the shape {shape}", field=name)
        if not np.isfinite(self.option_usd).any(axis=1).all():
            raise InvalidInput("must leave every server an option", field="option_usd")
        whole = self.arrivals[: self.whole_slots]
        if (self.arrivals < 0).any() or (whole != np.floor(whole)).any():
            raise InvalidInput("must be whole and not negative", field="arrivals")

    def with_arrivals(self, arrivals: np.ndarray) -> Assignment:
        """The same servers where other requests come."""
        changed = replace(self, arrivals=arrivals)
        if "room" in self.__dict__:  # no matter of requests
            changed.__dict__["room"] = self.room
        return changed

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Slots, servers, groups."""
        slots, servers, groups = self.serve_usd.shape
        return slots, servers, groups

    @property
    def models(self) -> int:
        return int(self.usable_ms.shape[3])

    @cached_property
    def option(self) -> np.ndarray:
        """(S, K) bool: the server has this option."""
        option: np.ndarray = np.isfinite(self.option_usd)
        return option

    @cached_property
    def room(self) -> np.ndarray:
        """(H, S, K, G) requests of one group alone that an option leaves time for, ⌊U/u⌋."""
        usable = np.moveaxis(self.usable_ms, 2, 0)[:, :, :, self.group_model]
        work = self.work_ms[:, None, :]
        able = (work > 0) & self.option[:, :, None]
        return np.where(able, usable // np.where(work > 0, work, 1), 0)

    @cached_property
    def come(self) -> np.ndarray:
        """(H, G) requests that came by the end of each slot, those waiting before included."""
        come: np.ndarray = self.waiting.sum(axis=1) + self.arrivals.cumsum(axis=0)
        return come

    @cached_property
    def due(self) -> np.ndarray:
        """(H, G) requests of these whose deadline has passed by the end of the slot."""
        slots, _, groups = self.sizes
        ages = self.waiting.shape[1]
        history = np.concatenate([self.waiting[:, ::-1], self.arrivals.T], axis=1).cumsum(axis=1)
        last = ages + np.arange(slots)[:, None] - self.deadline_slots
        known = history[np.arange(groups), np.clip(last, 0, None)]
        return np.where(last >= 0, known, 0)


@dataclass(frozen=True, eq=False)
class AssignmentProgram:
    """minimise cost·v subject to row_lower ≤ matrix·v ≤ row_upper, lower ≤ v ≤ upper.

    columns, rows   families by name, in the order of the matrix
    """

    data: Assignment
    columns: dict[str, Family]
    rows: dict[str, Family]
    problem: Problem

    @property
    def column_names(self) -> list[str]:
        return [name for family in self.columns.values() for name in _names(family)]

    @property
    def row_names(self) -> list[str]:
        return [name for family in self.rows.values() for name in _names(family)]

    def values(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Dense values by family; 0 where there is no column."""
        dense = {}
        for name, family in self.columns.items():
            dense[name] = np.zeros(family.mask.shape)
            dense[name][family.mask] = x[family.numbers]
        return dense

    def with_data(self, data: Assignment) -> AssignmentProgram:
        """The same columns and rows with the numbers of other ``data``: other requests, prices,
        quotas and counts of servers. Of a program ``for_any_demand`` alone."""
        problem = self.problem.with_numbers(**_numbers(data, self.columns, self.rows))
        return AssignmentProgram(data, self.columns, self.rows, problem)

    def vector(self, values: dict[str, np.ndarray]) -> np.ndarray:
        """The way back."""
        parts = [values[name][family.mask] for name, family in self.columns.items()]
        return np.concatenate(parts).astype(float)


def _names(family: Family) -> list[str]:
    return [f"{family.name}[{','.join(map(str, cell))}]" for cell in family.index.tolist()]


def build_assignment_program(
    data: Assignment, *, for_any_demand: bool = False
) -> AssignmentProgram:
    """The program of ``data``; see ``assignment_model`` for its equations.

    for_any_demand   have every column and row that requests, quotas and counts of servers other
                     than those of ``data`` could need (``AssignmentProgram.with_data``); those
                     that ``data`` does not need are bound to 0
    """
    if for_any_demand:
        columns = _families(_possible_columns(data), 0)
        facets = hull_facets(data, np.ones(data.sizes[2], bool))
    else:
        columns = _families({name: bound >= 0 for name, bound in column_bounds(data).items()}, 0)
        facets = hull_facets(data)
    rows = _families(_row_masks(data, columns, facets), 0)
    entries = Entries()
    number = {name: family.number for name, family in (columns | rows).items()}
    _lay_servers(data, facets, entries, number)
    _lay_queues(data, entries, number)
    size, count = (sum(map(len, each.values())) for each in (rows, columns))
    numbers = _numbers(data, columns, rows)
    problem = Problem(
        matrix=entries.matrix(size, count),
        row_lower=numbers["row_lower"],
        row_upper=numbers["row_upper"],
        col_lower=np.zeros(count),
        col_upper=numbers["col_upper"],
        cost=numbers["cost"],
        integrality=_integrality(data, columns),
    )
    return AssignmentProgram(data, columns, rows, problem)


def _numbers(
    data: Assignment, columns: dict[str, Family], rows: dict[str, Family]
) -> dict[str, np.ndarray]:
    """Sides of rows, upper bounds and costs of columns."""
    upper = column_bounds(data)
    high = [np.maximum(upper[name][family.mask], 0) for name, family in columns.items()]
    came = data.arrivals.copy()
    came[0] += data.waiting.sum(axis=1)
    sides = {name: np.zeros(len(family)) for name, family in rows.items()}
    sides["choose"] = data.count
    sides["queue"] = came[rows["queue"].mask]
    sides["expire"] = data.due[rows["expire"].mask]
    row_upper = np.concatenate(list(sides.values()))
    row_lower = np.full(len(row_upper), -np.inf)
    for name in ("choose", "queue"):
        row_lower[rows[name].numbers] = sides[name]
    return {
        "row_lower": row_lower,
        "row_upper": row_upper,
        "col_upper": np.concatenate(high),
        "cost": _costs(data, columns),
    }


def _possible_columns(data: Assignment) -> dict[str, np.ndarray]:
    """Masks of the columns that some requests, quotas and counts of servers need."""
    slots, _, groups = data.sizes
    z = (data.room.max(axis=2) > 0) & np.isfinite(data.serve_usd)
    return {
        "pick": data.option,
        "z": z,
        "hot": z & (data.hot_usd > 0),
        "q": np.ones((slots, groups), bool),
        "expired": np.broadcast_to(np.isfinite(data.expiry_usd), (slots, groups)),
    }


def column_bounds(data: Assignment) -> dict[str, np.ndarray]:
    """Upper bounds by family, dense; −1 where there is no column."""
    room = data.room.max(axis=2) * data.count[:, None]
    z = np.minimum(room, data.come[:, None, :])
    there = (z > 0) & np.isfinite(data.serve_usd)
    z = np.where(there, z, -1)
    hot = np.full(z.shape, -1.0)
    hot[0] = np.minimum(z[0], np.where(data.hot_usd > 0, data.quota, 0))
    past = np.maximum(z[:-1], 0) * data.hot_permille / 1000
    past[: data.whole_slots - 1] = np.floor(past[: data.whole_slots - 1] + 1e-9)
    hot[1:] = np.where(data.hot_usd > 0, np.minimum(z[1:], past), 0)
    hot = np.where(there & (hot > 0), hot, -1)
    fresh = data.come - data.due
    expired = np.where(np.isfinite(data.expiry_usd), data.due, 0)
    return {
        "pick": np.where(data.option, data.count[:, None], -1),
        "z": z,
        "hot": hot,
        "q": np.where(data.come > 0, fresh, -1),
        "expired": np.where(expired > 0, expired, -1),
    }


def hull_facets(
    data: Assignment, comes: np.ndarray | None = None
) -> dict[tuple[int, int], list[Facet]]:
    """Facets of whole requests by server and model, over all times that its options leave; of the
    groups ``comes`` (G,), those with requests if left out."""
    comes = data.come[-1] > 0 if comes is None else comes
    found: dict[tuple[int, int], list[Facet]] = {}
    for s, work in enumerate(data.work_ms):
        for m in range(data.models):
            able = np.flatnonzero((data.group_model == m) & (work > 0) & comes).tolist()
            if not 1 < len(able) <= HULL_GROUPS:
                continue
            levels = tuple(np.unique(data.usable_ms[s, data.option[s], :, m]).tolist())
            facets = [
                Facet(pair, times, alpha)
                for pair in combinations(able, 2)
                for times in [tuple(work[list(pair)].tolist())]
                for alpha in _alphas(times, levels)
            ]
            if facets:
                found[s, m] = facets
    return found


@lru_cache(maxsize=4096)
def _alphas(work: tuple[int, ...], levels: tuple[int, ...]) -> list[tuple[int, int]]:
    pair = (work[0], work[1])
    facets = {
        tuple(row[:2]) for level in levels if level > 0 for row in facets_of(pair, level).tolist()
    }
    return sorted((a, b) for a, b in facets if a > 0 and b > 0)


def _families(masks: dict[str, np.ndarray], first: int) -> dict[str, Family]:
    families = {}
    for name, mask in masks.items():
        families[name] = Family(name, first, mask)
        first += len(families[name])
    return families


def _row_masks(
    data: Assignment, columns: dict[str, Family], facets: dict[tuple[int, int], list[Facet]]
) -> dict[str, np.ndarray]:
    slots, servers, _ = data.sizes
    z, hot = columns["z"].mask, columns["hot"].mask
    capacity = np.zeros((slots, servers, data.models), bool)
    t, s, g = np.nonzero(z)
    capacity[t, s, data.group_model[g]] = True
    hull = np.zeros((slots, servers, data.models, max(map(len, facets.values()), default=0)), bool)
    for (server, m), each in facets.items():
        for f, facet in enumerate(each):
            hull[:, server, m, f] = z[:, server, facet.classes].all(axis=1)
    reuse = hot.copy()
    reuse[0] = False
    return {
        "choose": np.ones(servers, bool),
        "queue": columns["q"].mask,
        "expire": columns["expired"].mask,
        "capacity": capacity,
        "fit": z,
        "hull": hull,
        "hot_served": hot,
        "reuse": reuse,
    }


def _lay_servers(
    data: Assignment,
    facets: dict[tuple[int, int], list[Facet]],
    entries: Entries,
    number: dict[str, np.ndarray],
) -> None:
    """(choose), (capacity), (fit), (hull)"""
    z, pick = number["z"], number["pick"]
    entries.add(number["choose"][:, None], pick, 1)
    capacity = number["capacity"]
    entries.add(capacity[:, :, data.group_model], z, data.work_ms)
    usable = np.moveaxis(data.usable_ms, 2, 0)  # (H, S, K, M)
    entries.add(capacity[:, :, None, :], pick[None, :, :, None], -usable)
    entries.add(number["fit"], z, 1)
    entries.add(number["fit"][:, :, None, :], pick[None, :, :, None], -data.room)
    if not facets:
        return
    # one line for each facet and group, then one for each facet
    named = [(s, m, f, facet) for (s, m), each in facets.items() for f, facet in enumerate(each)]
    of_group = np.array(
        [(s, m, f, g) for s, m, f, facet in named for g in facet.classes], dtype=np.int64
    )
    alpha = np.concatenate([facet.alpha for _, _, _, facet in named])
    s, m, f, g = of_group.T
    entries.add(number["hull"][:, s, m, f], z[:, s, g], alpha)
    beta = np.array(
        [[facet.beta(ms) for ms in usable[:, s, :, m].ravel().tolist()] for s, m, _, facet in named]
    ).reshape(len(named), len(usable), -1)
    s, m, f = np.array([each[:3] for each in named], dtype=np.int64).T
    entries.add(number["hull"][:, s, m, f][:, :, None], pick[s][None], -beta.transpose(1, 0, 2))


def _lay_queues(data: Assignment, entries: Entries, number: dict[str, np.ndarray]) -> None:
    """(queue), (expire), (hot_served), (reuse)"""
    z, hot, q, expired = (number[name] for name in ("z", "hot", "q", "expired"))
    queue = number["queue"]
    entries.add(queue, q, 1)
    entries.add(queue[1:], q[:-1], -1)
    entries.add(queue, expired, 1)
    entries.add(queue[:, None, :], z, 1)
    for t in range(data.sizes[0]):
        entries.add(number["expire"][t], expired[: t + 1], 1)
    entries.add(number["hot_served"], hot, 1)
    entries.add(number["hot_served"], z, -1)
    entries.add(number["reuse"], hot, 1)
    entries.add(number["reuse"][1:], z[:-1], -data.hot_permille / 1000)


def _costs(data: Assignment, columns: dict[str, Family]) -> np.ndarray:
    q = np.full(columns["q"].mask.shape, data.wait_usd)
    q[-1] += data.left_usd
    dense = {
        "pick": data.option_usd,
        "z": data.serve_usd,
        "hot": np.broadcast_to(-data.hot_usd, columns["hot"].mask.shape),
        "q": q,
        "expired": np.broadcast_to(data.expiry_usd, columns["expired"].mask.shape),
    }
    return np.concatenate([dense[name][family.mask] for name, family in columns.items()])


def _integrality(data: Assignment, columns: dict[str, Family]) -> np.ndarray:
    whole = np.zeros(columns["z"].mask.shape, bool)
    whole[: data.whole_slots] = True
    again = whole.copy()
    again[0] = False  # where z is whole and the quota too, hot is whole by itself
    dense: dict[str, bool | np.ndarray] = {
        "pick": True,
        "z": whole,
        "hot": again,
        "q": False,
        "expired": False,
    }
    parts = []
    for name, family in columns.items():
        parts.append(np.broadcast_to(dense[name], family.mask.shape)[family.mask])
    return np.concatenate(parts)
