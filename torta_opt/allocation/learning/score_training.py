"""Fit a network that ranks servers to what assignment programs do (``policies.server_scores``).

Examples come from runs of policies with ``micro=program``: in each slot, each server that can take
a class, with the share y = z/room of its time for the class that the program gives it. The network
is fitted to these shares by the cross-entropy

    −Σ_n room_n·( y_n·ln σ(s_n) + (1 − y_n)·ln(1 − σ(s_n)) ),    σ(s) = 1/(1 + e⁻ˢ)

with room_n the share of the region's room, so that a server counts by what it can take. All
examples are used in every step of Adam; the same examples and seed give the same weights on the
same machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.policies.greedy_forecast import GreedyForecast
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.policies.server_scores import FEATURES, ServerScores, score_features
from torta_opt.allocation.policies.slot_task import Slot

WIDTH = 16
RATE = 1e-2
ROOM = FEATURES.index("share of the region's room")


@dataclass(frozen=True, eq=False)
class Examples:
    """Pairs of server and class: (N, F) features, and (N,) shares of their room that are filled."""

    features: np.ndarray
    filled: np.ndarray

    def __add__(self, other: Examples) -> Examples:
        return Examples(
            np.concatenate([self.features, other.features]),
            np.concatenate([self.filled, other.filled]),
        )


class _Watched(GreedyForecast):
    """``greedy_forecast`` with assignment programs, which keeps what they do."""

    def __init__(self) -> None:
        super().__init__(micro="program")
        self.seen: list[Examples] = []

    def _handed_out(self, slot: Slot) -> tuple[np.ndarray, np.ndarray]:
        routing, processing = super()._handed_out(slot)
        self.seen.append(examples_of(self.tables, slot, processing))
        return routing, processing


def examples_of(tables: Tables, slot: Slot, processing: np.ndarray) -> Examples:
    """Examples of one slot, where servers process (S, C)."""
    features = score_features(tables, slot)
    asked = features[:, :, FEATURES.index("requests in the region over its room")] > 0
    use = (features[:, :, ROOM] > 0) & asked
    room = slot.fleet.usable_ms[:, None] // tables.work_ms
    filled = np.divide(processing, room, out=np.zeros(use.shape), where=use)
    return Examples(features[use], np.minimum(filled[use], 1.0))


def examples(instance: Instance) -> Examples:
    """Examples of all slots of an instance. Raises ValueError if there are none."""
    policy = _Watched()
    run(policy, instance)
    found = [each for each in policy.seen if len(each.filled)]
    if not found:
        raise ValueError(f"{instance.name}: no requests meet servers that can take them")
    return sum(found[1:], found[0])


def fit_scores(found: Examples, steps: int, seed: int) -> ServerScores:
    """The network after ``steps`` steps; 0 steps give the untrained one."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        x = torch.tensor(found.features, dtype=torch.float32)
        y = torch.tensor(found.filled, dtype=torch.float32)
        weight = x[:, ROOM] / x[:, ROOM].mean()
        hidden, last = nn.Linear(x.shape[1], WIDTH), nn.Linear(WIDTH, 1)
        straight = nn.Linear(x.shape[1], 1, bias=False)
        weights = [p for layer in (hidden, last, straight) for p in layer.parameters()]
        optimiser = torch.optim.Adam(weights, lr=RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
        for _ in range(steps):
            said = (last(torch.tanh(hidden(x))) + straight(x))[:, 0]
            loss = nn.functional.binary_cross_entropy_with_logits(said, y, weight)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    tensors = (hidden.weight, hidden.bias, last.weight[0], straight.weight[0], last.bias)
    return ServerScores(*(each.detach().double().numpy() for each in tensors))


def cross_entropy(scores: ServerScores, found: Examples) -> float:
    """What ``fit_scores`` makes small, on given examples."""
    said, weight = scores(found.features), found.features[:, ROOM]
    loss = np.logaddexp(0.0, said) - found.filled * said
    return float((weight * loss).sum() / weight.sum())
