"""The performance model, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from support.small_placement import build, hosting

from torta_opt.placement.schedule.performance import (
    cache_slots,
    direct_response_ms,
    first_token_prices,
    path_ms,
    prices,
)


def test_response_is_prompt_and_the_tokens_after_the_first():
    instance = build(tokens=(1, 4), prefill=(7.0, 8.0, 9.0))
    network, computation = path_ms(prices(instance), 0, (0, 2), (3, 1))
    assert network == (15 + 3 * 10) + (35 + 3 * 30)
    assert computation == 3 * (7 + 3 * 1) + 1 * (9 + 3 * 3)


def test_decode_prices_all_tokens_and_no_prompt():
    instance = build(tokens=(1, 4))
    assert path_ms(prices(instance, "decode"), 0, (1,), (4,)) == (4 * 20.0, 4 * 4 * 2.0)


def test_first_token_is_the_prompt_alone():
    instance = build(tokens=(1, 4))
    assert path_ms(first_token_prices(instance), 0, (1,), (4,)) == (25.0, 4 * 4.0)


def test_an_unknown_objective_is_refused():
    with pytest.raises(ValueError, match="unknown objective"):
        prices(build(), "energy")


def test_server_to_server_pays_overheads_and_half_a_round_trip_per_link():
    between = np.array([[0.0, 4.0, 6.0], [4.0, 0.0, 8.0], [6.0, 8.0, 0.0]])
    instance = build(between=between, rtt=((8.0, 18.0, 28.0),), tokens=(1, 3))
    network, computation = direct_response_ms(instance, 0, (0, 2), (2, 2))
    token = (10 - 8) + (30 - 28) + (8 + 6 + 28) / 2
    prompt = (15 - 8) + (35 - 28) + (8 + 6 + 28) / 2
    assert network == prompt + 2 * token
    assert computation == 2 * (2 + 2 * 1) + 2 * (6 + 2 * 3)


def test_one_server_alone_is_the_same_either_way():
    instance = build(rtt=((8.0, 18.0, 28.0),), tokens=(1, 3))
    assert direct_response_ms(instance, 0, (1,), (4,)) == path_ms(prices(instance), 0, (1,), (4,))


def test_slots_are_what_memory_is_left_beside_the_blocks():
    instance = build(memory=(47, 40, 60), block_bytes=10, cache=1, tokens=(1, 2))
    assert cache_slots(instance, hosting((0, 4), (0, 0), (1, 3))).tolist() == [2, 0, 10]
