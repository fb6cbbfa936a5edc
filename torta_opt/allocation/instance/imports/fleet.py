"""Servers for the classes of a trace: how long they take, how many there are, where they stand.

The figures and their linear model are the generator's (generate/fleet.py, generate/hardware.py);
here a class is given by its mean token counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.instance.data import INCOMPATIBLE
from torta_opt.allocation.instance.generate import fleet
from torta_opt.allocation.instance.generate.parameters import PaperParameters
from torta_opt.allocation.instance.imports.demand import TokenClass
from torta_opt.allocation.instance.imports.parameters import DEFAULT_LOAD, ImportParameters
from torta_opt.io import InvalidInput
from torta_opt.io.seeds import stream

SERVERS_PER_REGION = 2  # the least that a fleet has on average, unless the user says otherwise
MAX_SERVERS = 20_000


@dataclass(frozen=True)
class Size:
    """Servers of each type, and copies of each request."""

    gpu_counts: dict[str, int]
    demand_factor: float


def service_tables(
    classes: Sequence[TokenClass], gpus: Sequence[str], paper: PaperParameters
) -> dict[str, np.ndarray]:
    """``service_s``, ``hot_service_s``, ``server_ms``, each (K, C); see generate/fleet.py.

    With b requests at once, σ = b·p·in + d(b)·out, u = σ/b and σʰ = d(b)·out.
    """
    shape = (len(gpus), len(classes))
    service, hot = np.full(shape, np.nan), np.full(shape, np.nan)
    work = np.full(shape, INCOMPATIBLE)
    for k, gpu in enumerate(gpus):
        for c, kind in enumerate(classes):
            tokens = int(np.ceil(kind.input_tokens + kind.output_tokens))
            batch = fleet.batch_of(gpu, kind.model, tokens, paper.batch)
            if batch == 0:
                continue
            output_ms = fleet.decode_ms(gpu, kind.model, batch) * kind.output_tokens
            prompts_ms = batch * fleet.prefill_ms(gpu, kind.model) * kind.input_tokens
            total_ms = prompts_ms + output_ms
            per_request_ms = max(1, int(np.ceil(round(total_ms / batch, 6))))
            if per_request_ms <= paper.slot_ms:
                work[k, c] = per_request_ms
                service[k, c] = round(total_ms / 1000, 3)
                hot[k, c] = round(output_ms / 1000, 3)
    return {"service_s": service, "hot_service_s": hot, "server_ms": work}


def usable_gpus(
    classes: Sequence[TokenClass],
    parameters: ImportParameters,
    paper: PaperParameters,
    priced: set[str] | None = None,
) -> list[str]:
    """Types of the fleet; of the default fleet, those ``priced`` that can serve some class.

    Raises InvalidInput for a class that no type can serve.
    """
    gpus = list(paper.gpu_counts)
    if priced is not None and parameters.gpu_counts is None:
        gpus = [gpu for gpu in gpus if gpu in priced]
    able = service_tables(classes, gpus, paper)["server_ms"] != INCOMPATIBLE
    present = np.array([paper.gpu_counts[gpu] > 0 for gpu in gpus])
    served = (able & present[:, None]).any(axis=0)
    if not served.all():
        kind = classes[int(np.argmin(served))]
        raise InvalidInput(
            f"requests of class {kind.name} (mean {kind.input_tokens:.0f} tokens in, "
            f"{kind.output_tokens:.0f} out) fit no GPU of the fleet with {kind.model}, or take "
            f"longer than a slot of {paper.slot_ms} ms: choose another model, GPU or slot_seconds",
            field="model_shares or model_map",
        )
    if parameters.gpu_counts is not None:
        return gpus
    return [gpu for k, gpu in enumerate(gpus) if able[k].any()]


def choose_size(
    parameters: ImportParameters,
    gpu_counts: dict[str, int],
    load_on: Callable[[dict[str, int]], float],
    regions: int,
) -> Size:
    """Fleet and demand; ``load_on`` is the load of the demand as it is on a fleet.

    Two of fleet, demand factor and load fix the third. By default the demand stays as it is and the
    fleet follows from the load; but a fleet has at least 2 servers per region, and at most as many
    as the generator's: at these bounds the demand is scaled to the load.
    """
    wanted = DEFAULT_LOAD if parameters.load is None else parameters.load
    factor = parameters.demand_factor
    if parameters.gpu_counts is not None:
        return Size(gpu_counts, wanted / load_on(gpu_counts) if factor is None else float(factor))
    exact = sum(gpu_counts.values()) * load_on(gpu_counts) * (factor or 1.0) / wanted
    needed = int(np.ceil(round(exact, 9)))
    if factor is not None:
        if needed > MAX_SERVERS:
            rule = f"needs {needed} servers at load {wanted:g}, more than {MAX_SERVERS}"
            raise InvalidInput(rule, field="demand_factor")
        return Size(_in_proportion(gpu_counts, needed), float(factor))
    least = SERVERS_PER_REGION * regions
    most = max(sum(PaperParameters().gpu_counts.values()), least)
    chosen = _in_proportion(gpu_counts, min(max(needed, least), most))
    return Size(chosen, 1.0 if least <= needed <= most else wanted / load_on(chosen))


def place_servers(
    counts: Sequence[int], weights: np.ndarray, is_offered: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(server_region, server_type), ordered by region, then type.

    The servers of type k are drawn over the regions that have it (R, K) in proportion to
    ``weights`` (R,).
    """
    rng = stream(seed, "fleet")
    placed = np.zeros(is_offered.shape, int)
    for k, count in enumerate(counts):
        share = weights * is_offered[:, k]
        if count and not share.sum() > 0:
            raise InvalidInput("leave a GPU type without any region", field="gpu_prices")
        if count:
            placed[:, k] = rng.multinomial(count, share / share.sum())
    region, kind = np.indices(placed.shape)
    return np.repeat(region.ravel(), placed.ravel()), np.repeat(kind.ravel(), placed.ravel())


def target_seconds(service_s: np.ndarray, kind: np.ndarray, slo_factor: float) -> np.ndarray:
    """(C,) whole seconds: a multiple of the mean service time over the servers that can serve."""
    servers = np.bincount(kind, minlength=service_s.shape[0])[:, None]
    able = ~np.isnan(service_s) * servers
    mean_s = np.nansum(service_s * servers, axis=0) / np.maximum(able.sum(axis=0), 1)
    return np.ceil(np.round(mean_s * slo_factor, 6))


def server_names(
    regions: Sequence[str], types: Sequence[str], region: np.ndarray, kind: np.ndarray
) -> tuple[str, ...]:
    """Region, type and a count from 1, as in "Chicago-A100-2"."""
    count: dict[tuple[int, int], int] = {}
    names = []
    for pair in zip(region.tolist(), kind.tolist(), strict=True):
        count[pair] = count.get(pair, 0) + 1
        names.append(f"{regions[pair[0]]}-{types[pair[1]]}-{count[pair]}")
    return tuple(names)


def _in_proportion(gpu_counts: dict[str, int], servers: int) -> dict[str, int]:
    """About ``servers`` in these proportions; at least one of each type."""
    shares = np.array(list(gpu_counts.values()), dtype=float)
    counts = np.maximum(fleet.largest_remainder(shares, servers), 1)
    return dict(zip(gpu_counts, counts.tolist(), strict=True))
