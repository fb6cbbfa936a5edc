"""The command that gives an instance carbon data: carbon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from torta_opt.cli.console import check_writable, say, show
from torta_opt.cli.options import InstanceFile, InstanceOutput, Json
from torta_opt.io import InvalidInput
from torta_opt.io.status import DONE

if TYPE_CHECKING:
    from torta_opt.allocation.instance.data import Instance
    from torta_opt.allocation.search.carbon_cap import CappedBound


def carbon(
    instance: InstanceFile,
    output: InstanceOutput = None,
    intensity: Annotated[
        str | None,
        typer.Option(
            metavar="CSV", help="g CO2 per kWh: columns region, g_per_kwh, and slot or hour"
        ),
    ] = None,
    price: Annotated[
        float | None, typer.Option(metavar="USD", help="$ per tonne, added to electricity prices")
    ] = None,
    cap: Annotated[
        float | None,
        typer.Option(metavar="KG", help="bound the cost of schedules that emit at most this"),
    ] = None,
    bound: Annotated[
        str, typer.Option(metavar="METHOD", help="bound that --cap is proved with")
    ] = "merged",
    json_: Json = False,
) -> None:
    """Give an instance the carbon intensity of its electricity, a price on it, or a cap.

    Example: torta-opt carbon abilene.json.gz --intensity grid.csv -o priced.json.gz --price 100
    """
    from torta_opt import api, families
    from torta_opt.allocation.instance.carbon import (
        intensity_of,
        read_intensity,
        with_carbon,
        with_carbon_price,
    )

    if intensity is None and price is None and cap is None:
        raise InvalidInput("give --intensity CSV, --price USD or --cap KG")
    if output is None and cap is None:
        raise InvalidInput("give --output FILE")
    if output is not None:
        check_writable(output, instance, intensity)
    problem = api.open_instance(instance)
    families.require(problem, "allocation")
    if intensity is not None:
        problem = with_carbon(problem, read_intensity(problem, intensity))
    try:
        if price is not None:
            problem = with_carbon_price(problem, price)
        capped = None if cap is None else _capped(problem, cap, bound)
    except InvalidInput as error:
        is_option = (error.field or "").startswith("--")
        raise (error if is_option else error.within(instance)) from None
    if output is not None:
        api.save_instance(problem if capped is None else capped.instance, output)
    grams = intensity_of(problem)
    facts = {"g_per_kwh_least": float(grams.min()), "g_per_kwh_most": float(grams.max())}
    document = {"instance": problem.name, "output": output, "price_usd_per_t": price, **facts}
    priced = "" if price is None else f", {price:g} $ per tonne in its electricity prices"
    where = "" if output is None else f"{output}: "
    line = f"{where}{problem.name}, {grams.min():g} to {grams.max():g} g per kWh{priced}"
    if capped is not None:
        document["cap"] = capped.to_document()
        line += f"\n{capped.line()}"
        if capped.status != DONE:
            say(capped.status)
    show(json_, document, lambda: line)


def _capped(problem: Instance, kg: float, method: str) -> CappedBound:
    from torta_opt.allocation.search.carbon_cap import capped_bound

    try:
        return capped_bound(problem, kg, method)
    except InvalidInput as error:
        if error.field not in ("cap", "bound"):
            raise
        raise InvalidInput(error.rule, field=f"--{error.field}") from None
