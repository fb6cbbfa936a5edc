"""What a schedule is: every decision of every slot.

Nothing that follows from the decisions is stored: which requests are hot, how long they wait and
which expire is derived by ``evaluate`` and ``verify`` from the decisions and the instance.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from torta_opt.allocation.instance.rules import as_array
from torta_opt.io.errors import InvalidInput


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
