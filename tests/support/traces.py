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
