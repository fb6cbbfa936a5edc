"""Every command that works for long, against every fault of the machine, as real processes.

A command must end by itself with a known exit code and at most a line for people, and what it was
to write must be whole or not there. `docs/trust.md` has the table of commands and faults.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.begun import AT_TIME

import torta_opt
from torta_opt.cli import app as cli

SHORT = "updates=2 --set rollout_slots=2 --set epochs=1 --set environments=2 --set copies=2"
COMMANDS = {  # {i} instance, {s} schedule, {t} site, {o} what is written
    "solve": "solve {i} --method optimal -o {o}",
    "bound": "bound {i} --method lp -o {o}",
    "gap": "gap {i} --policies greedy_forecast --report {o}",
    "compare": "compare {i} --policies round_robin,torta_ot --seeds 3 --bound lp -o {o}",
    "train": "train {i} --set " + SHORT + " -o {o}",
    "build": "build {t} -o {o}",
    "report": "report {i} {s} -o {o}",
    "library": "library make small-hot -o {o}",
}
WRITTEN = {
    **dict.fromkeys(("solve", "bound", "build", "library"), "out.json"),
    **dict.fromkeys(("gap", "report"), "out.html"),
    "compare": "out.jsonl",
    "train": "net",
}
FAST = (  # the others draw pictures or load torch before they write
    *("bound", "compare", "build", "library"),
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("solve", "gap", "report", "train")),
)
CALM = {0, 2, 4}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("inputs")
    instance = torta_opt.generate("small/loading")
    torta_opt.save_instance(instance, folder / "i.json")
    found = torta_opt.solve(instance, "greedy_forecast").schedule
    torta_opt.save_schedule(found, instance, folder / "s.json")
    assert cli.run(["new", str(folder / "site")]) == 0
    return {
        "i": str(folder / "i.json"),
        "s": str(folder / "s.json"),
        "t": str(folder / "site" / "site.toml"),
    }


def words(name: str, inputs: dict[str, str], output: Path) -> list[str]:
    return COMMANDS[name].format(**inputs, o=output).split()


def start(arguments: list[str], telling: bool = False, **options: object) -> subprocess.Popen[str]:
    how = ["-c", AT_TIME] if telling else ["-m", "torta_opt"]
    return subprocess.Popen(
        [sys.executable, *how, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,  # type: ignore[call-overload]
    )


def is_whole(name: str, path: Path) -> bool:
    """Whether what a command wrote is a complete file of its kind."""
    content = path.read_text()
    if name in ("gap", "report"):
        return content.rstrip().endswith("</html>")
    if name == "compare":  # complete lines, but for one that the next start cuts off
        return all(json.loads(line) for line in content.split("\n")[:-1])
    return isinstance(json.loads(content), dict)


def assert_whole_or_absent(name: str, folder: Path) -> None:
    """Hidden files that a killed process leaves are allowed: no command reads them."""
    seen = [each for each in folder.iterdir() if not each.name.startswith(".")]
    for path in seen:
        assert path.name.startswith(WRITTEN[name])
        if path.suffix == ".safetensors":
            from safetensors.numpy import load

            assert load(path.read_bytes())
        elif path.suffix == ".csv":
            assert path.read_text().endswith("\n")
        else:
            assert is_whole(name, path), path


# --- a folder that takes no file ----------------------------------------------------------------


@contextlib.contextmanager
def disk(folder: Path, options: str) -> Iterator[Path]:
    """A small disk of its own, mounted on ``folder``; needs the right to mount."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", FAST)
def test_a_read_only_disk_is_one_line(
    name: str, inputs: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with disk(tmp_path / "disk", "ro,size=64k") as folder:
        code = cli.run(words(name, inputs, folder / WRITTEN[name]))
        said = capfd.readouterr().err.splitlines()
        assert code == 2
        assert "cannot be" in said[-1]
        assert len([line for line in said if line.startswith("torta-opt:")]) == 1
        assert not list(folder.iterdir())


@pytest.mark.parametrize("name", FAST)
def test_a_full_disk_is_one_line_and_leaves_no_part(
    name: str, inputs: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with disk(tmp_path / "disk", "size=4k") as folder:
        (folder / "filling").write_bytes(b"x" * 4096)
        code = cli.run(words(name, inputs, folder / WRITTEN[name]))
        said = capfd.readouterr().err.splitlines()
        assert code == 2
        assert said[-1].endswith("No space left on device")
        left = {each.name: each.stat().st_size for each in folder.iterdir()}
        assert left.pop("filling") == 4096
        assert not any(left.values())  # at most a table that has no row yet


# --- too little memory --------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("megabytes", [700, 1000, 1400])
@pytest.mark.parametrize("name", COMMANDS)
def test_too_little_memory(
    name: str, megabytes: int, inputs: dict[str, str], tmp_path: Path
) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))

    process = start(words(name, inputs, tmp_path / WRITTEN[name]), preexec_fn=limited)
    try:
        _, said = process.communicate(timeout=300)
    finally:
        process.kill()  # SIGTERM does not end a library that waits for memory
    assert process.returncode in CALM, said
    assert "Traceback" not in said
    assert_whole_or_absent(name, tmp_path)


