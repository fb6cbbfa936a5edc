"""Small request traces, written where a test wants them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

AZURE_TITLES = "TIMESTAMP,ContextTokens,GeneratedTokens"
BURSTGPT_TITLES = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type"


def write(path: Path, content: str | bytes) -> Path:
    """Write text or bytes; compressed if the name ends in .gz."""
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


def azure_rows(count: int, seconds: float = 600, seed: int = 0) -> list[str]:
    """Requests spread over some minutes, like those of the published traces."""
    rng = np.random.default_rng(seed)
    when = np.sort(rng.integers(0, int(seconds * 1000), count))
    times = np.datetime64("2023-11-16T18:17:03", "ms") + when
    prompts, outputs = rng.integers(10, 4000, count), rng.integers(1, 200, count)
    return [
        f"{str(t).replace('T', ' ')}0000,{p},{o}"
        for t, p, o in zip(times, prompts, outputs, strict=True)
    ]


def write_azure(path: Path, rows: Iterable[str], titles: str = AZURE_TITLES) -> Path:
    return write(path, "\n".join([titles, *rows]) + "\n")


def write_burstgpt(path: Path, rows: Iterable[str], titles: str = BURSTGPT_TITLES) -> Path:
    return write(path, "\n".join([titles, *rows]) + "\n")


def write_mooncake(path: Path, entries: Iterable[dict | str]) -> Path:
    lines = (entry if isinstance(entry, str) else json.dumps(entry) for entry in entries)
    return write(path, "\n".join(lines) + "\n")


def mooncake_entry(ms: int, prompt: int = 1000, output: int = 100, ids: tuple = ()) -> dict:
    return {
        "timestamp": ms,
        "input_length": prompt,
        "output_length": output,
        "hash_ids": list(ids),
    }


def qwen_entry(seconds: float, turn: int = 1) -> dict:
    """A request of a Qwen-Bailian trace: times in seconds, a block id per 16 tokens."""
    return {
        "chat_id": int(seconds),
        "parent_chat_id": -1,
        "timestamp": seconds,
        "input_length": 502,
        "output_length": 1494,
        "type": "thinking",
        "turn": turn,
        "hash_ids": list(range(32)),
    }


def write_samples(folder: Path) -> dict[str, tuple[Path, str | None]]:
    """A small trace of every kind: by name, the file or folder and the kind that reads it."""
    multimodal = ["2024-10-15T12:00:00.269Z,0,770,491", "2024-10-15T12:00:05.819Z,1,949,126"]
    images = {
        "0": {"text_tokens": "{41: 1.0}", "image_tokens": "{9: 1.0}", "output_tokens": "{5: 1}"}
    }
    write_servegen_chunks(folder / "mm-image")
    write(folder / "mm-image" / "chunk-0-dataset.json", json.dumps(images))
    tables = write_servegen_tables(folder / "tables")
    chunks = write_servegen_chunks(folder / "chunks")
    window = "600,0.935,0.76,Weibull,1.33,1.17"
    blis = "request_id,client_id,input_tokens,output_tokens,arrival_time_us\n0,c1,10,5,0\n"
    loads = "timestamp_anon,value,container_ip\n1662859290.0,2639.0,086b31f8\n"
    azure = azure_rows(120)
    burstgpt = ["5,ChatGPT,472,18,490,Conversation log", "95.5,GPT-4,10,7,17,API log"]
    mooncake = [mooncake_entry(3000 * i) for i in range(9)]
    qwen = [qwen_entry(0.5 * i) for i in range(9)]
    titles = "TIMESTAMP,NumImages,ContextTokens,GeneratedTokens"
    return {
        "azure": (write_azure(folder / "azure.csv", azure), "azure"),
        "azure packed": (write_azure(folder / "azure.csv.gz", azure), "azure"),
        "azure images": (write_azure(folder / "images.csv", multimodal, titles), "azure"),
        "burstgpt": (write_burstgpt(folder / "burstgpt.csv", burstgpt), "burstgpt"),
        "mooncake": (write_mooncake(folder / "mooncake.jsonl", mooncake), "mooncake"),
        "servegen tables": (tables, "servegen"),
        "servegen table": (tables / "m-test_total_rate_600s.csv", "servegen"),
        "servegen chunks": (chunks, "servegen"),
        "servegen chunk": (chunks / "chunk-0-trace.csv", "servegen"),
        "servegen renamed": (write(folder / "rates.csv", f"{window}\n{window}\n"), None),
        "servegen images": (folder / "mm-image", "servegen"),
        "qwen": (write_mooncake(folder / "qwen.jsonl", qwen), "qwen"),
        "blis": (write(folder / "blis.csv", blis), "blis"),
        "gentd26": (write(folder / "gentd26.csv", loads), None),
        "aiperf": (
            write_mooncake(folder / "aiperf.jsonl", [{"metadata": {}, "metrics": {}}]),
            None,
        ),
        "a text": (write(folder / "README.md", "# A trace\n\nread me\n"), None),
    }


def write_servegen_tables(folder: Path, clients: int = 3, windows: int = 4) -> Path:
    """Constant rates: client n asks 0.2·(n+1) times a second; client 0 has no token statistics."""
    folder.mkdir(exist_ok=True)
    rates = ["client,t_s,rate_req_per_s,cv,pattern,arg1,arg2"]
    rates += [
        f"{n},{600 * w},{0.2 * (n + 1)},1.5,Gamma,1,1"
        for n in range(clients)
        for w in range(windows)
    ]
    total = sum(0.2 * (n + 1) for n in range(clients))
    totals = ["t_s,total_rate_req_per_s,active_clients"]
    totals += [f"{600 * w},{total},{clients}" for w in range(windows)]
    figures = ("mean", "p50", "p90", "p99")
    tokens = ",".join(f"{side}_{figure}" for side in ("in", "out") for figure in figures)
    stats = [f"client,window_start_s,n_fields,{tokens}"]
    stats += [f"{n},0,2,500,300,900,2000,120,80,250,600" for n in range(1, clients)]
    for name, lines in (
        ("m-test_client_windows_nonzero.csv.gz", rates),
        ("m-test_total_rate_600s.csv", totals),
        ("m-test_token_stats_6h.csv", stats),
    ):
        write(folder / name, "\n".join(lines) + "\n")
    return folder


def write_servegen_chunks(folder: Path, clients: int = 2) -> Path:
    """The layout that ServeGen publishes: windows without titles, and token histograms."""
    folder.mkdir(exist_ok=True)
    for n in range(clients):
        rows = [f"{600 * w},{0.5 + n},1.0,Gamma,1.0,2.0" for w in range(2)] + ["1200,0,,,,"]
        write(folder / f"chunk-{n}-trace.csv", "\n".join(rows) + "\n")
        laws = {"0": {"input_tokens": "{200: 0.25, 400: 0.75}", "output_tokens": "{80: 1.0}"}}
        write(folder / f"chunk-{n}-dataset.json", json.dumps(laws))
    return folder
