"""The way from a result to its pictures, which are loaded only to draw."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(kind: str, ax: Axes | None, own: dict[str, Any], data: dict[str, Any]) -> Axes:
    """Draw with what the picture accepts of ``own``, and all of ``data``."""
    figures = import_module("torta_opt.report.figures")  # a face: loaded only to draw
    accepted = figures.figure_of(kind).accepts
    axes: Axes = figures.draw(
        kind,
        ax,
        **{name: own[name] for name in own if name in accepted and name not in data},
        **data,
    )
    return axes
