"""Requests of a ServeGen workload: arrival times from rates, token counts from their laws.

Each client draws from a random stream of its own, named after it. Input and output tokens are drawn
independently. The workload says nothing of the token counts of some clients (in m-large, of clients
with 37 % of the requests): theirs are drawn from those of the others, each as often as it asks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from torta_opt.allocation.instance.imports.arrivals import ClientRates, renewal_times
from torta_opt.allocation.instance.imports.horizon import DEFAULT_SLOTS, Part, given_part
from torta_opt.allocation.instance.imports.importer import Importer, Reading
from torta_opt.allocation.instance.imports.kinds import check_windows
from torta_opt.allocation.instance.imports.rows import Batch, Progress, Tally
from torta_opt.allocation.instance.imports.servegen import Workload, read_servegen
from torta_opt.allocation.instance.imports.token_laws import TokenLaw
from torta_opt.io import InvalidInput
from torta_opt.io.seeds import stream

MAX_REQUESTS = 100_000_000


def choose_part(workload: Workload, slot_ms: int, start_s: float | None, slots: int | None) -> Part:
    """As ``horizon.choose_part``, by expected requests; the busiest part begins with a window."""
    window_s, total = workload.window_s, _total(workload)
    first, end = float(total.start_s[0]), float(total.start_s[-1]) + window_s
    length_ms = round((end - first) * 1000)
    if start_s is not None:
        if start_s * 1000 >= length_ms:
            rule = f"must lie within the trace, which is {length_ms / 1000:.6g} s long"
            raise InvalidInput(rule, field="start_s")
        offset_ms = round(start_s * 1000)
        return given_part(round(first * 1000) + offset_ms, length_ms - offset_ms, slot_ms, slots)
    whole = -(-length_ms // slot_ms)
    wanted = DEFAULT_SLOTS if slots is None else slots
    if whole <= wanted:
        return Part(round(first * 1000), whole, slot_ms)
    span_s = wanted * slot_ms / 1000
    starts = [t for t in total.start_s.tolist() if t + span_s <= end] or [first]
    busiest = max(starts, key=lambda t: (total.expected(window_s, t, t + span_s), -t))
    reason = f"the busiest {wanted} of the trace's {whole} slots"
    return Part(round(busiest * 1000), wanted, slot_ms, reason)


def first_ms(workload: Workload) -> int:
    """When the first window begins."""
    return round(float(_total(workload).start_s[0]) * 1000)


def draw_requests(
    workload: Workload, part: Part, seed: int, tally: Tally, progress: Progress | None = None
) -> Iterator[Batch]:
    """Requests of ``part``, client by client; the same seed draws the same."""
    from pandas.util import hash_array

    _check_size(workload, part)
    model = tally.model(workload.model)
    pool = _Pool(workload, part)
    unknown = total = 0
    for number, (client, rates) in enumerate(sorted(workload.rates.items())):
        rng = stream(seed, f"servegen {client}")
        times = renewal_times(
            rates, workload.window_s, part.start_ms / 1000, part.end_ms / 1000, rng
        )
        if client in workload.tokens:
            tokens = _own_tokens(workload.tokens[client], times, rng)
        else:
            tokens = pool.draw(times, rng)
            unknown += times.size
        total += times.size
        hashed = hash_array(np.array([client], dtype=object))[0]
        yield Batch(
            arrival_ms=np.floor(times * 1000).astype(np.int64),
            input_tokens=tokens[0],
            output_tokens=tokens[1],
            model=np.full(times.size, model),
            client=np.full(times.size, hashed, np.uint64),
        )
        if progress is not None:
            progress(number + 1, len(workload.rates))
    if unknown:
        tally.notes.append(
            f"{unknown / total:.0%} of the requests come from clients without token statistics: "
            "they take the token counts of the other clients"
        )


def _total(workload: Workload) -> ClientRates:
    """All clients as one."""
    starts = np.concatenate([client.start_s for client in workload.rates.values()])
    rates = np.concatenate([client.rate_per_s for client in workload.rates.values()])
    windows, place = np.unique(starts, return_inverse=True)
    return ClientRates(windows, np.bincount(place, weights=rates), np.ones(windows.size))


def _check_size(workload: Workload, part: Part) -> None:
    expected = sum(
        rates.expected(workload.window_s, part.start_ms / 1000, part.end_ms / 1000)
        for rates in workload.rates.values()
    )
    if expected > MAX_REQUESTS:
        raise InvalidInput(
            f"asks for {expected:.3g} requests, more than {MAX_REQUESTS}; take fewer", field="slots"
        )


def _own_tokens(
    laws: list[tuple[float, TokenLaw, TokenLaw]], times: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(input, output) tokens of a client: by the law of the last window that has begun."""
    starts = np.array([start for start, _, _ in laws])
    window = np.maximum(np.searchsorted(starts, times, side="right") - 1, 0)
    tokens = np.zeros((2, times.size), np.int64)
    for w in np.unique(window):
        inside = window == w
        for side in (0, 1):
            tokens[side, inside] = laws[w][1 + side].draw(rng.random(int(inside.sum())))
    return tokens[0], tokens[1]


class _Pool:
    """Token counts of all clients that have some, each as often as it asks in a part."""

    def __init__(self, workload: Workload, part: Part):
        self.laws = [workload.tokens[client] for client in sorted(workload.tokens)]
        start_s, end_s = part.start_ms / 1000, part.end_ms / 1000
        self.share = np.array(
            [
                workload.rates[client].expected(workload.window_s, start_s, end_s)
                if client in workload.rates
                else 0.0
                for client in sorted(workload.tokens)
            ]
        )
        if not self.share.sum() > 0:
            self.share = np.ones(len(self.laws))

    def draw(self, times: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(input, output) tokens of requests at ``times``."""
        cumulative = np.cumsum(self.share / self.share.sum())
        chosen = np.searchsorted(cumulative, rng.random(times.size), side="right")
        chosen = np.minimum(chosen, len(self.laws) - 1)
        tokens = np.zeros((2, times.size), np.int64)
        for donor in np.unique(chosen):
            inside = chosen == donor
            tokens[:, inside] = _own_tokens(self.laws[donor], times[inside], rng)
        return tokens[0], tokens[1]


def _read(path: str | os.PathLike[str], reading: Reading) -> Iterator[Batch]:
    parameters, tally = reading.parameters, reading.tally
    workload = read_servegen(path, tally, parameters.max_bad_share)
    try:
        check_windows(workload.window_s)
    except InvalidInput as error:
        raise error.within(os.fspath(path)) from None
    part = choose_part(workload, parameters.slot_ms, parameters.start_s, parameters.slots)
    reading.part, reading.first_ms = part, first_ms(workload)
    yield from draw_requests(workload, part, reading.seed, tally, reading.progress)


IMPORTER = Importer(
    "ServeGen workload: rates and token counts of clients, from which requests are drawn",
    _read,
    in_folder=True,
)
