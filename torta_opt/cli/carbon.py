"""The command that gives an instance carbon data: carbon."""

from __future__ import annotations

from typing import Annotated

import typer

from torta_opt.cli.console import check_writable, show
from torta_opt.cli.options import InstanceFile, Json
from torta_opt.io import InvalidInput


def carbon(
    instance: InstanceFile,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="instance file to write")
    ],
    intensity: Annotated[
        str | None,
        typer.Option(metavar="CSV", help="g CO2 per kWh: columns region, g_per_kwh, and slot"),
    ] = None,
    price: Annotated[
        float | None, typer.Option(metavar="USD", help="$ per tonne, added to electricity prices")
    ] = None,
    json_: Json = False,
) -> None:
    """Give an instance the carbon intensity of its electricity, or a price on it.

    Example: torta-opt carbon abilene.json.gz --intensity grid.csv -o priced.json.gz --price 100
    """
    from torta_opt import api, families
    from torta_opt.allocation.instance.carbon import (
        intensity_of,
        read_intensity,
        with_carbon,
        with_carbon_price,
    )

    if intensity is None and price is None:
        raise InvalidInput("give --intensity CSV, --price USD, or both")
    check_writable(output, instance, intensity)
    problem = api.open_instance(instance)
    families.require(problem, "allocation")
    if intensity is not None:
        problem = with_carbon(problem, read_intensity(problem, intensity))
    if price is not None:
        try:
            problem = with_carbon_price(problem, price)
        except InvalidInput as error:
            raise error.within(instance) from None
    api.save_instance(problem, output)
    grams = intensity_of(problem)
    facts = {"g_per_kwh_least": float(grams.min()), "g_per_kwh_most": float(grams.max())}
    document = {"instance": problem.name, "output": output, "price_usd_per_t": price, **facts}
    priced = "" if price is None else f", {price:g} $ per tonne in its electricity prices"
    line = f"{output}: {problem.name}, {grams.min():g} to {grams.max():g} g per kWh{priced}"
    show(json_, document, lambda: line)
