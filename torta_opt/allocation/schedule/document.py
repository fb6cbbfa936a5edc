"""The schedule file: three sparse tables of integers, writable by any tool.

``routing``     columns slot, origin, region, class, requests
``commands``    columns slot, server, command ("start", "stop", "switch"), model (null for stop)
``processing``  columns slot, server, class, requests

Each table is an object of equally long columns; row r of the table is the r-th entry of each
column. Slots, regions, servers, classes and models are positions from 0 in the instance file's
order. Rows may come in any order; what is left out is zero; a cell given twice is refused.
"""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, Field

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.document import instance_sha256
from torta_opt.allocation.instance.rules import MAX_COUNT
from torta_opt.allocation.schedule.data import MAX_FORECAST, NO_MODEL, Command, Schedule
from torta_opt.io import InvalidInput, read_document, write_document
from torta_opt.io.schema import Bulk, Strict, parse

FORMAT = "torta-opt/schedule"
VERSION = 1

Position = Annotated[int, Field(ge=0, le=10**9)]
Requests = Annotated[int, Field(ge=0, le=MAX_COUNT)]
_COMMANDS = {"start": Command.START, "stop": Command.STOP, "switch": Command.SWITCH}
_COMMAND_NAMES = {int(value): name for name, value in _COMMANDS.items()}


class RoutingTable(Strict):
    slot: Bulk[Position]
    origin: Bulk[Position]
    region: Bulk[Position]
    class_: Bulk[Position] = Field(alias="class")
    requests: Bulk[Requests]


class CommandTable(Strict):
    slot: Bulk[Position]
    server: Bulk[Position]
    command: Bulk[Literal["start", "stop", "switch"]]
    model: Bulk[Position | None]


class ProcessingTable(Strict):
    slot: Bulk[Position]
    server: Bulk[Position]
    class_: Bulk[Position] = Field(alias="class")
    requests: Bulk[Requests]


class ScheduleDocument(Strict):
    """A schedule of a torta-opt allocation instance."""

    format: Literal["torta-opt/schedule"]
    version: Literal[1]
    instance: str | None = Field(default=None, description="name of the instance")
    instance_sha256: str | None = Field(default=None, description="hash of the instance")
    method: str = ""
    seed: int | None = None
    slots: int = Field(ge=1)
    routing: RoutingTable
    commands: CommandTable
    processing: ProcessingTable
    forecast: (
        Bulk[Bulk[Annotated[float, Field(allow_inf_nan=False, ge=0, le=MAX_FORECAST)]]] | None
    ) = None


def load_schedule(path: str | os.PathLike[str], instance: Instance) -> Schedule:
    """Read a schedule of ``instance`` (.json or .json.gz). Raises InvalidInput."""
    document = read_document(path, {FORMAT: VERSION})
    try:
        return schedule_from_document(document, instance)
    except InvalidInput as error:
        raise error.within(os.fspath(path)) from None


def save_schedule(schedule: Schedule, path: str | os.PathLike[str]) -> None:
    write_document(path, schedule_to_document(schedule))


def json_schema() -> dict[str, Any]:
    """JSON Schema of the schedule file."""
    schema = ScheduleDocument.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def schedule_from_document(document: dict[str, Any], instance: Instance) -> Schedule:
    entry: ScheduleDocument = parse(ScheduleDocument, document)
    _check_made_for(entry, instance)
    system = instance.system
    slots, regions = instance.slots, len(system.regions)
    classes, servers = len(system.classes), len(system.servers)
    commands = _columns(entry.commands, "commands")
    command, command_model = _command_arrays(commands, (slots, servers), len(system.models))
    forecast = None
    if entry.forecast is not None:
        forecast = as_forecast(entry.forecast, (slots, regions))
    return Schedule(
        routing=_dense(
            _columns(entry.routing, "routing"), "routing", (slots, regions, regions, classes)
        ),
        command=command,
        command_model=command_model,
        processing=_dense(
            _columns(entry.processing, "processing"), "processing", (slots, servers, classes)
        ),
        forecast=forecast,
        method=entry.method,
        seed=entry.seed,
        instance=entry.instance,
        instance_sha256=entry.instance_sha256,
    )


