"""From load points to the service time of a class: which point, and what lies between lengths.

For each pair of token lengths that a profile has points of, the point with the most requests per
second among those that meet the targets is taken. A class whose lengths are those of a pair (within
``SAME`` of each) takes its figures; a class between pairs takes the piecewise linear interpolation
of latency and of server time per request over the lengths. Outside their hull nothing is known: the
class is refused, or, where the user asks for it, takes the figures of the nearest pair times

    max(1, input / input of the pair, output / output of the pair).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.profiles.data import LoadPoint, Profile
from torta_opt.io import InvalidInput

SAME = 0.05  # lengths of a benchmark scatter by a few per cent around what was asked for


@dataclass(frozen=True)
class Target:
    """Mean seconds that a load point may take; None: no limit."""

    response_s: float | None = None
    ttft_s: float | None = None
    tpot_s: float | None = None

    def failure(self, point: LoadPoint) -> str:
        """Why a point does not meet the target; empty if it does."""
        limits = (
            ("response", point.latency_s, self.response_s),
            ("time to first token", point.ttft_s, self.ttft_s),
            ("time per output token", point.tpot_s, self.tpot_s),
        )
        for name, found, limit in limits:
            if limit is None:
                continue
            if found is None:
                return f"{name} is not in the profile"
            if found > limit:
                return f"{name} {found:.4g} s > {limit:.4g} s"
        return ""


@dataclass(frozen=True)
class Service:
    """One replica serving one class: the chosen load.

    requests_per_s, latency_s    of one replica
    how                          the load point, or what was done between them
    """

    requests_per_s: float
    latency_s: float
    how: str


def best_point(points: Sequence[LoadPoint], target: Target) -> LoadPoint | None:
    """The point with the most requests per second that meets the target; then the fastest."""
    met = [point for point in points if not target.failure(point)]
    return max(met, key=lambda p: (p.requests_per_s, -p.latency_s)) if met else None


def by_lengths(points: Sequence[LoadPoint]) -> list[list[LoadPoint]]:
    """Points of (nearly) the same token lengths together, in the order of the first of each."""
    groups: list[list[LoadPoint]] = []
    for point in points:
        for group in groups:
            if _same(group[0], point.input_tokens, point.output_tokens):
                group.append(point)
                break
        else:
            groups.append([point])
    return groups


def service_of(
    profile: Profile,
    input_tokens: float,
    output_tokens: float,
    target: Target,
    extrapolate: bool = False,
) -> Service:
    """Service of a class of these lengths. Raises InvalidInput with the reason if there is none."""
    groups = by_lengths(profile.points)
    own = [g for g in groups if _same(g[0], input_tokens, output_tokens)]
    if own:
        chosen = best_point(own[0], target)
        if chosen is None:
            raise InvalidInput(_nearest_miss(own[0], target))
        return Service(chosen.requests_per_s, chosen.latency_s, chosen.source)
    best = [point for g in groups if (point := best_point(g, target)) is not None]
    if not best:
        raise InvalidInput(_nearest_miss(profile.points, target))
    between = _interpolated(best, input_tokens, output_tokens)
    if between is not None:
        return between
    if not extrapolate:
        raise InvalidInput(
            f"{input_tokens:g} tokens in and {output_tokens:g} out lie outside the lengths that "
            f"the profile has ({_lengths(best)}); extrapolate = true scales the nearest"
        )
    return _scaled(best, input_tokens, output_tokens)


def _same(point: LoadPoint, input_tokens: float, output_tokens: float) -> bool:
    return (
        abs(point.input_tokens - input_tokens) <= SAME * point.input_tokens
        and abs(point.output_tokens - output_tokens) <= SAME * point.output_tokens
    )


def _nearest_miss(points: Sequence[LoadPoint], target: Target) -> str:
    lightest = min(points, key=lambda point: point.latency_s)
    return f"no load point meets the target; at the fastest, {target.failure(lightest)}"


def _lengths(points: Sequence[LoadPoint]) -> str:
    names = [f"{p.input_tokens:.6g}/{p.output_tokens:.6g}" for p in points]
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")


def _interpolated(
    points: Sequence[LoadPoint], input_tokens: float, output_tokens: float
) -> Service | None:
    """Figures between the lengths of ``points``; None outside their hull."""
    at = np.array([[p.input_tokens, p.output_tokens] for p in points])
    wanted = np.array([input_tokens, output_tokens])
    weights = _on_line(at, wanted) if _rank(at) < 2 else _in_plane(at, wanted)
    if weights is None:
        return None
    seconds = float(weights @ np.array([1 / p.requests_per_s for p in points]))
    latency = float(weights @ np.array([p.latency_s for p in points]))
    used = [points[i] for i in np.flatnonzero(weights > 1e-9).tolist()]
    return Service(1 / seconds, latency, f"between {_lengths(used)}")


def _rank(at: np.ndarray) -> int:
    """Dimension of the points' hull: 0, 1 or 2."""
    spread = (at - at[0]) / np.maximum(np.abs(at).max(axis=0), 1.0)
    return int(np.linalg.matrix_rank(spread, tol=1e-3))


def _on_line(at: np.ndarray, wanted: np.ndarray) -> np.ndarray | None:
    """Weights of the two points around ``wanted`` on the line through all of them."""
    scale = at.max(axis=0)
    points, goal = at / scale, wanted / scale
    direction = points[np.argmax(np.linalg.norm(points - points[0], axis=1))] - points[0]
    if not direction.any():
        return None
    length = direction @ direction
    place, here = (points - points[0]) @ direction / length, (goal - points[0]) @ direction / length
    if np.linalg.norm(points[0] + here * direction - goal) > SAME:
        return None
    order = np.argsort(place)
    if not place[order[0]] <= here <= place[order[-1]]:
        return None
    weights = np.zeros(len(at))
    right = int(np.clip(np.searchsorted(place[order], here), 1, len(order) - 1))
    low, high = order[right - 1], order[right]
    share = (here - place[low]) / (place[high] - place[low])
    weights[low], weights[high] = 1 - share, share
    return weights


def _in_plane(at: np.ndarray, wanted: np.ndarray) -> np.ndarray | None:
    """Barycentric weights of the triangle of the Delaunay triangulation that holds ``wanted``."""
    from scipy.spatial import Delaunay

    scale = at.max(axis=0)
    mesh = Delaunay(at / scale)
    goal = wanted / scale
    triangle = int(mesh.find_simplex(goal))
    if triangle < 0:
        return None
    transform = mesh.transform[triangle]
    two = transform[:2] @ (goal - transform[2])
    weights = np.zeros(len(at))
    weights[mesh.simplices[triangle]] = [*two, 1 - two.sum()]
    return np.clip(weights, 0.0, None) / np.clip(weights, 0.0, None).sum()


def _scaled(points: Sequence[LoadPoint], input_tokens: float, output_tokens: float) -> Service:
    def away(point: LoadPoint) -> float:
        return abs(math.log(input_tokens / point.input_tokens)) + abs(
            math.log(output_tokens / point.output_tokens)
        )

    near = min(points, key=away)
    factor = max(1.0, input_tokens / near.input_tokens, output_tokens / near.output_tokens)
    how = f"extrapolated from {_lengths([near])} times {factor:.4g}"
    return Service(near.requests_per_s / factor, near.latency_s * factor, how)
