"""ServeGen workloads (github.com/alibaba/ServeGen, arXiv 2505.09999, Apache-2.0): rates.

Two layouts of a folder are read, plain or .gz:

    as published    chunk-N-trace.csv, one per client, without titles: start of a window in seconds,
                    requests per second, coefficient of variation of the time between requests, name
                    and two parameters of a fitted law
                    chunk-N-dataset.json: {window start: {"input_tokens": "{tokens: share, ...}",
                    "output_tokens": ...}}; multimodal workloads have text_tokens, image_tokens,
                    audio_tokens and video_tokens in place of input_tokens: their sum is taken, each
                    drawn by itself
    as tables       MODEL_client_windows*.csv: client, t_s, rate_req_per_s, cv
                    MODEL_total_rate*.csv: t_s, total_rate_req_per_s; used without the former only
                    MODEL_token_stats*.csv: client, window_start_s, in_mean, in_p50, in_p90, in_p99,
                    out_mean, ... (may leave out clients)

Requests are drawn from these (servegen_requests.py).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from torta_opt.allocation.instance.imports.arrivals import ClientRates
from torta_opt.allocation.instance.imports.csv_rows import Column, read_csv_columns
from torta_opt.allocation.instance.imports.kinds import check_servegen_file
from torta_opt.allocation.instance.imports.rows import Tally, refuse_where
from torta_opt.allocation.instance.imports.token_laws import TokenLaw, histogram_law, quantile_law
from torta_opt.io import InvalidInput
from torta_opt.io.structure import Structure

MAX_DATASET_BYTES = 256 << 20
MIN_CV, MAX_CV = 1e-6, 1000.0  # below, the shape of a Gamma law is too large to draw from
MAX_SUMS = 20_000_000  # of token counts of two kinds of input
MULTIMODAL = (
    "input tokens are the sum of text, image, audio and video tokens, each drawn by itself; "
    "the work of an encoder is left out"
)
WINDOW_S = 600.0  # window of the rates in a file with only one
EVERYONE = "all clients"
_TABLE = re.compile(r"(.+)_(client_windows|total_rate|token_stats).*\.csv(\.gz)?")

_TRACE_TITLES = ["t_s", "rate_req_per_s", "cv", "pattern", "arg1", "arg2"]
_RATE = {
    "time": Column("t_s", "number"),
    "rate": Column("rate_req_per_s", "number"),
    "cv": Column("cv", "text"),
}
_CLIENT_RATE = {"client": Column("client", "text"), **_RATE}
_TOTAL_RATE = {"time": Column("t_s", "number"), "rate": Column("total_rate_req_per_s", "number")}
_FIGURES = ("mean", "p50", "p90", "p99")
_TOKENS = {
    "client": Column("client", "text"),
    "time": Column("window_start_s", "number"),
    **{
        f"{side}_{figure}": Column(f"{side}_{figure}", "number")
        for side in ("in", "out")
        for figure in _FIGURES
    },
}


@dataclass(frozen=True, eq=False)
class Workload:
    """Rates and token counts of the clients of one model.

    rates    by client
    tokens   by client: (start of a window in seconds, law of input, law of output tokens), by time
    """

    model: str
    rates: dict[str, ClientRates]
    tokens: dict[str, list[tuple[float, TokenLaw, TokenLaw]]]

    @property
    def window_s(self) -> float:
        """Length of a window of the rates."""
        starts = np.unique(np.concatenate([client.start_s for client in self.rates.values()]))
        return float(np.diff(starts).min()) if starts.size > 1 else WINDOW_S


def read_servegen(
    path: str | os.PathLike[str],
    tally: Tally,
    max_bad_share: float,
    model: str | None = None,
) -> Workload:
    """The workload in a folder, or in the folder that a given file stands in."""
    folder = Path(path)
    if not folder.exists():
        raise InvalidInput("does not exist", file=str(folder))
    if folder.is_file():
        check_servegen_file(folder)
        model = model or _model_of(folder.name)
        folder = folder.parent
    if any(folder.glob("chunk-*-trace.csv*")):
        return _read_chunks(folder, tally, max_bad_share)
    return _read_tables(folder, tally, max_bad_share, model)


# --- tables -------------------------------------------------------------------------------------


def _model_of(file: str) -> str | None:
    found = _TABLE.fullmatch(file)
    return found[1] if found else None


def _read_tables(folder: Path, tally: Tally, max_bad_share: float, model: str | None) -> Workload:
    tables: dict[str, dict[str, Path]] = {}
    for file in sorted(folder.iterdir()):
        found = re.fullmatch(
            r"(.+)_(client_windows|total_rate|token_stats).*\.csv(\.gz)?", file.name
        )
        if found:
            tables.setdefault(found[1], {})[found[2]] = file
    if not tables:
        raise InvalidInput(
            "holds no ServeGen workload: neither chunk-*-trace.csv nor *_client_windows*.csv nor "
            "*_total_rate*.csv",
            file=str(folder),
        )
    if model is None and len(tables) > 1:
        raise InvalidInput(
            f"holds several models, {', '.join(tables)}: name one of its files", file=str(folder)
        )
    model = model or next(iter(tables))
    files = tables.get(model, {})
    if "client_windows" in files:
        rates = _client_rates(files["client_windows"], _CLIENT_RATE, tally, max_bad_share)
    elif "total_rate" in files:
        rates = _client_rates(files["total_rate"], _TOTAL_RATE, tally, max_bad_share)
        tally.notes.append("no rates by client: all requests are drawn as one Poisson stream")
    else:
        raise InvalidInput(f"holds no rates of model {model}", file=str(folder))
    if "token_stats" not in files:
        raise InvalidInput(f"holds no token statistics of model {model}", file=str(folder))
    return Workload(model, rates, _token_stats(files["token_stats"], tally, max_bad_share))


def _client_rates(
    file: Path,
    columns: dict[str, Column],
    tally: Tally,
    max_bad_share: float,
    client: str = EVERYONE,
    titles: list[str] | None = None,
) -> dict[str, ClientRates]:
    """Rates by client; windows without requests are left out."""
    own = Tally()
    seen: set[tuple[str, float]] = set()
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for table in read_csv_columns(file, columns, own, titles=titles):
        count = table["line"].size
        names = [str(name).strip() for name in table.get("client", np.full(count, client))]
        cvs = _numbers(table["cv"]) if "cv" in table else np.ones(count)
        times, rates = table["time"].tolist(), table["rate"].tolist()
        bad_cv = (table["rate"] > 0) & ~((cvs >= MIN_CV) & (cvs <= MAX_CV))
        refuse_where(own, table["line"], bad_cv, partial(_cv_rule, table))
        for i in np.flatnonzero(~bad_cv):
            key = (names[i], times[i])
            if key in seen:
                own.refuse(
                    int(table["line"][i]), f"repeats client {names[i]!r:.40} at {times[i]:g} s"
                )
                continue
            seen.add(key)
            if rates[i] > 0:
                rows.setdefault(names[i], []).append((times[i], rates[i], float(cvs[i])))
    own.check(max_bad_share, str(file))
    tally.absorb(own, file.name)
    return {name: ClientRates(*np.array(sorted(entries)).T) for name, entries in rows.items()}


def _cv_rule(table: Mapping[str, np.ndarray], i: int) -> str:
    return f"cv {str(table['cv'][i])[:40]!r} is not a number in [{MIN_CV:g}, {MAX_CV:g}]"


def _numbers(cells: np.ndarray) -> np.ndarray:
    import pandas as pd

    return pd.to_numeric(pd.Series(cells, dtype=object), errors="coerce").to_numpy(np.float64)


def _token_stats(
    file: Path, tally: Tally, max_bad_share: float
) -> dict[str, list[tuple[float, TokenLaw, TokenLaw]]]:
    own = Tally()
    laws: dict[str, list[tuple[float, TokenLaw, TokenLaw]]] = {}
    for table in read_csv_columns(file, _TOKENS, own):
        bad = np.zeros(table["line"].size, bool)
        for side in ("in", "out"):
            low, middle, high = (table[f"{side}_{q}"] for q in ("p50", "p90", "p99"))
            bad |= ~((low <= middle) & (middle <= high))
        refuse_where(own, table["line"], bad, lambda _: "percentiles are not in increasing order")
        for i in np.flatnonzero(~bad):
            law_in, law_out = (
                quantile_law(
                    *(float(table[f"{side}_{q}"][i]) for q in ("mean", "p50", "p90", "p99"))
                )
                for side in ("in", "out")
            )
            name = str(table["client"][i]).strip()
            laws.setdefault(name, []).append((float(table["time"][i]), law_in, law_out))
    own.check(max_bad_share, str(file))
    tally.absorb(own, file.name)
    return {name: sorted(entries, key=lambda entry: entry[0]) for name, entries in laws.items()}


# --- as published -------------------------------------------------------------------------------


def _read_chunks(folder: Path, tally: Tally, max_bad_share: float) -> Workload:
    rates: dict[str, ClientRates] = {}
    tokens: dict[str, list[tuple[float, TokenLaw, TokenLaw]]] = {}
    for trace in sorted(folder.glob("chunk-*-trace.csv*")):
        found = re.fullmatch(r"chunk-(.+)-trace\.csv(\.gz)?", trace.name)
        if not found:
            continue
        client = found[1]
        rates |= _client_rates(trace, _RATE, tally, max_bad_share, client, _TRACE_TITLES)
        dataset = folder / f"chunk-{client}-dataset.json"
        if dataset.exists():
            tokens[client] = _dataset(dataset, tally)
    if not rates:
        raise InvalidInput("holds no window with requests", file=str(folder))
    if not tokens:
        raise InvalidInput("holds no chunk-*-dataset.json", file=str(folder))
    return Workload(folder.name, rates, tokens)


def _dataset(file: Path, tally: Tally) -> list[tuple[float, TokenLaw, TokenLaw]]:
    try:
        if file.stat().st_size > MAX_DATASET_BYTES:
            raise InvalidInput(f"is larger than {MAX_DATASET_BYTES} bytes", file=str(file))
        entries = json.loads(_bounded(file))
        laws = [
            (float(start), _input_law(sides, tally), _histogram(sides["output_tokens"]))
            for start, sides in entries.items()
        ]
    except InvalidInput as error:
        raise error.within(str(file)) from None
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", file=str(file)) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InvalidInput(
            'is not {"seconds": {"input_tokens": "{tokens: share}", "output_tokens": ...}}',
            file=str(file),
        ) from None
    if not laws:
        raise InvalidInput("holds no window", file=str(file))
    return sorted(laws, key=lambda entry: entry[0])


def _bounded(file: Path) -> bytes:
    content = file.read_bytes()
    try:
        Structure().add(content)
    except InvalidInput as error:
        raise error.within(str(file)) from None
    return content


def _input_law(sides: dict[str, Any], tally: Tally) -> TokenLaw:
    """The law of input tokens; of a multimodal workload, that of the sum of its kinds."""
    if "input_tokens" in sides or "text_tokens" not in sides:
        return _histogram(sides["input_tokens"])
    if MULTIMODAL not in tally.notes:
        tally.notes.append(MULTIMODAL)
    tokens: np.ndarray = np.zeros(1, np.int64)
    shares: np.ndarray = np.ones(1)
    for kind in ("text_tokens", "image_tokens", "audio_tokens", "video_tokens"):
        if kind in sides:
            more, weights = _pairs(sides[kind])
            if (weights < 0).any() or tokens.size * more.size > MAX_SUMS:
                raise ValueError("negative shares, or too many sums of tokens")
            tokens, place = np.unique(np.add.outer(tokens, more), return_inverse=True)
            shares = np.bincount(place.ravel(), weights=np.multiply.outer(shares, weights).ravel())
    return histogram_law(tokens, shares)


_PAIR = re.compile(r"\s*(\d+)\s*:\s*([0-9.eE+-]+)\s*")


def _histogram(text: str) -> TokenLaw:
    return histogram_law(*_pairs(text))


def _pairs(text: str) -> tuple[np.ndarray, np.ndarray]:
    """(tokens, shares) of ``{200: 0.25, 311: 0.75}``, the text of a Python dictionary."""
    inner = text.strip().removeprefix("{").removesuffix("}")
    pairs = [_PAIR.fullmatch(pair) for pair in inner.split(",") if pair.strip()]
    tokens = np.array([int(pair[1]) for pair in pairs if pair])
    shares = np.array([float(pair[2]) for pair in pairs if pair])
    if None in pairs:
        raise ValueError("not a table of tokens and shares")
    return tokens, shares
