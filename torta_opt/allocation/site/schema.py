"""The site file: what a planner writes, as pydantic classes.

Money is US dollars, times are seconds unless the name says otherwise, rates are per second. A price
says in its name whose it is: of a server (``usd_per_server_hour``) or of one of its GPUs
(``usd_per_gpu_hour``).
"""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from torta_opt.io.schema import Name, Real, Strict

FORMAT = "torta-opt/site"
VERSION = 1

Buy = Literal["on_demand", "reserved", "spot", "owned"]
RENTED: tuple[Buy, ...] = ("on_demand", "reserved", "spot")

Positive = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=20_000)]


class Horizon(Strict):
    start: str | datetime.datetime | datetime.date
    hours: Annotated[float, Field(gt=0, le=24 * 366, allow_inf_nan=False)]
    slot_seconds: Annotated[float, Field(ge=1, le=3600, allow_inf_nan=False)]


class Region(Strict):
    name: Name
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    cloud: Name | None = Field(default=None, description="its name in price files")
    electricity_usd_per_kwh: Real | None = None
    zone: Name | None = Field(default=None, description="its column in the electricity file")
    carbon_g_per_kwh: NotNegative | None = None


class Latency(Strict):
    file: Name | None = None
    detour: Annotated[float, Field(ge=1, le=10)] = 1.5
    local_ms: NotNegative = 1.0
    forbidden: list[Annotated[list[Name], Field(min_length=2, max_length=2)]] = Field(
        default_factory=list
    )


class Gpu(Strict):
    name: Name
    tdp_kw: Positive | None = None
    idle_kw: NotNegative | None = None
    peak_kw: NotNegative | None = None

    @model_validator(mode="after")
    def _both(self) -> Gpu:
        if (self.idle_kw is None) != (self.peak_kw is None):
            raise ValueError("needs both idle_kw and peak_kw, or neither")
        if self.idle_kw is not None and self.peak_kw is not None and self.idle_kw > self.peak_kw:
            raise ValueError("has an idle_kw above its peak_kw")
        return self


class Model(Strict):
    name: Name
    weights_gb: Positive | None = None


class RequestClass(Strict):
    name: Name
    model: Name
    input_tokens: Positive
    output_tokens: Positive
    target_s: Positive
    ttft_s: Positive | None = None
    tpot_s: Positive | None = None
    deadline_s: NotNegative | None = None
    regions: Annotated[list[Name], Field(min_length=1)] | None = Field(
        default=None, description="that may serve it; all, if left out"
    )
    share: NotNegative | None = Field(default=None, description="of its model's requests")


class Fleet(Strict):
    region: Name
    type: Name | None = Field(default=None, description="server type, such as 4xH100 or L4")
    count: Count | None = Field(default=None, description="servers of that type")
    gpu: Name | None = Field(default=None, description="GPU type of an inventory")
    gpus: Count | None = Field(default=None, description="GPUs of that type")
    buy: Buy = "on_demand"
    usd_per_server_hour: NotNegative | None = None
    usd_per_gpu_hour: NotNegative | None = None
    ready: dict[Name, Count] | None = Field(default=None, description="servers ready at slot 0")
    interruptions_per_month: NotNegative | None = None
    back_after_minutes: Positive | None = None

    @model_validator(mode="after")
    def _either(self) -> Fleet:
        servers, inventory = (self.type, self.count), (self.gpu, self.gpus)
        if not (None not in servers and inventory == (None, None)) and not (
            None not in inventory and servers == (None, None)
        ):
            raise ValueError(
                'needs either type and count (servers: type = "4xH100", count = 2) or gpu and '
                'gpus (an inventory: gpu = "H100", gpus = 8)'
            )
        if self.usd_per_server_hour is not None and self.usd_per_gpu_hour is not None:
            raise ValueError("has two prices: give usd_per_server_hour or usd_per_gpu_hour")
        if self.gpu is not None and self.usd_per_server_hour is not None:
            raise ValueError("is an inventory of GPUs: give usd_per_gpu_hour")
        if self.buy == "spot" and self.interruptions_per_month is None:
            raise ValueError("is spot: add interruptions_per_month = ... (0 for none)")
        if self.buy != "spot" and self.interruptions_per_month is not None:
            raise ValueError('has interruptions_per_month but is not buy = "spot"')
        return self


class Prices(Strict):
    file: Name
    kind: Literal["plain", "skypilot", "google", "azure", "aws", "ec2instances"]
    price: Literal["on_demand", "spot", "reserved_1y", "reserved_3y"] | None = None
    spot: bool | None = Field(default=None, description="true: price = spot")

    @model_validator(mode="after")
    def _one(self) -> Prices:
        if self.spot is not None and self.price is not None:
            raise ValueError("has price and spot, which say the same: leave out spot")
        return self

    @property
    def chosen(self) -> str:
        """The price that is taken from the list."""
        return self.price or ("spot" if self.spot else "on_demand")

    @property
    def buy(self) -> Buy:
        """The way of buying that it is the price of."""
        chosen = self.chosen
        return "spot" if chosen == "spot" else "on_demand" if chosen == "on_demand" else "reserved"


class ProfileFile(Strict):
    file: Name
    model: Name | None = Field(default=None, description="its model, by the name of the site")
    gpu: Name | None = Field(default=None, description="its GPU, by the name of the site")


