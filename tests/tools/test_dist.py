"""Archives are the same to the byte, and a wheel needs no checkout."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import dist
import pytest

needs_git = pytest.mark.skipif(not (dist.ROOT / ".git").exists(), reason="needs a git checkout")


def archive(members: list[tuple[str, bytes]], time: int, owner: str) -> bytes:
    """A tar.gz as setuptools may write it: with times, owners and an order of its own."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=time) as stream,
        tarfile.open(fileobj=stream, mode="w") as new,
    ):
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.uname, member.mode = len(content), time, owner, 0o600
            new.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def test_archives_that_hold_the_same_become_the_same() -> None:
    members = [("a/setup.py", b"1"), ("a/b.txt", b"2")]
    one = archive(members, 1_700_000_000, "root")
    other = archive(members[::-1], 1_800_000_000, "me")
    assert one != other
    assert dist.same_bytes(one, dist.EARLIEST) == dist.same_bytes(other, dist.EARLIEST)
    with tarfile.open(fileobj=io.BytesIO(dist.same_bytes(one, dist.EARLIEST))) as packed:
        assert {each.name: packed.extractfile(each).read() for each in packed} == dict(members)


def test_another_byte_in_a_file_stays_another_archive() -> None:
    one, other = (archive([("a", content)], 0, "") for content in (b"1", b"2"))
    assert dist.same_bytes(one, dist.EARLIEST) != dist.same_bytes(other, dist.EARLIEST)


def test_links_do_not_get_into_an_archive() -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as new:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        new.addfile(link)
    with pytest.raises(SystemExit, match="link: neither a file nor a folder"):
        dist.same_bytes(packed.getvalue(), dist.EARLIEST)


def test_builds_that_differ_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(folder: Path, epoch: int) -> list[Path]:
        (folder / "a.whl").write_text(folder.name)
        return [folder / "a.whl"]

    monkeypatch.setattr(dist, "build", build)
    monkeypatch.setattr(dist, "copy_tracked", lambda target: target.mkdir())
    monkeypatch.setattr(dist.tempfile, "mkdtemp", lambda prefix: str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        dist.build_twice(tmp_path, dist.EARLIEST)
    assert ended.value.code == 5
    assert "a.whl: two builds differ" in capsys.readouterr().err


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    dist.main(["-o", str(folder)])  # ends the program if two builds differ
    (found,) = folder.glob("*.whl")
    return found


@pytest.mark.slow
@needs_git
def test_the_wheel_runs_the_main_job_without_a_checkout(wheel: Path, tmp_path: Path) -> None:
    """The dependencies are those of this environment; the package is the wheel's, and alone."""
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    environment.pop("TORTA_MODELS", None)
    where = "import torta_opt, sys; sys.exit(torta_opt.__file__)"
    for command in (["-c", where], *(["-m", "torta_opt", *job.split()] for job in dist.MAIN_JOB)):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if command[0] == "-c":
            assert Path(done.stderr.strip()).is_relative_to(site)
        else:
            assert done.returncode == 0, done.stderr
    for policy in ("greedy_forecast", "torta", "torta_plus"):
        assert policy in done.stdout


@pytest.mark.slow
@needs_git
@pytest.mark.skipif("TORTA_INSTALL" not in os.environ, reason="downloads: TORTA_INSTALL=python3")
def test_the_wheel_runs_the_main_job_in_an_empty_environment(wheel: Path) -> None:
    """Of the Python that TORTA_INSTALL names, with the pinned versions of a registry."""
    dist.try_out(wheel, dist.ROOT / "constraints.txt", os.environ["TORTA_INSTALL"])


@pytest.mark.slow
@needs_git
def test_the_wheel_holds_data_files_and_nothing_of_the_checkout(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    tops = {name.split("/")[0] for name in names}
    assert tops == {"torta_opt", f"{wheel.name.rsplit('-', 3)[0]}.dist-info"}
    weights = {each.name for each in (dist.ROOT / "models").glob("*.safetensors")}
    assert {f"torta_opt/models/{name}" for name in weights} <= names
    code = {str(each.relative_to(dist.ROOT)) for each in (dist.ROOT / "torta_opt").rglob("*.py")}
    assert code <= names
