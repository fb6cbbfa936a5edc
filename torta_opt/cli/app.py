"""The command line: parses, calls ``api``, prints.

With --json a command prints one JSON document on stdout and nothing else; everything meant for
people goes to stderr or the terminal. Exit codes: 0 done (also after Ctrl-C), 2 invalid input,
3 infeasible, 4 a limit or Ctrl-C came before there was anything to write, 5 verification failed,
141 the reader of stdout has gone (as after ``| head``). Where ``-o`` names standard output, the
report goes to stderr.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from torta_opt import __version__
from torta_opt.io import Infeasible, InvalidInput, LimitReached, TortaOptError
from torta_opt.io.streams import ReaderGone, flush_output, guard_streams
from torta_opt.io.writing import descriptor_of, is_special

if TYPE_CHECKING:
    from torta_opt.allocation.bounds.registry import BoundResult
    from torta_opt.allocation.instance import Instance
    from torta_opt.allocation.policies.experiment import Row
    from torta_opt.allocation.schedule import Schedule
    from torta_opt.api import Result, SolverWatch, Watch
    from torta_opt.solvers import Limits

_OPTIONS = {"file", "kind", "path", "preset", "progress", "seed"}  # not for --set
INTERRUPTED_CODE = 130  # what typer answers to Ctrl-C
PIPED_WIDTH = 100
MAX_THREADS = 1024  # as in solvers.problem; more end a process, not an option error
TABLES = "tables"  # the kind of import that reads no trace
NO_BOUND = "none"  # what compare is told where no gap is wanted
PLACEMENT = "placement/"  # before the names of block placement presets

app = typer.Typer(
    name="torta-opt",
    help="How far is a geo-distributed GPU-inference schedule from the best possible one?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

InstanceFile = Annotated[str, typer.Argument(metavar="INSTANCE", help="instance file")]
Slots = Annotated[
    str | None, typer.Option(metavar="A:B", help="only slots A to B−1 of the instance")
]
Weights = Annotated[
    str | None,
    typer.Option(metavar="FILE|paper|xN", help="a file, the paper's objective, or N times"),
]
Json = Annotated[bool, typer.Option("--json", help="one JSON document on stdout, nothing else")]
Seed = Annotated[int, typer.Option(help="seed of everything random", min=0)]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="a parameter; may be repeated"),
]
TimeLimit = Annotated[
    float | None, typer.Option("--time-limit", metavar="S", help="seconds a solver may take")
]
WorkLimit = Annotated[
    int | None,
    typer.Option(metavar="N", help="nodes or iterations of a solver: stops alike everywhere"),
]
Threads = Annotated[
    int, typer.Option(help="threads of a solver, 0: as it likes", min=0, max=MAX_THREADS)
]


def main() -> None:
    """Entry point of ``torta-opt``."""
    guard_streams()
    code = _with_all_written(run(sys.argv[1:]))
    _leave_at_once_if_a_solver_runs(code)
    sys.exit(code)


def _with_all_written(code: int) -> int:
    """``code``, or another where the last of the output cannot be written."""
    code, complaint = flush_output(code)
    return _complain(complaint, code) if complaint else code


def _leave_at_once_if_a_solver_runs(code: int) -> None:
    """End without the exit handlers of C++, which abort while HiGHS still works."""
    running = sys.modules.get("torta_opt.solvers.running")
    if running is None or not running.is_left_behind():
        return
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)


def _survives_lost_output(command: Callable[[Sequence[str]], int]) -> Callable[..., int]:
    """Also after Ctrl-C, when the reader of stdout is often gone first."""

    @functools.wraps(command)
    def guarded(arguments: Sequence[str]) -> int:
        try:
            return command(arguments)
        except ReaderGone as error:
            return error.exit_code
        except TortaOptError as error:
            return _complain(str(error), error.exit_code)

    return guarded


@_survives_lost_output
def run(arguments: Sequence[str]) -> int:
    """Run one command; errors that a user can meet become one plain line and an exit code."""
    try:
        code = app(list(arguments), prog_name="torta-opt", standalone_mode=False)
    except LimitReached as error:
        return _nothing(arguments, "limit", str(error))
    except typer.TyperException as error:
        message = " ".join(error.format_message().split())
        if not message:  # nothing was asked for: the help stands on stdout already
            return 2
        return _complain(f"{message} (torta-opt --help lists what there is)", 2)
    if code == INTERRUPTED_CODE:
        return _nothing(arguments, "interrupted", "interrupted before there was anything to write")
    return code or 0


def _nothing(arguments: Sequence[str], status: str, line: str) -> int:
    """A limit or Ctrl-C came before anything was found: nothing is written, and that is said."""
    if "--json" in arguments:
        _print_json({"status": status, "message": line})
    return _complain(line, LimitReached.exit_code)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="print the version")] = False,
) -> None:
    if version:
        print(f"torta-opt {__version__}")


@app.command()
def generate(
    preset: Annotated[
        str | None, typer.Argument(metavar="PRESET", help="a name that `methods` lists")
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="instance file to write")
    ] = None,
    topology: Annotated[
        str | None, typer.Option(metavar="FILE", help="your own GML or GraphML, not a preset")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="every preset, into the folder that -o names")
    ] = False,
    seed: Seed = 0,
    settings: Settings = None,
    json_: Json = False,
) -> None:
    """Write an instance: a preset, or the paper's setting on a topology of your own."""
    from torta_opt.allocation.instance import generate as presets

    if [preset is not None, topology is not None, every].count(True) != 1:
        raise InvalidInput("give a preset, --topology FILE or --all, and only one of them")
    if output is None:
        raise InvalidInput("-o says where to write", field="--output")
    parameters = _parameters(settings)
    if every:
        written = _generate_all(Path(output), seed, parameters)
        return _show(json_, {"files": written}, lambda: "\n".join(written))
    _check_writable(output, topology)
    if topology is not None:
        instance = presets.generate_from_topology(topology, seed, **parameters)
    elif str(preset).startswith(PLACEMENT):
        instance = _placement_instance(str(preset), seed, parameters)
    else:
        instance = presets.generate(str(preset), seed, **parameters)
    _write_instance(instance, output, json_)


