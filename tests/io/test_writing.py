"""Files are there whole or not at all; devices and pipes are written into, never replaced."""

from __future__ import annotations

import gzip
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from torta_opt.io import InvalidInput, write_bytes, write_document, writing
from torta_opt.io.writing import descriptor_of, is_special, whole_folder, write_all


def read_through(pipe: Path, write) -> bytes:
    """What comes out of ``pipe`` while ``write`` runs."""
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write()
    reader.join(timeout=60)
    assert found, "nothing came out of the pipe"
    return found[0]


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A device on which nothing fits, of our own: a mistake must not hit the machine's."""
    device = tmp_path / "full"
    try:
        os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 7))
        os.close(os.open(device, os.O_WRONLY))
    except OSError:
        pytest.skip("needs the right to make and open devices")
    return device


def small_disk() -> None:
    """In a child process: no file may grow beyond 4 kB, as on a disk that is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


class TestSpecialFiles:
    def test_a_pipe_is_written_into_and_stays(self, pipe: Path) -> None:
        content = b"x" * 300_000  # more than a pipe holds
        assert read_through(pipe, lambda: write_bytes(pipe, content)) == content
        assert stat.S_ISFIFO(pipe.stat().st_mode)
        assert os.listdir(pipe.parent) == ["pipe"]

    def test_a_link_to_a_pipe_too(self, pipe: Path, tmp_path: Path) -> None:
        (tmp_path / "link.gz").symlink_to(pipe)
        got = read_through(pipe, lambda: write_bytes(tmp_path / "link.gz", b"text"))
        assert gzip.decompress(got) == b"text"  # the name says that it is compressed
        assert stat.S_ISFIFO(pipe.stat().st_mode)

    def test_a_full_device_is_an_error_and_stays(self, full: Path) -> None:
        with pytest.raises(InvalidInput, match="full: cannot be written: No space left on device"):
            write_document(full, {"format": "x"})
        assert stat.S_ISCHR(full.stat().st_mode)

    def test_what_counts_as_special(self, pipe: Path, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        special = [
            pipe,
            os.devnull,
            "/dev/stdout",
            "/dev/fd/7",
            "/proc/self/fd/1",
            "/dev/../dev/stderr",
        ]
        assert all(map(is_special, special))
        assert not any(map(is_special, [tmp_path, tmp_path / "file", tmp_path / "none"]))
        assert [descriptor_of(path) for path in special] == [None, None, 1, 7, 1, 2]

    def test_an_open_file_is_written_where_it_stands(self, tmp_path: Path) -> None:
        handle = os.open(tmp_path / "log", os.O_RDWR | os.O_CREAT)
        os.write(handle, b"before ")
        write_bytes(f"/dev/fd/{handle}", b"and after")
        os.close(handle)
        assert (tmp_path / "log").read_bytes() == b"before and after"

    def test_a_descriptor_that_is_not_open(self) -> None:
        with pytest.raises(InvalidInput, match="/dev/fd/987: cannot be written: Bad file desc"):
            write_bytes("/dev/fd/987", b"x")


class TestRegularFiles:
    def test_a_link_stays_and_its_file_is_written(self, tmp_path: Path) -> None:
        (tmp_path / "there").mkdir()
        (tmp_path / "link").symlink_to("there/file")
        for content in (b"new", b"newer"):
            write_bytes(tmp_path / "link", content)
            assert (tmp_path / "there/file").read_bytes() == content
        assert (tmp_path / "link").is_symlink()

    def test_permissions_of_the_old_file_are_kept(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        (tmp_path / "file").chmod(0o640)
        write_bytes(tmp_path / "file", b"x")
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
    def test_a_write_protected_file_is_kept(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"old")
        (tmp_path / "file").chmod(0o440)
        with pytest.raises(InvalidInput, match="cannot be written: Permission denied"):
            write_bytes(tmp_path / "file", b"new")
        assert (tmp_path / "file").read_bytes() == b"old"

    def test_several_files_are_written_all_or_none(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"old")
        with pytest.raises(InvalidInput, match="no/b: cannot be written"):
            write_all([(tmp_path / "a", b"new"), (tmp_path / "no/b", b"new")])
        assert (tmp_path / "a").read_bytes() == b"old"
        assert os.listdir(tmp_path) == ["a"]
        write_all([(tmp_path / "a", b"new"), (tmp_path / "b", b"new")])
        assert sorted(os.listdir(tmp_path)) == ["a", "b"]


KILLED = """
import os, signal, sys
from torta_opt.io.writing import write_bytes
os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
write_bytes(sys.argv[1], b"half")
"""


class TestLeftBehind:
    def test_the_next_write_removes_what_a_kill_left(self, tmp_path: Path) -> None:
        target = tmp_path / "a.json"
        target.write_bytes(b"old")
        done = subprocess.run([sys.executable, "-c", KILLED, target], timeout=60)
        assert done.returncode == -signal.SIGKILL
        assert target.read_bytes() == b"old"
        hidden = [name for name in os.listdir(tmp_path) if name != "a.json"]
        assert [name.startswith(".a.json.") for name in hidden] == [True]
        write_bytes(target, b"new")
        assert os.listdir(tmp_path) == ["a.json"]
        assert target.read_bytes() == b"new"

    def test_a_file_that_another_process_is_writing_stays(self, tmp_path: Path) -> None:
        name, handle = writing._staged(tmp_path / "a", b"in use")
        write_bytes(tmp_path / "a", b"new")
        assert name.read_bytes() == b"in use"
        os.close(handle)
        write_bytes(tmp_path / "a", b"newer")
        assert os.listdir(tmp_path) == ["a"]

    def test_other_files_stay(self, tmp_path: Path) -> None:
        digits = "0123456789abcdef"
        kept = {f".b.{digits}", f".a.{digits}0", ".a.backup", f"a.{digits}", f".a.{digits[:-1]}"}
        for name in kept:
            (tmp_path / name).touch()
        (tmp_path / f".a.{digits}").mkdir()  # a folder is none of ours
        (tmp_path / f".a.{digits[::-1]}").symlink_to("elsewhere")
        write_bytes(tmp_path / "a", b"x")
        assert kept < set(os.listdir(tmp_path))
        assert len(os.listdir(tmp_path)) == len(kept) + 3

    def test_nothing_stays_open(self, tmp_path: Path) -> None:
        before = os.listdir("/proc/self/fd")
        write_all([(tmp_path / "a", b"x"), (tmp_path / "b", b"y")])
        with pytest.raises(InvalidInput):
            write_all([(tmp_path / "a", b"x"), (tmp_path / "no/b", b"y")])
        assert len(os.listdir("/proc/self/fd")) == len(before)


class TestWholeFolder:
    def test_a_new_one_appears_at_the_end(self, tmp_path: Path) -> None:
        target = tmp_path / "in/new"
        with whole_folder(target) as place:
            (place / "file").touch()
            assert not target.exists()
        assert [each.name for each in target.iterdir()] == ["file"]
        assert [each.name for each in target.parent.iterdir()] == ["new"]

    def test_after_a_failure_nothing_is_left(self, tmp_path: Path) -> None:
        def fail() -> None:
            with whole_folder(tmp_path / "in/new") as place:
                (place / "file").touch()
                raise InvalidInput("cannot be written")

        with pytest.raises(InvalidInput, match="cannot be written"):
            fail()
        assert os.listdir(tmp_path) == []

    def test_other_files_of_one_that_exists_stay(self, tmp_path: Path) -> None:
        (tmp_path / "mine").touch()
        with whole_folder(tmp_path) as place:
            assert place == tmp_path
        assert os.listdir(tmp_path) == ["mine"]


TABLES = """
import sys
from torta_opt.cli import app as cli
sys.exit(cli.run(["tables", sys.argv[1], "-o", sys.argv[2]]))
"""


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from torta_opt.allocation.instance import save_instance
    from torta_opt.allocation.instance.generate import generate

    path = tmp_path_factory.mktemp("instance") / "abilene.json"
    save_instance(generate("paper/abilene").cut(0, 30), path)
    return path


class TestTablesOnAFullDisk:
    """Every table of this instance fits but arrivals.csv, which is not the first."""

    def refused(self, instance: Path, folder: Path) -> str:
        done = subprocess.run(
            [sys.executable, "-c", TABLES, instance, folder],
            preexec_fn=small_disk,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 2, done.stderr
        assert len(done.stderr.splitlines()) == 1
        return done.stderr

    def test_no_half_folder_is_left(self, instance: Path, tmp_path: Path) -> None:
        assert "cannot be written: File too large" in self.refused(instance, tmp_path / "a/b")
        assert os.listdir(tmp_path) == []

    def test_tables_that_stood_there_stay(self, instance: Path, tmp_path: Path) -> None:
        (tmp_path / "settings.csv").write_bytes(b"old")
        self.refused(instance, tmp_path)
        assert os.listdir(tmp_path) == ["settings.csv"]
        assert (tmp_path / "settings.csv").read_bytes() == b"old"


def test_commands_write_into_a_pipe(pipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from torta_opt.cli import app as cli

    got = read_through(pipe, lambda: cli.run(["generate", "small/outage", "-o", str(pipe)]))
    assert json.loads(got)["name"] == "small/outage"
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_export_writes_into_a_pipe(pipe: Path, tmp_path: Path) -> None:
    from torta_opt.cli import app as cli

    cli.run(["generate", "small/outage", "-o", str(tmp_path / "i.json")])
    command = ["export", str(tmp_path / "i.json"), "-o", str(pipe), "--format", "lp"]
    assert b"st\n" in read_through(pipe, lambda: cli.run(command)).lower()


def pressed_after(make: Callable[..., Any]) -> Callable[..., Any]:
    """Ctrl-C at the very moment at which something new has come into being."""

    def made(*arguments: Any, **named: Any) -> Any:
        make(*arguments, **named)
        raise KeyboardInterrupt

    return made


def test_ctrl_c_as_a_temporary_file_is_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "open", pressed_after(os.open))
    with pytest.raises(KeyboardInterrupt):
        write_all([(tmp_path / "new", b"x")])
    monkeypatch.undo()
    assert not list(tmp_path.iterdir())


def test_ctrl_c_as_a_temporary_folder_is_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    monkeypatch.setattr(os, "mkdir", pressed_after(os.mkdir))
    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "in/new"):
        pass
    monkeypatch.undo()
    assert not list((tmp_path / "in").iterdir())


def test_an_error_names_the_file_that_was_to_be_not_the_temporary_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught, whole_folder(tmp_path / "new") as place:
        raise InvalidInput("cannot be written", file=str(place / "a.csv"))
    assert str(caught.value) == f"{tmp_path}/new/a.csv: cannot be written"


STDOUT_WITHOUT_READER = """
import os
from torta_opt.io.streams import ReaderGone
from torta_opt.io.writing import write_all
reading, writing = os.pipe()
os.close(reading)
os.dup2(writing, 1)
try:
    write_all([("/dev/stdout", b"x")])
except ReaderGone as error:
    raise SystemExit(error.exit_code)
"""


def test_a_reader_of_stdout_that_has_gone_is_told_apart_from_an_error() -> None:
    done = subprocess.run([sys.executable, "-c", STDOUT_WITHOUT_READER], stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_temporary_file_removed_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by another process that writes the same file and takes it for one left behind."""
    real, locked = writing._lock, []

    def lock(handle: int) -> None:
        if not locked:
            for name in tmp_path.iterdir():
                name.unlink()
        locked.append(handle)
        real(handle)

    monkeypatch.setattr(writing, "_lock", lock)
    write_bytes(tmp_path / "file", b"content")
    assert len(locked) == 2
    assert (tmp_path / "file").read_bytes() == b"content"
    assert os.listdir(tmp_path) == ["file"]
