"""A small valid file of every kind that the package reads and does not write itself."""

from __future__ import annotations

import json
from typing import Any

VLLM: dict[str, Any] = {
    "model_id": "m",
    "backend": "vllm",
    "num_prompts": 100,
    "completed": 100,
    "failed": 0,
    "max_concurrency": 32,
    "request_rate": "inf",
    "total_input_tokens": 100_000,
    "total_output_tokens": 25_000,
    "request_throughput": 4.0,
    "mean_ttft_ms": 300.0,
    "mean_tpot_ms": 20.0,
    "mean_e2el_ms": 5280.0,
}
AICONFIGURATOR = (
    "model,isl,osl,concurrency,ttft,tpot,request_latency,seq/s,seq/s/gpu,num_total_gpus,"
    "backend,system\nm,4000,500,56,327.317,28.635,14616.2,3.831,0.958,4,vllm,h100_sxm\n"
)
GUIDELLM = {
    "metadata": {"version": 2},
    "benchmarks": [
        {
            "config": {
                "strategy": {"type_": "constant", "rate": 5.0},
                "backend": {"model": "m"},
            },
            "metrics": {
                "requests_per_second": {"successful": {"mean": 5.0}},
                "request_latency": {"successful": {"mean": 2.0}},
                "time_to_first_token_ms": {"successful": {"mean": 200.0}},
                "inter_token_latency_ms": {"successful": {"mean": 18.0}},
                "prompt_token_count": {"successful": {"mean": 512.0}},
                "output_token_count": {"successful": {"mean": 101.0}},
                "request_concurrency": {"successful": {"mean": 10.0}},
                "request_totals": {"successful": 100},
            },
        }
    ],
}
INFERENCE_PERF = {
    "load_summary": {"requested_rate": 10.0},
    "successes": {
        "count": 600,
        "latency": {
            "request_latency": {"mean": 1.5},
            "time_to_first_token": {"mean": 0.1},
            "time_per_output_token": {"mean": 0.014},
        },
        "throughput": {"requests_per_sec": 8.0},
        "prompt_len": {"mean": 200.0},
        "output_len": {"mean": 101.0},
    },
    "failures": {"count": 3},
}
AIBRIX = {
    "gpu": "simulator-m",
    "cost": 1.0,
    "tputs": [[8.0, 4.0], [5.0, 0.0]],
    "indexes": [[16, 64], [128, 512]],
    "e2e": [[0.2, 0.4], [0.7, 9.0]],
    "slos": {"percentile": 99, "e2e": 5.0},
}
PLANNER = {
    "benchmarks": [
        {
            "model_hf_repo": "m",
            "hardware": "H100",
            "hardware_count": 2,
            "framework": "vllm",
            "prompt_tokens": 512,
            "output_tokens": 256,
            "ttft_mean": 20.0,
            "itl_mean": 10.0,
            "e2e_mean": 2570.0,
            "requests_per_second": 3.0,
            "responses_per_second": 2.9,
        }
    ]
}
INFERNO = {
    "models": [
        {
            "name": "m",
            "acc": "2xL4",
            "accCount": 2,
            "maxBatchSize": 16,
            "atTokens": 512,
            "decodeParms": {"alpha": 20.0, "beta": 0.5},
            "prefillParms": {"gamma": 100.0, "delta": 0.01},
        }
    ]
}
INFERENCEX = [
    {
        "hardware": "h200",
        "framework": "trt",
        "model": "dsr1",
        "precision": "fp8",
        "disagg": False,
        "decode_tp": 8,
        "num_prefill_gpu": 64,
        "num_decode_gpu": 64,
        "isl": 1000,
        "osl": 1000,
        "conc": 8,
        "metrics": {
            "mean_e2el": 10.0,
            "mean_ttft": 0.2,
            "mean_tpot": 0.0098,
            "tput_per_gpu": 200.0,
            "output_tput_per_gpu": 100.0,
        },
    }
]

AIPERF = {
    "request_throughput": {"unit": "requests/sec", "avg": 5.0},
    "request_latency": {"unit": "ms", "avg": 2000.0},
    "time_to_first_token": {"unit": "ms", "avg": 200.0},
    "inter_token_latency": {"unit": "ms", "avg": 18.0},
    "input_sequence_length": {"unit": "tokens", "avg": 512.0},
    "output_sequence_length": {"unit": "tokens", "avg": 101.0},
    "effective_concurrency": {"unit": "requests", "avg": 10.0},
    "request_count": {"unit": "requests", "avg": 100.0},
    "error_request_count": {"unit": "requests", "avg": 1.0},
    "input_config": {
        "models": {"items": [{"name": "m"}]},
        "phases": [{"kind": "warmup"}, {"kind": "profiling", "concurrency": 10}],
    },
}