@app.command("import")
def import_(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="a kind that `methods` lists")],
    trace: Annotated[
        str, typer.Argument(metavar="TRACE", help="the trace, or the folder of CSV tables")
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="instance file to write")
    ],
    seed: Seed = 0,
    settings: Settings = None,
    json_: Json = False,
) -> None:
    """Make an instance of a request trace, or of a folder of CSV tables."""
    from torta_opt.allocation.instance.imports import import_trace, load_tables

    _check_writable(output, trace)
    parameters = _parameters(settings)
    if kind == TABLES:
        if parameters:
            raise InvalidInput("goes with traces: tables say everything", field="--set")
        return _write_instance(load_tables(trace), output, json_)
    with _watching() as watch:
        progress = watch and functools.partial(watch, f"reading {Path(trace).name}")
        instance, report = import_trace(kind, trace, seed=seed, progress=progress, **parameters)
    _write_instance(instance, output, json_, report)


@app.command()
def tables(
    instance: InstanceFile,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FOLDER", help="folder to write into")
    ],
    json_: Json = False,
) -> None:
    """Write an instance as a folder of CSV tables; `import tables` reads it back."""
    from torta_opt import api
    from torta_opt.allocation.instance.imports import save_tables

    problem = api.open_instance(instance)
    if api.is_placement(problem):
        raise InvalidInput("is a placement instance: tables hold allocation ones", file=instance)
    files = save_tables(problem, output)
    document = {"instance": problem.name, "files": files}
    _show(json_, document, lambda: f"{output}: {problem.name}, {len(files)} tables")


@app.command()
def describe(instance: InstanceFile, json_: Json = False) -> None:
    """Size, load, floor of an instance, and what looks odd about it."""
    from torta_opt import api

    facts = api.describe(api.open_instance(instance))
    warnings = facts["warnings"]
    _show(json_, facts, lambda: _description(facts))
    for warning in warnings:
        _say(f"warning: {warning}")


@app.command()
def methods(json_: Json = False) -> None:
    """Policies, bounds, presets and importers by name."""
    known = _known_methods()

    def table() -> Any:
        from torta_opt.cli.tables import rows_table

        rows = [
            (name, kind, summary)
            for kind, entries in known.items()
            for name, summary in entries.items()
        ]
        return rows_table(("name", "", "what it does"), rows)

    _show(json_, known, table)


