"""Electricity price by slot and region, and the price of moving a request.

A region takes the wholesale price of the nearest market zone: its mean in 2024, times a daily wave
in local solar time, times hourly noise of the zone; delivery and taxes come on top.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.instance.generate.demand import autoregression, local_hours
from torta_opt.allocation.instance.generate.parameters import PaperParameters
from torta_opt.io.seeds import stream
from torta_opt.io.topology import Topology, great_circle_km

LOWEST_USD_PER_KWH = 0.005
NOISE_MEMORY = 0.8  # correlation of the noise from one hour to the next
BYTES_PER_TOKEN_IN = 4  # text
BYTES_PER_TOKEN_OUT = 250  # one server-sent event of a streaming completion API per token


@dataclass(frozen=True)
class Zone:
    """A wholesale market: where it lies, its mean day-ahead price in 2024, and its daily wave.

    wave is (amplitude, hour of the peak) of the 24 h and of the 12 h harmonic, relative to the
    mean, hours in local solar time. Read off hourly prices gathered by HPE's sustain-cluster
    (github.com/HewlettPackard/sustain-cluster @ 293fbd1, MIT; from ENTSO-E, CAISO, ERCOT, PJM,
    NYISO, IESO, AEMO, JEPX, KPX, ...), cut to −50 … 500 $/MWh. The columns of CAISO, PJM and NYISO
    there lie 8, 5 and 5 hours late (their solar dip would fall into the evening), as if converted
    to UTC twice; this is undone here.
    """

    longitude: float
    latitude: float
    usd_per_mwh: float
    wave: tuple[float, float, float, float]


ZONES: dict[str, Zone] = {
    "AT": Zone(14.1, 47.6, 87.7, (0.16, 20.3, 0.26, 7.0)),
    "AU-NSW": Zone(149.0, -32.5, 100.7, (0.44, 20.4, 0.37, 6.0)),
    "AU-VIC": Zone(145.0, -37.0, 74.5, (0.53, 21.3, 0.44, 6.3)),
    "BE": Zone(4.6, 50.6, 75.9, (0.19, 20.3, 0.29, 6.9)),
    "BR-SP": Zone(-47.0, -22.5, 22.4, (0.14, 20.3, 0.08, 6.7)),
    "CA-ON": Zone(-80.0, 44.5, 22.5, (0.26, 14.5, 0.10, 6.6)),
    "CH": Zone(8.2, 46.8, 82.0, (0.11, 20.9, 0.19, 6.7)),
    "CL-SIC": Zone(-71.0, -34.0, 126.6, (0.51, 23.3, 0.15, 7.0)),
    "DE-LU": Zone(10.0, 51.2, 84.3, (0.19, 20.6, 0.30, 6.8)),
    "ES": Zone(-3.7, 40.4, 68.0, (0.27, 22.5, 0.25, 6.9)),
    "FR": Zone(2.5, 46.8, 62.6, (0.18, 20.1, 0.31, 7.3)),
    "IN-WE": Zone(73.5, 20.5, 51.2, (0.25, 21.1, 0.22, 7.6)),
    "JP-TK": Zone(139.7, 35.8, 86.5, (0.16, 19.7, 0.12, 7.1)),
    "KR": Zone(127.5, 36.5, 85.3, (0.15, 14.8, 0.07, 9.0)),
    "NL": Zone(5.4, 52.2, 83.4, (0.20, 20.6, 0.30, 6.6)),
    "PT": Zone(-8.2, 39.6, 68.4, (0.26, 23.2, 0.24, 7.7)),
    "SG": Zone(103.8, 1.35, 112.1, (0.23, 16.0, 0.21, 7.5)),
    "US-CAL-CISO": Zone(-119.5, 36.5, 40.7, (0.26, 20.4, 0.20, 5.7)),
    "US-MIDA-PJM": Zone(-81.0, 40.0, 36.1, (0.32, 14.5, 0.19, 5.2)),
    "US-NY-NYIS": Zone(-75.0, 42.5, 38.1, (0.21, 15.9, 0.14, 6.0)),
    "US-TEX-ERCO": Zone(-98.0, 31.0, 27.0, (0.47, 17.7, 0.45, 5.9)),
    "ZA": Zone(25.5, -29.0, 81.4, (0.23, 12.3, 0.35, 7.2)),
}


def nearest_zones(topology: Topology) -> np.ndarray:
    """(R,) position in ZONES of the market nearest to each region."""
    zones = list(ZONES.values())
    km = great_circle_km(
        topology.longitude[:, None],
        topology.latitude[:, None],
        np.array([zone.longitude for zone in zones]),
        np.array([zone.latitude for zone in zones]),
    )
    return km.argmin(axis=1)


def electricity_prices(topology: Topology, parameters: PaperParameters, seed: int) -> np.ndarray:
    """(T, R) $/kWh, a new price every hour, positive, to five decimals."""
    begin_hours = np.arange(parameters.slots) * parameters.slot_ms / 3.6e6
    hour = np.floor(begin_hours + 1e-9).astype(int)
    local = local_hours(topology, parameters, np.arange(hour[-1] + 1) + 0.5)
    zone = nearest_zones(topology)
    mean = np.array([z.usd_per_mwh for z in ZONES.values()])[zone] / 1000
    first, first_peak, second, second_peak = np.array([z.wave for z in ZONES.values()])[zone].T
    wave = first * np.cos((local - first_peak) * np.pi / 12)
    wave = wave + second * np.cos((local - second_peak) * np.pi / 6)
    noise = _hourly_noise(len(local), parameters, seed)[:, zone]
    wholesale = mean * (1 + parameters.price_wave * wave) * noise
    tariff = np.exp(parameters.tariff_spread * stream(seed, "tariff").standard_normal(zone.size))
    price = (wholesale + parameters.delivery_usd_per_kwh) * tariff
    return np.round(np.maximum(price, LOWEST_USD_PER_KWH), 5)[hour]


def _hourly_noise(hours: int, parameters: PaperParameters, seed: int) -> np.ndarray:
    """(hours, zones) log-normal AR(1) with mean 1."""
    level = autoregression(stream(seed, "price"), hours, len(ZONES), NOISE_MEMORY)
    sigma = parameters.price_noise
    return np.exp(sigma * level - sigma**2 / 2)


def transfer_prices(regions: int, parameters: PaperParameters) -> np.ndarray:
    """(R, R, C) $ per request sent to another region: its bytes at the egress price."""
    gigabytes = [
        (BYTES_PER_TOKEN_IN * prompt + BYTES_PER_TOKEN_OUT * output) / 1e9
        for prompt, output in (parameters.tokens_short, parameters.tokens_long)
    ]
    per_class = np.tile(gigabytes, len(parameters.model_shares)) * parameters.egress_usd_per_gb
    away = 1 - np.eye(regions)
    return np.round(away[:, :, None] * per_class, 9)
