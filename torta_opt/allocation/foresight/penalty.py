"""Penalties on foresight: dollars that are zero on average for whoever cannot see ahead.

A penalty charges a state of the system in slot t for how much more demand comes than could be
expected in slot t:

    z(a, ω) = Σ_t Σ_h Σ_s β[s, h]·state_s(a, t)·e_{m(s)}(t, h, ω)
    e_m(t, h, ω) = (W_m[t+h] − E[W_m[t+h] | H_t]) / max(1, E[W_m[t+h] | H_t])

state    ready servers by type and model, servers that begin to load a model, requests that wait
W_m[t]   Σ_{c of m} work_c·D[t, c], work_c the least share of a slot that any server takes for a
         request of class c: how many servers the demand for model m fills
H_t      the history up to slot t

A policy that cannot see ahead decides state_s(a, t) from the history up to t, and given that
history e has mean zero: so E[z(π)] = 0 whatever β is. A clairvoyant, who has servers ready just
before demand surprises, pays. β only decides how much (``fit.py``).

In a program, z adds to the costs of columns ready, start, enter and q and changes nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.allocation.instance.data import Instance, System
from torta_opt.io import InvalidInput, sha256_of

SERVERS = ("ready", "start", "enter")  # states by type and model
HORIZONS = (1, 2, 4, 8)


@dataclass(frozen=True, eq=False)
class Penalty:
    """The coefficients of a penalty.

    horizons   (H,) slots ahead of each surprise
    servers    by state ``ready``, ``start``, ``enter``: (K, M, H) dollars per server of type k with
               model m, were the demand for it twice what was expected
    waiting    (C, H) dollars per waiting request, likewise by class
    """

    horizons: tuple[int, ...]
    servers: dict[str, np.ndarray]
    waiting: np.ndarray

    @classmethod
    def of(cls, system: System, vector: np.ndarray, horizons: tuple[int, ...]) -> Penalty:
        """From coefficients in one row, in the order of ``vector``."""
        kinds, models, classes = len(system.types), len(system.models), len(system.classes)
        each, ahead = kinds * models * len(horizons), len(horizons)
        if vector.shape != (size_of(system, horizons),):
            raise InvalidInput(f"must have {size_of(system, horizons)} coefficients", "penalty")
        parts = np.split(vector, [each, 2 * each, 3 * each])
        shaped = [part.reshape(kinds, models, ahead) for part in parts[:3]]
        return cls(
            horizons, dict(zip(SERVERS, shaped, strict=True)), parts[3].reshape(classes, ahead)
        )

    @property
    def vector(self) -> np.ndarray:
        return np.concatenate([*(self.servers[n].ravel() for n in SERVERS), self.waiting.ravel()])

    @property
    def name(self) -> str:
        """A hash of the coefficients."""
        return str(sha256_of(self.to_document()))[:16]

    def to_document(self) -> dict[str, Any]:
        return {"horizons": list(self.horizons), "coefficients": self.vector.tolist()}


def size_of(system: System, horizons: tuple[int, ...]) -> int:
    """How many coefficients a penalty has."""
    servers = len(SERVERS) * len(system.types) * len(system.models)
    return (servers + len(system.classes)) * len(horizons)


def work_slots(system: System) -> np.ndarray:
    """(C,) least share of a slot that any server takes for a request of each class."""
    least = np.where(system.usable_by, system.server_ms, np.iinfo(np.int64).max).min(axis=0)
    share: np.ndarray = least / system.slot_ms
    return share


@dataclass(frozen=True, eq=False)
class Errors:
    """Work that comes beyond what was expected, as a share of it; 0 beyond the horizon.

    kinds      server types of the system
    by_class   (T, H, C) seen from slot t, in slot t + h
    by_model   (T, H, M) the same, classes of a model added up
    """

    kinds: int
    by_class: np.ndarray
    by_model: np.ndarray

    @property
    def horizons(self) -> int:
        return int(self.by_class.shape[1])

    @classmethod
    def of(cls, instance: Instance, expected: np.ndarray, horizons: tuple[int, ...]) -> Errors:
        """``expected`` (T, H, C): E[D[t+h, c] | what is known in slot t], all regions together."""
        system, slots = instance.system, instance.slots
        came = np.zeros(expected.shape)
        for n, ahead in enumerate(horizons):
            known = max(slots - ahead, 0)
            came[:known, n] = instance.arrivals[ahead:].sum(axis=1)
        of_model = system.class_model[:, None] == np.arange(len(system.models))
        work, wanted = (each * work_slots(system) for each in (came, expected))
        by_class = (work - wanted) / np.maximum(wanted, 1.0)
        work, wanted = work @ of_model, wanted @ of_model
        return cls(len(system.types), by_class, (work - wanted) / np.maximum(wanted, 1.0))


def features(program: AllocationProgram, kind: np.ndarray, errors: Errors) -> sparse.csr_array:
    """(columns, coefficients): a penalty adds ``features @ penalty.vector`` dollars to the costs.

    kind   (P,) type of the servers of each pool of the program, as the system numbers types
    """
    columns: list[np.ndarray] = []
    places: list[np.ndarray] = []
    values: list[np.ndarray] = []
    kinds, models, ahead = errors.kinds, errors.by_model.shape[2], np.arange(errors.horizons)
    first = 0
    for name in SERVERS:
        t, p, m = program.columns[name].index.T
        place = first + (kind[p] * models + m)[:, None] * len(ahead) + ahead
        number = program.columns[name].number[t, p, m]
        columns.append(np.broadcast_to(number[:, None], place.shape).ravel())
        places.append(place.ravel())
        values.append(errors.by_model[t, :, m].ravel())
        first += kinds * models * len(ahead)
    t, _, c = program.columns["q"].index.T
    place = first + c[:, None] * len(ahead) + ahead
    number = program.columns["q"].number[tuple(program.columns["q"].index.T)]
    columns.append(np.broadcast_to(number[:, None], place.shape).ravel())
    places.append(place.ravel())
    values.append(errors.by_class[t, :, c].ravel())
    entries = np.concatenate(values), (np.concatenate(columns), np.concatenate(places))
    size = first + errors.by_class.shape[2] * len(ahead)
    return sparse.csr_array(entries, shape=(len(program.cost), size))
