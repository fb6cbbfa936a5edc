"""The import graph: lower layers never know higher ones, and heavy packages load only when used."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from support.plain import make_instance, make_schedule

from torta_opt.allocation.instance import save_instance
from torta_opt.allocation.schedule import save_schedule

ROOT = Path(__file__).parents[1] / "torta_opt"
LAYERS = [  # the lowest first
    "io",
    "parallel",
    "plugins",
    "symbolic",
    "results",
    "solvers",
    "family",
    "transport",
    "allocation.instance",
    "allocation.profiles",
    "allocation.site",
    "allocation.schedule",
    "allocation.law",
    "allocation.replay",
    "allocation.plan",
    "allocation.formulations",
    "allocation.bounds",
    "allocation.single_slot",
    "allocation.assignment",
    "allocation.policies",
    "allocation.log",
    "allocation.search",
    "allocation.foresight",
    "allocation.learning",
    "allocation.family",
    "placement.instance",
    "placement.schedule",
    "placement.policies",
    "placement.online",
    "placement.bounds",
    "placement.formulations",
    "placement.methods",
    "placement.search",
    "placement.family",
    "families",
    "arguments",
    "api",
    "gaps",
    "library",
    "report",
    "doctor",
    "cli",
    "start",
]
# Packages that hold layers, and nothing else.
HOLDERS = {"__init__", "__main__", "allocation.__init__", "placement.__init__"}
HEAVY = {
    "cvxpy",
    "gymnasium",
    "highspy",
    "jinja2",
    "matplotlib",
    "networkx",
    "ot",
    "pandas",
    "plotly",
    "pyomo",
    "scipy",
    "topohub",
    "torch",
}


def name_of(path: Path) -> str:
    """The dotted name of a module inside the package."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def layer_of(name: str) -> str:
    """The layer that a dotted name belongs to; empty if it belongs to none."""
    found = [each for each in LAYERS if name == each or name.startswith(f"{each}.")]
    return max(found, key=len, default="")


@cache
def imports_of(path: Path) -> list[ast.Import | ast.ImportFrom]:
    """The import statements of a module, wherever in it they stand."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]


def imported_layers(path: Path) -> set[str]:
    """Layers that a module imports from."""
    found: set[str] = set()
    for node in imports_of(path):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif node.level == 0 and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        ours = (name.removeprefix("torta_opt.") for name in names if name.startswith("torta_opt."))
        found |= {layer_of(name) for name in ours}
    return found - {""}


def modules() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py") if layer_of(name_of(path)))


def test_every_module_belongs_to_a_layer() -> None:
    names = {name_of(path) for path in ROOT.rglob("*.py")}
    assert {name for name in names if not layer_of(name)} == HOLDERS


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downward(path: Path) -> None:
    rank = LAYERS.index(layer_of(name_of(path)))
    above = {name for name in imported_layers(path) if LAYERS.index(name) > rank}
    assert not above


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_are_absolute(path: Path) -> None:
    assert not [
        node for node in imports_of(path) if isinstance(node, ast.ImportFrom) and node.level > 0
    ]


def test_the_referee_knows_no_formulation_policy_or_solver() -> None:
    referee = ("evaluate", "verify", "timeline", "metrics", "step", "data", "document")
    for name in referee:
        layers = imported_layers(ROOT / "allocation" / "schedule" / f"{name}.py")
        assert layers <= {"io", "results", "allocation.instance", "allocation.schedule"}


def loaded(code: str, *arguments: str) -> set[str]:
    """Top-level modules in ``sys.modules`` after running ``code`` in a fresh interpreter."""
    tail = "\nimport sys; print('LOADED', *sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code + tail, *arguments], capture_output=True, text=True, check=True
    )
    return set(done.stdout.rsplit("LOADED", 1)[1].split())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("light")
    instance = make_instance([[[1]], [[0]]])
    save_instance(instance, folder / "instance.json")
    save_schedule(make_schedule(instance), folder / "schedule.json")
    return str(folder / "instance.json"), str(folder / "schedule.json")


def test_importing_the_package_loads_next_to_nothing() -> None:
    assert not loaded("import torta_opt") & (HEAVY | {"numpy", "pydantic", "rich", "typer"})


def test_the_program_begins_before_anything_is_loaded() -> None:
    """Ctrl-C is taken care of before the packages that take long."""
    light = loaded("import torta_opt.start")
    assert not light & (HEAVY | {"numpy", "pydantic", "rich", "typer", "typing", "json"})


def test_data_and_referee_load_nothing_heavy() -> None:
    assert not loaded("from torta_opt import Instance, Schedule, evaluate, verify") & HEAVY


# Runs commands, one a line of the only argument, one after the other.
RUN = """
import sys
from torta_opt.cli.app import run
codes = [run(line.split()) for line in sys.argv[1].splitlines()]
assert not any(codes), codes
"""


def test_help_loads_nothing_heavy() -> None:
    assert not loaded(RUN, "--help\n--version\ngap --help") & HEAVY


def test_verify_and_bound_load_nothing_heavy(files: tuple[str, str]) -> None:
    instance, schedule = files
    commands = f"verify {instance} {schedule}\nbound {instance} --method floor"
    assert not loaded(RUN, commands) & HEAVY
