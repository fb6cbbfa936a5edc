"""Fit a network of starts to solved windows (``start_examples``).

    Σ_n huber( (wanted_n − wanted*_n)/a ) + γ·Σ_n huber( (gain_n − gain*_n)/b )

over slots n, a and b the spread of the two. Servers decide, so γ is small. All examples are used in
every step of Adam; the same examples and seed give the same weights on the same machine.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from torta_opt.allocation.learning.start_examples import Examples
from torta_opt.allocation.search.start_network import StartNetwork

WIDTH = 40
GAIN_WEIGHT = 0.2
NOISE = 0.2  # on standardised features: there are few windows and many ways to tell them apart
RATE, DECAY = 3e-3, 3e-2


def fit_network(examples: Examples, steps: int, seed: int) -> StartNetwork:
    """The network after ``steps`` steps; 0 steps give the untrained one."""
    import torch
    from torch import nn

    kinds, size = examples.wanted.shape[1], examples.features.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        spread = np.maximum(examples.features.std(axis=0), 1e-3)
        middle = torch.tensor(examples.features.mean(axis=0), dtype=torch.float32)
        scale = torch.tensor(spread, dtype=torch.float32)
        layers = [nn.Linear(size, WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 2 * kinds)]
        straight = nn.Linear(size, 2 * kinds, bias=False)
        weights = [p for layer in (*layers, straight) for p in layer.parameters()]
        x = (torch.tensor(examples.features, dtype=torch.float32) - middle) / scale
        goal = np.concatenate([examples.wanted, examples.gain], axis=1)
        unit = np.repeat([examples.wanted.std(), examples.gain.std()], kinds)
        y = torch.tensor(goal / unit, dtype=torch.float32)
        share = torch.tensor(np.repeat([1.0, GAIN_WEIGHT], kinds), dtype=torch.float32)
        optimiser = torch.optim.AdamW(weights, lr=RATE, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
        for _ in range(steps):
            seen = x + NOISE * torch.randn(x.shape)
            hidden = torch.relu(layers[1](torch.relu(layers[0](seen))))
            said = layers[2](hidden) + straight(seen)
            errors = nn.functional.smooth_l1_loss(said, y, beta=0.1, reduction="none")
            loss = (errors * share).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        return _network([*layers, straight], middle, scale, unit)


def _network(layers: list[Any], middle: Any, scale: Any, unit: np.ndarray) -> StartNetwork:
    """The weights on features and outputs in their own units: standardising is folded in."""

    def array(tensor: Any) -> np.ndarray:
        found: np.ndarray = tensor.detach().numpy().astype(float)
        return found

    first, second, last, straight = layers
    centre, spread = array(middle), array(scale)
    into, past = array(first.weight) / spread, array(straight.weight) / spread
    return StartNetwork(
        into,
        array(first.bias) - into @ centre,
        array(second.weight),
        array(second.bias),
        array(last.weight) * unit[:, None],
        past * unit[:, None],
        (array(last.bias) - past @ centre) * unit,
    )


def quality(network: StartNetwork, examples: Examples) -> dict[str, float]:
    """Mean absolute errors: of servers by type and model in percent of all servers, and dollars."""
    said = network(examples.features)
    kinds = examples.wanted.shape[1]
    return {
        "servers_percent": float(np.abs(said[:, :kinds] - examples.wanted).sum(axis=1).mean()),
        "wanted_percent": float(examples.wanted.sum(axis=1).mean()),
        "gain_usd": float(np.abs(said[:, kinds:] - examples.gain).mean()),
        "gain_spread_usd": float(examples.gain.std()),
    }
