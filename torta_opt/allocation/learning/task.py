"""The learning task: reward, episodes and the micro layer that carries out the actions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torta_opt.io import InvalidInput

REWARDS = ("cost", "paper")


@dataclass(frozen=True)
class Task:
    """The learning task.

    reward          ``cost`` or ``paper``
    smooth_weight   λ1 of (3)
    queue_weight    λ2 of (3)
    episode_slots   slots of an episode; None: the whole horizon
    settle_slots    an episode that begins later than slot 0 is preceded by this many slots under
                    A_t = P_t, so that it does not begin with a cold fleet
    forecaster      a name of ``policies.forecasters``; the micro layer plans by it
    micro           parameters of ``torta_ot`` for the micro layer
    """

    reward: str = "cost"
    smooth_weight: float = 1.0
    queue_weight: float = 1.0
    episode_slots: int | None = None
    settle_slots: int = 10
    forecaster: str = "smoothed"
    micro: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.reward not in REWARDS:
            raise InvalidInput(f"must be one of {', '.join(REWARDS)}", field="reward")
        for name in ("smooth_weight", "queue_weight"):
            if not 0 <= getattr(self, name) <= 1e6:
                raise InvalidInput("must be a number in [0, 1e6]", field=name)
        if self.episode_slots is not None and self.episode_slots < 1:
            raise InvalidInput("must be at least 1", field="episode_slots")
        if self.settle_slots < 0:
            raise InvalidInput("must be at least 0", field="settle_slots")
