"""The command that trains networks: train."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from torta_opt.cli.console import check_writable, say, show, watching
from torta_opt.cli.options import Json, Seed, Settings, Threads, parameters_of, seed_range
from torta_opt.io import InvalidInput
from torta_opt.io.status import DONE
from torta_opt.io.writing import is_special

if TYPE_CHECKING:
    from torta_opt.allocation.instance import Instance


def train(
    instances: Annotated[
        list[str], typer.Argument(metavar="INSTANCE...", help="files to train on, or a preset")
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="NAME", help="path without ending, such as models/mine"
        ),
    ],
    seeds: Annotated[
        str, typer.Option(metavar="A:B", help="train on a preset with seeds A to B−1")
    ] = "1000:1008",
    validation: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|A:B", help="files, or seeds of the preset, that select the best network"
        ),
    ] = None,
    held_out: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|A:B",
            help="files, or seeds of the preset, for the figures in the model card",
        ),
    ] = None,
    reward: Annotated[str, typer.Option(metavar="cost|paper", help="the reward")] = "cost",
    head: Annotated[
        str, typer.Option(metavar="beta|softmax", help="distribution of the policy")
    ] = "beta",
    smoothing: Annotated[
        float,
        typer.Option(metavar="λ", help="smoothing of the initial plan; 0: plain transport", min=0),
    ] = 1.0,
    resume: Annotated[bool, typer.Option("--resume", help="continue from a checkpoint")] = False,
    episode_slots: Annotated[
        int | None,
        typer.Option(metavar="N", help="slots of an episode; default: those of a rollout"),
    ] = None,
    every: Annotated[
        int, typer.Option(metavar="N", help="updates between two validations", min=1)
    ] = 10,
    micro: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="a parameter of torta_ot, the dispatch layer; may be repeated"
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda", help="device for training")
    ] = "auto",
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="also write the curve for TensorBoard")
    ] = False,
    threads: Threads = 1,
    seed: Seed = 0,
    settings: Settings = None,
    json_: Json = False,
) -> None:
    """Train TORTA's networks for the topology of the instances (--set updates=200 …)."""

    if head not in ("beta", "softmax"):
        raise InvalidInput("must be beta or softmax", field="--head")
    if is_special(output):
        raise InvalidInput(
            "must be the beginning of several file names, such as models/mine", "--output"
        )
    check_writable(output + ".safetensors")
    options = parameters_of(settings)
    problems, judges, tests = _training_sets(instances, seeds, validation, held_out)
    import torch

    from torta_opt.allocation.learning.environment import Task
    from torta_opt.allocation.learning.ppo import Options
    from torta_opt.allocation.learning.train import has_checkpoint, has_tensorboard
    from torta_opt.allocation.learning.train import train as run_training

    if resume and not has_checkpoint(output):
        say(f"{output} has no checkpoint yet: training starts from the beginning")

    if tensorboard and not has_tensorboard():
        say(f"tensorboard is not installed; the curve is in {output}.csv")
        tensorboard = False
    try:
        chosen = Options(**options)
    except TypeError as error:
        raise InvalidInput(str(error).rpartition(" ")[2] + " is not an option", "--set") from None
    if threads:
        torch.set_num_threads(threads)
    task = Task(reward=reward, episode_slots=episode_slots, micro=parameters_of(micro, "--micro"))
    with watching() as watch:

        def progress(row: dict[str, float]) -> None:
            if watch is not None:
                watch(f"training {output}", int(row["update"]), chosen.updates)
            if "score" in row:
                say(f"update {row['update']}: {row['score']:.6g}")

        found = run_training(
            problems,
            output,
            task,
            chosen,
            validation=judges,
            held_out=tests,
            head=head,
            smoothing=smoothing,
            seed=seed,
            every=every,
            resume=resume,
            watch=progress,
            device=device,
            tensorboard=tensorboard,
            notes={"command": shlex.join(["torta-opt", *sys.argv[1:]])},
        )
    document = {
        "output": output,
        "status": found.status,
        "updates": found.updates,
        "score": found.score,
        "untrained": found.base,
        "held_out": found.networks.card.get("held_out"),
    }
    line = f"{output}: {found.score:.6g}, untrained {found.base:.6g}, {found.updates} updates"
    show(json_, document, lambda: line)
    if found.status != DONE:
        say(found.status)


def _training_sets(
    instances: list[str], seeds: str, validation: list[str] | None, held_out: list[str] | None
) -> tuple[list[Instance], list[Instance], list[Instance]]:
    """Instances to train on, to pick the best by, and to judge it on."""
    from torta_opt import api, families
    from torta_opt.allocation.instance.generate import generate, preset_names

    preset = instances[0] if len(instances) == 1 and instances[0] in preset_names() else None

    def open_all(names: list[str]) -> list[Instance]:
        found: list[Instance] = []
        for name in names:
            if preset is not None and ":" in name:
                found += [generate(preset, n) for n in seed_range(name)]
            else:
                found.append(api.open_instance(name))
        return found

    sets = (
        open_all([seeds] if preset else instances),
        open_all(validation or []),
        open_all(held_out or []),
    )
    for problem in (problem for each in sets for problem in each):
        families.require(problem, "allocation")
    return sets