class Figure(Strict):
    """Service stated by the planner: one replica at the load it will be run at."""

    type: Name
    class_: Name = Field(alias="class")
    requests_per_s: Positive
    latency_s: Positive
    basis: Literal["measured", "modelled", "stated"] = "stated"
    source: str = ""


class LoadingTime(Strict):
    type: Name | None = None
    model: Name
    start_s: NotNegative
    switch_s: NotNegative


class Loading(Strict):
    preset: Literal["cluster-2026", "cluster-2026-warm", "torta"] = "cluster-2026"
    start_usd: NotNegative = 0.0
    switch_usd: NotNegative = 0.0
    times: list[LoadingTime] = Field(default_factory=list)


class Law(Strict):
    region: Name
    class_: Name = Field(alias="class")
    mean_requests_per_hour: NotNegative
    wave: Annotated[float, Field(ge=0, le=1)] = 0.5
    peak_hour: Annotated[float, Field(ge=0, lt=24)] = 14.0


class Trace(Strict):
    kind: Name
    file: Name
    start_s: NotNegative | None = None
    factor: Positive = 1.0
    models: dict[Name, Name] = Field(default_factory=dict)
    origins: dict[Name, NotNegative] | None = None
    origin: Name | None = Field(default=None, description="column with the region of a request")
    unit: Literal["s", "ms", "us"] | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> Trace:
        if self.origin is not None and self.origins is not None:
            raise ValueError("has origin and origins: the column names the regions already")
        return self


class Demand(Strict):
    file: Name | None = None
    within: Literal["even", "poisson"] = "even"
    law: list[Law] = Field(default_factory=list)
    trace: Trace | None = None

    @model_validator(mode="after")
    def _one(self) -> Demand:
        given = [self.file is not None, bool(self.law), self.trace is not None]
        if sum(given) != 1:
            raise ValueError('needs one of: file = "demand.csv", [[demand.law]], [demand.trace]')
        return self


class Electricity(Strict):
    file: Name | None = None
    start: str | None = None
    included_in: list[Buy] = Field(default_factory=lambda: list(RENTED))


class Carbon(Strict):
    file: Name | None = Field(default=None, description="region, g_per_kwh, and hour or slot")


class WeightsEntry(Strict):
    time_usd_per_s: NotNegative = 1e-4
    reroute_usd: NotNegative | None = None
    expiry_usd: dict[Name, NotNegative] = Field(default_factory=dict)


class Transfer(Strict):
    egress_usd_per_gb: NotNegative = 0.02


class SiteDocument(Strict):
    """A planner's regions, fleet, profiles, demand and prices."""

    format: Literal["torta-opt/site"]
    version: Literal[1]
    name: Name
    seed: Annotated[int, Field(ge=0)] = 0
    hot_permille: Annotated[int, Field(ge=0, le=1000)] = 0
    initial: Literal["on", "off"] = "on"
    extrapolate: bool = False
    horizon: Horizon
    regions: Annotated[list[Region], Field(min_length=1)]
    latency: Latency = Latency()
    transfer: Transfer = Transfer()
    gpus: list[Gpu] = Field(default_factory=list)
    models: Annotated[list[Model], Field(min_length=1)]
    classes: Annotated[list[RequestClass], Field(min_length=1)]
    fleet: Annotated[list[Fleet], Field(min_length=1)]
    prices: list[Prices] = Field(default_factory=list)
    profiles: list[ProfileFile] = Field(default_factory=list)
    service: list[Figure] = Field(default_factory=list)
    loading: Loading = Loading()
    demand: Demand
    electricity: Electricity = Electricity()
    carbon: Carbon = Carbon()
    weights: WeightsEntry = WeightsEntry()


EXAMPLES = {  # the line to add where a field is missing
    "format": 'format = "torta-opt/site"',
    "version": "version = 1",
    "name": 'name = "us-east"',
    "horizon": '[horizon] with start = "2026-11-30T00:00:00Z", hours = 24, slot_seconds = 300',
    "start": 'start = "2026-11-30T00:00:00Z"',
    "hours": "hours = 24",
    "slot_seconds": "slot_seconds = 300",
    "regions": '[[regions]] with name = "us-east", longitude = -77.5, latitude = 39.0',
    "models": '[[models]] with name = "llama-3.1-8b", weights_gb = 16',
    "classes": "[[classes]] with name, model, input_tokens, output_tokens, target_s",
    "fleet": '[[fleet]] with region, type = "4xH100", count = 2, usd_per_server_hour',
    "demand": '[demand] with file = "demand.csv"',
    "model": 'model = "llama-3.1-8b"',
    "region": 'region = "us-east"',
    "class": 'class = "chat"',
    "type": 'type = "4xH100"',
    "input_tokens": "input_tokens = 1000",
    "output_tokens": "output_tokens = 250",
    "target_s": "target_s = 10  # mean seconds of a request on the server",
    "requests_per_s": "requests_per_s = 5.0  # of one replica, at the load it will run at",
    "latency_s": "latency_s = 8.0  # mean seconds from arrival to the last token",
    "start_s": "start_s = 240",
    "switch_s": "switch_s = 120",
    "mean_requests_per_hour": "mean_requests_per_hour = 5000",
    "file": 'file = "..."',
    "kind": 'kind = "..."',
}
