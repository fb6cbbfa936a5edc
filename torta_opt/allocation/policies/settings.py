"""What every policy of ours shares, and a user may set: ``create("skylb:safety=3:rule=all")``."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from torta_opt.io import InvalidInput

RULES = ("demand", "all", "none")
MICRO = ("greedy", "learned", "program", "routed")


@dataclass(frozen=True)
class Settings:
    """Forecast and server activation, the same for all policies unless told otherwise.

    smoothing       a of the forecast F ← F + a·(D − F)
    rule            which servers are on: ``demand`` as many as Eq. (6) asks for; ``all`` that are
                    up; ``none`` starts, stops and switches nothing
    safety          σ of Eq. (6): demand is taken as F + σ√F per region
    gradual         at most this share of a region's servers (at least one) starts or switches in a
                    slot, and as many stop
    horizon_slots   how long a server is expected to be used: what starting it costs is spread
                    over so many slots where servers are compared
    patience_slots  slots in a row in which a server must not be needed before it is stopped; null:
                    as many as it costs to start it again (the break-even rule of ski rental)
    micro           how the servers of a region get its requests: ``greedy`` by the policy's own
                    rule; ``learned`` in the order that a small network gives them
                    (``server_scores``); ``program`` by the assignment program
                    (``program_dispatch``); ``routed`` by the same, after a program that routes too
                    (``program_routing``)
    micro_weights   file or name of the network's weights; those of ``models/`` if left out
    micro_slots     slots that these programs look ahead beyond the one decided
    micro_seconds   seconds that they may take in a slot; then the best so far is the decision, the
                    greedy one at the least. null: they are limited by work alone, so that the same
                    run gives the same schedule on every machine
    """

    smoothing: float = 0.4
    rule: str = "demand"
    safety: float = 1.0
    gradual: float = 0.25
    horizon_slots: float = 40.0
    patience_slots: int | None = None
    micro: str = "greedy"
    micro_weights: str | None = None
    micro_slots: int = 2
    micro_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise InvalidInput(f"must be one of {', '.join(RULES)}", field="rule")
        if self.micro not in MICRO:
            raise InvalidInput(f"must be one of {', '.join(MICRO)}", field="micro")
        if not isinstance(self.micro_weights, str | None):
            raise InvalidInput("must be a file or a name", field="micro_weights")
        check_number("micro_slots", self.micro_slots, 0, 100)
        if self.micro_slots != int(self.micro_slots):
            raise InvalidInput(f"must be a whole number, found {self.micro_slots!r}", "micro_slots")
        if self.micro_seconds is not None:
            check_number("micro_seconds", self.micro_seconds, 0, 1e6)
        check_number("smoothing", self.smoothing, 0, 1)
        check_number("safety", self.safety, 0, 1e6)
        check_number("gradual", self.gradual, 0, 1)
        check_number("horizon_slots", self.horizon_slots, 1, 1e6)
        if self.patience_slots is not None:
            check_number("patience_slots", self.patience_slots, 0, 1e6)

    @property
    def limits(self) -> tuple[int, float]:
        """Slots that programs look ahead, and seconds that they may take in a slot."""
        seconds = math.inf if self.micro_seconds is None else float(self.micro_seconds)
        return int(self.micro_slots), seconds

    @classmethod
    def of(cls, **given: Any) -> Settings:
        """Defaults with some replaced; an unknown name is refused."""
        known = [field.name for field in dataclasses.fields(cls)]
        for name in given:
            if name not in known:
                raise InvalidInput(f"is not a parameter; shared ones: {', '.join(known)}", name)
        return cls(**given)


def check_number(name: str, value: object, low: float, high: float) -> None:
    """A parameter must be a number in [low, high]. Raises InvalidInput."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InvalidInput(f"must be a number in [{low:g}, {high:g}], found {value!r}", field=name)


def check_share(name: str, value: object) -> None:
    """A parameter must be a number in [0, 1]."""
    check_number(name, value, 0, 1)
