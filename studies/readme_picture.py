"""The picture of the README: what each policy costs, beside the bound and the floor.

    torta-opt gap INSTANCE --json > gap.json
    python studies/readme_picture.py gap.json docs/images/gap_abilene.svg

For the picture in the README, run ``gap`` with the options of ``make gap``. The same report gives
the same file, byte for byte, with the same version of matplotlib.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from torta_opt.report.figures.gap import percent_up

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FLOOR_COLOR, COST_COLOR, ABOVE_COLOR = "#9aa5b1", "#3b6ea5", "#d98c3f"
BESIDE: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8}  # browsers drop spaces
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "torta-opt", "font.family": "sans-serif"}


def draw(report: dict[str, Any], ax: Axes) -> None:
    """One bar for each valid schedule of a gap report, in three parts: floor, bound, the rest.

    Parameters
    ----------
    report
        The document that ``torta-opt gap --json`` prints; costs in dollars.
    ax
        The axes to draw on.
    """
    results = [each for each in report["results"] if each["feasible"]][::-1]
    floor, bound = report["floor"], report["bound"]["value"]
    names = [each["policy"] for each in results]
    costs = [each["cost"] for each in results]
    above = [max(cost - bound, 0.0) for cost in costs]
    ax.barh(names, floor, color=FLOOR_COLOR, label="floor: no schedule avoids it")
    ax.barh(names, bound - floor, left=floor, color=COST_COLOR, label="up to the bound")
    ax.barh(names, above, left=bound, color=ABOVE_COLOR, label="above the bound: the gap")
    ax.axvline(bound, color="black", linewidth=1)
    for row, each in enumerate(results):
        label = f"gap ≤ {percent_up(each['gap'])} %"
        ax.annotate(label, (each["cost"], row), (5, 0), va="center", **BESIDE)
    label = f"bound {math.floor(bound):,} $"
    ax.annotate(label, (bound, len(results) - 0.55), (-4, 0), ha="right", va="bottom", **BESIDE)
    ax.set_xlim(0, 1.2 * max(costs))
    ax.set_xlabel("cost of the schedule, $")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="upper center", bbox_to_anchor=(0.45, -0.2), ncols=3, frameon=False, fontsize=8)


def save(report: dict[str, Any], path: Path) -> None:
    """Draw a report into an SVG or PNG file."""
    with matplotlib.rc_context(STYLE):
        figure, ax = plt.subplots(figsize=(7.2, 3.2))
        draw(report, ax)
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(path, dpi=120, bbox_inches="tight", metadata=metadata, facecolor="white")
        plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path, help="what `torta-opt gap --json` printed")
    parser.add_argument("picture", type=Path, help="SVG or PNG file to write")
    arguments = parser.parse_args()
    save(json.loads(arguments.report.read_text()), arguments.picture)


if __name__ == "__main__":
    main()