# --- killed, interrupted and ended --------------------------------------------------------------


def duration(name: str, inputs: dict[str, str], folder: Path) -> float:
    folder.mkdir()
    began = time.monotonic()
    process = start(words(name, inputs, folder / WRITTEN[name]))
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return time.monotonic() - began


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_ended_at_random_moments(name: str, inputs: dict[str, str], tmp_path: Path) -> None:
    """And started again in the same folder, it gives what a run without faults gives."""
    length = duration(name, inputs, tmp_path / "calm")
    draw, folder = random.Random(name), tmp_path / "ended"
    folder.mkdir()
    for how in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM) * 2:
        process = start(words(name, inputs, folder / WRITTEN[name]), telling=True)
        assert process.stderr is not None
        assert process.stderr.readline() == "BEGUN\n"
        time.sleep(draw.uniform(0, length))
        process.send_signal(how)
        _, said = process.communicate(timeout=120)
        assert "Traceback" not in said
        assert process.returncode in CALM | ({-how} if how == signal.SIGKILL else set()), said
        assert_whole_or_absent(name, folder)
        if name == "train":  # a finished network is not trained again without --resume
            for each in folder.iterdir():
                each.unlink()
    again = start(words(name, inputs, folder / WRITTEN[name]))
    _, said = again.communicate(timeout=300)
    assert again.returncode == 0, said
    calm, ended = (each.glob("*.json") for each in (tmp_path / "calm", folder))
    assert [each.name for each in ended] == [each.name for each in calm]
    if name in ("solve", "build", "library"):
        one, two = (each / WRITTEN[name] for each in (tmp_path / "calm", folder))
        assert one.read_bytes() == two.read_bytes()


