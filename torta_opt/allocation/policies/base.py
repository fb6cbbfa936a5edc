"""What a policy is: it sees a slot, and decides it.

A policy is any object with the four members of ``Policy``. The runner hands it one ``Observation``
per slot; nothing that happens later can be reached from it. It may have a fifth member,
``deterministic``: True says that the seed changes nothing, so that one run on an instance is all
there is to see. Who does not say so counts as seeded. And it may have a sixth, ``information``, one
of ``INFORMATION``: what its forecasts rest on, beside what it observes. Who does not say so knows
the past alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from torta_opt.allocation.instance.data import System
from torta_opt.allocation.schedule.step import Decision, State
from torta_opt.io.errors import InvalidInput

__all__ = [
    "INFORMATION",
    "PRICE_HOURS",
    "Decision",
    "Observation",
    "Policy",
    "State",
    "information_of",
    "is_deterministic",
]

PRICE_HOURS = 24  # how far ahead electricity prices are known
# What forecasts of demand may rest on, the least first; see docs/forecasts.md.
INFORMATION = ("past", "law", "states", "future")


@dataclass(frozen=True, eq=False)
class Observation:
    """All that a policy may know when it decides slot ``slot``. Arrays are read-only.

    arrivals       (R, C) requests that arrive in this slot
    up             (S,) servers that are up in this slot
    past_arrivals  (slot, R, C) arrivals of the slots before
    past_up        (slot, S) availability in the slots before
    price_ahead    (H, R) $/kWh from this slot on, 24 hours or what is left of the horizon
    state          servers, queues, last processing and routing, as the slot before left them
    """

    slot: int
    arrivals: np.ndarray
    up: np.ndarray
    past_arrivals: np.ndarray
    past_up: np.ndarray
    price_ahead: np.ndarray
    state: State

    @property
    def price(self) -> np.ndarray:
        """(R,) $/kWh in this slot."""
        return self.price_ahead[0]


@runtime_checkable
class Policy(Protocol):
    """An online rule that makes a schedule slot by slot."""

    name: str

    def reset(self, system: System, seed: int) -> None:
        """Forget everything; a new run on ``system`` begins."""

    def decide(self, observation: Observation) -> Decision:
        """The decisions of one slot. Called once per slot, in order."""

    def forecast(self) -> np.ndarray | None:
        """(R,) requests expected in the slot after the one just decided; None if not forecast."""


def is_deterministic(policy: Policy) -> bool:
    """Whether ``policy`` says that it decides the same whatever its seed."""
    return getattr(policy, "deterministic", False) is True


def information_of(policy: Policy) -> str:
    """What the policy's forecasts rest on, one of ``INFORMATION``; "past" if it does not say."""
    said = getattr(policy, "information", INFORMATION[0])
    if said not in INFORMATION:
        known = ", ".join(INFORMATION)
        raise InvalidInput(f"must be one of {known}, found {said!r:.40}", field="information")
    return str(said)