def as_bytes(*seeds: Any) -> list[bytes]:
    """Texts as they are, everything else as JSON."""
    return [(each if isinstance(each, str) else json.dumps(each)).encode() for each in seeds]


PROFILES: dict[str, list[bytes]] = {
    "aiconfigurator": as_bytes(AICONFIGURATOR),
    "vllm": as_bytes(VLLM, [VLLM, {**VLLM, "max_concurrency": 64, "mean_e2el_ms": 9e3}]),
    "guidellm": as_bytes(GUIDELLM),
    "inference_perf": as_bytes(INFERENCE_PERF),
    "aibrix": as_bytes(AIBRIX),
    "llmd_planner": as_bytes(PLANNER),
    "inferno": as_bytes(INFERNO),
    "inferencex": as_bytes(INFERENCEX),
    "aiperf": as_bytes(AIPERF),
}
PRICES: dict[str, list[bytes]] = {
    "plain": as_bytes("region,type,usd_per_server_hour\nus-east-1,4xH100,11\n"),
    "skypilot": as_bytes(
        "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Price,Region,GpuInfo,"
        "SpotPrice\none,H100,1,16,200,3.00,eu-west-1,,1.25\ncpu,,0,4,16,0.1,eu-west-1,,\n"
    ),
    "aws": as_bytes(
        "region,instance_type,on_demand_usd_per_hour\nus-east-1,p5.48xlarge,55.04\n"
        "us-east-1,g6.12xlarge,4.6016\n"
    ),
    "azure": as_bytes(
        "region,vm_size,gpu_in_name,on_demand_usd_per_hour\n"
        "eastus,Standard_NC80adis_H100_v5,H100,14\n"
    ),
    "google": as_bytes(
        "machine_type,region,hour_usd,hour_spot_usd,attrs\n"
        "a3-highgpu-8g,us-central1,88.49,30.0,h100-80gb=8;cpu=208\n"
    ),
    "ec2instances": as_bytes(
        [
            {
                "instance_type": "p5.48xlarge",
                "pricing": {"us-east-1": {"linux": {"ondemand": "55.04", "spot_avg": "20"}}},
            }
        ]
    ),
}
TABLES: dict[str, list[bytes]] = {
    "electricity": as_bytes(
        "utc,east,west\n2024-01-01 01:00:00,-20,1000\n2024-01-01 00:00:00,1,\n"
    ),
    "rents": as_bytes(
        "region,type,usd_per_hour\nus-west2,A100,5\nus-east1,T4,0.5\n",
        "machine_type,region,hour_usd,hour_spot_usd,attrs\na2-1g,us-east1,6,2,a100-80gb=1;cpu=12\n",
    ),
    "latency": as_bytes(
        "from,a,b,c\na,0,10,20\nb,30,1,\nc,40,50,0\n",
        "origin,region,latency_ms\na,b,10\nb,a,30\nb,b,1\n",
        "src_region,src_tier,dst_region,dst_tier,avg_rtt\na,PREMIUM,b,PREMIUM,20\nb,PREMIUM,a,PREMIUM,6\n",
    ),
}
GML = as_bytes(
    'graph [\n  node [ id 0 label "A" Longitude 1.5 Latitude 2.5 ]\n'
    '  node [ id 1 label "B" Longitude 3 Latitude 4 ]\n  edge [ source 0 target 1 ]\n]\n',
    'graph [ node [ id 0 name "A" pos 1 pos 2 ] node [ id 1 ] node [ id 2 lon 1 lat 2 ]\n'
    "edge [ source 0 target 1 ] edge [ source 1 target 0 ] edge [ source 1 target 2 ] ]\n",
)
GRAPHML = as_bytes(
    '<?xml version="1.0"?><graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
    '<key id="d0" for="node" attr.name="Longitude" attr.type="double"/>'
    '<key id="d1" for="node" attr.name="Latitude" attr.type="double"/>'
    '<graph edgedefault="undirected"><node id="a"><data key="d0">1</data><data key="d1">2</data>'
    '</node><node id="b"/><edge source="a" target="b"/></graph></graphml>'
)
GENERALIZED = as_bytes(
    {"cost": [[1, 2], [3, 4]], "req": [[1, 1], [2, 2]], "cap": [3, 3]},
    "1\n2 2\n1 2\n3 4\n1 1\n2 2\n3 3\n",
)
NETWORK = as_bytes(
    "NODES 3\nlabel x y\n0_A -77.0 38.8\n1_B -74.0 40.7\n2_C 1.5 2.5\n\n"
    "EDGES 2\nlabel src dest weight bw delay\nedge_0 0 1 1 1000000 1457\nedge_1 1 2 1 1000000 7\n"
)
GROWTH = {
    "growth": "bench_rolling",
    "title": "Windows",
    "size": "slots",
    "machine": {"processor": "p"},
    "curves": [{"name": "built", "sizes": [1, 2, 4], "seconds": [0.1, 0.2, 0.4]}],
}
_METRICS = {"response_mean_s": 10.0, "expired_share": 0.4, "prediction_accuracy": None}
REPORT = {
    "instance": "small/loading",
    "floor": 0.07,
    "bound": {"value": 0.15, "source": "milp", "certified": False, "certified_value": 0.13},
    "results": [
        {
            "policy": "greedy_forecast",
            "cost": 1.6,
            "gap": 0.9,
            "gap_at_least": 0.0,
            "avoidable_gap": 1.0,
            "feasible": True,
            "problems": [],
            "seconds": 0.01,
            "costs": {"service": 0.04, "rent": 0.06, "expiry": 1.5},
            "metrics": _METRICS,
        },
        {
            "policy": "torta",
            "cost": None,
            "gap": None,
            "gap_at_least": None,
            "avoidable_gap": None,
            "feasible": False,
            "problems": ["capacity: server 1"],
            "seconds": None,
            "costs": {},
            "metrics": {},
        },
    ],
}
RESULT = {
    "method": "optimal",
    "cost": 0.15,
    "bound": 0.14,
    "seconds": 3.5,
    "trace": [
        {"seconds": 0.1, "cost": None, "bound": 0.1},
        {"seconds": 3.0, "cost": 0.15, "bound": 0.14},
    ],
}
PRINTED = as_bytes(REPORT, RESULT, GROWTH)
SITE_CHANGES = (  # to ``support.sites.SITE``, so that it names a file of every kind
    ('name = "us-east-1"\n', 'name = "us-east-1"\nzone = "east"\ncloud = "us-east-1"\n'),
    ('name = "eu-west-1"\n', 'name = "eu-west-1"\nzone = "west"\n'),
    ("target_s = 10\n", 'target_s = 10\nregions = ["us-east-1"]\ndeadline_s = 300\n'),
    ("usd_per_server_hour = 12.0", 'buy = "owned"'),
    (
        "usd_per_gpu_hour = 3.5",
        'buy = "spot"\ninterruptions_per_month = 2\nback_after_minutes = 5',
    ),
    (
        '[demand]\nfile = "demand.csv"\n',
        '[[prices]]\nfile = "prices.csv"\nkind = "plain"\nprice = "spot"\n\n'
        '[latency]\nfile = "latency.csv"\n\n[electricity]\nfile = "electricity.csv"\n\n'
        '[carbon]\nfile = "carbon.csv"\n\n[[gpus]]\nname = "H100"\ntdp_kw = 0.7\n\n'
        '[loading]\npreset = "torta"\n\n[demand.trace]\nkind = "mooncake"\n'
        'file = "trace.jsonl"\norigin = "from"\nunit = "ms"\nmodels = { m = "small" }\n',
    ),
)
SITE_FILES = {
    "prices.csv": "region,type,usd_per_server_hour,spot_usd_per_server_hour\n"
    "us-east-1,4xH100,11,5\neu-west-1,4xH100,12,6\n",
    "latency.csv": "origin,region,latency_ms\nus-east-1,eu-west-1,41\neu-west-1,us-east-1,39\n",
    "electricity.csv": "utc,east,west\n2026-11-30 00:00:00,20,100\n2026-11-30 01:00:00,30,90\n",
    "carbon.csv": "hour,region,g_per_kwh\n0,us-east-1,380\n0,eu-west-1,290\n",
}
