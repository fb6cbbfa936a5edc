"""Servers alike counted instead of named, and the way back.

There. Servers with the same times, prices and options differ only in what is hot on them. Counted,
they are one row of the program with ``count`` servers and the sum of their quotas: a relaxation,
as sums of what each can do obey every row summed.

Back. Totals of up to two groups that obey the facets of n servers can be shared out to n servers
(``server_hull``), each of which takes its quota first: the same cost if every hot request of the
totals stays hot. In later slots of real numbers every server takes an n-th of the totals.
``loss_usd`` is what is lost of the price of the relaxation; where it is 0 the optimum is proven.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from torta_opt.allocation.assignment.packing import packed
from torta_opt.allocation.formulations.assignment import Assignment
from torta_opt.allocation.formulations.server_hull import (
    CannotShare,
    facets_of,
    fill_first,
    shared_out,
)


def part(data: Assignment, servers: np.ndarray, groups: np.ndarray) -> Assignment:
    """The task of these servers and groups alone."""
    return dataclasses.replace(
        data,
        group_model=data.group_model[groups],
        arrivals=data.arrivals[:, groups],
        waiting=data.waiting[groups],
        deadline_slots=data.deadline_slots[groups],
        work_ms=data.work_ms[np.ix_(servers, groups)],
        serve_usd=data.serve_usd[:, servers][:, :, groups],
        hot_usd=data.hot_usd[np.ix_(servers, groups)],
        quota=data.quota[np.ix_(servers, groups)],
        count=data.count[servers],
        usable_ms=data.usable_ms[servers],
        option_usd=data.option_usd[servers],
        expiry_usd=data.expiry_usd[groups],
        left_usd=data.left_usd[groups],
    )


def counted(data: Assignment) -> tuple[Assignment, np.ndarray]:
    """The task with servers alike as one, and (S,) the row of each server in it."""
    slots, servers, _ = data.sizes
    parts = (data.work_ms, data.hot_usd, data.option_usd, data.usable_ms.reshape(servers, -1))
    flat = [np.asarray(each, float).reshape(servers, -1) for each in parts]
    flat += [data.serve_usd[t] for t in range(slots)]
    _, first, kind = np.unique(
        np.concatenate(flat, axis=1), axis=0, return_index=True, return_inverse=True
    )
    kind = kind.reshape(-1)
    merged = part(data, first, np.arange(len(data.group_model)))
    quota = np.zeros_like(merged.quota)
    count = np.zeros_like(merged.count)
    np.add.at(quota, kind, np.minimum(data.quota, data.room[0].max(axis=1)))
    np.add.at(count, kind, data.count)
    return dataclasses.replace(merged, quota=quota, count=count), kind


def named(data: Assignment, kind: np.ndarray, total: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(S, G) requests of slot 0 by server, from totals (rows, G) of the counted task.

    Only of the servers that ``rows`` stand for; every server has one option. Totals that do not lie
    on a hull (of three or more groups, or of two where the program has no hull rows) are handed out
    by a rule as far as there is room (``packing``), what is left over to any server that has some:
    sums may be below them.
    """
    z = np.zeros(data.work_ms.shape, np.int64)
    order = np.argsort(kind, kind="stable")
    ends = np.searchsorted(kind[order], np.arange(len(total) + 1)).tolist()
    for row in rows[total[rows].any(axis=1)].tolist():
        wanted = total[row]
        groups = np.flatnonzero(wanted)
        servers = order[ends[row] : ends[row + 1]]
        if len(servers) == 1:
            z[servers[0]] = wanted
            continue
        shares = None
        if len(groups) <= 2:
            shares = _shared(data, servers, groups, wanted[groups])
        if shares is None:
            shares = _packed(data, servers, groups, wanted[groups])
        z[np.ix_(servers, groups)] = shares
    missing = total[rows].sum(axis=0) - z.sum(axis=0)
    for g in np.flatnonzero(missing).tolist():
        z[:, g] += _left_over(data, z, np.isin(kind, rows), g, int(missing[g]))
    return z


def _left_over(
    data: Assignment, z: np.ndarray, able: np.ndarray, g: int, missing: int
) -> np.ndarray:
    """(S,) requests of a group that servers ``able`` (S,) have room for beside ``z``, the cheapest
    servers first."""
    work, of_model = data.work_ms[:, g], data.group_model == data.group_model[g]
    option = data.option.argmax(axis=1)
    usable = data.usable_ms[np.arange(len(z)), option, 0, data.group_model[g]]
    left_ms = usable - (z * data.work_ms)[:, of_model].sum(axis=1)
    fits = able & (work > 0) & np.isfinite(data.serve_usd[0, :, g])
    room = np.where(fits, left_ms // np.maximum(work, 1), 0)
    order = np.argsort(data.serve_usd[0, :, g], kind="stable")
    taken = np.zeros(len(z), np.int64)
    taken[order] = fill_first(missing, room[order])
    return taken


def _shared(
    data: Assignment, servers: np.ndarray, groups: np.ndarray, wanted: np.ndarray
) -> np.ndarray | None:
    """(servers, groups) with each server's quota first, or else without regard to it."""
    work, usable, quota = _alike(data, servers, groups)
    facets = facets_of(tuple(work.tolist()), usable)
    least = fill_first(wanted, quota)
    for own in (least, np.zeros_like(least)):
        try:
            return shared_out(wanted, facets, len(servers), own)
        except CannotShare:
            continue
    return None


def _packed(
    data: Assignment, servers: np.ndarray, groups: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """(servers, groups) with what finds room, each server's quota first."""
    work, usable, quota = _alike(data, servers, groups)
    return packed(work, usable, wanted, quota)


def _alike(
    data: Assignment, servers: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, int, np.ndarray]:
    """Of servers alike: (groups,) time of a request, time of slot 0, and (servers, groups) quotas
    of the groups that save something hot."""
    s = int(servers[0])
    usable = int(data.usable_ms[s, data.option[s], 0, data.group_model[groups[0]]][0])
    quota = data.quota[np.ix_(servers, groups)] * (data.hot_usd[s, groups] > 0)
    return data.work_ms[s, groups], usable, quota


def loss_usd(
    data: Assignment,
    kind: np.ndarray,
    z: np.ndarray,
    hot: np.ndarray,
    later: np.ndarray,
    later_hot: np.ndarray,
) -> np.ndarray:
    """(rows,) $ by which named requests cost more than the totals they came from, at most.

    z                  (S, G) named, slot 0
    hot                (rows, G) hot ones of the totals, slot 0
    later, later_hot   (rows, G) totals and hot ones of slot 1, real
    """
    got = np.zeros_like(hot)
    np.add.at(got, kind, np.minimum(z, data.quota))
    size = np.maximum(np.bincount(kind, minlength=len(hot)), 1)[:, None]
    again = np.zeros_like(later_hot)
    np.add.at(again, kind, np.minimum((later / size)[kind], data.hot_permille / 1000 * z))
    saved = np.zeros_like(hot)
    saved[kind] = data.hot_usd
    lost = np.maximum(hot - got, 0) + np.maximum(later_hot - again, 0)
    usd: np.ndarray = (lost * saved).sum(axis=1)
    return usd
