"""Broken files for every reader, found by coverage (`make fuzz`).

    python tools/fuzz.py [TARGET ...] [--seconds 900] [--plain] [-o build/fuzz]

Atheris (libFuzzer) changes valid files and keeps what reaches new lines of the package. A reader
may return or raise an error of the package, with a message of one printable line. Everything else
is a fault: another exception, more than a minute, more than 3 GiB of address space. The seconds of
processor time are shared among the targets. FOLDER/TARGET.json counts the executions of all runs
and has the faults, FOLDER/TARGET/ the files that were kept; a run goes on with both. A fault ends
the program with exit code 5; FOLDER/TARGET-faults/ has the file of each. --plain does without
Atheris: the same changes, without looking at what they reach.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parents[1]
MOST_MEMORY = 3 << 30  # of address space, libraries included
MOST_SECONDS = 60  # for one file
EVERY = 5.0  # seconds between two times that the counts are kept
MOST_FAULTS = 50  # of one target; more would only be more of the same


class TooSlow(Exception):
    """A reader did not end."""


class Record:
    """What is known of a target: executions and seconds of all runs, and its faults by where."""

    def __init__(self, path: Path, faults: Path):
        self.path, self._faults = path, faults
        kept = json.loads(path.read_text()) if path.exists() else {}
        self.executions: int = kept.get("executions", 0)
        self.refused: int = kept.get("refused", 0)
        self.seconds: float = kept.get("seconds", 0.0)
        self.faults: dict[str, str] = kept.get("faults", {})

    def keep(self) -> None:
        partial = self.path.with_suffix(".part")
        partial.write_text(
            json.dumps({k: v for k, v in vars(self).items() if k[0] != "_" and k != "path"})
        )
        partial.replace(self.path)

    def fault(self, error: BaseException, data: bytes) -> None:
        """Keep the first file that fails at a place."""
        frames = traceback.extract_tb(error.__traceback__)
        ours = [each for each in frames if "torta_opt" in each.filename] or list(frames)
        where = type(error).__name__
        if ours:
            where += f" at {Path(ours[-1].filename).name}:{ours[-1].lineno}"
        if where in self.faults or len(self.faults) >= MOST_FAULTS:
            return
        self._faults.mkdir(exist_ok=True)
        file = self._faults / hashlib.sha256(where.encode()).hexdigest()[:12]
        file.write_bytes(data)
        self.faults[where] = f"{file.name}: {str(error)[:200]}"
        self.keep()


def execution(
    name: str, folder: Path, record: Record
) -> tuple[Callable[[bytes], None], list[bytes]]:
    """What tries one file on a target, and valid files."""
    from fuzz_targets import TARGETS

    from torta_opt.io.errors import TortaOptError

    target = TARGETS[name]
    read, seeds = target.open(folder)
    path = folder / f"input{target.ending}"

    def once(data: bytes) -> None:
        record.executions += 1
        path.write_bytes(data)
        signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS)
        try:
            read(path)
        except TortaOptError as error:
            record.refused += 1
            # a site names all that is wrong with it at once, each in a line
            if not str(error).replace("\n", "").isprintable() or not str(error):
                record.fault(AssertionError(f"message {str(error)!r}"), data)
        except Exception as error:  # MemoryError and TooSlow too
            record.fault(error, data)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    return once, seeds


def too_slow(number: int, frame: FrameType | None) -> None:
    raise TooSlow(f"more than {MOST_SECONDS} s")


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder, in memory where there is one."""
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="torta-fuzz-", dir=shared) as name:
        yield Path(name)


def work(name: str, seconds: float, output: Path, seed: int, plain: bool) -> None:
    """Fuzz one target in this process, until ``seconds`` of processor time are spent."""
    record = Record(output / f"{name}.json", output / f"{name}-faults")
    signal.signal(signal.SIGALRM, too_slow)
    with scratch() as folder:
        if plain:
            once, seeds = execution(name, folder, record)
            began = limited(record)
            plain_loop(name, once, seeds, random.Random(f"{seed}"), record, began, seconds)
        else:
            guided(name, folder, record, output / name, seconds, seed)
    record.keep()


