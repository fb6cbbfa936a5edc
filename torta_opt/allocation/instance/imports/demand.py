"""Requests of a trace by slot, origin and class.

A class is a model, a range of input tokens and a range of output tokens. What counts later is the
mean of each: service times are linear in tokens, so the work of a class is kept exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.instance.imports.counts import Counts
from torta_opt.allocation.instance.imports.horizon import Part
from torta_opt.allocation.instance.imports.parameters import ImportParameters
from torta_opt.allocation.instance.imports.rows import Batch
from torta_opt.allocation.instance.imports.spool import Spool
from torta_opt.allocation.instance.rules import MAX_CLASSES, MAX_COUNT
from torta_opt.io import InvalidInput
from torta_opt.io.seeds import stream

MAX_CELLS = 2e8  # slots × regions × classes


@dataclass(frozen=True)
class TokenClass:
    """Requests alike in model and length; token counts are means."""

    name: str
    model: str
    input_tokens: float
    output_tokens: float
    requests: int


@dataclass(frozen=True, eq=False)
class Demand:
    """How often each class is asked for.

    counts     (T, R, C), or (T, 1, C) where requests are not yet spread over regions
    classes    those that occur
    """

    counts: np.ndarray
    classes: tuple[TokenClass, ...]


@dataclass(frozen=True)
class Bins:
    """Ranges of token counts: of the first, up to edges[0] tokens; of the last, more than all."""

    noun: str
    edges: tuple[int, ...]

    @property
    def size(self) -> int:
        return len(self.edges) + 1

    def of(self, tokens: np.ndarray) -> np.ndarray:
        """(n,) range that each count lies in."""
        return np.searchsorted(self.edges, tokens, side="left")

    def name(self, position: int) -> str:
        """As in in0-512, in513-2048, in2049+."""
        low = self.edges[position - 1] + 1 if position else 0
        high = f"-{self.edges[position]}" if position < len(self.edges) else "+"
        return f"{self.noun}{low}{high}"


def count_demand(
    spool: Spool,
    part: Part,
    parameters: ImportParameters,
    models: Sequence[str],
    region_share: np.ndarray | None,
    seed: int,
    origin_region: np.ndarray | None = None,
) -> Demand:
    """Requests of ``part`` by slot, origin and class.

    ``models`` are the names of the trace's models. With ``region_share`` (R,) each client asks
    from one region, drawn by these shares; with ``origin_region`` beside it, each request from the
    region of the origin that the trace names.
    """
    counter = _Counter(spool, part, parameters, models, region_share, seed, origin_region)
    for batch in spool.batches(part.start_ms, part.end_ms):
        counter.add(batch)
    return counter.demand()


def bins_of(spool: Spool, part: Part, parameters: ImportParameters) -> tuple[Bins, Bins]:
    """Ranges of input and of output tokens; quantiles that fall together make one edge."""
    seen = Counts(), Counts()
    for batch in spool.batches(part.start_ms, part.end_ms):
        seen[0].add(batch.input_tokens)
        seen[1].add(batch.output_tokens)
    if seen[0].total == 0:
        raise InvalidInput("holds no request", field="this part of the trace")
    edges = []
    for side, noun in ((0, "input"), (1, "output")):
        given = getattr(parameters, f"{noun}_edges")
        if given is None:
            quantiles = getattr(parameters, f"{noun}_quantiles")
            cuts = sorted({seen[side].quantile(share) for share in quantiles})
            given = tuple(cut for cut in cuts if cut < seen[side].values[-1])
        edges.append(tuple(int(edge) for edge in given))
    return Bins("in", edges[0]), Bins("out", edges[1])


def spread(counts: np.ndarray, region_share: np.ndarray, seed: int) -> np.ndarray:
    """(T, R, C): every request of (T, 1, C) comes from a region drawn by ``region_share`` (R,)."""
    if counts.shape[1] > 1 or region_share.size == 1:
        return counts
    drawn = stream(seed, "origins").multinomial(counts[:, 0, :], region_share)
    return np.moveaxis(drawn, -1, 1)


def scaled(counts: np.ndarray, factor: float, seed: int) -> np.ndarray:
    """Each request ⌊factor⌋ times, and once more with the probability that is left."""
    if factor == 1:
        return counts
    whole = int(factor)
    result = whole * counts + stream(seed, "scaling").binomial(counts, factor - whole)
    if result.max() > MAX_COUNT:
        raise InvalidInput(f"leads to more than {MAX_COUNT} requests in a slot", field="load")
    return result


def region_of(client: np.ndarray, region_share: np.ndarray, seed: int) -> np.ndarray:
    """(n,) region of each client: the same for the same client and seed."""
    mixed = client.astype(np.uint64) + np.uint64(stream(seed, "clients").integers(2**63))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # splitmix64
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed = mixed ^ (mixed >> np.uint64(31))
    uniform = (mixed >> np.uint64(11)).astype(np.float64) / 2**53
    place = np.searchsorted(np.cumsum(region_share / region_share.sum()), uniform, side="right")
    return np.minimum(place, region_share.size - 1)


class _Counter:
    def __init__(
        self,
        spool: Spool,
        part: Part,
        parameters: ImportParameters,
        models: Sequence[str],
        region_share: np.ndarray | None,
        seed: int,
        origin_region: np.ndarray | None,
    ):
        self.part, self.share, self.seed = part, region_share, seed
        self.origin_region = origin_region
        self.inputs, self.outputs = bins_of(spool, part, parameters)
        self.rng = stream(seed, "models")
        self.models, self.known, self.drawn, self.drawn_share = _models(parameters, models)
        grid = len(self.models) * self.inputs.size * self.outputs.size
        if grid > MAX_CLASSES:
            raise InvalidInput(f"give {grid} classes, more than {MAX_CLASSES}", field="edges")
        self.shape = (part.slots, 1 if region_share is None else region_share.size, grid)
        if np.prod(self.shape, dtype=float) > MAX_CELLS:
            rule = f"give more than {MAX_CELLS:g} cells, {' × '.join(map(str, self.shape))}"
            raise InvalidInput(rule, field="slots, regions and classes")
        self.counts = np.zeros(self.shape, np.int64)
        self.tokens = np.zeros((2, grid))

    def add(self, batch: Batch) -> None:
        grid = self._class(batch)
        slot = (batch.arrival_ms - self.part.start_ms) // self.part.slot_ms
        origin: np.ndarray | int = 0
        if self.origin_region is not None:
            assert batch.origin is not None
            origin = self.origin_region[batch.origin]
        elif self.share is not None:
            assert batch.client is not None
            origin = region_of(batch.client, self.share, self.seed)
        cell = (slot * self.shape[1] + origin) * self.shape[2] + grid
        self.counts += np.bincount(cell, minlength=self.counts.size).reshape(self.shape)
        for side, tokens in enumerate((batch.input_tokens, batch.output_tokens)):
            self.tokens[side] += np.bincount(grid, weights=tokens, minlength=self.shape[2])

    def demand(self) -> Demand:
        requests = self.counts.sum(axis=(0, 1))
        occurring = np.flatnonzero(requests)
        means = self.tokens[:, occurring] / requests[occurring]
        classes = tuple(
            TokenClass(
                *self._name(int(c)), float(means[0, i]), float(means[1, i]), int(requests[c])
            )
            for i, c in enumerate(occurring)
        )
        return Demand(self.counts[:, :, occurring], classes)

    def _class(self, batch: Batch) -> np.ndarray:
        """(n,) position in models × input ranges × output ranges."""
        model = self._model(batch)
        row = model * self.inputs.size + self.inputs.of(batch.input_tokens)
        return row * self.outputs.size + self.outputs.of(batch.output_tokens)

    def _model(self, batch: Batch) -> np.ndarray:
        """(n,) position of the model: the one that stands for the trace's, or a drawn one."""
        level = np.searchsorted(self.drawn_share, self.rng.random(batch.arrival_ms.size), "right")
        drawn = self.drawn[np.minimum(level, self.drawn.size - 1)]
        if batch.model is None or self.known.size == 0:
            return drawn
        known = self.known[batch.model]
        return np.where(known >= 0, known, drawn)

    def _name(self, c: int) -> tuple[str, str]:
        rest, output = divmod(c, self.outputs.size)
        model, prompt = divmod(rest, self.inputs.size)
        parts = (self.models[model], self.inputs.name(prompt), self.outputs.name(output))
        return "/".join(parts), self.models[model]


def _models(
    parameters: ImportParameters, in_trace: Sequence[str]
) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Names of all models; position by model of the trace, −1 to draw; drawn positions, levels."""
    given = {name.strip().lower(): model for name, model in parameters.model_map.items()}
    stand_ins = [given.get(name.lower()) for name in in_trace]
    shares = {model: share for model, share in parameters.model_shares.items() if share > 0}
    used = {model for model in stand_ins if model}
    names = [*shares, *sorted(used - set(shares))]
    known = np.array([names.index(m) if m else -1 for m in stand_ins], dtype=np.int64)
    drawn = np.arange(len(shares))
    levels = np.cumsum(list(shares.values())) / sum(shares.values())
    return names, known, drawn, levels
