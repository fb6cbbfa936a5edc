"""Noise of counts beyond Poisson's: of all cells, of a class, of a region, of a cell.

    N[i,c] ~ Poisson( λ[i,c] · Γ_all · Γ_c · Γ_i · Γ_ic ),   each Γ of mean 1

The variances follow from products of residuals e = N − λ. For cells a ≠ b,

    E[e_a e_b] = λ_a λ_b · (Π(1 + v) − 1)     over the Γ that a and b share,

and for one cell likewise once its count is taken off e². Summed over the pairs of a kind, this
gives one v after the other; estimates below 0 become 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Noise:
    """Variances of the Γ; 0 where there is none.

    all  one number; by_class (C,); by_region (R,); cell (C,) of the cells of each class
    """

    all: float
    by_class: np.ndarray
    by_region: np.ndarray
    cell: np.ndarray

    @classmethod
    def none(cls, regions: int, classes: int) -> Noise:
        return cls(0.0, np.zeros(classes), np.zeros(regions), np.zeros(classes))

    def parts(self) -> tuple[np.ndarray, ...]:
        """Variances of the four Γ, in shapes that broadcast to (R, C)."""
        cell = np.tile(self.cell, (self.by_region.size, 1))
        return np.full((1, 1), self.all), self.by_class[None, :], self.by_region[:, None], cell

    def shared(self) -> np.ndarray:
        """(R·C, R·C) E[Γ…Γ…] − 1 of two cells."""
        regions, classes = self.by_region.size, self.by_class.size
        region, cls = np.divmod(np.arange(regions * classes), classes)
        same_class = np.where(cls[:, None] == cls, self.by_class[cls], 0.0)
        same_region = np.where(region[:, None] == region, self.by_region[region][:, None], 0.0)
        same_cell = np.diag(self.cell[cls])
        return (1 + self.all) * (1 + same_class) * (1 + same_region) * (1 + same_cell) - 1

    def gammas(self, count: int, slots: int, rng: np.random.Generator) -> np.ndarray:
        """(count, slots, R, C) products of gamma Γ, drawn anew in each slot."""
        factor = np.ones((count, slots, self.by_region.size, self.by_class.size))
        for variance in self.parts():
            some = variance > 0
            if some.any():
                shape = 1 / np.where(some, variance, 1.0)
                gamma = rng.gamma(shape, size=(count, slots, *shape.shape)) / shape
                factor *= np.where(some, gamma, 1.0)
        return factor


@dataclass(frozen=True, eq=False)
class Pairs:
    """Sums over slots of x_a·x_b.

    own     (R, C) a = b
    cls     (C,)   the same class in two regions
    region  (R,)   two classes of one region
    unlike         the other pairs
    """

    own: np.ndarray
    cls: np.ndarray
    region: np.ndarray
    unlike: float

    @classmethod
    def of(cls, x: np.ndarray) -> Pairs:
        """Of (slots, R, C)."""
        own = (x**2).sum(axis=0)
        alike = (x.sum(axis=1) ** 2).sum(axis=0) - own.sum(axis=0)
        near = (x.sum(axis=2) ** 2).sum(axis=0) - own.sum(axis=1)
        every = float((x.sum(axis=(1, 2)) ** 2).sum())
        return cls(own, alike, near, every - float(own.sum() + alike.sum() + near.sum()))

    def added(self, other: Pairs, keep: float) -> Pairs:
        """``keep`` times these sums, plus others."""
        return Pairs(
            keep * self.own + other.own,
            keep * self.cls + other.cls,
            keep * self.region + other.region,
            keep * self.unlike + other.unlike,
        )


def variances(residual: Pairs, product: Pairs, counts: np.ndarray) -> Noise:
    """From pairs of residuals, pairs of means, and the summed counts (R, C), weighted alike."""
    regions, classes = counts.shape
    own = residual.own - counts
    level = _ratio(
        residual.unlike + (regions == 1) * residual.region[0] + (classes == 1) * residual.cls[0],
        product.unlike + (regions == 1) * product.region[0] + (classes == 1) * product.cls[0],
    )
    by_class, by_region = np.zeros(classes), np.zeros(regions)
    if regions > 1 and classes > 1:
        by_class = np.maximum((1 + _ratio(residual.cls, product.cls)) / (1 + level) - 1, 0)
        by_region = np.maximum((1 + _ratio(residual.region, product.region)) / (1 + level) - 1, 0)
    explained = (1 + level) * (1 + by_class) * (1 + by_region)[:, None]
    rest = (own - (explained - 1) * product.own).sum(axis=0)
    cell = _ratio(rest, (explained * product.own).sum(axis=0))
    return Noise(float(level), by_class, by_region, cell)


def learned_noise(counts: np.ndarray, means: np.ndarray) -> Noise:
    """From counts and their means (L, R, C): all slots alike, then by how much each one tells."""
    total = means.sum(axis=(1, 2))
    first = _weighted(counts, means, 1 / np.maximum(total, 1e-12))
    return _weighted(counts, means, 1 / np.sqrt(np.maximum(total + first.all * total**2, 1e-12)))


def _weighted(counts: np.ndarray, means: np.ndarray, root: np.ndarray) -> Noise:
    """``root`` (L,) is the root of the weight of each slot."""
    root = root[:, None, None]
    residual, product = Pairs.of((counts - means) * root), Pairs.of(means * root)
    return variances(residual, product, (counts * root**2).sum(axis=0))


def _ratio(value: np.ndarray | float, by: np.ndarray | float) -> Any:
    """value/by, at least 0; 0 where there is nothing to divide by."""
    by = np.asarray(by, float)
    return np.maximum(np.where(by > 0, value / np.where(by > 0, by, 1.0), 0.0), 0.0)
