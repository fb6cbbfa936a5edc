"""Write hashes/: what constraints.txt pins, with the SHA-256 of every file of each release.

    python tools/hashes.py     make hashes

    hashes/all.txt   every package of constraints.txt
    hashes/run.txt   what torta-opt needs to run, without torch

pip installs from them with --require-hashes and then accepts no other file. uv asks PyPI for the
hashes. torch is not in run.txt: its CPU build is not on PyPI, and PyPI's own build for Linux needs
CUDA packages that constraints.txt does not pin.
"""

from __future__ import annotations

import re
import subprocess
import sys

from licences import PINS, ROOT, closure, installed, normalised

FOLDER = ROOT / "hashes"
REGISTRY = "https://pypi.org/simple"
ALL = "# Every package of constraints.txt with the hashes of its files; written by `make hashes`.\n"
RUN = (
    "# What torta-opt needs to run, without torch, with hashes; written by `make hashes`.\n"
    "# pip install --require-hashes -r hashes/run.txt\n"
)


def hashed() -> str:
    """The pins in the order of their names, each with a line for every hash."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--no-config", "--quiet", "--no-deps"]
    command += ["--generate-hashes", "--no-header", "--no-annotate", "--default-index", REGISTRY]
    return subprocess.check_output([*command, str(PINS)], text=True)


def blocks(text: str) -> dict[str, str]:
    """Normalised name of a package → its lines."""
    parts = re.split(r"(?m)^(?=\S)", text)
    return {normalised(part.split("==")[0]): part for part in parts if "==" in part}


def main() -> None:
    every = hashed()
    run = closure(["torta-opt"], installed()) - {"torch"}
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "all.txt").write_text(ALL + every)
    chosen = "".join(lines for name, lines in blocks(every).items() if name in run)
    (FOLDER / "run.txt").write_text(RUN + chosen)


if __name__ == "__main__":
    main()
