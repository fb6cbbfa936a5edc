"""Where the regions of the large clouds lie: longitude and latitude of the metropolitan area that
their operators name. Used for the market zone of a region and for its local time, never for
latencies.
"""

from __future__ import annotations

import re

import numpy as np

from torta_opt.io.topology import great_circle_km

# region: (longitude, latitude), degrees
PLACES: dict[str, tuple[float, float]] = {
    # Amazon Web Services
    "af-south-1": (18.4, -33.9),
    "ap-east-1": (114.2, 22.3),
    "ap-northeast-1": (139.7, 35.7),
    "ap-northeast-2": (127.0, 37.6),
    "ap-northeast-3": (135.5, 34.7),
    "ap-south-1": (72.9, 19.1),
    "ap-south-2": (78.5, 17.4),
    "ap-southeast-1": (103.8, 1.35),
    "ap-southeast-2": (151.2, -33.9),
    "ap-southeast-3": (106.8, -6.2),
    "ap-southeast-4": (145.0, -37.8),
    "ca-central-1": (-73.6, 45.5),
    "ca-west-1": (-114.1, 51.0),
    "eu-central-1": (8.7, 50.1),
    "eu-central-2": (8.5, 47.4),
    "eu-north-1": (18.1, 59.3),
    "eu-south-1": (9.2, 45.5),
    "eu-south-2": (-0.9, 41.7),
    "eu-west-1": (-6.3, 53.3),
    "eu-west-2": (-0.1, 51.5),
    "eu-west-3": (2.4, 48.9),
    "il-central-1": (34.8, 32.1),
    "me-central-1": (55.3, 25.2),
    "me-south-1": (50.6, 26.2),
    "sa-east-1": (-46.6, -23.6),
    "us-east-1": (-77.5, 39.0),
    "us-east-2": (-83.0, 40.0),
    "us-west-1": (-121.9, 37.4),
    "us-west-2": (-119.7, 45.8),
    # Microsoft Azure
    "australiaeast": (151.2, -33.9),
    "australiasoutheast": (145.0, -37.8),
    "brazilsouth": (-46.6, -23.6),
    "canadacentral": (-79.4, 43.7),
    "canadaeast": (-71.2, 46.8),
    "centralindia": (73.9, 18.5),
    "centralus": (-93.6, 41.6),
    "eastasia": (114.2, 22.3),
    "eastus": (-78.4, 36.7),
    "eastus2": (-78.4, 36.7),
    "francecentral": (2.4, 48.9),
    "germanywestcentral": (8.7, 50.1),
    "israelcentral": (34.8, 32.1),
    "italynorth": (9.2, 45.5),
    "japaneast": (139.7, 35.7),
    "japanwest": (135.5, 34.7),
    "koreacentral": (127.0, 37.6),
    "koreasouth": (129.1, 35.2),
    "mexicocentral": (-100.4, 20.6),
    "northcentralus": (-87.6, 41.9),
    "northeurope": (-6.3, 53.3),
    "norwayeast": (10.8, 59.9),
    "polandcentral": (21.0, 52.2),
    "qatarcentral": (51.5, 25.3),
    "southafricanorth": (28.2, -25.7),
    "southcentralus": (-98.5, 29.4),
    "southeastasia": (103.8, 1.35),
    "southindia": (80.3, 13.1),
    "spaincentral": (-3.7, 40.4),
    "swedencentral": (17.1, 60.7),
    "switzerlandnorth": (8.5, 47.4),
    "uaenorth": (55.3, 25.2),
    "uksouth": (-0.1, 51.5),
    "ukwest": (-3.2, 51.5),
    "westcentralus": (-104.8, 41.1),
    "westeurope": (4.9, 52.4),
    "westindia": (72.9, 19.1),
    "westus": (-121.9, 37.4),
    "westus2": (-119.9, 47.2),
    "westus3": (-112.1, 33.4),
    # Google Cloud
    "africa-south1": (28.0, -26.2),
    "asia-east1": (120.4, 24.1),
    "asia-east2": (114.2, 22.3),
    "asia-northeast1": (139.7, 35.7),
    "asia-northeast2": (135.5, 34.7),
    "asia-northeast3": (127.0, 37.6),
    "asia-south1": (72.9, 19.1),
    "asia-south2": (77.2, 28.6),
    "asia-southeast1": (103.8, 1.35),
    "asia-southeast2": (106.8, -6.2),
    "australia-southeast1": (151.2, -33.9),
    "australia-southeast2": (145.0, -37.8),
    "europe-central2": (21.0, 52.2),
    "europe-north1": (27.2, 60.6),
    "europe-southwest1": (-3.7, 40.4),
    "europe-west1": (3.8, 50.5),
    "europe-west2": (-0.1, 51.5),
    "europe-west3": (8.7, 50.1),
    "europe-west4": (6.8, 53.4),
    "europe-west6": (8.5, 47.4),
    "europe-west8": (9.2, 45.5),
    "europe-west9": (2.4, 48.9),
    "europe-west10": (13.4, 52.5),
    "europe-west12": (7.7, 45.1),
    "me-central1": (51.5, 25.3),
    "me-central2": (50.1, 26.4),
    "me-west1": (34.8, 32.1),
    "northamerica-northeast1": (-73.6, 45.5),
    "northamerica-northeast2": (-79.4, 43.7),
    "southamerica-east1": (-46.6, -23.6),
    "southamerica-west1": (-70.7, -33.4),
    "us-central1": (-95.9, 41.2),
    "us-east1": (-80.0, 33.1),
    "us-east4": (-77.5, 39.0),
    "us-east5": (-83.0, 40.0),
    "us-south1": (-96.8, 32.8),
    "us-west1": (-121.2, 45.6),
    "us-west2": (-118.2, 34.1),
    "us-west3": (-111.9, 40.8),
    "us-west4": (-115.1, 36.2),
}


def bare_name(region: str) -> str:
    """``us-east4`` for ``gcp:us-east4-a``: without cloud and availability zone, in lower case."""
    name = region.strip().lower().rpartition(":")[2]
    without_zone = re.sub(r"-[a-f]$", "", name)
    return without_zone if name not in PLACES and without_zone in PLACES else name


def place_of(region: str) -> tuple[float, float] | None:
    """(longitude, latitude) of a cloud region; None if it is not known."""
    return PLACES.get(bare_name(region))


def nearest(
    longitude: np.ndarray, latitude: np.ndarray, places: list[tuple[float, float]]
) -> np.ndarray:
    """(R,) position of the place nearest to each point."""
    to_longitude, to_latitude = np.array(places).T
    km = great_circle_km(longitude[:, None], latitude[:, None], to_longitude, to_latitude)
    return km.argmin(axis=1)
