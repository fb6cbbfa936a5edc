"""Requests drawn from ServeGen rates: how many, when, and how long."""

from __future__ import annotations

import numpy as np
import pytest

from torta_opt.allocation.instance.imports import servegen_requests
from torta_opt.allocation.instance.imports.arrivals import ClientRates
from torta_opt.allocation.instance.imports.horizon import Part
from torta_opt.allocation.instance.imports.rows import Batch, Tally
from torta_opt.allocation.instance.imports.servegen import Workload
from torta_opt.allocation.instance.imports.servegen_requests import (
    choose_part,
    draw_requests,
    first_ms,
)
from torta_opt.allocation.instance.imports.token_laws import histogram_law
from torta_opt.io import InvalidInput

WINDOW_S = 600


def workload(**rates: list[float]) -> Workload:
    """Rates by client and window; the client "silent" has no token counts."""
    clients = {
        name: ClientRates(np.arange(len(row)) * float(WINDOW_S), np.array(row), np.ones(len(row)))
        for name, row in rates.items()
    }
    law = {
        name: histogram_law(np.array([100 * (n + 1)]), np.array([1.0]))
        for n, name in enumerate(sorted(set(rates) - {"silent"}))
    }
    tokens = {name: [(0.0, one, one)] for name, one in law.items()}
    return Workload("m", clients, tokens)


def draw(given: Workload, part: Part, seed: int = 0) -> tuple[list[Batch], Tally]:
    tally = Tally()
    return list(draw_requests(given, part, seed, tally)), tally


def test_the_busiest_part_begins_with_a_window() -> None:
    given = workload(a=[1, 1, 9, 8, 1])
    part = choose_part(given, 15_000, None, 2 * WINDOW_S // 15)
    assert (part.start_ms, part.slots) == (2 * WINDOW_S * 1000, 80)
    assert "busiest 80 of the trace's 200 slots" in part.reason
    asked = choose_part(given, 15_000, 30.0, 4)
    assert (asked.start_ms, asked.slots) == (30_000, 4)
    assert choose_part(given, 15_000, None, 200) == Part(first_ms(given), 200, 15_000)
    with pytest.raises(InvalidInput, match="start_s: must lie within the trace, which is 3000 s"):
        choose_part(given, 15_000, 3000.0, None)


def test_rates_are_kept_and_arrivals_lie_within_the_part() -> None:
    given = workload(a=[2, 8], b=[1, 1])
    part = Part(0, 80, 15_000)
    batches, _ = draw(given, part)
    for batch, mean in zip(batches, (6000, 1200), strict=True):
        assert batch.arrival_ms.size == pytest.approx(mean, abs=5 * np.sqrt(mean))
        assert batch.arrival_ms.min() >= 0
        assert batch.arrival_ms.max() < part.end_ms
    late = (batches[0].arrival_ms >= WINDOW_S * 1000).mean()
    assert late == pytest.approx(0.8, abs=0.03)


def test_a_client_draws_the_same_whoever_else_asks() -> None:
    part = Part(0, 40, 15_000)
    alone, _ = draw(workload(a=[1.0]), part)
    beside, _ = draw(workload(a=[1.0], b=[3.0]), part)
    assert (alone[0].arrival_ms == beside[0].arrival_ms).all()
    other, _ = draw(workload(a=[1.0]), part, seed=1)
    assert alone[0].arrival_ms.tolist() != other[0].arrival_ms.tolist()


def test_clients_without_token_counts_take_those_of_the_others_by_their_rates() -> None:
    batches, tally = draw(workload(a=[1.0], b=[3.0], silent=[4.0]), Part(0, 40, 15_000))
    silent = batches[2].input_tokens
    assert set(silent.tolist()) == {100, 200}
    assert (silent == 200).mean() == pytest.approx(0.75, abs=0.05)
    assert any("from clients without token statistics" in note for note in tally.notes)
    assert not draw(workload(a=[1.0]), Part(0, 40, 15_000))[1].notes


def test_more_requests_than_can_be_drawn_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servegen_requests, "MAX_REQUESTS", 100)
    with pytest.raises(InvalidInput, match="slots: asks for 600 requests, more than 100"):
        draw(workload(a=[1.0]), Part(0, 40, 15_000))
