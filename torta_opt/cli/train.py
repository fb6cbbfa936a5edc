"""The command that trains networks: train."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from torta_opt.cli.console import check_writable, say, show, watching
from torta_opt.cli.options import (
    Json,
    Seed,
    Settings,
    Threads,
    parameters_of,
    seed_range,
    takes_options,
)
from torta_opt.io import InvalidInput
from torta_opt.io.status import DONE
from torta_opt.io.writing import is_special

if TYPE_CHECKING:
    from torta_opt.allocation.instance import Instance
    from torta_opt.allocation.learning.options import Options
    from torta_opt.allocation.learning.train import Trained

HEADS = ("beta", "softmax")
WRITTEN = (".safetensors", ".json", ".csv", ".checkpoint.safetensors")  # after the name


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What the command line of ``train`` says, in the order of its help."""

    instances: Annotated[
        list[str], typer.Argument(metavar="INSTANCE...", help="files to train on, or a preset")
    ]
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="NAME", help="path without ending, such as models/mine"
        ),
    ]
    seeds: Annotated[
        str, typer.Option(metavar="A:B", help="train on a preset with seeds A to B−1")
    ] = "1000:1008"
    validation: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|A:B", help="files, or seeds of the preset, that select the best network"
        ),
    ] = None
    held_out: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|A:B",
            help="files, or seeds of the preset, for the figures in the model card",
        ),
    ] = None
    reward: Annotated[str, typer.Option(metavar="cost|paper", help="the reward")] = "cost"
    head: Annotated[
        str, typer.Option(metavar="beta|softmax", help="distribution of the policy")
    ] = "beta"
    smoothing: Annotated[
        float,
        typer.Option(metavar="λ", help="smoothing of the initial plan; 0: plain transport", min=0),
    ] = 1.0
    resume: Annotated[bool, typer.Option("--resume", help="continue from a checkpoint")] = False
    episode_slots: Annotated[
        int | None,
        typer.Option(metavar="N", help="slots of an episode; default: those of a rollout"),
    ] = None
    every: Annotated[
        int, typer.Option(metavar="N", help="updates between two validations", min=1)
    ] = 10
    micro: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="a parameter of torta_ot, the dispatch layer; may be repeated"
        ),
    ] = None
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="device for training")] = (
        "auto"
    )
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="also write the curve for TensorBoard")
    ] = False
    threads: Threads = 1
    seed: Seed = 0
    settings: Settings = None
    json_: Json = False

    def check(self) -> None:
        """Refuse what can be refused before anything heavy is loaded. Raises InvalidInput."""
        if self.head not in HEADS:
            raise InvalidInput(f"must be {' or '.join(HEADS)}", field="--head")
        if is_special(self.output):
            raise InvalidInput(
                "must be the beginning of several file names, such as models/mine", "--output"
            )
        from torta_opt.allocation.policies.weight_files import stem_of

        stem = str(stem_of(self.output))
        read = [*self.instances, *(self.validation or ()), *(self.held_out or ())]
        for ending in WRITTEN:
            check_writable(stem + ending, *read)
        parameters_of(self.settings)

    def learning_options(self) -> Options:
        """The hyper-parameters that ``--set`` gives. Raises InvalidInput."""
        from torta_opt.allocation.learning.options import Options

        try:
            return Options(**parameters_of(self.settings))
        except TypeError as error:
            name = str(error).rpartition(" ")[2]
            raise InvalidInput(f"{name} is not an option", "--set") from None

    def training_sets(self) -> tuple[list[Instance], list[Instance], list[Instance]]:
        """Instances for training, for selecting the best network, and for the model card."""
        from torta_opt import families

        preset = _preset_of(self.instances)
        sets = (
            _opened([self.seeds] if preset else self.instances, preset),
            _opened(self.validation or [], preset),
            _opened(self.held_out or [], preset),
        )
        for instance in (instance for each in sets for instance in each):
            families.require(instance, "allocation")
        return sets

    def without_missing_parts(self) -> TrainOptions:
        """These options, less what is not installed; says what is left out."""
        from torta_opt.allocation.learning.checkpoint import has_checkpoint
        from torta_opt.allocation.learning.train import has_tensorboard

        if self.resume and not has_checkpoint(self.output):
            say(f"{self.output} has no checkpoint yet: training starts from the beginning")
        if self.tensorboard and not has_tensorboard():
            say(f"tensorboard is not installed; the curve is in {self.output}.csv")
            return dataclasses.replace(self, tensorboard=False)
        return self


@takes_options(TrainOptions)
def train(given: TrainOptions) -> None:
    """Train TORTA's networks for the topology of the instances.

    Example: torta-opt train paper/abilene -o weights --set updates=200
    """
    given.check()
    sets = given.training_sets()
    found = _trained(given.without_missing_parts(), *sets)
    document = {
        "output": given.output,
        "status": found.status,
        "updates": found.updates,
        "score": found.score,
        "untrained": found.base,
        "held_out": found.networks.card.get("held_out"),
    }
    scores = f"{found.score:.6g}, untrained {found.base:.6g}"
    show(given.json_, document, lambda: f"{given.output}: {scores}, {found.updates} updates")
    if found.status != DONE:
        say(found.status)


def _trained(
    given: TrainOptions,
    instances: list[Instance],
    validation: list[Instance],
    held_out: list[Instance],
) -> Trained:
    """Run the training, with its progress on stderr."""
    import torch

    from torta_opt.allocation.learning.task import Task
    from torta_opt.allocation.learning.train import train as run_training

    options = given.learning_options()
    if given.threads:
        torch.set_num_threads(given.threads)
    micro = parameters_of(given.micro, "--micro")
    task = Task(reward=given.reward, episode_slots=given.episode_slots, micro=micro)
    with watching() as watch:

        def progress(row: dict[str, float]) -> None:
            if watch is not None:
                watch(f"training {given.output}", int(row["update"]), options.updates)
            if "score" in row:
                say(f"update {row['update']}: {row['score']:.6g}")

        return run_training(
            instances,
            given.output,
            task,
            options,
            validation=validation,
            held_out=held_out,
            head=given.head,
            smoothing=given.smoothing,
            seed=given.seed,
            every=given.every,
            resume=given.resume,
            watch=progress,
            device=given.device,
            tensorboard=given.tensorboard,
            notes={"command": shlex.join(["torta-opt", *sys.argv[1:]])},
        )


def _preset_of(instances: list[str]) -> str | None:
    """The preset that the only argument names; None where files are named."""
    from torta_opt.allocation.instance.generate import preset_names

    return instances[0] if len(instances) == 1 and instances[0] in preset_names() else None


def _opened(names: list[str], preset: str | None) -> list[Instance]:
    """The instances of files and, for a preset, of ranges of seeds."""
    from torta_opt import api
    from torta_opt.allocation.instance.generate import generate

    found: list[Instance] = []
    for name in names:
        if preset is not None and ":" in name:
            found += [generate(preset, seed) for seed in seed_range(name)]
        else:
            found.append(api.open_instance(name))
    return found
