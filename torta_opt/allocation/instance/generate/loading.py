"""How long a server takes to load a model: presets, by the size of its weights.

With W the weights in GB (10⁹ bytes), all in seconds:

    cluster-2026        start 60 + 1.5·W + (50 + 0.35·W),    switch 1.5·W + (50 + 0.35·W)
    cluster-2026-warm   start 60 + (45 + 0.165·W),           switch 45 + 0.165·W
    torta               start 60 + load + 22.7,              switch 5.6 + load + 17.6;
                        load = 6.8·W/15.44

60 s: machine and container (the generator's). 1.5 s/GB: download; Llama-3-70B (141 GB) took 196 to
216 s on 4 H100 and Qwen3-235B (472 GB) 682 to 724 s on 8 (Anyscale, replica_initialization). The
engine (read, compile, capture, profile) took 45 s for 7 B on an A100 (MLSys 2026 start-up study),
94 s for Qwen3-32B on an H100 (vllm-cold-start-playground), 108 s for the 70 B and 203 s for the
235 B model above; warm, with weights on a local disk and a compile cache, 66 s and 166 s. In sum a
start of 8 B takes 140 s, of 32 B 230 s, of 70 B 371 s: operators report 2 to 8 minutes, and BLIS's
autoscaler setting has 240 ± 30 s for one H100. ``torta`` is TORTA Fig. 3, V100
(generate/hardware.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from torta_opt.allocation.instance.generate.hardware import (
    INITIALISE_S,
    LOAD_OF_GB,
    LOAD_S,
    UNLOAD_S,
    WARM_UP_S,
)


@dataclass(frozen=True)
class LoadingTimes:
    """Seconds from the command to the first request."""

    start_s: float
    switch_s: float


def _cluster(weights_gb: float, provision_s: float, ratio: float) -> LoadingTimes:
    switch = 1.5 * weights_gb + 50.0 + 0.35 * weights_gb
    return LoadingTimes(provision_s + switch, switch)


def _warm(weights_gb: float, provision_s: float, ratio: float) -> LoadingTimes:
    switch = 45.0 + 0.165 * weights_gb
    return LoadingTimes(provision_s + switch, switch)


def _torta(weights_gb: float, provision_s: float, ratio: float) -> LoadingTimes:
    load = LOAD_S * weights_gb / LOAD_OF_GB
    switch = ratio * (UNLOAD_S + load + INITIALISE_S)
    return LoadingTimes(provision_s + ratio * (load + INITIALISE_S + WARM_UP_S), switch)


PRESETS = {"torta": _torta, "cluster-2026": _cluster, "cluster-2026-warm": _warm}


def loading_times(
    preset: str, weights_gb: float, provision_s: float = 60.0, ratio: float = 1.0
) -> LoadingTimes:
    """Times of a model under a preset; ``ratio``, the GPU's in TORTA, counts only there."""
    return PRESETS[preset](weights_gb, provision_s, ratio)