@app.command()
def solve(
    instance: InstanceFile,
    method: Annotated[
        str,
        typer.Option(metavar="NAME", help="a policy, clairvoyant, optimal, or a placement method"),
    ],
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="SCHEDULE", help="file to write")
    ] = None,
    gap: Annotated[
        float | None, typer.Option(metavar="G", help="optimal: stop at this gap, as in 0.01")
    ] = None,
    start: Annotated[
        str | None, typer.Option(metavar="SCHEDULE", help="optimal: a schedule to start from")
    ] = None,
    slots: Slots = None,
    time_limit: TimeLimit = None,
    work_limit: WorkLimit = None,
    threads: Threads = 1,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Find a schedule, verify it, price it, write it."""
    from torta_opt import api

    if output is not None:
        _check_writable(output, instance, start)
    if method != api.OPTIMAL and (gap is not None or start is not None):
        raise InvalidInput(f"{method} takes no --gap and no --start", field="--method")
    limits = _limits(time_limit, work_limit, threads, seed, gap)
    problem = _cut(api.open_instance(instance), slots)
    if (time_limit, work_limit) != (None, None) and api.is_online(problem, method):
        raise InvalidInput(f"{method} takes no --time-limit and no --work-limit", field="--method")
    _warn(problem)
    known = None if start is None else api.load_schedule(start, problem)
    with _watching() as watch, _watching_solver(method, time_limit) as solver_watch:
        result = api.solve(
            problem, method, seed, watch, limits=limits, start=known, solver_watch=solver_watch
        )
    if output is not None:
        api.save_schedule(result.schedule, problem, output)
    if result.status != api.DONE:
        _say(_how_it_ended(result))
    document = {"instance": problem.name, **result.to_document(), "output": output}

    def table() -> Any:
        from torta_opt.cli.tables import solve_table

        return solve_table(result, _unit(problem))

    _show(json_, document, table)


@app.command()
def bound(
    instance: InstanceFile,
    method: Annotated[
        str, typer.Option(metavar="NAME", help="a bound that `methods` lists")
    ] = "auto",
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="bound file to write")
    ] = None,
    weights: Weights = None,
    slots: Slots = None,
    time_limit: TimeLimit = None,
    work_limit: WorkLimit = None,
    threads: Threads = 1,
    json_: Json = False,
) -> None:
    """Prove a number that no schedule can beat."""
    from torta_opt import api
    from torta_opt.io import write_document

    if output is not None:
        _check_writable(output, instance, weights)
    limits = _limits(time_limit, work_limit, threads)
    problem = _reweighted(_cut(api.open_instance(instance), slots), weights)
    with _watching_solver(method, time_limit) as solver_watch:
        proved = api.bound(problem, method, limits=limits, solver_watch=solver_watch)
    if output is not None:
        write_document(output, api.bound_to_document(proved, problem))
    document = {
        "instance": problem.name,
        "value": proved.value,
        "source": proved.source,
        "certified": proved.certified,
        "certified_value": proved.certified_value,
        "status": proved.status,
        "seconds": proved.seconds,
        "costs": proved.costs,
        "output": output,
    }
    if proved.stopped:
        document["stopped"] = proved.stopped
    if proved.status != api.DONE:
        _say(_how_it_ended(proved))
    proof = "certified" if proved.certified else "not certified"
    unit = _unit(problem, weights)
    line = f"{problem.name}: no schedule costs less than {proved.value:.10g} {unit}"
    beside = "" if proved.beside is None else f"; certified is {proved.beside.value:.10g} {unit}"
    _show(json_, document, lambda: f"{line} (source {proved.source}, {proof}){beside}")
    if output is not None and proved.beside is not None and proved.why:
        _say(f"{output} holds what is certified, {proved.beside.value:.10g} {unit}")


@app.command()
def gap(
    instances: Annotated[list[str], typer.Argument(metavar="INSTANCE...", help="instance files")],
    policies: Annotated[
        str | None, typer.Option(metavar="A,B", help="policies to run; all if none is named")
    ] = None,
    schedule: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="a schedule of your own; may be repeated"),
    ] = None,
    bound_method: Annotated[
        str, typer.Option("--bound", metavar="NAME", help="what to measure from")
    ] = "auto",
    certificate: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="a bound file to measure from; it is checked first"),
    ] = None,
    weights: Weights = None,
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity", help="also with time at a quarter and at 4 times")
    ] = False,
    slots: Slots = None,
    time_limit: TimeLimit = None,
    work_limit: WorkLimit = None,
    threads: Threads = 1,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """How far schedules are from the best possible one, at most and at least."""
    from torta_opt import api

    if schedule and len(instances) > 1:
        raise InvalidInput("goes with one instance", field="--schedule")
    if sensitivity and weights is not None:
        raise InvalidInput("goes with the instance's own weights", field="--sensitivity")
    if certificate is not None and (len(instances) > 1 or bound_method != "auto"):
        raise InvalidInput("goes with one instance and no --bound", field="--certificate")
    names = None if policies is None else _policy_list(policies)
    limits = _limits(time_limit, work_limit, threads, seed)
    reports = []
    for path in instances:
        problem = _cut(api.open_instance(path), slots)
        own = _own_schedules(schedule or [], problem)
        problem = _reweighted(problem, weights)
        _warn(problem)
        proved = None if certificate is None else api.load_bound(certificate, problem)
        with _watching() as watch, _watching_solver(bound_method, time_limit) as solver_watch:
            report = api.gap(
                problem,
                names,
                own,
                bound_method,
                seed,
                watch,
                limits=limits,
                sensitivity=api.SENSITIVITY if sensitivity else (),
                solver_watch=solver_watch,
                proved=proved,
            )
        reports.append(report)
        if not json_:
            _show_gap(report, _unit(problem, weights))
        for why in report.left_out.values():
            _say(f"left out: {why}")
        if report.status != api.DONE:
            _say("interrupted")
            break
    documents = [report.to_document() for report in reports]
    if json_:
        _print_json(documents[0] if len(instances) == 1 else documents)
    if all(report.left_out and not report.results for report in reports):
        raise Infeasible("no method found a schedule")
    broken = [result for report in reports for result in report.results if not result.feasible]
    for result in broken:
        result.raise_if_infeasible()


@app.command()
def export(
    instance: InstanceFile,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="file to write; .gz compresses")
    ],
    format_: Annotated[
        str | None, typer.Option("--format", metavar="mps|lp", help="if the name does not say it")
    ] = None,
    relaxed: Annotated[bool, typer.Option("--relaxed", help="servers may be fractions")] = False,
    named: Annotated[bool, typer.Option("--named", help="every server on its own")] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="without knapsack rows: a weaker program")
    ] = False,
    slots: Slots = None,
    json_: Json = False,
) -> None:
    """Write the allocation program for another solver."""
    from torta_opt import api

    _check_writable(output, instance)
    problem = _cut(api.open_instance(instance), slots)
    size = api.export(problem, output, format_, relaxed=relaxed, named=named, plain=plain)
    document = {"instance": problem.name, "output": output, **size}
    rows = f"{size['rows']:,} rows ({size['knapsack_rows']:,} knapsack)"
    line = "{columns:,} columns, {integers:,} integer, {entries:,} entries".format(**size)
    _show(json_, document, lambda: f"{output}: {rows}, {line}")


@app.command()
def verify(
    instance: InstanceFile,
    file: Annotated[str, typer.Argument(metavar="FILE", help="schedule or bound file")],
    weights: Weights = None,
    slots: Slots = None,
    json_: Json = False,
) -> None:
    """Check a schedule against every rule, or derive a bound again, without a solver."""
    from torta_opt import api

    problem = _reweighted(_cut(api.open_instance(instance), slots), weights)
    check = api.verify_file(problem, file)

    def table() -> Any:
        from torta_opt.cli.tables import check_table

        return check_table(check, file, _unit(problem, weights))

    _show(json_, {"file": file, **check.to_document()}, table)
    if not check.ok:
        raise typer.Exit(5)


@app.command()
def simulate(
    instance: InstanceFile,
    method: Annotated[
        str | None, typer.Option(metavar="NAME", help="a placement method; ws_rr if none is named")
    ] = None,
    schedule: Annotated[
        str | None, typer.Option(metavar="FILE", help="place blocks as this schedule does instead")
    ] = None,
    requests: Annotated[
        int | None, typer.Option(metavar="N", help="how many arrive; 1000 if not given")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="R", help="arrivals per second, of all clients")
    ] = None,
    trace: Annotated[
        str | None, typer.Option(metavar="CSV", help="arrivals: arrival_s, client, tokens")
    ] = None,
    delays: Annotated[
        str, typer.Option(metavar="zero|published", help="the authors' fixed delays, or none")
    ] = "zero",
    give_up: Annotated[
        float | None, typer.Option(metavar="S", help="seconds a request waits at most")
    ] = None,
    jitter: Annotated[
        float, typer.Option(metavar="J", help="spreads gaps between tries by ± this share")
    ] = 0.0,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="CSV", help="one line a request")
    ] = None,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Block placement: requests come one by one, wait, try again, are served."""
    from torta_opt import api

    if method is not None and schedule is not None:
        raise InvalidInput("goes without --method", field="--schedule")
    if requests is not None and trace is not None:
        raise InvalidInput("goes without --requests: a trace has its own", field="--trace")
    if output is not None:
        _check_writable(output, instance, trace, schedule)
    problem = api.open_instance(instance)
    if not api.is_placement(problem):
        raise InvalidInput("goes with placement instances, not with allocation", file=instance)
    from torta_opt.placement.online.play import play, save_requests

    placed = method or "ws_rr" if schedule is None else api.load_schedule(schedule, problem)
    count = 1000 if requests is None else requests
    played = play(problem, placed, count, rate, trace, delays, give_up, jitter, seed)
    if output is not None:
        save_requests(played, problem, output)
    document = {"instance": problem.name, **played.to_document(), "output": output}

    def table() -> Any:
        from torta_opt.cli.tables import simulation_table

        return simulation_table(document)

    _show(json_, document, table)


