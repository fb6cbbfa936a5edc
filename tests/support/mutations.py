"""One random change of a schedule, small enough that it may or may not break a rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.data import Schedule

TABLES = ("routing", "command", "command_model", "processing")


def random_mutation(instance: Instance, schedule: Schedule, rng: np.random.Generator) -> Schedule:
    """Change one cell, move a count, or misplace a command; shapes stay."""
    tables = {name: getattr(schedule, name).copy() for name in TABLES}
    change = _CHANGES[rng.integers(len(_CHANGES))]
    change(instance, tables, rng)
    return replace(schedule, **tables)


Tables = dict[str, np.ndarray]


def _cell(table: np.ndarray, rng: np.random.Generator) -> tuple[int, ...]:
    """A random cell; three times out of four one that holds something."""
    filled = np.argwhere(table)
    if len(filled) and rng.random() < 0.75:
        return tuple(filled[rng.integers(len(filled))].tolist())
    return tuple(int(rng.integers(size)) for size in table.shape)


def _change_count(name: str, tables: Tables, rng: np.random.Generator) -> None:
    tables[name][_cell(tables[name], rng)] += rng.choice([-2, -1, 1, 1, 2, 3])


def _change_routing(instance: Instance, tables: Tables, rng: np.random.Generator) -> None:
    _change_count("routing", tables, rng)


def _change_processing(instance: Instance, tables: Tables, rng: np.random.Generator) -> None:
    _change_count("processing", tables, rng)


def _send_elsewhere(instance: Instance, tables: Tables, rng: np.random.Generator) -> None:
    """Requests of one origin to another region: sums stay right."""
    t, i, j, c = _cell(tables["routing"], rng)
    moved = rng.integers(0, max(tables["routing"][t, i, j, c], 0) + 1)
    tables["routing"][t, i, j, c] -= moved
    tables["routing"][t, i, rng.integers(tables["routing"].shape[2]), c] += moved


def _process_elsewhere(instance: Instance, tables: Tables, rng: np.random.Generator) -> None:
    """Part of one server's work in another slot, on another server or of another class."""
    table = tables["processing"]
    here = _cell(table, rng)
    there = list(here)
    axis = rng.integers(3)
    there[axis] = int(rng.integers(table.shape[axis]))
    moved = rng.integers(0, max(table[here], 0) + 1)
    table[here] -= moved
    table[tuple(there)] += moved


def _process_alike(instance: Instance, tables: Tables, rng: np.random.Generator) -> None:
    """One request more of a class with the model of a class the server processes."""
    t, s, c = _cell(tables["processing"], rng)
    of_model = instance.system.class_model
    alike = np.flatnonzero(of_model == of_model[c])
    tables["processing"][t, s, rng.choice(alike)] += 1


def _change_command(instance: Instance, tables: Tables, rng: np.random.Generator) -> None:
    """Any command, mostly with a model where one belongs."""
    cell = _cell(tables["command"], rng)
    command = int(rng.choice([0, 1, 1, 2, 3, 3, 4, -1]))
    models = len(instance.system.models)
    target = int(rng.integers(models)) if command in (1, 3) else -1
    if rng.random() < 0.15:
        target = int(rng.integers(-2, models + 2))
    tables["command"][cell], tables["command_model"][cell] = command, target


def _change_model(instance: Instance, tables: Tables, rng: np.random.Generator) -> None:
    cell = _cell(tables["command"], rng)
    tables["command_model"][cell] = rng.integers(-1, len(instance.system.models) + 1)


def _move_command(instance: Instance, tables: Tables, rng: np.random.Generator) -> None:
    """A command in another slot or at another server; what stood there comes here."""
    here = _cell(tables["command"], rng)
    axis = rng.integers(2)
    there = list(here)
    there[axis] = int(rng.integers(tables["command"].shape[axis]))
    for name in ("command", "command_model"):
        table = tables[name]
        table[here], table[tuple(there)] = table[tuple(there)], table[here]


_CHANGES = (
    _change_routing,
    _send_elsewhere,
    _change_processing,
    _change_processing,
    _process_elsewhere,
    _process_alike,
    _change_command,
    _change_command,
    _change_model,
    _move_command,
)
