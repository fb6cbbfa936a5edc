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
