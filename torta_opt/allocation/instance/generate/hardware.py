"""Measured and published figures of GPUs and models; the source stands beside each table.

Sources
  LIB      LLM-Inference-Bench (Argonne), github.com/argonne-lcf/LLM-Inference-Bench @ 4211f5d,
           arXiv 2411.00136: All_results.csv and power_results.csv, vLLM, one GPU
  HELIX    Helix (ASPLOS 2025), github.com/Thesys-lab/Helix-ASPLOS25 @ 148b733:
           simulator/model_manager/llama1_30b, time in ms of one layer by tokens in the batch
  SPLIT    Splitwise, github.com/Mutinifni/splitwise-sim @ 8f99e7d: perf_model.csv, Llama-2-70B,
           tensor parallel 2, 512 tokens in, 128 out
  TORTA    arXiv 2507.10259, Fig. 3: seconds to migrate and to switch models, by GPU
  NVIDIA   data sheets
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """One GPU type.

    memory_gib        memory a process can use (NVIDIA; T4 with ECC on)
    tdp_kw            thermal design power (NVIDIA)
    power_kw          (batch 1, batch 16) while it serves: LIB for A100 and H100 (Llama-2-7B,
                      1024 tokens); V100: the peak of 237 W in TORTA Fig. 3; T4: at its cap;
                      RTX 4090: the A100's share of the design power
    decode_ratio      (batch 1, batch 16) time per token relative to the A100: HELIX at 2 and 16
                      tokens for V100 and T4, SPLIT token_time for H100, memory bandwidth
                      1555 / 1008 GB/s for RTX 4090 (NVIDIA)
    prefill_ratio     time per prompt token relative to the A100: HELIX at 2000 tokens for V100 and
                      T4, SPLIT prompt_time for H100, dense FP16 312 / 165 TFLOPS for RTX 4090
    loading_ratio     loading time relative to the V100: migration totals of TORTA Fig. 3
                      (V100 33.2, RTX 4090 24.7, H100 21.2 s); A100 as the RTX 3090 there (27.4 s,
                      same bus), T4 as the V100 (same bus)
    on_demand_usd     per hour: GCP a2-ultragpu-1g and a3-highgpu-1g in us-central1, 30 Jul 2026
                      (github.com/Cyclenerd/google-cloud-pricing-cost-calculator @ fd66b26); GCP
                      V100 and T4 list price with an n1-standard-8 and an n1-standard-4; RunPod
                      RTX 4090 (2026)
    """

    memory_gib: float
    tdp_kw: float
    power_kw: tuple[float, float]
    decode_ratio: tuple[float, float]
    prefill_ratio: float
    loading_ratio: float
    on_demand_usd: float


GPUS: dict[str, Gpu] = {
    "A100": Gpu(80.0, 0.400, (0.222, 0.293), (1.0, 1.0), 1.0, 27.4 / 33.2, 5.07),
    "H100": Gpu(80.0, 0.700, (0.367, 0.495), (37.0 / 54.8, 42.0 / 65.6), 83.9 / 196.7, 0.64, 11.06),
    "RTX4090": Gpu(24.0, 0.450, (0.250, 0.330), (1.54, 1.54), 1.89, 24.7 / 33.2, 0.60),
    "V100": Gpu(32.0, 0.300, (0.237, 0.237), (2.0, 1.83), 24 / 9, 1.0, 2.86),
    "T4": Gpu(14.75, 0.070, (0.070, 0.070), (4.7 / 0.9, 6.0 / 1.2), 78 / 9, 1.0, 0.54),
}


@dataclass(frozen=True)
class Model:
    """One LLM, weights and cache in FP16.

    parameters        count; weights take two bytes each
    kv_mib            cache per token: 2 · layers · key-value width · 2 bytes
    latency_s         measured seconds of a whole batch, 512 tokens in and out, by GPU, at
                      (batch 1, batch 16): LIB; other GPUs by ``decode_ratio``
    decode_ms         the same as milliseconds per token on the A100, where LIB has no figure:
                      HELIX layer time at 2 and 16 tokens × 60 layers
    """

    parameters: float
    kv_mib: float
    latency_s: dict[str, tuple[float, float]]
    decode_ms: tuple[float, float] | None = None

    @property
    def weights_gb(self) -> float:
        return self.parameters * 2 / 1e9

    @property
    def weights_gib(self) -> float:
        return self.parameters * 2 / 2**30


MODELS: dict[str, Model] = {
    "llama-2-7b": Model(6.738e9, 0.5, {"A100": (6.940, 10.015), "H100": (3.884, 5.446)}),
    "llama-3-8b": Model(8.030e9, 0.125, {"A100": (7.386, 9.185), "H100": (4.027, 5.043)}),
    "llama-30b": Model(32.53e9, 1.523, {}, (0.9 * 60, 1.2 * 60)),
}

MEASURED_TOKENS = 512  # LIB latencies above: tokens in = tokens out
MEASURED_BATCHES = (1, 16)
PREFILL_MS_30B = 9 / 2000 * 60  # A100, per prompt token: HELIX at 2000 tokens, 60 layers
MEMORY_RESERVE_GIB = 0.5  # CUDA context and activations

# TORTA Fig. 3, V100: a model switch is unload 3.5, clean-up 2.1, load 6.8, initialise 14.2,
# reconfigure 3.4 s (30.0 in all); a migrated model also warms up for 5.1 s.
UNLOAD_S, LOAD_S, INITIALISE_S, WARM_UP_S = 3.5 + 2.1, 6.8, 14.2 + 3.4, 5.1
LOAD_OF_GB = 15.44  # Qwen-7B, the model that LOAD_S was measured with
