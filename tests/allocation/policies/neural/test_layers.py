"""TORTA's networks: shapes, heads and their anchor."""

from __future__ import annotations

import pytest
import torch

from torta_opt.allocation.policies.neural.layers import ForecastNetwork, PolicyNetwork, ValueNetwork


def state_of(last: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return torch.cat([torch.zeros(5), last.flatten(), target.flatten()])[None]


@pytest.mark.parametrize("head", ["beta", "softmax"])
def test_untrained_is_smoothed_transport(head):
    torch.manual_seed(0)
    last, target = torch.rand(3, 3).softmax(1), torch.rand(3, 3).softmax(1)
    network = PolicyNetwork(5 + 18, 3, head, smoothing=2.0)
    found = network.act(state_of(last, target))[0]
    assert torch.allclose(found, (target + 2 * last) / 3, atol=1e-5)


@pytest.mark.parametrize("head", ["beta", "softmax"])
def test_samples_become_shares(head):
    torch.manual_seed(0)
    network = PolicyNetwork(5 + 18, 3, head)
    state = state_of(torch.eye(3), torch.eye(3))
    spread = network.distribution(state)
    latent = spread.sample()
    shares = network.shares(latent)
    assert shares.shape == (1, 3, 3)
    assert torch.allclose(shares.sum(dim=2), torch.ones(1, 3), atol=1e-6)
    assert torch.isfinite(spread.log_prob(latent.clamp(1e-6, 1 - 1e-6))).all()


def test_shares_that_are_only_the_floor_are_dropped():
    network = PolicyNetwork(5 + 18, 3)
    assert torch.equal(network.act(state_of(torch.eye(3), torch.eye(3)))[0], torch.eye(3))


def test_value_and_forecast():
    assert ValueNetwork(7)(torch.zeros(4, 7)).shape == (4,)
    found = ForecastNetwork(3)(torch.randn(2, 5, 3, 3))
    assert found.shape == (2, 3)
    assert (found >= 0).all()


def test_unknown_head():
    with pytest.raises(ValueError, match="head must be one of"):
        PolicyNetwork(5, 1, "tail")
