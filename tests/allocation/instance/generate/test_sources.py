"""The figures of the generators against the public data sets they were read off.

The data sets are not part of the project: without them these tests skip.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from support.real_data import real_data

from torta_opt.allocation.instance.generate.hardware import GPUS, MODELS, PREFILL_MS_30B
from torta_opt.allocation.instance.generate.parameters import PaperParameters
from torta_opt.allocation.instance.generate.prices import ZONES

# Hours by which columns of the electricity prices lie late.
CONVERTED_TWICE = {"US-CAL-CISO": 8, "US-MIDA-PJM": 5, "US-NY-NYIS": 5}
BENCH = {"llama-2-7b": "meta-llama/Llama-2-7b-hf", "llama-3-8b": "meta-llama/Meta-Llama-3-8B"}


@pytest.mark.parametrize("model", BENCH)
@pytest.mark.parametrize("gpu", ["A100", "H100"])
def test_latencies_are_those_of_llm_inference_bench(gpu: str, model: str) -> None:
    table = pd.read_csv(real_data("llm_inference_bench/All_results.csv"))
    rows = table[
        (table["Hardware"] == f"Nvidia {gpu} GPU")
        & (table["Num of Hardware"] == 1)
        & (table["Framework"] == "vLLM")
        & (table["Model"] == BENCH[model])
        & (table["Input Output Length"] == 512)
    ].set_index("Batch Size")["Latency"]
    assert MODELS[model].latency_s[gpu] == pytest.approx((rows[1], rows[16]), abs=5e-4)


@pytest.mark.parametrize("gpu", ["A100", "H100"])
def test_power_is_that_of_llm_inference_bench(gpu: str) -> None:
    table = pd.read_csv(real_data("llm_inference_bench/power_results.csv")).dropna(how="all")
    rows = table[
        (table["Hardware"] == f"Nvidia {gpu} GPU")
        & (table["Num of Hardware"] == 1)
        & (table["Framework"] == "vLLM")
        & (table["Model"] == BENCH["llama-2-7b"])
    ].set_index("Batch Size")["avg_power"]
    assert GPUS[gpu].power_kw == pytest.approx((rows[1] / 1e6, rows[16] / 1e6), abs=6e-4)


def helix(gpu: str, phase: str) -> dict[int, float]:
    """Milliseconds of a layer by tokens in the batch."""
    name = f"helix_asplos25/simulator/model_manager/llama1_30b/{gpu}/{phase}_bs2time.csv"
    rows = pd.read_csv(real_data(name), header=None)
    return dict(zip(rows[0], rows[1], strict=True))


def test_layer_times_are_those_of_helix() -> None:
    decode, prompt = helix("a100", "decode"), helix("a100", "prompt")
    assert MODELS["llama-30b"].decode_ms == pytest.approx((decode[2] * 60, decode[16] * 60))
    assert pytest.approx(prompt[2000] / 2000 * 60) == PREFILL_MS_30B
    for gpu in ("V100", "T4"):
        slower = helix(gpu.lower(), "decode")
        ratios = slower[2] / decode[2], slower[16] / decode[16]
        assert GPUS[gpu].decode_ratio == pytest.approx(ratios, rel=0.01)
        ratio = helix(gpu.lower(), "prompt")[2000] / prompt[2000]
        assert GPUS[gpu].prefill_ratio == pytest.approx(ratio)


def test_h100_against_a100_is_that_of_splitwise() -> None:
    table = pd.read_csv(real_data("splitwise_sim/perf_model.csv"))
    rows = table[
        (table["model"] == "llama2-70b")
        & (table["tensor_parallel"] == 2)
        & (table["prompt_size"] == 512)
        & (table["token_size"] == 128)
    ]
    mean = rows.groupby(["hardware", "batch_size"])[
        ["prompt_time", "token_time", "e2e_time"]
    ].mean()
    ratio = mean.loc["h100-80gb"] / mean.loc["a100-80gb"]
    h100 = GPUS["H100"]
    expected = ratio.loc[1, "token_time"], ratio.loc[16, "token_time"]
    assert h100.decode_ratio == pytest.approx(expected, rel=0.01)
    assert h100.prefill_ratio == pytest.approx(ratio.loc[1, "prompt_time"], rel=0.01)
    # prompts of the batch, then its tokens: how a request's time is put together
    four = mean.loc["a100-80gb", 4]
    assert four["prompt_time"] + 128 * four["token_time"] == pytest.approx(
        four["e2e_time"], rel=0.02
    )


def test_prices_of_gpus_and_their_spread() -> None:
    name = "gpu_prices/gcp_gpu_machine_prices_2026-07-30.csv"
    table = pd.read_csv(real_data(name))
    for gpu, machine in (("A100", "a2-ultragpu-1g"), ("H100", "a3-highgpu-1g")):
        rows = table[table["machine_type"] == machine].set_index("region")["hour_usd"]
        assert GPUS[gpu].on_demand_usd == pytest.approx(rows["us-central1"], abs=0.01)
        spread = rows.std() / rows.mean()
        assert PaperParameters().rent_spread == pytest.approx(spread, abs=0.01)
    a100 = table[table["machine_type"] == "a2-ultragpu-1g"]
    spot = (a100["hour_spot_usd"] / a100["hour_usd"]).median()
    assert PaperParameters().rent_share == pytest.approx(spot, abs=0.01)


def test_price_of_moving_weights_and_requests() -> None:
    table = pd.read_csv(real_data("skyplane_profiles/cost.csv"))
    home = table[table["src"] == "aws:us-east-1"]
    away = home[home["dest"].str.startswith("gcp:")]["cost"]
    assert PaperParameters().registry_usd_per_gb == away.median()
    inside = home[home["dest"].str.startswith("aws:") & (home["dest"] != "aws:us-east-1")]["cost"]
    assert PaperParameters().egress_usd_per_gb == inside.median()


def test_zones_are_those_of_2024() -> None:
    path = real_data("sustaincluster/electricity_prices_2024_hourly_usd_per_mwh.csv")
    table = pd.read_csv(path, parse_dates=["datetime_utc"]).set_index("datetime_utc")
    assert set(table.columns) == set(ZONES)
    for name, zone in ZONES.items():
        price = table[name].dropna().clip(-50, 500)
        assert zone.usd_per_mwh == pytest.approx(price.mean(), abs=0.06)
        hour = price.index.hour + price.index.minute / 60 + zone.longitude / 15
        hour = hour - CONVERTED_TWICE.get(name, 0)
        for harmonic in (1, 2):
            amplitude, peak = zone.wave[2 * harmonic - 2 : 2 * harmonic]
            turn = np.exp(2j * np.pi * harmonic * hour.to_numpy() / 24)
            found = 2 * np.mean((price / price.mean() - 1) * turn)
            ours = amplitude * np.exp(2j * np.pi * harmonic * peak / 24)
            assert abs(found - ours) < 0.03, name


def test_shared_prefixes_of_mooncake() -> None:
    """Of the 512-token blocks of the conversation trace, 37 % were seen before."""
    seen: set[int] = set()
    blocks = repeated = 0
    with real_data("mooncake_fast25/conversation_trace.jsonl").open() as lines:
        for line in lines:
            for block in json.loads(line)["hash_ids"]:
                blocks += 1
                repeated += block in seen
                seen.add(block)
    assert PaperParameters().hot_permille / 1000 == pytest.approx(repeated / blocks, abs=0.02)
