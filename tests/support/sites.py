"""A tiny site for tests: two regions, two models, one hour in slots of five minutes."""

from __future__ import annotations

from pathlib import Path

SITE = """\
format = "torta-opt/site"
version = 1
name = "tiny"

[horizon]
start = 2026-11-30T00:00:00Z
hours = 1
slot_seconds = 300

[[regions]]
name = "us-east-1"

[[regions]]
name = "eu-west-1"

[[models]]
name = "small"
weights_gb = 16

[[models]]
name = "large"
weights_gb = 140

[[classes]]
name = "chat"
model = "small"
input_tokens = 1000
output_tokens = 250
target_s = 10

[[classes]]
name = "report"
model = "large"
input_tokens = 4000
output_tokens = 500
target_s = 20

[[service]]
type = "H100"
class = "chat"
requests_per_s = 4.0
latency_s = 8.0

[[service]]
type = "4xH100"
class = "report"
requests_per_s = 2.0
latency_s = 16.0

[[fleet]]
region = "us-east-1"
type = "4xH100"
count = 2
usd_per_server_hour = 12.0

[[fleet]]
region = "eu-west-1"
type = "4xH100"
count = 1
usd_per_gpu_hour = 3.5

[demand]
file = "demand.csv"
"""
DEMAND = """\
hour,region,model,requests_per_hour
0,us-east-1,small,3000
0.5,us-east-1,small,4001
0,us-east-1,large,1200
0.5,us-east-1,large,1200
0,eu-west-1,small,600
0.5,eu-west-1,small,1200
0,eu-west-1,large,60
0.5,eu-west-1,large,60
"""


def write_site(folder: Path, *changes: tuple[str, str], demand: str = DEMAND) -> Path:
    """The site in ``folder``, with pieces of its text replaced; each must be there."""
    text = SITE
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    (folder / "demand.csv").write_text(demand)
    path = folder / "site.toml"
    path.write_text(text)
    return path
