"""The template of a site: files to copy, and the profiles that its benchmarks make."""

from __future__ import annotations

import os
from pathlib import Path

from torta_opt.allocation.profiles.document import profiles_to_document
from torta_opt.allocation.profiles.readers import read_profiles
from torta_opt.allocation.profiles.reading import Settings
from torta_opt.io import InvalidInput
from torta_opt.io.files import document_bytes
from torta_opt.io.writing import whole_folder, write_all

FOLDER = Path(__file__).with_name("template")
BENCHMARKS = {  # folder of benchmarks → GPU, GPUs of a replica
    "70b_4xH100": ("H100", 4),
    "8b_H100": ("H100", 1),
    "8b_L4": ("L4", 1),
}


def write_template(folder: str | os.PathLike[str]) -> list[str]:
    """Write a site of three regions that builds as it is; returns its files. Raises InvalidInput.

    ``folder`` must not exist, or be empty.
    """
    target = Path(folder)
    check_new(target)
    sources = sorted(path for path in FOLDER.rglob("*") if path.is_file())
    contents = {str(path.relative_to(FOLDER)): path.read_bytes() for path in sources}
    for name, (gpu, gpus) in BENCHMARKS.items():
        contents[f"profiles/{name}.json"] = _profile(name, gpu, gpus)
    with whole_folder(target) as place:
        for name in contents:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
        write_all((place / name, content) for name, content in contents.items())
    return [str(target / name) for name in contents]


def check_new(folder: Path) -> None:
    """Nothing is overwritten: raises InvalidInput unless ``folder`` is empty or does not exist."""
    if folder.exists() and not folder.is_dir():
        raise InvalidInput("is a file: name a new folder", file=str(folder))
    if folder.is_dir() and any(folder.iterdir()):
        raise InvalidInput("is not empty: name a new folder", file=str(folder))


def _profile(name: str, gpu: str, gpus: int) -> bytes:
    settings = Settings(gpu=gpu, gpus=gpus, basis="stated")
    profiles = read_profiles("vllm", [FOLDER / "bench" / name], settings)
    return document_bytes(profiles_to_document(profiles))