def schedule_to_document(schedule: Schedule) -> dict[str, Any]:
    told = np.argwhere(schedule.command != Command.NONE)
    models = schedule.command_model[tuple(told.T)].tolist()
    return {
        "format": FORMAT,
        "version": VERSION,
        "instance": schedule.instance,
        "instance_sha256": schedule.instance_sha256,
        "method": schedule.method,
        "seed": schedule.seed,
        "slots": schedule.slots,
        "routing": _sparse(schedule.routing, ("slot", "origin", "region", "class")),
        "commands": {
            "slot": told[:, 0].tolist(),
            "server": told[:, 1].tolist(),
            "command": [_COMMAND_NAMES[v] for v in schedule.command[tuple(told.T)].tolist()],
            "model": [None if m == NO_MODEL else m for m in models],
        },
        "processing": _sparse(schedule.processing, ("slot", "server", "class")),
        "forecast": None if schedule.forecast is None else schedule.forecast.tolist(),
    }


def _check_made_for(entry: ScheduleDocument, instance: Instance) -> None:
    if entry.slots != instance.slots:
        raise InvalidInput(f"is {entry.slots}, the instance has {instance.slots}", field="slots")
    if entry.instance_sha256 is not None and entry.instance_sha256 != instance_sha256(instance):
        raise InvalidInput(
            f"is not that of instance {instance.name!r}: the schedule was made for another one",
            field="instance_sha256",
        )


def as_forecast(rows: list[list[float]], shape: tuple[int, int]) -> np.ndarray:
    if len(rows) != shape[0] or any(len(row) != shape[1] for row in rows):
        raise InvalidInput(f"must have {shape[0]} rows of {shape[1]} entries", field="forecast")
    return np.array(rows, dtype=float)


def _columns(table: BaseModel, field: str) -> dict[str, list[Any]]:
    columns = {
        (info.alias or name): getattr(table, name)
        for name, info in type(table).model_fields.items()
    }
    first = next(iter(columns))
    for name, column in columns.items():
        if len(column) != len(columns[first]):
            raise InvalidInput(
                f"has {len(column)} rows, {field}.{first} has {len(columns[first])}",
                field=f"{field}.{name}",
            )
    return columns


def _cells(
    columns: dict[str, list[Any]], names: tuple[str, ...], shape: tuple[int, ...], field: str
) -> np.ndarray:
    """Flat cell number of every row; unknown positions and repeated cells are refused."""
    index = [np.array(columns[name], dtype=np.int64) for name in names]
    for name, positions, size in zip(names, index, shape, strict=True):
        beyond = positions >= size
        if beyond.any():
            row = int(np.argmax(beyond))
            raise InvalidInput(
                f"is {positions[row]}, the instance has {size} (positions 0 to {size - 1})",
                field=f"{field}.{name}[{row}]",
            )
    cells = np.ravel_multi_index(index, shape)
    order = np.argsort(cells, kind="stable")
    repeated = np.flatnonzero(np.diff(cells[order]) == 0)
    if repeated.size:
        row = int(order[repeated[0] + 1])
        raise InvalidInput(f"row {row} repeats an earlier {', '.join(names)}", field=field)
    return cells


def _dense(columns: dict[str, list[Any]], field: str, shape: tuple[int, ...]) -> np.ndarray:
    names = tuple(name for name in columns if name != "requests")
    dense = np.zeros(shape, dtype=np.int64)
    dense.ravel()[_cells(columns, names, shape, field)] = columns["requests"]
    return dense


def _command_arrays(
    columns: dict[str, list[Any]], shape: tuple[int, int], models: int
) -> tuple[np.ndarray, np.ndarray]:
    command = np.zeros(shape, dtype=np.int64)
    command_model = np.full(shape, NO_MODEL, dtype=np.int64)
    cells = _cells(columns, ("slot", "server"), shape, "commands")
    for row, model in enumerate(columns["model"]):
        named = columns["command"][row] != "stop"
        if named != (model is not None):
            rule = "must name a model" if named else "must be null for a stop"
            raise InvalidInput(rule, field=f"commands.model[{row}]")
        if model is not None and model >= models:
            raise InvalidInput(
                f"is {model}, the instance has {models} (positions 0 to {models - 1})",
                field=f"commands.model[{row}]",
            )
    command.ravel()[cells] = [_COMMANDS[name] for name in columns["command"]]
    command_model.ravel()[cells] = [
        NO_MODEL if model is None else model for model in columns["model"]
    ]
    return command, command_model


def _sparse(dense: np.ndarray, names: tuple[str, ...]) -> dict[str, list[int]]:
    index = np.nonzero(dense)
    table = {name: positions.tolist() for name, positions in zip(names, index, strict=True)}
    return {**table, "requests": dense[index].tolist()}
