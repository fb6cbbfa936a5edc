"""The micro layer that policies share: requests of one slot handed to servers, all at once.

Requests of one class in one region are alike, so a decision about them is a number, and handing
them out one by one by some rule has a closed form:

    in order      to the first server of a ranking until it is full, then to the next
    evenly        always to the server with the lowest level: all levels rise to one water line

Both cost a few array operations per class, however many requests. In order is exact. Evenly is
exact where the levels of a group rise by equal steps; where steps differ, every member ends within
one request of the water line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from torta_opt.allocation.instance.data import System

NEVER_MS = 2**62  # server time of what a server cannot serve: no time is enough for one request
HALVINGS = 40  # of the range of levels halved so often, a rounding error is left


@dataclass(frozen=True, eq=False)
class Tables:
    """A system as policies use it; servers first, so that nothing is looked up by type."""

    system: System

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Regions, servers, classes."""
        system = self.system
        return len(system.regions), len(system.servers), len(system.classes)

    @cached_property
    def work_ms(self) -> np.ndarray:
        """(S, C) server time of one request; NEVER_MS where server and class do not fit."""
        system = self.system
        work = np.where(system.usable_by, system.server_ms, NEVER_MS)
        return work[system.server_type]

    @cached_property
    def can_serve(self) -> np.ndarray:
        """(S, C) bool."""
        return self.system.usable_by[self.system.server_type]

    @cached_property
    def region_can_serve(self) -> np.ndarray:
        """(R, C) bool: some server of the region fits the class."""
        able = np.zeros((self.sizes[0], self.sizes[2]), bool)
        np.logical_or.at(able, self.system.server_region, self.can_serve)
        return able

    @cached_property
    def class_order(self) -> np.ndarray:
        """(C,) classes, those that fit the fewest servers first, then the longest: what has little
        choice takes its place before what has much."""
        servers = self.can_serve.sum(axis=0)
        longest = np.where(self.can_serve, self.work_ms, 0).max(axis=0)
        return np.lexsort((-longest, servers))

    @cached_property
    def service_usd(self) -> np.ndarray:
        """(S, C) v·σ of one request; 0 where server and class do not fit."""
        system = self.system
        usd = system.weights.time_usd_per_s * np.nan_to_num(system.service_s)
        return usd[system.server_type]

    @cached_property
    def saved_usd(self) -> np.ndarray:
        """(S, C) $ that a hot request saves."""
        system = self.system
        saved_s = np.nan_to_num(system.service_s - system.hot_service_s)
        return (system.weights.time_usd_per_s * saved_s)[system.server_type]

    @cached_property
    def busy_kwh(self) -> np.ndarray:
        """(S, C) kWh above idle of one request."""
        system = self.system
        kwh = (system.peak_kw - system.idle_kw)[:, None] * system.server_ms / 3.6e6
        return kwh[system.server_type]

    def serve_usd(self, price: np.ndarray) -> np.ndarray:
        """(S, C) service and energy of one request at ``price`` (R,) $/kWh; inf where unfit."""
        system = self.system
        energy = system.weights.energy_factor * price[system.server_region, None] * self.busy_kwh
        return np.where(self.can_serve, self.service_usd + energy, np.inf)

    def due(self, waiting: np.ndarray) -> np.ndarray:
        """(R, C) requests of ``waiting`` (R, C, ages) that expire if this slot leaves them."""
        ages = np.arange(1, waiting.shape[2] + 1)
        late = ages >= self.system.deadline_slots[:, None]
        found: np.ndarray = np.where(late, waiting, 0).sum(axis=2)
        return found

    def busy_ms(self, processing: np.ndarray) -> np.ndarray:
        """(S,) server time that ``processing`` (S, C) takes."""
        return (processing * np.where(self.can_serve, self.work_ms, 0)).sum(axis=1)

    def on_usd(self, price: np.ndarray) -> np.ndarray:
        """(S,) idle energy and rent of a server that is on for one slot."""
        system = self.system
        kind, region = system.server_type, system.server_region
        weights = system.weights
        energy = weights.energy_factor * system.idle_kw[kind] * price[region]
        rent = weights.rent_factor * system.rent_usd_per_hour[region, kind]
        return (energy + rent) * system.slot_hours


