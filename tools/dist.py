"""Build source distribution and wheel twice, and keep them if both builds agree (`make dist`).

    python tools/dist.py [-o dist] [--try [--python PYTHON]]

Each build starts from a copy of the files that git tracks, in a folder of its own, so names of
folders and times of files differ; the wheel is built from the source distribution, as pip would.
Times inside the archives are that of the last commit (or SOURCE_DATE_EPOCH). If a byte differs, the
exit code is 5. --try installs the wheel into an empty environment, without the checkout, and
runs the main job there.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BACKEND = (
    "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"
)
EARLIEST = 315532800  # 1980: zip archives know no earlier time
MAIN_JOB = (
    "generate paper/abilene --set slots=6 -o abilene.json.gz",
    "gap abilene.json.gz --policies greedy_forecast,torta,torta_plus --bound windows",
)


def commit_time() -> int:
    """SOURCE_DATE_EPOCH, or the time of the last commit."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    log = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    return max(EARLIEST, int(given or subprocess.check_output(log, text=True)))


def copy_tracked(target: Path) -> None:
    """The files that git tracks, as they are in the working tree."""
    names = subprocess.check_output(["git", "-C", str(ROOT), "ls-files", "-z"], text=True)
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)
            (target / name).chmod(0o755 if os.access(ROOT / name, os.X_OK) else 0o644)


def same_bytes(archive: bytes, epoch: int) -> bytes:
    """A tar.gz with the same files, whose bytes depend only on them, their names and ``epoch``.

    setuptools writes times, owners and the order of the folder into it; wheels it writes alike.
    """
    packed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(archive)) as old,
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=epoch) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda each: each.name):
            if not (member.isfile() or member.isdir()):
                sys.exit(f"{member.name}: neither a file nor a folder")
            member.mtime, member.uid, member.gid, member.uname, member.gname = epoch, 0, 0, "", ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            member.pax_headers = {}
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    return packed.getvalue()


def backend(step: str, source: Path, target: Path, epoch: int) -> Path:
    """What one step of setuptools' build makes of a folder, in ``target``."""
    target.mkdir()
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}
    command = [sys.executable, "-c", BACKEND, step, str(target)]
    done = subprocess.run(
        command, cwd=source, env=environment, capture_output=True, text=True, umask=0o022
    )  # files that the build writes take their permissions from the umask, and wheels keep them
    if done.returncode:
        sys.exit(f"{step}: {done.stderr}")
    (made,) = target.iterdir()
    return made


def build(folder: Path, epoch: int) -> list[Path]:
    """Source distribution and wheel of ``folder/source``, built in ``folder``."""
    archive = backend("build_sdist", folder / "source", folder / "sdist", epoch)
    archive.write_bytes(same_bytes(archive.read_bytes(), epoch))
    with tarfile.open(archive) as packed:
        packed.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return [archive, backend("build_wheel", unpacked, folder / "wheel", epoch)]


def build_twice(folder: Path, epoch: int) -> list[Path]:
    """The archives of the first of two builds. Ends the program if the second differs."""
    copy_tracked(folder / "source")  # once: a file may change while this runs
    builds = []
    for name in ("first", "second"):
        shutil.copytree(folder / "source", folder / name / "source", copy_function=shutil.copy)
        builds.append(build(folder / name, epoch))
    for one, other in zip(*builds, strict=True):
        if (one.name, one.read_bytes()) != (other.name, other.read_bytes()):
            kept = Path(tempfile.mkdtemp(prefix="torta-dist-"))
            for build_name, path in (("first", one), ("second", other)):
                shutil.copyfile(path, kept / f"{build_name}-{path.name}")
            print(f"{one.name}: two builds differ; both are in {kept}", file=sys.stderr)
            sys.exit(5)
    return builds[0]


def try_out(wheel: Path, pins: Path, python: str) -> None:
    """Install the wheel into an empty environment of ``python`` and run the main job there."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([python, "-m", "venv", str(folder / "env")], check=True)
        run = folder / "env" / "bin"
        torch = next(line for line in pins.read_text().split() if line.startswith("torch=="))
        for what in (torch, str(wheel)):  # torch first: a range would pull a CUDA build
            install = [str(run / "pip"), "install", "-q", "-c", str(pins), what]
            subprocess.run(install, check=True, cwd=folder)
        environment = {key: each for key, each in os.environ.items() if key != "PYTHONPATH"}
        for line in MAIN_JOB:
            command = [str(run / "torta-opt"), *line.split()]
            subprocess.run(command, check=True, cwd=folder, env=environment)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "dist")
    parser.add_argument("--try", dest="tried", action="store_true", help="in an empty environment")
    parser.add_argument("--python", default=sys.executable, help="that --try uses")
    chosen = parser.parse_args(arguments)
    chosen.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        made = [
            Path(shutil.copy(path, chosen.output))
            for path in build_twice(Path(name), commit_time())
        ]
    for path in made:
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path}")
    if chosen.tried:
        try_out(made[-1].resolve(), ROOT / "constraints.txt", chosen.python)


if __name__ == "__main__":
    main()
