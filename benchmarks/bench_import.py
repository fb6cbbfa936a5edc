"""How fast traces are read: a million rows of each kind, against pandas on the same file.

    python benchmarks/bench_import.py [ROWS]

"read" is the reader alone; "import" goes from the file to the instance. The peer is
pandas.read_csv of the whole file (for mooncake, read_json of its first rows), which checks and
counts nothing. Each run is a separate process. Peak memory is that of the run, less that of a
process that only imports the packages. Seconds are processor seconds. The last column is the speed
relative to pandas.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

ROWS = 1_000_000
CLIENTS = 200  # clients of the ServeGen workload, which has one row per client and window
SLOW_PEER_ROWS = 100_000  # pandas.read_json takes a minute for a million rows


def azure(folder: Path, rows: int) -> Path:
    rng = np.random.default_rng(0)
    when = np.sort(rng.integers(0, 86_400_000, rows)) + np.datetime64("2024-05-12", "ms").astype(
        int
    )
    texts = np.datetime_as_string(when.astype("datetime64[ms]"))
    tokens = rng.integers(1, 4000, (rows, 2)).tolist()
    lines = (f"{t[:10]} {t[11:]}000+00:00,{a},{b}" for t, (a, b) in zip(texts, tokens, strict=True))
    return _write(folder / "azure.csv", "TIMESTAMP,ContextTokens,GeneratedTokens", lines)


def burstgpt(folder: Path, rows: int) -> Path:
    rng = np.random.default_rng(0)
    when = np.sort(rng.integers(0, 86_400, rows)).tolist()
    tokens = rng.integers(1, 1000, (rows, 2)).tolist()
    lines = (
        f"{t},{'GPT-4' if a % 5 == 0 else 'ChatGPT'},{a},{b},{a + b},Conversation log"
        for t, (a, b) in zip(when, tokens, strict=True)
    )
    titles = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type"
    return _write(folder / "burstgpt.csv", titles, lines)


def mooncake(folder: Path, rows: int) -> Path:
    rng = np.random.default_rng(0)
    when = np.sort(rng.integers(0, 86_400_000, rows)).tolist()
    tokens = rng.integers(1, 8000, (rows, 2)).tolist()
    lines = (
        json.dumps(
            {
                "timestamp": t,
                "input_length": a,
                "output_length": b,
                "hash_ids": list(range(i, i + a // 512 + 1)),
            }
        )
        for i, (t, (a, b)) in enumerate(zip(when, tokens, strict=True))
    )
    return _write(folder / "mooncake.jsonl", None, lines)


def servegen(folder: Path, rows: int) -> Path:
    """One row per client and window; the busiest two hours hold about a million requests."""
    windows = max(rows // CLIENTS, 13)
    lines = (
        f"{client},{600 * w},{0.6 + 0.001 * (w % 144)},1.5"
        for client in range(CLIENTS)
        for w in range(windows)
    )
    figures = ",".join(f"{s}_{f}" for s in ("in", "out") for f in ("mean", "p50", "p90", "p99"))
    laws = (f"{client},0,500,300,900,2000,120,80,250,600" for client in range(CLIENTS))
    _write(folder / "m_token_stats.csv", f"client,window_start_s,{figures}", laws)
    return _write(folder / "m_client_windows.csv", "client,t_s,rate_req_per_s,cv", lines)


def _write(path: Path, titles: str | None, lines: Iterable[str]) -> Path:
    with path.open("w") as stream:
        if titles is not None:
            stream.write(titles + "\n")
        stream.writelines(f"{line}\n" for line in lines)
    return path


def read(kind: str, path: Path) -> int:
    """The reader alone; rows read."""
    from torta_opt.allocation.instance.imports.azure import read_azure
    from torta_opt.allocation.instance.imports.burstgpt import read_burstgpt
    from torta_opt.allocation.instance.imports.mooncake import SeenBlocks, read_mooncake
    from torta_opt.allocation.instance.imports.rows import Tally
    from torta_opt.allocation.instance.imports.servegen import read_servegen

    tally = Tally()
    if kind == "servegen":
        read_servegen(path, tally, 0.1)
        return tally.rows
    readers: dict[str, Callable] = {
        "azure": lambda: read_azure(path, tally),
        "burstgpt": lambda: read_burstgpt(path, tally),
        "mooncake": lambda: read_mooncake(path, tally, None, SeenBlocks()),
    }
    for _ in readers[kind]():
        pass
    return tally.rows


def whole(kind: str, path: Path) -> int:
    """From the file to the instance; rows read."""
    from torta_opt.allocation.instance.imports import import_trace

    return import_trace(kind, path)[1].rows


def peer(kind: str, path: Path) -> int:
    import pandas as pd

    if kind == "mooncake":
        return len(pd.read_json(path, lines=True, nrows=SLOW_PEER_ROWS))
    return len(pd.read_csv(path))


def nothing(kind: str, path: Path) -> int:
    import pandas  # noqa: F401

    import torta_opt.allocation.instance.imports  # noqa: F401

    return 0


def measured(action: Callable[[str, Path], int], kind: str, path: Path) -> tuple[int, float, float]:
    """(rows, seconds, peak MB) of one run in a separate process."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_run, args=(queue, action, kind, path))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{action.__name__} of {path.name} failed")
    return queue.get()


def _run(queue, action: Callable[[str, Path], int], kind: str, path: Path) -> None:
    nothing(kind, path)
    start = time.process_time()
    rows = action(kind, path)
    queue.put((rows, time.process_time() - start, _peak_mb()))


def _peak_mb() -> float:
    """Most memory this process has held, without its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    print(
        f"{'trace':<10}{'rows':>9}{'MB':>6}  {'run':<8}{'s':>7}{'rows/s':>11}{'peak MB':>9}  pandas"
    )
    with tempfile.TemporaryDirectory() as name:
        for make in (azure, burstgpt, mooncake, servegen):
            folder = Path(name) / make.__name__
            folder.mkdir()
            path = make(folder, rows)
            _report(make.__name__, path)


def _report(kind: str, path: Path) -> None:
    size = path.stat().st_size / 1e6
    _, _, base = measured(nothing, kind, path)
    pandas_speed = 0.0
    for label, action in (("pandas", peer), ("read", read), ("import", whole)):
        rows, seconds, mb = measured(action, kind, path)
        speed = rows / seconds
        pandas_speed = pandas_speed or speed
        print(
            f"{kind:<10}{rows:>9}{size:>6.0f}  {label:<8}{seconds:>7.2f}{speed:>11.0f}"
            f"{mb - base:>9.0f}  {speed / pandas_speed:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