Assign = Callable[[int, np.ndarray, "Capacity"], np.ndarray]  # ``LayeredPolicy.assign``


class Capacity(Protocol):
    """Server time that requests are handed to, class by class.

    Two classes have it: ``SlotCapacity``, the servers that are on, and ``activation.FleetPlan``,
    all that are up, on which expected requests are laid to find out which servers should be on.

    planning    requests are expected, and none is handed out for good
    model       (S,) what each server has loaded
    free_ms     (S,) what is left
    processing  (S, C) handed out so far
    hot_quota   (S, C) requests of each class that would be hot: ⌊h·z[t−1]/1000⌋
    """

    @property
    def planning(self) -> bool: ...

    @property
    def tables(self) -> Tables: ...

    @property
    def model(self) -> np.ndarray: ...

    @property
    def free_ms(self) -> np.ndarray: ...

    @property
    def processing(self) -> np.ndarray: ...

    @property
    def hot_quota(self) -> np.ndarray: ...

    def room(self, c: int) -> np.ndarray:
        """(S,) further requests of class c that each server can take."""

    def region_room(self, c: int) -> np.ndarray:
        """(R,) the same by region."""

    def held_room(self, c: int) -> np.ndarray:
        """(R,) those that servers which hold the model of class c can take, if nothing else is
        laid on them."""

    def usd(self, c: int, serve_usd: np.ndarray) -> np.ndarray:
        """(S,) $ for a request of class c on servers that process it for ``serve_usd`` (S,)."""

    def take(self, c: int, units: np.ndarray) -> None:
        """Hand ``units`` (S,) requests of class c to the servers."""

    def serve(self, c: int, wanted: np.ndarray, assign: Assign) -> None:
        """Hand up to ``wanted`` (R,) requests of class c to servers of their regions."""


