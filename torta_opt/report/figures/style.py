"""Colours, axes and files of all pictures.

Colours are those of Okabe and Ito (Color Universal Design, 2008), which people with any of the
common colour deficiencies can tell apart; hatches and line styles repeat what colours say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from torta_opt.io.errors import InvalidInput

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALETTE = (
    "#0072B2",  # blue
    "#E69F00",  # orange
    "#009E73",  # green
    "#CC79A7",  # purple
    "#56B4E9",  # sky
    "#D55E00",  # vermilion
    "#F0E442",  # yellow
    "#8C8C8C",  # grey
)
HATCHES = ("", "//", "..", "xx", "\\\\", "++", "--", "oo")
GREY, BLUE, ORANGE, RED = PALETTE[7], PALETTE[0], PALETTE[1], PALETTE[5]
INK = {"light": "#000000", "dark": "#e6e6e6"}
PAPER = {"light": "#ffffff", "dark": "#16191d"}
SUFFIXES = (".svg", ".png", ".pdf")
SIZE = (7.2, 3.4)  # inches


def color_of(position: int) -> str:
    return PALETTE[position % len(PALETTE)]


def ink() -> str:
    """The colour of text, for lines that must differ from every colour of the palette."""
    from matplotlib import rcParams

    color: str = rcParams["text.color"]
    return color


def axes_of(ax: Axes | None, height: float = SIZE[1]) -> Axes:
    """``ax``, or the axes of a new figure that no window manager keeps."""
    if ax is not None:
        return ax
    from matplotlib.figure import Figure

    figure = Figure(figsize=(SIZE[0], height), layout="constrained")
    return figure.add_subplot()


def tidy(ax: Axes, title: str, x: str, y: str) -> Axes:
    """Title, axis labels with units, no frame above and to the right."""
    ax.set_title(title, loc="left", fontsize=10)
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def legend_beside(ax: Axes, names: Sequence[str] | None = None) -> None:
    """A legend right of the axes, where it covers no data."""
    handles, labels = ax.get_legend_handles_labels()
    if handles:
        ax.legend(
            handles,
            labels if names is None else names,
            loc="upper left",
            bbox_to_anchor=(1.0, 1.0),
            frameon=False,
            fontsize=8,
        )


@contextmanager
def themed(theme: str = "light") -> Iterator[None]:
    """Text and axes of pictures drawn inside are readable on a light or a dark page."""
    import matplotlib as mpl

    if theme not in INK:
        raise InvalidInput(f"{theme!r:.40} must be one of {', '.join(INK)}", field="theme")
    ink, paper = INK[theme], PAPER[theme]
    with mpl.rc_context(
        {
            "text.color": ink,
            "axes.labelcolor": ink,
            "axes.edgecolor": ink,
            "xtick.color": ink,
            "ytick.color": ink,
            "axes.facecolor": paper,
            "figure.facecolor": paper,
            "savefig.facecolor": paper,
            "font.size": 9,
            "font.family": "sans-serif",
            "svg.fonttype": "none",
            "svg.hashsalt": "torta-opt",
            "hatch.linewidth": 0.5,
        }
    ):
        yield


def check_path(path: str | Path) -> Path:
    """A file name whose suffix says how to draw. Raises InvalidInput."""
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise InvalidInput(f"must end in {', '.join(SUFFIXES)}", file=str(path))
    return path


def encode(ax: Axes, suffix: str) -> bytes:
    """The figure of ``ax`` as the bytes of a file; the same picture gives the same bytes."""
    import io

    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix)
    buffer = io.BytesIO()
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.savefig(buffer, format=suffix[1:], dpi=150, bbox_inches="tight", metadata=metadata)
    return buffer.getvalue()


def inline_svg(ax: Axes, label: str) -> str:
    """The figure of ``ax`` as an ``<svg>`` element for a page.

    Its ink is the text colour of the page and its paper is transparent, so that one picture serves
    light and dark pages. Identifiers are made unique by ``label``.
    """
    text = encode(ax, ".svg").decode()
    text = text[text.index("<svg") :]
    slug = re.sub(r"[^a-z0-9]+", "-", label.lower())
    text = re.sub(r'\bid="([^"]+)"', rf'id="{slug}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{slug}-\1)", text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{slug}-\1"', text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(
        r'\swidth="[^"]*pt"\sheight="[^"]*pt"|\sheight="[^"]*pt"|\swidth="[^"]*pt"',
        "",
        text,
        count=2,
    )
    return text.replace(INK["light"], "currentColor").replace(PAPER["light"], "none")
