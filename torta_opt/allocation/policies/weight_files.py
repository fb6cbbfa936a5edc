"""Weight files of learned parts: safetensors, with a card in JSON beside them.

    models/NAME.safetensors, models/NAME.json

Nothing in them can run code. A part that counts all regions as one fits a system by ``fitted``: the
names of its types, models and classes, which the card repeats.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np

from torta_opt.allocation.instance.data import System
from torta_opt.io import InvalidInput, read_document
from torta_opt.io.files import Document

Learned = TypeVar("Learned")


def models_folder() -> Path:
    """Where weights that come with the project lie.

    TORTA_MODELS, else ``torta_opt/models`` of an installed wheel, else ``models/`` of a checkout.
    """
    package = Path(__file__).parents[2]
    inside = package / "models"
    found = inside if inside.is_dir() else package.parent / "models"
    return Path(os.environ.get("TORTA_MODELS", found))


def stem_of(path: str | os.PathLike[str]) -> Path:
    """NAME of NAME, NAME.safetensors or NAME.json: what the files of a part begin with."""
    text = os.fspath(path)
    for ending in (".safetensors", ".json"):
        text = text.removesuffix(ending)
    return Path(text)


def find_weights(name: str) -> Path:
    """A file, or a name in the folder of models; without its ending."""
    path = Path(name.removesuffix(".safetensors"))
    if path.with_name(path.name + ".json").is_file():
        return path
    return models_folder() / name if "/" not in name else path


def fitted(system: System) -> dict[str, list[str]]:
    """What of a system the card of a part names that counts all regions as one."""
    return {
        "types": list(system.types),
        "models": list(system.models),
        "classes": list(system.classes),
    }


def load_fitted(
    stem: Path,
    format_: tuple[str, int],
    system: System,
    remedy: str,
    build: Callable[[dict[str, np.ndarray]], Learned],
) -> tuple[Learned, Path]:
    """What ``build`` makes of the tensors of a file, and the file.

    Raises InvalidInput unless the card has this format and version and fits the system, and where
    ``build`` raises LookupError or ValueError.
    """
    file, card = _card_of(stem, format_)
    for field, names in fitted(system).items():
        if card.get(field) != names:
            raise InvalidInput(
                f"is for other {field} than those of this system: {remedy}", file=str(file)
            )
    with reading(file):
        return build(_tensors_of(file)), file


def load_tensors(
    stem: Path, format_: tuple[str, int]
) -> tuple[dict[str, np.ndarray], Document, Path]:
    """The tensors of a file whose card has this format and version, the card, and the file.

    Raises InvalidInput.
    """
    file, card = _card_of(stem, format_)
    with reading(file):
        return _tensors_of(file), card, file


def _card_of(stem: Path, format_: tuple[str, int]) -> tuple[Path, Document]:
    """The file of tensors, and the card beside it."""
    card = read_document(stem.with_name(stem.name + ".json"), dict([format_]))
    return stem.with_name(stem.name + ".safetensors"), card


def _tensors_of(file: Path) -> dict[str, np.ndarray]:
    """Raises InvalidInput if a number is not finite."""
    from safetensors.numpy import load

    with np.errstate(invalid="ignore"):
        found = {name: np.asarray(t, float) for name, t in load(file.read_bytes()).items()}
    if not all(np.isfinite(tensor).all() for tensor in found.values()):
        raise InvalidInput("holds numbers that are not finite", file=str(file))
    return found


@contextlib.contextmanager
def reading(file: Path) -> Iterator[None]:
    """Says in one line what is wrong with a file of tensors. Raises InvalidInput."""
    from safetensors import SafetensorError

    try:
        yield
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", file=str(file)) from None
    except (SafetensorError, LookupError, ValueError, RuntimeError):
        raise InvalidInput("does not hold the weights that its card describes", str(file)) from None
