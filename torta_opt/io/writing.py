"""Write files so that each is there whole or not at all, and never in place of a device.

A regular file is written under a temporary name in its folder, then renamed. A process that is
killed in between leaves a hidden file ``.NAME.`` and 16 digits; the next write to the same name
removes it. A link stays a link: what it leads to is written. What is no regular file (a device, a
FIFO, a pipe, a terminal) is opened and written into, as any tool would do; /dev/stdout and
/dev/fd/N are the open files of this process that they stand for.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gzip
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from torta_opt.io.errors import InvalidInput
from torta_opt.io.streams import ReaderGone

_STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/(\d{1,9})")


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write ``content``, compressed if the name ends in .gz. Raises InvalidInput."""
    write_all([(path, content)])


def write_all(files: Iterable[tuple[str | os.PathLike[str], bytes]]) -> None:
    """Write several files, all of them or none: every one is complete before the first is renamed.

    Raises InvalidInput.
    """
    staged: list[_Staged] = []
    try:
        for path, content in files:
            with _complaining(path):
                packed = _packed(path, content)
                if is_special(path):
                    staged.append(_Staged(path, content=packed))
                else:
                    target = Path(os.path.realpath(path))
                    staged.append(_Staged(path, target, *_staged(target, packed)))
        for each in staged:
            with _complaining(each.path):
                each.commit()
    except BaseException:
        for each in staged:
            each.drop()
        raise


def is_special(path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` is to be written into and never replaced: it is no regular file.

    Folders do not count: writing to one fails. /dev/stdout counts, even where it leads to a file.
    """
    if descriptor_of(path) is not None:
        return True
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def descriptor_of(path: str | os.PathLike[str]) -> int | None:
    """The open file of this process that /dev/stdout, /dev/stderr or /dev/fd/N stands for."""
    name = os.path.abspath(path)
    found = _DESCRIPTOR.fullmatch(name)
    return int(found[1]) if found else _STREAMS.get(name)


@contextlib.contextmanager
def whole_folder(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """A folder to write files into. A new one gets its name once it is complete, or never.

    One that exists is given as it is: its other files stay. Raises InvalidInput.
    """
    target = Path(folder)
    if target.is_dir():
        yield target
        return
    made = [parent for parent in target.parents if not parent.exists()]
    temporary = _temporary_name(target)
    try:
        try:
            _make_folder(temporary, target)
        except OSError as error:
            raise InvalidInput(f"cannot be made: {error.strerror}", file=str(target)) from None
        yield temporary
        with _complaining(target):
            temporary.rename(target)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()
        if isinstance(error, InvalidInput) and error.file:  # the temporary file is gone
            name = error.file.replace(str(temporary), str(target))
            raise error.within(name) from None
        raise


def _make_folder(temporary: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(target):
        raise _os_error(errno.EEXIST)
    temporary.mkdir()


@dataclass
class _Staged:
    """A file that is ready: under a temporary name, or, for what is special, in memory."""

    path: str | os.PathLike[str]
    target: Path | None = None
    temporary: Path | None = None
    lock: int | None = None  # the temporary file, open: it is in use until this is closed
    content: bytes = b""

    def commit(self) -> None:
        if self.target is None or self.temporary is None:
            _write_into(self.path, self.content)
        else:
            os.replace(self.temporary, self.target)
            self._unlock()

    def drop(self) -> None:
        if self.temporary is not None:
            self.temporary.unlink(missing_ok=True)  # Ctrl-C may come after the rename
            self._unlock()

    def _unlock(self) -> None:
        lock, self.lock = self.lock, None
        if lock is not None:
            os.close(lock)


def _staged(target: Path, content: bytes) -> tuple[Path, int]:
    """A temporary file beside ``target`` that holds ``content``, with the permissions to be.

    It stays open and locked, so that nobody takes it for one that was left behind.
    """
    _remove_left_behind(target)
    name, handle = _temporary_name(target), None
    try:
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        _lock(handle)
        while not name.exists():  # removed by another process before it was locked
            os.close(handle)
            handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            _lock(handle)
        write_fully(handle, content)
        os.fsync(handle)  # some file systems say only now that they are full
        _give_permissions(name, target)
    except BaseException:
        name.unlink(missing_ok=True)
        if handle is not None:
            os.close(handle)
        raise
    return name, handle


def _remove_left_behind(target: Path) -> None:
    """Remove temporary files of ``target`` that no process holds: those that wrote were killed."""
    ours = re.compile(re.escape(f".{target.name}.") + "[0-9a-f]{16}")
    with contextlib.suppress(OSError):  # a folder that cannot be read is written to all the same
        for name in filter(ours.fullmatch, os.listdir(target.parent)):
            with contextlib.suppress(OSError):
                _remove_unless_in_use(target.parent / name)


def _remove_unless_in_use(name: Path) -> None:
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if stat.S_ISREG(os.fstat(handle).st_mode):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            name.unlink()
    finally:
        os.close(handle)


def _lock(handle: int) -> None:
    with contextlib.suppress(OSError):  # where there are no locks, nothing is removed either
        fcntl.flock(handle, fcntl.LOCK_EX)


def _give_permissions(temporary: Path, target: Path) -> None:
    """Those of the file that is replaced, else those of any new file."""
    try:
        old = target.stat()
    except FileNotFoundError:
        os.chmod(temporary, 0o666 & ~_umask())
        return
    if not os.access(target, os.W_OK):
        raise _os_error(errno.EACCES)  # a rename would not ask
    with contextlib.suppress(OSError):  # only root may give files away
        os.chown(temporary, old.st_uid, old.st_gid)
    os.chmod(temporary, stat.S_IMODE(old.st_mode))


def _write_into(path: str | os.PathLike[str], content: bytes) -> None:
    """Write into what exists; without O_CREAT, nothing can appear in its place."""
    own = descriptor_of(path)
    handle = os.open(path, os.O_WRONLY) if own is None else os.dup(own)
    try:
        write_fully(handle, content)
    finally:
        os.close(handle)


def write_fully(handle: int, content: bytes) -> None:
    """All of ``content`` into an open file; a pipe may take only a part at a time."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(handle, rest) :]


def _packed(path: str | os.PathLike[str], content: bytes) -> bytes:
    if Path(path).suffix != ".gz":
        return content
    return gzip.compress(content, compresslevel=6, mtime=0)


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _temporary_name(target: Path) -> Path:
    """Known before it exists, so that it can be removed whenever Ctrl-C comes."""
    return target.parent / f".{target.name}.{secrets.token_hex(8)}"


@contextlib.contextmanager
def _complaining(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EPIPE and descriptor_of(path) == 1:
            raise ReaderGone("") from None
        rule = f"cannot be written: {error.strerror or error}"
        raise InvalidInput(rule, file=os.fspath(path)) from None


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