class SlotCapacity:
    """``Capacity`` of the servers that are on, with what each has loaded."""

    planning = False

    def __init__(
        self,
        tables: Tables,
        free_ms: np.ndarray,
        model: np.ndarray,
        last_processing: np.ndarray,
    ):
        self.tables = tables
        self.model = model
        self.free_ms = free_ms.copy()
        self.processing = np.zeros(last_processing.shape, np.int64)
        self.hot_quota = tables.system.hot_permille * last_processing // 1000

    def room(self, c: int) -> np.ndarray:
        fits = self.model == self.tables.system.class_model[c]
        return np.where(fits, self.free_ms // self.tables.work_ms[:, c], 0)

    def region_room(self, c: int) -> np.ndarray:
        return sum_by(self.tables.system.server_region, self.room(c), self.tables.sizes[0])

    def held_room(self, c: int) -> np.ndarray:
        return self.region_room(c)

    def usd(self, c: int, serve_usd: np.ndarray) -> np.ndarray:
        return serve_usd

    def take(self, c: int, units: np.ndarray) -> None:
        self.processing[:, c] += units
        self.free_ms -= np.where(units > 0, units * self.tables.work_ms[:, c], 0)

    def serve(self, c: int, wanted: np.ndarray, assign: Assign) -> None:
        self.take(c, assign(c, wanted, self))


def sum_by(group: np.ndarray, values: np.ndarray, groups: int) -> np.ndarray:
    """(groups,) integer sums of ``values`` by ``group``; exact below 2⁵³."""
    return np.bincount(group, values, groups).astype(np.int64)


def fill_in_order(
    wanted: np.ndarray, group: np.ndarray, room: np.ndarray, *rank: np.ndarray
) -> np.ndarray:
    """(S,) units: ``wanted`` (G,) of each group go to its members by ascending rank, up to room.

    Ranks are compared one after another, the first given first; ties go by position. Units are
    integers or reals as ``room`` is.
    """
    order = np.lexsort((*rank[::-1], group))
    sorted_room, sorted_group = room[order], group[order]
    before = sorted_room.cumsum() - sorted_room
    first = np.searchsorted(sorted_group, sorted_group)  # position of each group's first member
    left = wanted[sorted_group] - (before - before[first])
    taken = np.minimum(np.maximum(left, 0), sorted_room)  # as np.clip, in half the time
    units = np.zeros_like(room)
    units[order] = taken
    return units


def fill_evenly(
    wanted: np.ndarray,
    group: np.ndarray,
    room: np.ndarray,
    level: np.ndarray,
    step: np.ndarray,
    *rank: np.ndarray,
) -> np.ndarray:
    """(S,) integer units: each of ``wanted`` (G,) goes to the member with the lowest level, which
    rises by ``step`` (S,); no member takes more than its room. Equal levels go by ``rank``.

    Poured as water the units reach a line at which every member holds a whole number and a part;
    the parts add up to fewer units than members, and these go to the lowest levels. With equal
    steps in a group this is what handing out one by one gives.
    """
    groups = len(wanted)
    wanted = np.minimum(wanted, sum_by(group, room, groups))
    line = _water_line(wanted, group, room, level, step)
    whole = np.floor((line[group] - level) / step)
    units = np.where(wanted[group] > 0, np.clip(whole, 0, room), 0).astype(np.int64)
    left = wanted - sum_by(group, units, groups)
    one_more = np.minimum(room - units, 1)
    units += fill_in_order(left, group, one_more, level + step * units, *rank)
    short = wanted - sum_by(group, units, groups)
    if short.any():
        units += fill_in_order(short, group, room - units, level + step * units, *rank)
    return units


def _water_line(
    wanted: np.ndarray, group: np.ndarray, room: np.ndarray, level: np.ndarray, step: np.ndarray
) -> np.ndarray:
    """(G,) a hair below the level that ``wanted`` units reach in vessels that start at ``level``,
    rise by ``step`` a unit and are full after ``room`` units."""
    height = np.concatenate([level, level + step * room])
    owner = np.concatenate([group, group])
    widening = np.concatenate([1 / step, -1 / step])
    order = np.lexsort((-widening, height, owner))
    height, owner = height[order], owner[order]
    width = widening[order].cumsum()  # back to 0 at the end of every group
    rise = np.diff(height, prepend=height[:1])
    rise[np.diff(owner, prepend=owner[:1]) != 0] = 0.0
    poured = np.concatenate([[0.0], (width[:-1] * rise[1:]).cumsum()])
    start = np.searchsorted(owner, np.arange(len(wanted)))
    last = len(height) - 1
    goal = poured[np.minimum(start, last)] + wanted
    reached = np.minimum(np.searchsorted(poured, goal), last)
    over = poured[reached] - goal
    breadth = width[np.maximum(reached - 1, 0)]
    line = height[reached] - np.where(over > 0, over / np.where(over > 0, breadth, 1.0), 0.0)
    return line - 1e-9 * (1 + np.abs(line))


def fill_to_line(
    wanted: np.ndarray,
    group: np.ndarray,
    units_below: Callable[[np.ndarray], np.ndarray],
    low: float,
    high: float,
    room: np.ndarray,
    *rank: np.ndarray,
) -> np.ndarray:
    """(S,) units of the rule "always to the lowest level", found by bisection on a line per group.

    ``units_below(line)`` (G,) → (S,) units that each member takes before its level reaches the
    line; it grows with the line, is 0 at ``low`` and ``room`` at ``high``. What the last halving
    cannot tell apart is a tie, and goes by ``rank``.
    """
    groups = len(wanted)
    wanted = np.minimum(wanted, sum_by(group, room, groups))
    below, above = np.full(groups, low), np.full(groups, high)
    for _ in range(HALVINGS):
        line = (below + above) / 2
        total = np.bincount(group, units_below(line), groups)
        fits = total <= wanted
        below, above = np.where(fits, line, below), np.where(fits, above, line)
        if (total == wanted).all():
            break
    units = units_below(below).astype(np.int64)
    left = wanted - sum_by(group, units, groups)
    if not left.any():
        return units
    tied = np.clip(units_below(above), 0, room).astype(np.int64) - units
    more = fill_in_order(left, group, np.minimum(tied, room - units), *rank)
    short = left - sum_by(group, more, groups)
    return units + more + fill_in_order(short, group, room - units - more, *rank)
