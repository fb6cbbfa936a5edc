"""Frames of decisions become the schedule that they came from, or an error that names the cell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.tiny import random_feasible_schedule, random_tiny_instance

import torta_opt
from torta_opt.io import InvalidInput

TABLES = ("routing", "commands", "processing")


def test_there_and_back() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        instance = random_tiny_instance(rng)
        schedule = random_feasible_schedule(instance, rng)
        frames = {name: schedule.to_frame(instance, name) for name in TABLES}
        frames["commands"] = frames["commands"].replace({"model": {"": None}})  # as CSV is read
        back = torta_opt.Schedule.from_frames(instance, frames, "mine")
        for name in ("routing", "command", "command_model", "processing"):
            assert np.array_equal(getattr(back, name), getattr(schedule, name)), name
        assert back.method == "mine"
        assert torta_opt.verify(instance, back).ok


@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        ("routing", {"origin": "nowhere"}, r"row 1, origin: 'nowhere' is not a name"),
        ("routing", {"requests": 0.5}, "row 1, requests: 0.5 must be a whole number"),
        ("routing", {"requests": -1}, "must be a whole number from 0"),
        ("routing", {"requests": "3"}, "'3' must be a whole number from 0"),
        ("routing", {"requests": float("inf")}, "inf must be a whole number"),
        ("routing", {"requests": 10**30}, "must be a whole number from 0 to"),
        ("routing", {"class": 7}, "row 1, class: 7 is not a name"),
        ("processing", {"slot": 99}, "row 1, slot: 99 must be below 5"),
        ("commands", {"command": "begin"}, "'begin' is not a name"),
        ("commands", {"slot": None}, "lacks the column 'slot'"),
        ("queues", {}, "'queues' is not a table of decisions"),
    ],
)
def test_what_is_wrong_is_named(table: str, change: dict[str, Any], message: str) -> None:
    instance = torta_opt.generate("small/loading")
    schedule = torta_opt.solve(instance, "greedy_forecast").schedule
    frames = {name: schedule.to_frame(instance, name) for name in (*TABLES, "queues")}
    frame = frames[table].astype(object)
    for title, value in change.items():
        frame[title] = value
        frame = frame.drop(columns=title) if value is None else frame
    with pytest.raises(InvalidInput, match=message):
        torta_opt.Schedule.from_frames(instance, {table: frame})


def test_two_commands_to_a_server_are_refused() -> None:
    import pandas as pd

    instance = torta_opt.generate("small/loading")
    row = {"slot": 0, "server": instance.system.servers[0], "command": "stop", "model": ""}
    with pytest.raises(InvalidInput, match="row 2, command: is the second command"):
        torta_opt.Schedule.from_frames(instance, {"commands": pd.DataFrame([row, row])})
    with pytest.raises(InvalidInput, match="is a list, not a DataFrame"):
        torta_opt.Schedule.from_frames(instance, {"commands": []})  # type: ignore[dict-item]