def workers(process: int) -> list[int]:
    """Processes of joblib that a process started."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [
        n for n in map(int, children) if b"popen_loky" in Path(f"/proc/{n}/cmdline").read_bytes()
    ]


def killing_a_worker(line: list[str]) -> tuple[str, int]:
    """What a command prints while one of its workers is killed, and that worker; 0 if none was."""
    process, killed = start(line), 0
    while process.poll() is None and not killed:
        with contextlib.suppress(OSError):
            for worker in workers(process.pid)[:1]:
                time.sleep(1)  # so that it is at work
                os.kill(worker, signal.SIGKILL)
                killed = worker
        time.sleep(0.01)
    printed, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return printed, killed


needs_tasks = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")


@pytest.mark.slow
@needs_tasks
def test_a_worker_of_compare_is_killed(tmp_path: Path) -> None:
    """The others go on, and its run is repeated: the table is that of a run without faults."""
    torta_opt.save_instance(torta_opt.generate("paper/abilene", slots=12), tmp_path / "i.json")
    line = f"compare {tmp_path / 'i.json'} --policies torta_ot:split=sample,sdib --seeds 6 --jobs 2"
    calm, other = tmp_path / "calm.jsonl", tmp_path / "killed.jsonl"
    process = start([*line.split(), "--bound", "floor", "-o", str(calm)])
    assert process.wait(timeout=300) == 0
    _, killed = killing_a_worker([*line.split(), "--bound", "floor", "-o", str(other)])
    assert killed
    assert len(costs(calm)) == 8  # sdib is the same for every seed; and the bound
    assert costs(other) == costs(calm)


@pytest.mark.slow
@needs_tasks
def test_a_worker_of_gap_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "i.json"
    torta_opt.save_instance(torta_opt.generate("paper/abilene", slots=12), path)
    names = ["torta_ot", "open_loop", "rhc", "sageserve"]
    line = ["gap", str(path), "--policies", ",".join(names), "--bound", "floor", "--json"]
    printed, killed = killing_a_worker([*line, "--jobs", "2"])
    assert killed
    found = {each["policy"]: each["cost"] for each in json.loads(printed)["results"]}
    assert list(found) == names
    calm = torta_opt.gap(torta_opt.open_instance(path), names, bound_method="floor")
    assert found == {each.policy: each.cost for each in calm.results}


# --- side by side -------------------------------------------------------------------------------


def run_together(lines: list[list[str]], limit: float = 600) -> list[tuple[int, str]]:
    """Exit codes and complaints of commands that start at the same time."""
    running = [start(line) for line in lines]
    return [(each.wait(limit), each.communicate()[1]) for each in running]


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_two_processes_write_the_same_output(
    name: str, inputs: dict[str, str], tmp_path: Path
) -> None:
    line = words(name, inputs, tmp_path / WRITTEN[name])
    found = run_together([line, line])
    for code, said in found:
        assert code == 0 or "is being written by another process" in said, said
    assert 0 in [code for code, _ in found]
    assert_whole_or_absent(name, tmp_path)
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]


def load_of(number: int, inputs: dict[str, str], folder: Path) -> None:
    lines = [
        f"gap {inputs['i']} --policies round_robin --json --report {folder / f'{n}.html'}".split()
        for n in range(number)
    ]
    for code, said in run_together(lines):
        assert code == 0, said
    pages = {path.read_bytes() for path in folder.iterdir()}
    assert len(list(folder.iterdir())) == number
    assert all(page.rstrip().endswith(b"</html>") for page in pages)


@pytest.mark.slow
def test_fifty_gaps_at_once_in_one_folder(inputs: dict[str, str], tmp_path: Path) -> None:
    load_of(50, inputs, tmp_path)


# --- for a long time ----------------------------------------------------------------------------


def resident_mb(process: int | str = "self") -> float:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


needs_statm = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")


@pytest.mark.slow
@needs_statm
def test_memory_stays_flat_over_many_runs(tmp_path: Path) -> None:
    """What a run leaves behind adds up over the hundreds of runs of a study."""
    from torta_opt.allocation.policies.experiment import compare

    instance = torta_opt.generate("small/loading")
    sizes = []
    for block in range(4):
        seeds = range(1000 * block, 1000 * block + 150)
        compare([instance], ["torta_ot", "sdib"], seeds, tmp_path / f"{block}.jsonl")
        sizes.append(resident_mb())
    assert sizes[3] - sizes[1] < 0.02 * sizes[1], sizes


@pytest.mark.slow
@needs_statm
def test_a_long_comparison_is_killed_again_and_again(tmp_path: Path) -> None:
    """TORTA_ENDURANCE minutes (half a one if it is not set); no row is lost or differs."""
    minutes = float(os.environ.get("TORTA_ENDURANCE", "0.5"))
    files = []
    for n in range(3):
        files.append(str(tmp_path / f"{n}.json"))
        torta_opt.save_instance(torta_opt.generate("paper/abilene", n, slots=6), files[-1])
    count = max(20, round(40 * minutes))
    line = ["compare", *files, "--policies", "torta_ot:split=sample", "--jobs", "2"]
    line += ["--seeds", str(count), "--bound", "floor"]
    table, draw, sizes, kept = tmp_path / "t.jsonl", random.Random(0), [], 0
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        process = start([*line, "-o", str(table)])
        time.sleep(draw.uniform(1, 4))
        if process.poll() is None:
            sizes.append(resident_mb(process.pid))
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        rows = table.read_bytes().count(b"\n") if table.exists() else 0
        assert rows >= kept
        kept = rows
    process = start([*line, "-o", str(table)])
    _, said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    calm = tmp_path / "calm.jsonl"
    process = start([*line, "-o", str(calm)])
    assert process.wait(timeout=1200) == 0
    assert costs(table) == costs(calm)
    assert len(costs(calm)) == 3 * count + 3
    assert sizes  # it was killed at least once
    assert max(sizes) < 1000, sizes


def costs(table: Path) -> dict[tuple[str, str, int], float]:
    """Cost of every run and value of every bound of a table."""
    found = {}
    for line in table.read_text().splitlines():
        row = json.loads(line)
        what = row["policy"] if "policy" in row else row["bound"]
        found[row["sha256"], what, row.get("seed", 0)] = row.get("cost", row.get("value"))
    return found
