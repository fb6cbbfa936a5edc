"""carbon on the command line."""

from __future__ import annotations

import json

import pytest

from torta_opt import generate, open_instance, save_instance
from torta_opt.cli.app import run


@pytest.fixture
def files(tmp_path):
    instance = generate("small/loading")
    save_instance(instance, tmp_path / "i.json")
    rows = "".join(f"{name},{100 * n + 50}\n" for n, name in enumerate(instance.system.regions))
    (tmp_path / "c.csv").write_text("region,g_per_kwh\n" + rows)
    return str(tmp_path / "i.json"), str(tmp_path / "c.csv"), str(tmp_path / "o.json")


def test_intensity_and_price(files, capsys):
    instance, table, output = files
    assert run(["carbon", instance, "--intensity", table, "--price", "80", "-o", output]) == 0
    line = " ".join(capsys.readouterr().out.split())
    assert "50 to 150 g per kWh, 80 $ per tonne" in line
    before, after = open_instance(instance), open_instance(output)
    added = after.price_usd_per_kwh - before.price_usd_per_kwh
    assert added[0].tolist() == pytest.approx([80 * 50e-6, 80 * 150e-6])
    arguments = ["gap", output, "--policies", "skylb", "--bound", "floor", "--json"]
    assert run(arguments) == 0
    assert json.loads(capsys.readouterr().out)["results"][0]["metrics"]["carbon_g"] >= 0


def test_a_price_needs_an_intensity(files, capsys):
    assert run(["carbon", files[0], "--price", "80", "-o", files[2]]) == 2
    assert "carbon_g_per_kwh: is missing" in capsys.readouterr().err
    assert run(["carbon", files[0], "-o", files[2]]) == 2


def test_a_cap_is_bounded(files, capsys):
    instance, table, output = files
    arguments = ["carbon", instance, "--intensity", table, "--cap", "0.001", "--json"]
    assert run([*arguments, "-o", output]) == 0
    cap = json.loads(capsys.readouterr().out)["cap"]
    assert cap["certified"]
    assert cap["bound"] == max(value for _, value in cap["tried"])
    priced, free = open_instance(output), open_instance(instance)
    added = (priced.price_usd_per_kwh - free.price_usd_per_kwh)[0].tolist()
    usd = cap["usd_per_tonne"]
    assert added == pytest.approx([usd * 50e-6, usd * 150e-6])
    assert run(["carbon", instance, "--cap", "1"]) == 2
    assert "carbon_g_per_kwh: is missing" in capsys.readouterr().err


def test_an_intensity_out_of_range_names_the_file_and_the_line(files, capsys, tmp_path):
    table = tmp_path / "large.csv"
    name = open_instance(files[0]).system.regions[0]
    table.write_text(f"region,g_per_kwh\n{name},1e10\n")
    assert run(["carbon", files[0], "--intensity", str(table), "-o", files[2]]) == 2
    assert "large.csv: line 2, g_per_kwh: 1e+10 must lie in [0, 1e+09]" in capsys.readouterr().err


def test_a_cap_takes_no_mean_over_futures(files, capsys):
    arguments = ["carbon", files[0], "--intensity", files[1], "--cap", "1"]
    assert run([*arguments, "--bound", "nonanticipative"]) == 2
    assert "bound: nonanticipative is statistical" in capsys.readouterr().err


def test_a_cap_that_is_none_is_the_options_fault(files, capsys):
    instance, table, _ = files
    assert run(["carbon", instance, "--intensity", table, "--cap", "nan"]) == 2
    assert "torta-opt: --cap: nan must be a number of kg" in capsys.readouterr().err