def limited(record: Record) -> float:
    """From here on memory is limited; the processor time so far."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    return time.process_time() - record.seconds


def plain_loop(
    name: str,
    once: Callable[[bytes], None],
    seeds: list[bytes],
    draw: random.Random,
    record: Record,
    began: float,
    seconds: float,
) -> None:
    from fuzz_mutate import mutate
    from fuzz_targets import TARGETS

    before, pool = record.seconds, list(seeds)
    while record.seconds < before + seconds:
        for _ in range(50):
            data = mutate(TARGETS[name].form, draw.choice(pool), draw)
            once(data)
            if draw.random() < 0.02:  # changes add up
                pool = [*seeds, *pool[-20:], data]
        record.seconds = time.process_time() - began


def guided(
    name: str, folder: Path, record: Record, corpus: Path, seconds: float, seed: int
) -> None:
    """libFuzzer's loop; it ends the process itself, so everything is kept on the way."""
    import atheris
    from fuzz_mutate import mutate

    with atheris.instrument_imports(include=["torta_opt"]):
        once, seeds = execution(name, folder, record)
    from fuzz_targets import TARGETS

    corpus.mkdir(exist_ok=True)
    for each in seeds:
        (corpus / hashlib.sha256(each).hexdigest()[:16]).write_bytes(each)
    form, began, before = TARGETS[name].form, limited(record), record.seconds
    kept = [time.monotonic()]

    def try_one(data: bytes) -> None:
        once(data)
        if time.monotonic() > kept[0] + EVERY:
            kept[0] = time.monotonic()
            record.seconds = time.process_time() - began
            record.keep()
            if record.seconds > before + seconds:
                os._exit(0)

    def change(data: bytes, most: int, number: int) -> bytes:
        draw = random.Random(number)
        if draw.random() < 0.1:
            return atheris.Mutate(data, most)
        # most files that are kept are broken early, and what is broken twice is broken early too
        return mutate(form, data if draw.random() < 0.5 else draw.choice(seeds), draw)[:most]

    options = ["-rss_limit_mb=0", "-timeout=0", "-max_len=65536", f"-seed={seed}", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], try_one, custom_mutator=change)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=float, default=900.0, help="of processor, for all")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--plain", action="store_true", help="without Atheris")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "build" / "fuzz")
    chosen = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if chosen.worker:
        (name,) = chosen.targets
        return work(name, chosen.seconds, chosen.output, chosen.seed, chosen.plain)
    sys.exit(run_all(chosen))


def run_all(chosen: argparse.Namespace) -> int:
    """Every target in a process of its own, one after the other; the exit code."""
    from fuzz_targets import TARGETS

    names = chosen.targets or list(TARGETS)
    for name in names:
        if name not in TARGETS:
            sys.exit(f"{name} is not known; known: {', '.join(TARGETS)}")
    chosen.output.mkdir(parents=True, exist_ok=True)
    options = [*(["--plain"] if chosen.plain else []), "-o", str(chosen.output.resolve())]
    options += ["--seconds", str(chosen.seconds / len(names)), "--seed", str(chosen.seed)]
    total, faults = 0, 0
    for name in names:
        command = [sys.executable, __file__, name, "--worker", *options]
        with (chosen.output / f"{name}.log").open("w") as log:
            done = subprocess.run(command, stdout=log, stderr=log)
        found = Record(chosen.output / f"{name}.json", chosen.output)
        total += found.executions
        faults += len(found.faults) + (done.returncode != 0)
        ended = f"  ended with {done.returncode}: {name}.log" if done.returncode else ""
        print(f"{row(name, found)}{ended}", flush=True)
        for where, what in found.faults.items():
            print(f"    {where}: {what}", flush=True)
    print(f"{'all':22}{total:>10,} executions, {faults} faults")
    return 5 if faults else 0


def row(name: str, record: Record) -> str:
    rate = record.executions / max(record.seconds, 1e-9)
    return (
        f"{name:22}{record.executions:>10,} executions, {record.refused:>10,} refused,"
        f"{record.seconds:7.0f} s, {rate:6.0f}/s, {len(record.faults)} faults"
    )


if __name__ == "__main__":
    main()