@app.command()
def train(
    instances: Annotated[
        list[str], typer.Argument(metavar="INSTANCE...", help="files to train on, or a preset")
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="NAME", help="as in models/mine")
    ],
    seeds: Annotated[
        str, typer.Option(metavar="A:B", help="seeds of a preset to train on, A to B−1")
    ] = "1000:1008",
    validation: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE|A:B", help="what picks the best: files, or seeds of the preset"),
    ] = None,
    held_out: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE|A:B", help="what the best is judged on in its card, likewise"),
    ] = None,
    reward: Annotated[str, typer.Option(metavar="cost|paper", help="what is rewarded")] = "cost",
    head: Annotated[str, typer.Option(metavar="beta|softmax", help="of the policy")] = "beta",
    smoothing: Annotated[
        float, typer.Option(metavar="λ", help="of what it starts as; 0: transport as it is", min=0)
    ] = 1.0,
    resume: Annotated[bool, typer.Option("--resume", help="go on from a checkpoint")] = False,
    episode_slots: Annotated[
        int | None, typer.Option(metavar="N", help="slots of an episode; a rollout's if not given")
    ] = None,
    every: Annotated[
        int, typer.Option(metavar="N", help="updates from one judgement to the next", min=1)
    ] = 10,
    micro: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="a parameter of torta_ot under it; repeatable"),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda", help="where the networks learn")
    ] = "auto",
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="the curve also for TensorBoard, where installed")
    ] = False,
    threads: Threads = 1,
    seed: Seed = 0,
    settings: Settings = None,
    json_: Json = False,
) -> None:
    """Train TORTA's networks for the topology of the instances (--set updates=200 …)."""
    from torta_opt import api

    if head not in ("beta", "softmax"):
        raise InvalidInput("must be beta or softmax", field="--head")
    if is_special(output):
        raise InvalidInput("must begin the names of several files, as models/mine", "--output")
    _check_writable(output + ".safetensors")
    options = _parameters(settings)
    problems, judges, tests = _training_sets(instances, seeds, validation, held_out)
    import torch

    from torta_opt.allocation.learning.environment import Task
    from torta_opt.allocation.learning.ppo import Options
    from torta_opt.allocation.learning.train import has_checkpoint, has_tensorboard
    from torta_opt.allocation.learning.train import train as run_training

    if resume and not has_checkpoint(output):
        _say(f"{output} has no checkpoint yet: training starts from the beginning")

    if tensorboard and not has_tensorboard():
        _say(f"tensorboard is not installed; the curve is in {output}.csv")
        tensorboard = False
    try:
        chosen = Options(**options)
    except TypeError as error:
        raise InvalidInput(str(error).rpartition(" ")[2] + " is not an option", "--set") from None
    if threads:
        torch.set_num_threads(threads)
    task = Task(reward=reward, episode_slots=episode_slots, micro=_parameters(micro, "--micro"))
    with _watching() as watch:

        def progress(row: dict[str, float]) -> None:
            if watch is not None:
                watch(f"training {output}", int(row["update"]), chosen.updates)
            if "score" in row:
                _say(f"update {row['update']}: {row['score']:.6g}")

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
    _show(json_, document, lambda: line)
    if found.status != api.DONE:
        _say(found.status)


