"""Carbon of a site: data by region or by hour, energy counted whoever pays it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from support.sites import write_site

from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.carbon import with_carbon_price
from torta_opt.allocation.site.build import build_site
from torta_opt.api import solve
from torta_opt.cli.app import run
from torta_opt.io import InvalidInput

US = ('name = "us-east-1"\n', 'name = "us-east-1"\ncarbon_g_per_kwh = 380\n')
EU = ('name = "eu-west-1"\n', 'name = "eu-west-1"\ncarbon_g_per_kwh = 290\n')
FILE = ("[demand]\n", '[carbon]\nfile = "carbon.csv"\n\n[demand]\n')
OWNED = (
    "usd_per_gpu_hour = 3.5\n",
    'buy = "owned"\n',
)
PAID = ('name = "eu-west-1"\n', 'name = "eu-west-1"\nelectricity_usd_per_kwh = 0.2\n')


def build(folder: Path, *changes: tuple[str, str]) -> tuple[Instance, tuple[str, ...]]:
    instance, report = build_site(write_site(folder, *changes))
    return instance, report.notes


def test_energy_in_the_rent_is_counted_at_a_price_of_0(tmp_path: Path) -> None:
    """The same schedule costs the same as without carbon, and emits what its energy does."""
    plain, _ = build(tmp_path)
    instance, notes = build(tmp_path, US, EU)
    assert "energy is counted for its carbon, at a price of 0: the rent includes it" in notes
    assert instance.carbon_g_per_kwh[5].tolist() == [380, 290]
    assert not instance.price_usd_per_kwh.any()
    assert instance.system.peak_kw[0] > 4 * 0.5  # four H100
    before, after = solve(plain, "greedy_forecast"), solve(instance, "greedy_forecast")
    assert before.cost == pytest.approx(after.cost, rel=1e-12)
    assert "carbon_g" not in before.evaluation.metrics
    kwh, grams = (after.evaluation.metrics[name] for name in ("energy_kwh", "carbon_g"))
    assert 290 * kwh <= grams <= 380 * kwh
    assert kwh > 1
    priced = with_carbon_price(instance, 100.0)
    assert solve(priced, "greedy_forecast").cost > after.cost


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ((US, EU), r"you pay [\d.,]+ \$; [\d.]+ kg of CO2 from [\d.]+ kWh\s"),
        ((US, EU, OWNED, PAID), r"kWh, without that of 4xH100, whose power is not counted\s"),
    ],
)
def test_the_plan_says_what_it_emits_and_whose_power_is_not_counted(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: tuple[tuple[str, str], ...],
    told: str,
) -> None:
    site, instance = str(write_site(tmp_path, *changes)), str(tmp_path / "i.json")
    schedule = str(tmp_path / "s.json")
    for command in (
        ["build", site, "-o", instance],
        ["solve", instance, "--method", "round_robin", "-o", schedule],
        ["plan", instance, schedule, "-o", str(tmp_path / "plan"), "--site", site],
    ):
        assert run(command) == 0
    assert re.search(told, " ".join(capsys.readouterr().out.split()))


def test_by_hour(tmp_path: Path) -> None:
    rows = "0,us-east-1,400\n0.5,us-east-1,100\n0,eu-west-1,300\n"
    (tmp_path / "carbon.csv").write_text("hour,region,g_per_kwh\n" + rows)
    grams = build(tmp_path, FILE)[0].carbon_g_per_kwh
    assert np.array_equal(grams[:, 0], [400.0] * 6 + [100.0] * 7)
    assert (grams[:, 1] == 300).all()


def test_where_some_energy_is_paid_only_that_is_counted(tmp_path: Path) -> None:
    instance, notes = build(tmp_path, US, EU, OWNED, PAID)
    peak = dict(zip(instance.system.types, instance.system.peak_kw, strict=True))
    assert peak["4xH100"] == 0 < peak["4xH100 owned"]
    assert instance.price_usd_per_kwh[0].tolist() == [0, 0.2]
    assert "carbon is that of the energy you pay; the energy of 4xH100 is not counted" in notes


@pytest.mark.parametrize(
    ("changes", "rows", "complaint"),
    [
        ((US,), "", r"regions\[1\].carbon_g_per_kwh: is missing: other regions have one; add:"),
        ((US, FILE), "", r"regions\[0\].carbon_g_per_kwh: is given with \[carbon\] file"),
        ((FILE,), "0,us-east-1,400\n", "lacks a value in slot 0 for region 'eu-west-1'"),
        ((FILE,), "0.01,us-east-1,4\n", "line 2, hour: 0.01 is not the beginning of a slot"),
        ((FILE,), "9,us-east-1,4\n", r"line 2, hour: 9 must lie in \[0, 1.08333\)"),
        ((FILE,), "9,us-east-1,300\n", r"carbon.csv: line 2, hour: 9 must lie"),
        ((FILE,), "0,us-east-1,0.4\n0,eu-west-1,0.3\n", "are these kg per kWh"),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, changes: tuple[tuple[str, str], ...], rows: str, complaint: str
) -> None:
    (tmp_path / "carbon.csv").write_text("hour,region,g_per_kwh\n" + rows)
    with pytest.raises(InvalidInput, match=complaint):
        build(tmp_path, *changes)
