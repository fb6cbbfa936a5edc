"""What a schedule is: every decision of every slot.

Nothing that follows from the decisions is stored: which requests are hot, how long they wait and
which expire is derived by ``evaluate`` and ``verify`` from the decisions and the instance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from torta_opt.allocation.instance.rules import as_array
from torta_opt.io.errors import InvalidInput
from torta_opt.io.text import html_table, one_line

if TYPE_CHECKING:
    import pandas as pd

    from torta_opt.allocation.instance.data import Instance


class Command(IntEnum):
    """The command to a server at the start of a slot."""

    NONE = 0
    START = 1
    STOP = 2
    SWITCH = 3


NO_MODEL = -1
MAX_FORECAST = 1e15  # requests of a slot; far above what arrivals add up to, and sums stay finite


@dataclass(frozen=True, eq=False)
class Schedule:
    """An allocation schedule: decisions over T slots, R regions, S servers and C classes.

    Parameters
    ----------
    routing
        (T, R, R, C) x[t,i,j,c], requests of class c that are routed from origin i to region j.
    command
        (T, S) a value of ``Command``: none, start, stop or switch.
    command_model
        (T, S) index of the model of a start or switch; −1 otherwise.
    processing
        (T, S, C) z[t,s,c], requests of class c that server s processes.
    forecast
        (T, R) arrivals of slot t that the method expected one slot before, at most
        ``MAX_FORECAST``; None if the method makes no forecast.
    method, seed
        How the schedule was made.
    instance, instance_sha256
        The instance that it was made for; None if the tool that wrote it did not say.

    Raises
    ------
    InvalidInput
        If an array does not hold whole numbers, or the forecast is out of range. Whether the
        decisions keep the rules of an instance is what ``verify`` says.

    Examples
    --------
    >>> import numpy as np, torta_opt
    >>> idle = torta_opt.Schedule(  # nothing is routed, started or processed
    ...     routing=np.zeros((5, 2, 2, 1), int),
    ...     command=np.zeros((5, 2), int),
    ...     command_model=np.full((5, 2), -1),
    ...     processing=np.zeros((5, 2, 1), int),
    ... )
    >>> torta_opt.verify(torta_opt.generate("small/loading"), idle).ok  # requests are not routed
    False
    """

    routing: np.ndarray
    command: np.ndarray
    command_model: np.ndarray
    processing: np.ndarray
    forecast: np.ndarray | None = None
    method: str = ""
    seed: int | None = None
    instance: str | None = None
    instance_sha256: str | None = None

    def __post_init__(self) -> None:
        for field in ("routing", "command", "command_model", "processing"):
            object.__setattr__(self, field, as_array(getattr(self, field), int, field))
        if self.forecast is not None:
            forecast = as_array(self.forecast, float, "forecast")
            if not ((forecast >= 0) & (forecast <= MAX_FORECAST)).all():
                raise InvalidInput(f"must hold numbers from 0 to {MAX_FORECAST:g}", "forecast")
            object.__setattr__(self, "forecast", forecast)

    @property
    def slots(self) -> int:
        return self.routing.shape[0]

    def to_frame(self, instance: Instance, table: str = "costs") -> pd.DataFrame:
        """What the schedule does on its instance, as a data frame with one row for each cell.

        Parameters
        ----------
        instance
            The instance that the schedule belongs to.
        table
            ``costs``: dollars by slot, component, region and class (region and class are empty for
            a component that has none). ``queues``: requests routed to a region, served, waiting and
            expired, by slot, region and class. ``servers``: servers ready and loading, by slot,
            region, type and model. ``commands``: starts, stops and switches. ``routing``: requests
            by slot, origin, region and class. ``processing``: requests by slot, server and class.
            ``responses``: served requests by slot of departure, region and class, with network,
            wait and service time in seconds and the target.

        Raises
        ------
        InvalidInput
            If there is no such table.

        Examples
        --------
        >>> import torta_opt
        >>> instance = torta_opt.generate("small/loading")
        >>> result = torta_opt.solve(instance, "greedy_forecast")
        >>> frame = result.schedule.to_frame(instance, "costs")
        >>> round(float(frame["usd"].sum()), 3) == round(result.cost, 3)
        True
        """
        from torta_opt.allocation.schedule import frames

        return frames.to_frame(instance, self, table)

    @classmethod
    def from_frames(
        cls, instance: Instance, frames: Mapping[str, pd.DataFrame], method: str = "own"
    ) -> Schedule:
        """The schedule whose decisions stand in data frames: the reverse of ``to_frame``.

        Parameters
        ----------
        instance
            The instance that the schedule is for.
        frames
            ``routing``, ``commands`` and ``processing``, with the columns that ``to_frame`` gives
            them; further columns are left alone, and a missing table decides nothing. Several rows
            for one cell of requests add up.
        method
            The name of your scheduler.

        Raises
        ------
        InvalidInput
            If a column is missing or a value is not of the instance; the message names frame, row
            (counted from 1) and column. Whether the decisions keep the rules, ``verify`` says.

        Examples
        --------
        >>> import torta_opt
        >>> instance = torta_opt.generate("small/loading")
        >>> theirs = torta_opt.solve(instance, "greedy_forecast").schedule
        >>> tables = ("routing", "commands", "processing")
        >>> frames = {name: theirs.to_frame(instance, name) for name in tables}
        >>> own = torta_opt.Schedule.from_frames(instance, frames)
        >>> torta_opt.evaluate(instance, own).cost == torta_opt.evaluate(instance, theirs).cost
        True
        """
        from torta_opt.allocation.schedule.from_frames import from_frames

        return from_frames(instance, frames, method)

    def _size(self) -> dict[str, str]:
        slots, servers = self.command.shape
        return {
            "method": self.method or "unknown",
            "slots": f"{slots}",
            "servers": f"{servers:,}",
            "requests processed": f"{int(self.processing.sum()):,}",
            "commands": f"{int((self.command != Command.NONE).sum()):,}",
        }

    def __repr__(self) -> str:
        return one_line(self._title, self._size())

    def _repr_html_(self) -> str:
        return html_table(self._title, self._size())

    @property
    def _title(self) -> str:
        return f"Schedule of {self.instance or 'an instance'}"
