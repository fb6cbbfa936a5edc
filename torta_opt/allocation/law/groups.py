"""Groups of cells that a fitted law follows: all requests, each class, each region, each cell."""

from __future__ import annotations

import itertools

import numpy as np

KINDS = ("all", "class", "region", "cell")


def sums(cells: np.ndarray) -> np.ndarray:
    """(…, R, C) → (…, 1 + C + R) sums over all, classes and regions."""
    by_class, by_region = cells.sum(axis=-2), cells.sum(axis=-1)
    return np.concatenate([by_region.sum(axis=-1, keepdims=True), by_class, by_region], axis=-1)


def grouped(cells: np.ndarray) -> np.ndarray:
    """(…, R, C) → (…, G) of all groups: the sums, then the cells, G = 1 + C + R + R·C."""
    return np.concatenate([sums(cells), cells.reshape(*cells.shape[:-2], -1)], axis=-1)


def relative(counts: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """X of ``counts`` (…, R, C): 1 for groups that nothing is ``expected`` (…, G) of."""
    some = expected > 0
    return np.where(some, grouped(counts) / np.where(some, expected, 1.0), 1.0)


def mixed(states: np.ndarray, weight: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(…, R, C) w₁·S_all + w₂·S_c + w₃·S_i + w₄·S_ic."""
    regions, classes = shape
    cells = 1 + classes + regions
    of_all, of_class = states[..., :1, None], states[..., None, 1 : 1 + classes]
    of_region = states[..., 1 + classes : cells, None]
    of_cell = states[..., cells:].reshape(*states.shape[:-1], regions, classes)
    return weight[0] * of_all + weight[1] * of_class + weight[2] * of_region + weight[3] * of_cell


def filtered(
    observed: np.ndarray, memory: np.ndarray, gain: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """(L, G) states before each slot, from X of (L, G)."""
    states = np.empty(observed.shape)
    for kind, part in enumerate(parts(shape)):
        keep = memory[kind] - gain[kind]
        states[:, part] = 1 + recursion(gain[kind] * (observed[:, part] - 1), keep)
    return states


def recursion(inflow: np.ndarray, keep: float) -> np.ndarray:
    """s of the shape of ``inflow``: s[0] = 0, s[t+1] = keep·s[t] + inflow[t]."""
    from scipy.signal import lfilter

    return np.asarray(lfilter([0.0, 1.0], [1.0, -keep], inflow, axis=0))


def parts(shape: tuple[int, int]) -> list[slice]:
    """Where the groups of each kind lie among all G."""
    regions, classes = shape
    ends = np.cumsum([0, 1, classes, regions, regions * classes])
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(ends)]
