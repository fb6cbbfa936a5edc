"""Servers: which GPUs stand where, how long they take for a request, what they draw and cost.

A server is one GPU and its share of a host. It works on b requests of a class at once, so one
request takes σ seconds and σ/b of the server's time:

    σ[k,c] = b·p[k,m]·in + d[k,m](b)·out          u[k,c] = σ[k,c] / b

with p and d the time of a prompt token and of an output token. The prompts of a batch come first,
while all of it waits, hence b·p. (Splitwise at batch 4: 0.845 s of prompts and 128 · 60.5 ms add up
to the 8.54 s it measures.) Hot requests are alike and share a batch that finds its prompts in the
server's cache, so that part falls away: σʰ = d·out. Their server time counts in full all the same.
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.instance.data import CANNOT_HOLD, INCOMPATIBLE, OFF
from torta_opt.allocation.instance.generate.hardware import (
    GPUS,
    MEASURED_BATCHES,
    MEASURED_TOKENS,
    MEMORY_RESERVE_GIB,
    MODELS,
    PREFILL_MS_30B,
    Gpu,
)
from torta_opt.allocation.instance.generate.loading import loading_times
from torta_opt.allocation.instance.generate.parameters import PaperParameters
from torta_opt.io.seeds import stream


def prefill_ms(gpu: str, model: str) -> float:
    """p: milliseconds per prompt token; compute-bound, so in proportion to the parameters."""
    share = MODELS[model].parameters / MODELS["llama-30b"].parameters
    return PREFILL_MS_30B * share * GPUS[gpu].prefill_ratio


def decode_ms(gpu: str, model: str, batch: int) -> float:
    """d(b): milliseconds per output token of each of b requests, linear in b between figures."""
    return float(np.interp(batch, MEASURED_BATCHES, _measured_decode_ms(gpu, model)))


def _measured_decode_ms(gpu: str, model: str) -> np.ndarray:
    measured = MODELS[model]
    if gpu in measured.latency_s:
        per_token = np.array(measured.latency_s[gpu]) * 1000 / MEASURED_TOKENS
        return per_token - np.array(MEASURED_BATCHES) * prefill_ms(gpu, model)
    if measured.decode_ms is not None:
        on_a100 = np.array(measured.decode_ms)
    else:
        on_a100 = _measured_decode_ms("A100", model)
    return on_a100 * np.array(GPUS[gpu].decode_ratio)


def batch_of(gpu: str, model: str, tokens: int, wanted: int) -> int:
    """Requests of ``tokens`` tokens each that fit into memory at once, at most ``wanted``."""
    free = GPUS[gpu].memory_gib - MEMORY_RESERVE_GIB - MODELS[model].weights_gib
    return max(0, min(wanted, int(free * 1024 / (MODELS[model].kv_mib * tokens))))


def service_tables(parameters: PaperParameters) -> dict[str, np.ndarray]:
    """``service_s``, ``hot_service_s``, ``server_ms``, each (K, C).

    A type cannot serve a class whose request does not fit into memory beside the weights, or takes
    more than a slot of a server's time.
    """
    gpus, models = list(parameters.gpu_counts), list(parameters.model_shares)
    service = np.full((len(gpus), 2 * len(models)), np.nan)
    hot, work = service.copy(), np.full(service.shape, INCOMPATIBLE)
    for k, gpu in enumerate(gpus):
        for c in range(2 * len(models)):
            model = models[c // 2]
            prompt, output = (parameters.tokens_short, parameters.tokens_long)[c % 2]
            batch = batch_of(gpu, model, prompt + output, parameters.batch)
            if batch == 0:
                continue
            output_ms = decode_ms(gpu, model, batch) * output
            total_ms = batch * prefill_ms(gpu, model) * prompt + output_ms
            per_request_ms = int(np.ceil(round(total_ms / batch, 6)))
            if per_request_ms > parameters.slot_ms:
                continue
            work[k, c] = per_request_ms
            service[k, c] = round(total_ms / 1000, 3)
            hot[k, c] = round(output_ms / 1000, 3)
    return {"service_s": service, "hot_service_s": hot, "server_ms": work}


def loading_tables(parameters: PaperParameters) -> dict[str, np.ndarray]:
    """``start_ms``, ``switch_ms``, ``start_usd``, ``switch_usd``, each (K, M).

    As the preset ``loading`` has it (loading.py). In TORTA's, a switch unloads, loads and
    initialises; a start needs a machine first and a warm-up after. The part that moves weights
    grows with them; all of it scales with the GPU.
    """
    gpus, models = list(parameters.gpu_counts), list(parameters.model_shares)
    start = np.full((len(gpus), len(models)), CANNOT_HOLD)
    switch, usd = start.copy(), np.zeros(start.shape)
    shortest = min(sum(parameters.tokens_short), sum(parameters.tokens_long))
    for k, gpu in enumerate(gpus):
        ratio = GPUS[gpu].loading_ratio
        for m, model in enumerate(models):
            if batch_of(gpu, model, shortest, 1) == 0:
                continue
            times = loading_times(
                parameters.loading, MODELS[model].weights_gb, parameters.provision_s, ratio
            )
            switch[k, m], start[k, m] = round(times.switch_s * 1000), round(times.start_s * 1000)
            usd[k, m] = round(MODELS[model].weights_gb * parameters.registry_usd_per_gb, 4)
    return {"start_ms": start, "switch_ms": switch, "start_usd": usd, "switch_usd": usd.copy()}


def power_tables(parameters: PaperParameters) -> dict[str, np.ndarray]:
    """``idle_kw`` and ``peak_kw``, each (K,), at the meter of the building."""
    gpus = [GPUS[name] for name in parameters.gpu_counts]
    idle = [_at_meter(gpu.tdp_kw * parameters.idle_share, parameters) for gpu in gpus]
    peak = [_at_meter(_busy_kw(gpu, parameters), parameters) for gpu in gpus]
    return {"idle_kw": np.minimum(idle, peak), "peak_kw": np.array(peak)}


def _busy_kw(gpu: Gpu, parameters: PaperParameters) -> float:
    return float(np.interp(parameters.batch, MEASURED_BATCHES, gpu.power_kw))


def _at_meter(gpu_kw: float, parameters: PaperParameters) -> float:
    return round((gpu_kw + parameters.host_kw) * parameters.pue, 4)


def rent_table(regions: int, parameters: PaperParameters, seed: int) -> np.ndarray:
    """(R, K) $ per server-hour: a share of the on-demand price, dearer in some regions."""
    spread = stream(seed, "rent").standard_normal(regions) * parameters.rent_spread
    price = np.array([GPUS[name].on_demand_usd for name in parameters.gpu_counts])
    return np.round(np.outer(np.exp(spread), price) * parameters.rent_share, 4)


def place_servers(
    weights: np.ndarray, parameters: PaperParameters, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(server_region, server_type), ordered by region, then type.

    The servers of each type are drawn over the regions in proportion to ``weights``.
    """
    rng = stream(seed, "fleet")
    counts = np.array([rng.multinomial(n, weights) for n in parameters.gpu_counts.values()]).T
    regions, kinds = np.indices(counts.shape)
    repeats = counts.ravel()
    return np.repeat(regions.ravel(), repeats), np.repeat(kinds.ravel(), repeats)


def initial_models(
    server_type: np.ndarray, work: np.ndarray, parameters: PaperParameters, seed: int
) -> np.ndarray:
    """(S,) model that each server is ready with before slot 0, OFF for the rest.

    ``work`` (K, M) is the demand for each model in server time, 0 where a type cannot serve it:
    the ready servers of a type hold the models in these proportions.
    """
    rng = stream(seed, "initial")
    model = np.full(server_type.size, OFF)
    for k in range(work.shape[0]):
        servers = rng.permutation(np.flatnonzero(server_type == k))
        ready = round(parameters.initial_on * servers.size)
        if ready and work[k].sum() > 0:
            model[servers[:ready]] = np.repeat(
                np.arange(work.shape[1]), largest_remainder(work[k], ready)
            )
    return model


def largest_remainder(share: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers in proportion to ``share`` that add up to ``total``."""
    exact = np.round(share / share.sum() * total, 9)
    whole = np.floor(exact).astype(int)
    short = total - whole.sum()
    whole[np.argsort(-(exact - whole), kind="stable")[:short]] += 1
    return whole
