"""Power of GPUs that a site names without saying it: board power from the makers' data sheets.

At the meter, a GPU of design power P draws, with its share of the host h and the building's factor,

    idle (0.2·P + h)·PUE,    busy (0.7·P + h)·PUE

0.7 is what the A100 and H100 draw while they serve (LLM-Inference-Bench: 293 of 400 W, 495 of 700
W); idle share, host and PUE are the generator's (docs/instances.md).
"""

from __future__ import annotations

import re

from torta_opt.allocation.instance.generate.parameters import PaperParameters

BUSY_SHARE = 0.7
TDP_KW = {  # data sheets of NVIDIA and AMD: SXM or OAM boards where there are two
    "A10": 0.150,
    "A10G": 0.150,
    "A100": 0.400,
    "B200": 1.000,
    "H100": 0.700,
    "H200": 0.700,
    "L4": 0.072,
    "L40S": 0.350,
    "MI300X": 0.750,
    "MI325X": 1.000,
    "RTX4090": 0.450,
    "T4": 0.070,
    "V100": 0.300,
}


def power_of(tdp_kw: float) -> tuple[float, float]:
    """(idle, peak) kW of one GPU with its share of a host, at the meter."""
    paper = PaperParameters()
    return tuple(  # type: ignore[return-value]
        round((share * tdp_kw + paper.host_kw) * paper.pue, 4)
        for share in (paper.idle_share, BUSY_SHARE)
    )


PLACE = "@"  # before the region, in the types of a region where not every class may be served
WAYS = ("reserved", "spot", "owned")


def split_label(label: str, region: str) -> tuple[str, str]:
    """(type of server, way of buying) of a server type of a site's instance, with servers there."""
    place = f"{PLACE}{region}"
    if label.endswith(place):  # first: the name of a region may end like a way of buying
        return label.removesuffix(place), "on_demand"
    base, _, way = label.rpartition(" ")
    base, way = (base, way) if base and way in WAYS else (label, "on_demand")
    return base.removesuffix(place), way


def split_type(name: str) -> tuple[int, str]:
    """(GPUs, type of GPU): ``4xH100`` is (4, "H100"), ``L4`` is (1, "L4")."""
    found = re.fullmatch(r"([1-9]\d{0,4})x(.+)", name)
    return (int(found[1]), found[2]) if found else (1, name)
