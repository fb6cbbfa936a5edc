"""Targets of files that the package keeps or prints: learned weights, checkpoints, answers.

And of two that bring many files together: a site that names one of every kind, and arrivals of a
simulation.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz_seeds import PRINTED, SITE_CHANGES, SITE_FILES, as_bytes
from fuzz_target import Opened, in_folder

import torta_opt

# --- learned weights ----------------------------------------------------------------------------


def card_and_weights(name: str) -> Callable[[Path], Opened]:
    """Card and weights of a trained part: the two files of one of the bundled names."""

    def opened(folder: Path) -> Opened:
        from torta_opt.allocation.policies.weight_files import models_folder

        stem, system = models_folder() / name, torta_opt.generate("paper/abilene").system
        (folder / "net").mkdir()
        for ending in (".json", ".safetensors"):
            content = stem.with_name(stem.name + ending).read_bytes()
            (folder / "net" / f"{name}{ending}").write_bytes(content)
        return in_folder(folder / "net", lambda: _load(name, system, folder / "net" / name))

    return opened


def _load(name: str, system: Any, stem: Path) -> None:
    from torta_opt.allocation.policies.fleet_values import load_value
    from torta_opt.allocation.policies.server_scores import load_server_scores
    from torta_opt.allocation.search.start_network import load_start_network

    if name == "server-scores":
        load_server_scores(stem)
    elif name == "fleet-start":
        load_start_network(system, stem)
    else:
        load_value(name.removeprefix("fleet-"), system, stem)


def network_card(folder: Path) -> Opened:
    """The card of a trained network; its weights, a megabyte, stay as they are."""
    from torta_opt.allocation.policies.neural.files import load_networks
    from torta_opt.allocation.policies.weight_files import models_folder

    stem = models_folder() / "paper-polska"
    weights = stem.with_name("paper-polska.safetensors").read_bytes()
    (folder / "input.safetensors").write_bytes(weights)
    card = json.loads(stem.with_name("paper-polska.json").read_text())
    seed = {name: value for name, value in card.items() if not isinstance(value, dict)}
    return lambda path: load_networks(path.with_suffix("")), as_bytes(seed)


def checkpoint(folder: Path) -> Opened:
    """What ``train`` goes on from: its numbers are changed, its tensors stay as they are."""
    import numpy as np
    from safetensors.numpy import load, save

    from torta_opt.allocation.learning import train
    from torta_opt.allocation.learning.checkpoint import checkpoint_file, read_checkpoint
    from torta_opt.allocation.learning.options import Options

    options = Options(updates=1, rollout_slots=2, epochs=1, minibatches=1, environments=1, copies=1)
    trainers = []

    class Kept(train.Trainer):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            trainers.append(self)

    made, train.Trainer = train.Trainer, Kept  # type: ignore[misc]
    try:
        train.train([torta_opt.generate("small/loading")], folder / "net", options=options)
    finally:
        train.Trainer = made  # type: ignore[misc]
    file = checkpoint_file(folder / "net")
    tensors = load(file.read_bytes())
    plain = tensors.pop("plain").tobytes()

    def read(path: Path) -> None:
        file.write_bytes(save({**tensors, "plain": np.frombuffer(path.read_bytes(), np.uint8)}))
        read_checkpoint(folder / "net", trainers[0])

    return read, [plain]


# --- what commands keep and print ---------------------------------------------------------------


def futures(folder: Path) -> Opened:
    """Penalty and scenario of a bound over futures, in the folder that it goes on from."""
    import numpy as np

    from torta_opt.allocation.foresight.kept import kept_penalty
    from torta_opt.allocation.foresight.penalty import HORIZONS, Penalty, size_of
    from torta_opt.allocation.foresight.scenarios import PENALTY, Spec, scenarios
    from torta_opt.allocation.law import law_of

    instance, kept = torta_opt.generate("paper/abilene", slots=6), folder / "futures"
    system = instance.system

    def fit() -> Penalty:
        return Penalty.of(system, np.zeros(size_of(system, HORIZONS)), HORIZONS)

    spec = Spec(instance, law_of(instance), PENALTY, 0)

    def read_all() -> None:
        penalty = kept_penalty(kept, spec, fit)
        assert np.isfinite(penalty.vector).all()
        (row,) = scenarios(spec, 1, (), folder=kept).rows
        assert all(np.isfinite(row[name]) for name in ("value", "clairvoyant", "surprise"))

    read_all()
    return in_folder(kept, read_all)


def printed(folder: Path) -> Opened:
    """What ``gap``, ``solve`` and benchmarks print; what is accepted is drawn."""
    from matplotlib import pyplot

    from torta_opt.cli.inputs import read_inputs
    from torta_opt.report.figures import draw

    def read(path: Path) -> None:
        inputs = read_inputs([str(path)])
        for kinds, name, documents in (
            (("gap", "costs", "frontier"), "report", inputs.reports),
            (("run",), "result", inputs.results),
            (("growth",), "growth", inputs.growths),
        ):
            kind = kinds[path.stat().st_size % len(kinds)]
            for document in documents:
                draw(kind, **{name: document})
                pyplot.close("all")

    return read, PRINTED


def arrivals(folder: Path) -> Opened:
    from torta_opt.placement.online.events import read_arrivals

    instance = torta_opt.generate("placement/tiny")
    client = instance.clients.names[0]
    seeds = as_bytes(
        "arrival_s\n0\n1.5\n2\n", f"arrival_s,client,tokens\n0,{client},5\n0.25,{client},7\n"
    )
    return lambda path: read_arrivals(path, instance), seeds


def requests(folder: Path) -> Opened:
    """Arrival times that ``replay`` takes; a file must hold every request of the instance."""
    import numpy as np

    from torta_opt.allocation.replay.requests import requests_of

    instance = torta_opt.generate("small/loading")
    system, schedule = instance.system, torta_opt.solve(instance, "greedy_forecast").schedule
    t, i, c = (
        np.repeat(part, instance.arrivals[instance.arrivals > 0])
        for part in np.nonzero(instance.arrivals)
    )
    rows = [
        f"{slot * system.slot_s},{system.regions[origin]},{system.classes[kind]}\n"
        for slot, origin, kind in zip(t.tolist(), i.tolist(), c.tolist(), strict=True)
    ]
    seeds = as_bytes("time_s,origin,class\n" + "".join(rows))
    return lambda path: requests_of(instance, schedule, times=str(path)), seeds


# --- a site that names a file of every kind -----------------------------------------------------


def site(folder: Path) -> Opened:
    from support.sites import write_site
    from support.traces import mooncake_entry, write_mooncake

    from torta_opt.allocation.site.build import build_site

    place = folder / "site"
    place.mkdir()
    write_site(place, *SITE_CHANGES)
    regions = ("us-east-1", "eu-west-1")
    entries = [{**mooncake_entry(700 * n), "from": regions[n % 2]} for n in range(9)]
    write_mooncake(place / "trace.jsonl", entries)
    for name, content in SITE_FILES.items():
        (place / name).write_text(content)
    return in_folder(place, lambda: build_site(place / "site.toml"))