def _training_sets(
    instances: list[str], seeds: str, validation: list[str] | None, held_out: list[str] | None
) -> tuple[list[Instance], list[Instance], list[Instance]]:
    """Instances to train on, to pick the best by, and to judge it on."""
    from torta_opt import api
    from torta_opt.allocation.instance.generate import generate, preset_names

    preset = instances[0] if len(instances) == 1 and instances[0] in preset_names() else None

    def open_all(names: list[str]) -> list[Instance]:
        found: list[Instance] = []
        for name in names:
            if preset is not None and ":" in name:
                found += [generate(preset, n) for n in _seed_range(name)]
            else:
                found.append(api.open_instance(name))
        return found

    sets = (
        open_all([seeds] if preset else instances),
        *map(open_all, (validation or [], held_out or [])),
    )
    for each in sets:
        for problem in each:
            if api.is_placement(problem):
                raise InvalidInput(f"{problem.name}: goes with allocation instances")
    return sets


@app.command()
def compare(
    instances: Annotated[list[str], typer.Argument(metavar="INSTANCE...", help="instance files")],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="FILE", help="table that grows; one JSON line a run"
        ),
    ],
    policies: Annotated[
        str | None, typer.Option(metavar="A,B", help="policies to run; all if none is named")
    ] = None,
    seeds: Annotated[
        int, typer.Option(metavar="N", help="seeds 0 to N−1 of policies that draw lots", min=1)
    ] = 1,
    against: Annotated[
        str | None, typer.Option(metavar="NAME", help="policy to compare with; else the first")
    ] = None,
    bound_method: Annotated[
        str, typer.Option("--bound", metavar="NAME", help="what gaps are to, or none")
    ] = "auto",
    jobs: Annotated[int, typer.Option(metavar="N", help="runs at once", min=1, max=256)] = 1,
    slots: Slots = None,
    json_: Json = False,
) -> None:
    """Instances × policies × seeds; started again, it runs only what the table lacks."""
    from torta_opt import api
    from torta_opt.allocation.policies import experiment as study

    _check_writable(output, *instances)
    names = api.policy_names() if policies is None else _policy_list(policies)
    names = list(dict.fromkeys(names))
    if against is not None and against not in names:
        raise InvalidInput(f"{against!r:.60} is not among the policies", field="--against")
    steady = [name for name in names if study.runs_once(name)] if seeds > 1 else []
    _check_bound_name(bound_method)
    problems = _problems_to_compare(instances, slots)
    proved: list[Row] = []
    try:
        with _watching() as watch:
            progress = watch and functools.partial(watch, "comparing")
            rows = study.compare(problems, names, range(seeds), output, jobs, progress)
            if bound_method != NO_BOUND:
                progress = watch and functools.partial(watch, "proving bounds")
                proved = study.bounds(problems, bound_method, output, jobs, progress)
                rows = study.with_gaps(rows, proved)
    except KeyboardInterrupt:
        if not (os.path.exists(output) and os.path.getsize(output)):
            raise
        _say("interrupted")  # the rows that are complete stand in the table
        if json_:
            _print_json({"output": output, "status": "interrupted"})
        return
    unit_of = study.units(problems)
    count, systems = len(set(unit_of.values())), study.system_count(problems)
    found = study.comparison(rows, against or names[0], unit_of)

    def table() -> Any:
        from torta_opt.cli.comparison_tables import comparison_tables

        return comparison_tables(found, count, systems, steady, proved)

    document = {
        "output": output,
        "runs": len(rows),
        "instances": count,
        "systems": systems,
        "run_once": steady,
        **found.to_document(),
        "bounds": proved,
    }
    _show(json_, document, table)
    study.raise_if_failed(rows)


