"""Completion, examples in the help, and suggestions."""

from __future__ import annotations

import shlex

import pytest
from typer.main import get_command

from torta_opt import InvalidInput
from torta_opt.allocation.policies.registry import create
from torta_opt.cli import app as cli
from torta_opt.report.figures import figure_of

COMMANDS = get_command(cli.app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_an_example_that_parses(name: str) -> None:
    command = COMMANDS[name]
    line = (command.help or "").partition("Example: ")[2].strip()
    program, called, *words = shlex.split(line)
    assert (program, called) == ("torta-opt", name)
    command.make_context(name, words)  # raises what the command line would complain about


@pytest.mark.parametrize(
    ("variables", "offered"),
    [
        ({"_TORTA_OPT_COMPLETE": "complete_bash", "COMP_WORDS": "torta-opt pl"}, {"plan", "plot"}),
        ({"_TORTA_OPT_COMPLETE": "complete_bash", "COMP_WORDS": "torta-opt me"}, {"methods"}),
    ],
)
def test_shells_complete_commands(
    variables: dict[str, str],
    offered: set[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in {**variables, "COMP_CWORD": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        cli.run([])
    assert ended.value.code == 0
    assert set(capsys.readouterr().out.split()) == offered


def test_methods_of_one_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["methods", "--kind", "bound", "--json"]) == 0
    assert '"windows"' in capsys.readouterr().out
    assert cli.run(["methods", "--kind", "nonsense"]) == 2
    assert "--kind: 'nonsense' is not a kind; known: policy, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("skylb:overfow=nearest", r"overfow: is not a parameter; did you mean overflow\?"),
        ("skylb:smothing=0.3", r"did you mean smoothing\?"),
        ("sdib:idle_weigth=1", r"did you mean idle_weight"),
        ("skylb:colour=red", "shared ones: smoothing, .*; its own: overflow, affinity"),
        ("skylp", r"'skylp' is not a policy; did you mean skylb\?"),
        ("zzz", "'zzz' is not a policy; known: round_robin"),
    ],
)
def test_names_that_are_nearly_right(spec: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        create(spec)


def test_pictures_that_are_nearly_right() -> None:
    with pytest.raises(InvalidInput, match=r"did you mean servers\?"):
        figure_of("serers")
