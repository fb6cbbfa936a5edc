"""Every reader of the package, as something to fuzz: name → its form and how it is opened.

A target is opened in an empty folder and gives a function of one path, which must return or raise
an error of the package, and valid files to begin with. What a reader accepts is written again where
the package writes that kind of file, and must then be read again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fuzz_kept import (
    arrivals,
    card_and_weights,
    checkpoint,
    futures,
    network_card,
    printed,
    requests,
    site,
)
from fuzz_seeds import GENERALIZED, GML, GRAPHML, NETWORK, PRICES, PROFILES, TABLES, as_bytes
from fuzz_target import Opened, Target, in_folder

import torta_opt


def _of_files(folder: Path) -> list[bytes]:
    return [each.read_bytes() for each in sorted(folder.iterdir()) if each.is_file()]


def _instances(*presets: str) -> Callable[[Path], Opened]:
    def opened(folder: Path) -> Opened:
        for n, preset in enumerate(presets):
            torta_opt.save_instance(torta_opt.generate(preset), folder / f"{n}.json")

        def read(path: Path) -> None:
            again = path.with_name("again.json")
            torta_opt.save_instance(torta_opt.open_instance(path), again)
            torta_opt.open_instance(again)

        return read, _of_files(folder)

    return opened


def _schedules(preset: str, method: str | None) -> Callable[[Path], Opened]:
    def opened(folder: Path) -> Opened:
        instance = torta_opt.generate(preset)
        made = torta_opt.solve(instance, method).schedule
        torta_opt.save_schedule(made, instance, folder / "s.json")

        def read(path: Path) -> None:
            schedule = torta_opt.load_schedule(path, instance)
            if torta_opt.verify(instance, schedule).ok:
                torta_opt.evaluate(instance, schedule)

        return read, _of_files(folder)

    return opened


def _bounds(preset: str, *methods: str) -> Callable[[Path], Opened]:
    def opened(folder: Path) -> Opened:
        from torta_opt import api, families

        instance = torta_opt.generate(preset)
        writer = families.family_of(instance).formats["bound"]
        for method in methods:
            found = torta_opt.bound(instance, method)
            torta_opt.io.write_document(folder / f"{method}.json", writer.document(found, instance))
        best = min(float(torta_opt.solve(instance, "optimal").evaluation.cost), 1e9)

        def read(path: Path) -> None:
            found = api.load_bound(path, instance)
            assert found.value <= best + 1e-9, f"a bound of {found.value} above {best}"

        return read, _of_files(folder)

    return opened


def _weights(folder: Path) -> Opened:
    from torta_opt.allocation.instance.weights_file import load_weights

    system = torta_opt.generate("small/loading").system
    seed = {"format": "torta-opt/weights", "version": 1, "time_usd_per_s": 0.001}
    classes = dict.fromkeys(system.classes, 0.2)
    seeds = as_bytes(seed, {**seed, "expiry_usd": classes, "energy_factor": 2})
    return lambda path: load_weights(path, system), seeds


def _tables(folder: Path) -> Opened:
    from torta_opt.allocation.instance.imports.tables import load_tables, save_tables

    save_tables(torta_opt.generate("small/loading"), folder / "tables")
    return in_folder(folder / "tables", lambda: load_tables(folder / "tables"))


def _site(folder: Path) -> Opened:
    from support.sites import write_site

    from torta_opt.allocation.site.build import build_site

    (folder / "site").mkdir()
    write_site(folder / "site")
    return in_folder(folder / "site", lambda: build_site(folder / "site" / "site.toml"))


def _servegen(folder: Path) -> Opened:
    from support.traces import write_servegen_chunks

    write_servegen_chunks(folder / "chunks")
    return in_folder(folder / "chunks", lambda: _open_trace("servegen", folder / "chunks"))


def _open_trace(kind: str, path: Path) -> None:
    from torta_opt.allocation.instance.imports.parameters import ImportParameters
    from torta_opt.allocation.instance.imports.readers import open_trace

    with open_trace(kind, path, ImportParameters.of(slots=4), 0):
        pass


def _trace(kind: str) -> Callable[[Path], Opened]:
    def opened(folder: Path) -> Opened:
        from support.traces import write_samples

        samples = write_samples(folder)
        files = [path for path, of in samples.values() if of == kind and path.is_file()]
        return lambda path: _open_trace(kind, path), [each.read_bytes() for each in files]

    return opened


def _profile(kind: str) -> Callable[[Path], Opened]:
    def opened(folder: Path) -> Opened:
        from torta_opt.allocation.profiles.document import load_profiles, save_profiles
        from torta_opt.allocation.profiles.readers import read_profiles
        from torta_opt.allocation.profiles.reading import Settings

        told: dict[str, Any] = {"gpu": "H100", "gpus": 4, "model": "m"}
        if kind in ("llmd_planner", "inferencex"):
            told = {}
        elif kind == "inferno":
            told = {"input_tokens": 128, "output_tokens": 1024}
        settings = Settings.of(**told)

        def read(path: Path) -> None:
            again = path.with_name("again.json")
            save_profiles(read_profiles(kind, [path], settings), again)
            load_profiles(again)

        return read, PROFILES[kind]

    return opened


def _profile_file(folder: Path) -> Opened:
    from torta_opt.allocation.profiles.document import load_profiles

    read, (seed, *_) = _profile("vllm")(folder)
    (folder / "a.json").write_bytes(seed)
    read(folder / "a.json")
    return load_profiles, [(folder / "again.json").read_bytes()]


def _prices(kind: str) -> Callable[[Path], Opened]:
    def opened(folder: Path) -> Opened:
        from torta_opt.allocation.site.prices.offers import read_offers

        return lambda path: read_offers(kind, path), PRICES[kind]

    return opened


def _topology(seeds: list[bytes]) -> Callable[[Path], Opened]:
    def opened(folder: Path) -> Opened:
        from torta_opt.io.topology import read_topology

        return read_topology, seeds

    return opened


def _network(folder: Path) -> Opened:
    from torta_opt.placement.instance.network import read_network

    return read_network, NETWORK


def _electricity(folder: Path) -> Opened:
    from torta_opt.allocation.instance.imports.electricity import read_prices

    return read_prices, TABLES["electricity"]


def _rents(folder: Path) -> Opened:
    from torta_opt.allocation.instance.imports.gpu_prices import read_rents

    return read_rents, TABLES["rents"]


def _latency(folder: Path) -> Opened:
    from torta_opt.allocation.instance.imports.latency import read_latency

    return read_latency, TABLES["latency"]


def _carbon(folder: Path) -> Opened:
    from torta_opt.allocation.instance.carbon import read_intensity

    instance = torta_opt.generate("small/loading")
    rows = "".join(f"{region},{n + 300}\n" for n, region in enumerate(instance.system.regions))
    slots = "".join(f"{region},{n},0\n" for n, region in enumerate(instance.system.regions, 300))
    seeds = as_bytes("region,g_per_kwh\n" + rows, "region,g_per_kwh,slot\n" + slots)
    return lambda path: read_intensity(instance, path), seeds


def _log(folder: Path) -> Opened:
    from torta_opt.allocation.log.records import read_replicas, read_requests

    instance = torta_opt.generate("small/loading")
    system = instance.system
    region, model = system.regions[0], system.models[0]
    requests = f"time_s,origin,region,class\n1.5,{region},{region},{system.classes[0]}\n"
    replicas = f"time_s,region,type,model,replicas\n0,{region},{system.types[0]},{model},1\n"

    def read(path: Path) -> None:
        data = path.read_bytes() or b"\0"
        path.write_bytes(data[1:])
        (read_requests if data[0] % 2 == 0 else read_replicas)(instance, path)

    return read, [b"\0" + requests.encode(), b"\1" + replicas.encode()]


def _library(folder: Path) -> Opened:
    from torta_opt.library import table

    path = Path(table.__file__).parent / "data" / "library.csv"
    lines = path.read_bytes().splitlines(keepends=True)
    return table.Library.read, [b"".join(lines[:4])]


def _comparison(folder: Path) -> Opened:
    from torta_opt.cli import app

    torta_opt.save_instance(torta_opt.generate("small/loading"), folder / "i.json")
    rows = folder / "rows.jsonl"
    line = ["compare", str(folder / "i.json"), "--policies", "round_robin", "--bound", "floor"]
    app.run([*line, "-o", str(rows)])
    from torta_opt.allocation.policies.experiment import read_table

    return read_table, [rows.read_bytes()]


def _generalized(folder: Path) -> Opened:
    from torta_opt.allocation.assignment.generalized import read_generalized

    return read_generalized, GENERALIZED


TARGETS: dict[str, Target] = {
    "instance": Target(
        "json", ".json", _instances("small/loading", "small/outage", "small/residency")
    ),
    "placement": Target("json", ".json", _instances("placement/tiny")),
    "schedule": Target("json", ".json", _schedules("small/loading", "greedy_forecast")),
    "placement-schedule": Target("json", ".json", _schedules("placement/tiny", None)),
    "certificate": Target("json", ".json", _bounds("small/loading", "lp", "whole", "floor")),
    "placement-certificate": Target("json", ".json", _bounds("placement/tiny", "combinatorial")),
    "weights": Target("json", ".json", _weights),
    "networks": Target("pick+json", ".bin", card_and_weights("fleet-cuts")),
    **{
        name: Target("pick+json", ".bin", card_and_weights(name))
        for name in ("fleet-network", "fleet-start", "server-scores")
    },
    "network-card": Target("json", ".json", network_card),
    "checkpoint": Target("json", ".safetensors", checkpoint),
    "tables": Target("pick+csv", ".csv", _tables),
    "site": Target("pick+text", ".toml", _site),
    "site-files": Target("pick+text", ".toml", site),
    "profile-file": Target("json", ".json", _profile_file),
    **{
        f"profile-{kind}": Target(
            "csv" if kind == "aiconfigurator" else "json", ".json", _profile(kind)
        )
        for kind in PROFILES
    },
    **{
        f"trace-{kind}": Target(
            "json" if kind in ("mooncake", "qwen") else "csv", ".csv", _trace(kind)
        )
        for kind in ("azure", "burstgpt", "mooncake", "qwen", "blis")
    },
    "trace-folder": Target("pick+csv", ".csv", _servegen),
    **{
        f"prices-{kind}": Target("json" if kind == "ec2instances" else "csv", ".csv", _prices(kind))
        for kind in PRICES
    },
    "gml": Target("text", ".gml", _topology(GML)),
    "graphml": Target("text", ".graphml", _topology(GRAPHML)),
    "graph": Target("text", ".graph", _network),
    "electricity": Target("csv", ".csv", _electricity),
    "rents": Target("csv", ".csv", _rents),
    "latency": Target("csv", ".csv", _latency),
    "carbon": Target("csv", ".csv", _carbon),
    "log": Target("pick+csv", ".csv", _log),
    "library": Target("csv", ".csv", _library),
    "comparison": Target("json", ".jsonl", _comparison),
    "futures": Target("pick+json", ".json", futures),
    "printed": Target("json", ".json", printed),
    "arrivals": Target("csv", ".csv", arrivals),
    "requests": Target("csv", ".csv", requests),
    "generalized": Target("text", ".json", _generalized),
}