def _problems_to_compare(files: Sequence[str], slots: str | None) -> list[Instance]:
    """Allocation instances; says which of them are not independent of each other."""
    from torta_opt import api
    from torta_opt.allocation.instance.document import instance_sha256
    from torta_opt.allocation.policies.experiment import units

    problems = [_cut(api.open_instance(path), slots) for path in files]
    for problem in problems:
        if api.is_placement(problem):
            raise InvalidInput(f"{problem.name}: goes with allocation instances")
    first: dict[str, str] = {}
    unit_of = units(problems)
    for path, problem in zip(files, problems, strict=True):
        sha256 = instance_sha256(problem)
        if sha256 in first:
            _say(f"warning: {path} is the same instance as {first[sha256]}: it counts once")
            continue
        alike = next((first[one] for one in first if unit_of[one] == unit_of[sha256]), None)
        if alike is not None:
            _say(f"warning: {path} shares demand with {alike}: the two count as one instance")
        first[sha256] = path
    return problems


def _check_bound_name(name: str) -> None:
    from torta_opt.allocation.bounds.registry import AUTO, METHODS

    known = [*METHODS, AUTO, NO_BOUND]
    if name not in known:
        raise InvalidInput(
            f"{name!r:.60} is not a bound; known: {', '.join(known)}", field="--bound"
        )


@app.command()
def doctor(json_: Json = False) -> None:
    """Versions, solvers and threads of this machine."""
    from torta_opt.doctor import environment, environment_rows, is_complete

    found = environment()

    def table() -> Any:
        from torta_opt.cli.tables import rows_table

        return rows_table(("what", "version", ""), environment_rows(found))

    _show(json_, found, table)
    if not is_complete(found):
        raise InvalidInput("something is missing or does not work; make clean, then make gap")


@app.command()
def schema(
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FOLDER", help="folder to write into")
    ] = None,
    json_: Json = False,
) -> None:
    """JSON Schema of every file format."""
    from torta_opt.api import schemas

    known = schemas()
    if output is None:
        return _print_json(known)
    written = _write_schemas(known, Path(output))
    _show(json_, {"files": written}, lambda: "\n".join(written))


# --- reading ------------------------------------------------------------------------------------


def _slot_range(text: str) -> tuple[int, int]:
    try:
        first, last = map(int, text.split(":"))
    except ValueError:
        raise InvalidInput(f"{text!r:.40} must be A:B, two slots", field="--slots") from None
    return first, last


def _seed_range(text: str) -> range:
    try:
        first, end = map(int, text.split(":"))
    except ValueError:
        first, end = -1, -1
    if not 0 <= first < end:
        raise InvalidInput(f"{text!r:.40} must be A:B with 0 ≤ A < B", field="--seeds")
    return range(first, end)


def _cut(instance: Instance, slots: str | None) -> Instance:
    from torta_opt import api

    if slots is None:
        return instance
    if api.is_placement(instance):
        raise InvalidInput("goes with allocation instances, not with placement", "--slots")
    return instance.cut(*_slot_range(slots))


def _reweighted(instance: Instance, weights: str | None) -> Instance:
    from torta_opt import api

    return instance if weights is None else api.reweighted(instance, weights)


def _limits(
    seconds: float | None, work: int | None, threads: int, seed: int = 0, gap: float | None = None
) -> Limits | None:
    """Solver limits; None stands for the defaults, which need no solver to be loaded."""
    if (seconds, work, threads, seed, gap) == (None, None, 1, 0, None):
        return None
    from torta_opt.solvers.problem import Limits

    given = {"seconds": seconds, "work": work, "gap": gap}
    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        return Limits(threads=threads, seed=seed, **chosen)
    except InvalidInput as error:
        option = {"seconds": "--time-limit", "work": "--work-limit", "gap": "--gap"}
        raise InvalidInput(error.rule, option.get(error.field or "", f"--{error.field}")) from None


