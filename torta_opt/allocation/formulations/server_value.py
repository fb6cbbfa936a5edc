"""The value of servers at the end of a window, as rows of a linear program.

V(n | f) is the cost that follows a window which ends with n (G,) servers ready; f (F,) are features
of that moment (what demand is expected, how long it goes on), known before the program is solved.
V is convex in n and anything in f, and comes in two kinds:

cuts      V = max_k ( a_k·n + b_k·f + c_k )
network   h₁ = (W₁n + U₁f + d₁)⁺,  h_l = (H_l h_{l−1} + W_l n + U_l f + d_l)⁺,  H_l ≥ 0
          V = w·h_L + s·n + t·f + c,  w ≥ 0

The network is an input-convex neural network (Amos, Xu and Kolter, ICML 2017): what follows a
layer grows with it, so replacing h = (…)⁺ by h ≥ …, h ≥ 0 changes no minimum. Both are then an
*epigraph*: columns y, rows D·y − A·n ≥ r(f), and V = min over y of p·y + s·n + k(f). Only r and k
depend on f, so a program that stays in the solver keeps its matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True, eq=False)
class Epigraph:
    """The rows of a value whose features are given.

    on_servers      (R, G) A
    on_columns      (R, Y) D
    lower           (R,) r
    column_lower    (Y,) least values of y
    column_cost     (Y,) p
    servers_cost    (G,) s
    constant        k
    """

    on_servers: np.ndarray
    on_columns: np.ndarray
    lower: np.ndarray
    column_lower: np.ndarray
    column_cost: np.ndarray
    servers_cost: np.ndarray
    constant: float


class ServerValue(Protocol):
    """V(n | f), convex in n."""

    def __call__(self, servers: np.ndarray, features: np.ndarray) -> float: ...

    def epigraph(self, features: np.ndarray) -> Epigraph: ...


@dataclass(frozen=True, eq=False)
class Cuts:
    """The greatest of affine functions.

    servers (K, G) a, features (K, F) b, constant (K,) c
    """

    servers: np.ndarray
    features: np.ndarray
    constant: np.ndarray

    def __call__(self, servers: np.ndarray, features: np.ndarray) -> float:
        return float((self.servers @ servers + self.features @ features + self.constant).max())

    def epigraph(self, features: np.ndarray) -> Epigraph:
        kinds = self.servers.shape[1]
        return Epigraph(
            on_servers=self.servers,
            on_columns=np.ones((len(self.constant), 1)),
            lower=self.features @ features + self.constant,
            column_lower=np.array([-np.inf]),
            column_cost=np.ones(1),
            servers_cost=np.zeros(kinds),
            constant=0.0,
        )


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer: ``hidden`` (N, N before) H, ``servers`` (N, G) W, ``features`` (N, F) U,
    ``constant`` (N,) d. The first has no H, the last no ⁺ and N = 1."""

    hidden: np.ndarray
    servers: np.ndarray
    features: np.ndarray
    constant: np.ndarray

    def before(self, h: np.ndarray, servers: np.ndarray, features: np.ndarray) -> np.ndarray:
        """(N,) what the ⁺ is taken of."""
        given = self.servers @ servers + self.features @ features + self.constant
        total: np.ndarray = self.hidden @ h + given if h.size else given
        return total


@dataclass(frozen=True, eq=False)
class Network:
    """An input-convex network; every H is ≥ 0."""

    layers: tuple[Layer, ...]

    def __call__(self, servers: np.ndarray, features: np.ndarray) -> float:
        h = np.zeros(0)
        for layer in self.layers[:-1]:
            h = np.maximum(layer.before(h, servers, features), 0.0)
        return float(self.layers[-1].before(h, servers, features)[0])

    def epigraph(self, features: np.ndarray) -> Epigraph:
        *hidden, last = self.layers
        sizes = [len(layer.constant) for layer in hidden]
        first = np.concatenate([[0], np.cumsum(sizes)])
        total = int(first[-1])
        on_columns = np.eye(total)
        for number, layer in enumerate(hidden[1:], start=1):
            rows = slice(first[number], first[number + 1])
            on_columns[rows, first[number - 1] : first[number]] = -layer.hidden
        cost = np.zeros(total)
        cost[first[-2] :] = last.hidden[0]
        return Epigraph(
            on_servers=np.concatenate([layer.servers for layer in hidden]),
            on_columns=on_columns,
            lower=np.concatenate([layer.features @ features + layer.constant for layer in hidden]),
            column_lower=np.zeros(total),
            column_cost=cost,
            servers_cost=last.servers[0],
            constant=float(last.features[0] @ features + last.constant[0]),
        )