def _own_schedules(files: Sequence[str], instance: Instance) -> dict[str, Schedule]:
    """Schedules by file name; the whole path where two have the same name."""
    from torta_opt.api import load_schedule

    names = [Path(file).name for file in files]
    labels = [
        file if names.count(name) > 1 else name for file, name in zip(files, names, strict=True)
    ]
    return {label: load_schedule(file, instance) for label, file in zip(labels, files, strict=True)}


def _policy_list(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    if not names:
        raise InvalidInput("names no policy", field="--policies")
    return names


def _parameters(settings: Sequence[str] | None, option: str = "--set") -> dict[str, Any]:
    """``KEY=VALUE`` pairs; a value is JSON where it can be, text otherwise."""
    parameters: dict[str, Any] = {}
    for setting in settings or ():
        key, equals, text = setting.partition("=")
        if not equals or not key.isidentifier():
            raise InvalidInput(f"{setting!r:.60} must be KEY=VALUE", field=option)
        if key in _OPTIONS:
            raise InvalidInput(f"{key} is not a parameter", field=option)
        if key in parameters:
            raise InvalidInput(f"{key} is given twice", field=option)
        try:
            parameters[key] = json.loads(text)
        except (ValueError, RecursionError):
            parameters[key] = text
    return parameters


def _known_methods() -> dict[str, dict[str, str]]:
    from torta_opt.allocation.bounds.registry import METHODS
    from torta_opt.allocation.instance.generate import preset_names
    from torta_opt.allocation.instance.imports import TRACE_KINDS
    from torta_opt.allocation.policies.registry import summaries
    from torta_opt.api import OFFLINE
    from torta_opt.placement import family as door
    from torta_opt.placement.instance.presets import PRESETS
    from torta_opt.placement.online.play import METHODS as ONLINE

    return {
        "policy": summaries(),
        "offline": OFFLINE,
        "bound": {name: method.summary for name, method in METHODS.items()},
        "placement": door.methods(),
        "placement online": {name: online.summary for name, online in ONLINE.items()},
        "placement bound": door.BOUNDS,
        "preset": {
            **{name: _preset_summary(name) for name in preset_names()},
            **{f"{PLACEMENT}{name}": preset.summary for name, preset in PRESETS.items()},
            f"{PLACEMENT}network": "servers on --set network=FILE, or a graph of topohub",
        },
        "import": {
            **dict.fromkeys(TRACE_KINDS, "instance from a trace of this form"),
            TABLES: "instance from a folder of CSV tables, as `tables` writes them",
        },
    }


def _preset_summary(name: str) -> str:
    if name.startswith("small/"):
        return "tiny instance in which one rule decides"
    if name.startswith("fig5/"):
        return f"the paper's Fig. 5: {name.removeprefix('fig5/')} tasks in one slot, 50 servers"
    topology, *variants = name.removeprefix("paper/").split("+")
    with_variants = "".join(f" with {variant}s" for variant in variants)
    return f"the paper's setting on {topology}{with_variants}"


# --- writing ------------------------------------------------------------------------------------


def _generate_all(folder: Path, seed: int, parameters: dict[str, Any]) -> list[str]:
    """Tiny instances as plain text, the others compressed; variants follow from their presets."""
    from torta_opt.allocation.instance import save_instance
    from torta_opt.allocation.instance.generate import generate, preset_names

    if parameters:
        raise InvalidInput("goes with one preset", field="--set")
    written = []
    for name in preset_names():
        if "+" in name:
            continue
        path = folder / f"{name}{'.json' if name.startswith('small/') else '.json.gz'}"
        _make_folder(path.parent)
        save_instance(generate(name, seed), path)
        written.append(str(path))
    return [*written, *_placement_files(folder / PLACEMENT, seed)]


def _placement_files(folder: Path, seed: int) -> list[str]:
    """Every block placement preset; the small ones as plain text."""
    from torta_opt.placement.instance.document import save_placement
    from torta_opt.placement.instance.presets import PRESETS, placement_preset

    _make_folder(folder)
    written = []
    for name, preset in PRESETS.items():
        path = folder / f"{name}{'.json' if preset.small else '.json.gz'}"
        save_placement(placement_preset(name, seed), path)
        written.append(str(path))
    return written


def _placement_instance(preset: str, seed: int, parameters: dict[str, Any]) -> Any:
    from torta_opt.placement.instance.presets import network_instance, placement_preset

    name = preset.removeprefix(PLACEMENT)
    if name != "network":
        return placement_preset(name, seed, **parameters)
    if "network" not in parameters:
        raise InvalidInput("give --set network=FILE, or a name that topohub knows", field="--set")
    return network_instance(seed=seed, **parameters)


def _write_instance(instance: Instance, output: str, json_: bool, report: Any = None) -> None:
    from torta_opt import api
    from torta_opt.allocation.instance import save_instance

    if api.is_placement(instance):
        return _write_placement(instance, output, json_)
    save_instance(instance, output)
    document = {
        "instance": instance.name,
        "output": output,
        "slots": instance.slots,
        "requests": instance.requests,
    }
    if report is not None:
        document["import"] = report.to_document()
    lines = [] if report is None else report.lines()
    written = f"{instance.name}, {instance.slots} slots, {instance.requests:,} requests"
    _show(json_, document, lambda: "\n".join([*lines, f"{output}: {written}"]))
    _warn(instance)


def _write_placement(instance: Any, output: str, json_: bool) -> None:
    from torta_opt.placement.instance.document import save_placement

    save_placement(instance, output)
    servers, blocks = len(instance.servers), instance.llm.blocks
    document = {
        "instance": instance.name,
        "output": output,
        "servers": servers,
        "blocks": blocks,
        "requests": instance.requests,
    }
    size = f"{servers} servers, {blocks} blocks, {instance.requests} requests"
    _show(json_, document, lambda: f"{output}: {instance.name}, {size}")


def _write_schemas(known: dict[str, dict[str, Any]], folder: Path) -> list[str]:
    from torta_opt.io import write_bytes

    _make_folder(folder)
    written = []
    for name, content in known.items():
        path = folder / f"{name.removeprefix('torta-opt/')}.json"
        write_bytes(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
        written.append(str(path))
    return written


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"cannot be made: {error.strerror}", file=str(folder)) from None


def _check_writable(output: str, *inputs: str | None) -> None:
    """Complain before the work is done, not after; never write over what is read."""
    if descriptor_of(output) is not None:
        return
    path = Path(output)
    if any(
        path.exists() and path.samefile(each) for each in inputs if each and Path(each).exists()
    ):
        raise InvalidInput("is read by this command: write to another file", file=output)
    if path.is_dir():
        raise InvalidInput("is a folder, not a file to write", file=output)
    if not path.parent.is_dir():
        raise InvalidInput("cannot be written: there is no such folder", file=output)
    if path.exists() and not os.access(path, os.W_OK):
        raise InvalidInput("cannot be written: Permission denied", file=output)


# --- printing -----------------------------------------------------------------------------------


def _show(json_: bool, document: Any, table: Callable[[], Any]) -> None:
    """``document`` as JSON, or what ``table()`` gives for people."""
    with _beside_the_file(document):
        if json_:
            return _print_json(document)
        _print_table(table())


@contextlib.contextmanager
def _beside_the_file(document: Any) -> Iterator[None]:
    """Where a file was written to standard output, nothing else may be: it goes to stderr."""
    output = document.get("output") if isinstance(document, dict) else None
    if isinstance(output, str) and descriptor_of(output) == 1:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    else:
        yield


def _show_gap(report: Any, unit: str) -> None:
    from torta_opt.cli.tables import gap_tables

    _print_table(gap_tables(report, unit))


def _description(facts: dict[str, Any]) -> Any:
    from torta_opt.cli.tables import description_table, placement_description_table

    if "blocks" in facts:
        return placement_description_table(facts)
    return description_table(facts)


def _print_json(document: Any) -> None:
    sys.stdout.write(json.dumps(document, allow_nan=False, indent=2) + "\n")
    sys.stdout.flush()


def _print_table(table: Any) -> None:
    """A terminal at its own width; anything else gets plain text of at most 100 columns."""
    from rich.console import Console

    is_terminal = sys.stdout.isatty()
    width = None if is_terminal else PIPED_WIDTH
    console = Console(width=width, markup=False, highlight=False, emoji=False)
    if is_terminal:
        return console.print(table)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        print(line.rstrip())


@contextlib.contextmanager
def _watching() -> Iterator[Watch | None]:
    """A progress bar on stderr, where stderr is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        tasks: dict[str, Any] = {}

        def watch(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(escape(step), total=total)
            progress.update(tasks[step], completed=done)

        yield watch


@contextlib.contextmanager
def _watching_solver(name: str, time_limit: float | None) -> Iterator[SolverWatch | None]:
    """Incumbent, bound, gap and time left of a solver's run, on a line of stderr."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.status import Status

    from torta_opt.cli.tables import progress_line

    with Status(name, console=Console(stderr=True)) as status:
        yield lambda sample: status.update(progress_line(name, sample, time_limit))


def _warn(instance: Instance) -> None:
    from torta_opt.allocation.instance.warnings import warnings_of
    from torta_opt.api import is_placement

    if is_placement(instance):
        return
    for warning in warnings_of(instance):
        _say(f"warning: {warning}")


def _how_it_ended(found: Result | BoundResult) -> str:
    """``interrupted``, or ``limit`` and why."""
    if found.status == "interrupted" or not found.stopped:
        return found.status
    return f"{found.status}: {found.stopped}"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _complain(line: str, code: int) -> int:
    _say(f"torta-opt: {line}")
    return code


def _unit(instance: Instance, weights: str | None = None) -> str:
    from torta_opt.api import is_placement

    if is_placement(instance):
        return "s"
    return "req·s" if weights == "paper" else "$"
