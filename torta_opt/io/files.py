"""Read and write versioned JSON documents, plain or gzip-compressed.

Every document is one JSON object with ``"format"`` and ``"version"``. Reading refuses repeated
keys, files over a size limit after decompression, unknown formats and unknown versions; NaN and
Infinity, which JSON does not know but some tools write, are left to the schema of the format,
which can name the field. Writing goes to a temporary name in the same folder and is renamed, and
gives the same bytes for the same document.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torta_opt.io.errors import InvalidInput

Document = dict[str, Any]
Migration = Callable[[Document], Document]

MAX_BYTES = 1 << 30  # after decompression
_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 20


def read_document(
    path: str | os.PathLike[str],
    formats: Mapping[str, int],
    migrations: Mapping[tuple[str, int], Migration] | None = None,
    max_bytes: int = MAX_BYTES,
) -> Document:
    """The JSON object in ``path``, brought to the current version of its format.

    ``formats`` maps each accepted format to its current version; ``migrations`` maps
    (format, old version) to the step that yields the next version. Raises InvalidInput.
    """
    name = os.fspath(path)
    try:
        document = _parse(_read_bytes(Path(path), max_bytes))
        return _current(document, formats, migrations or {})
    except InvalidInput as error:
        raise error.within(name) from None


def write_document(path: str | os.PathLike[str], document: Mapping[str, Any]) -> None:
    """Write ``document`` atomically; a name that ends in .gz is compressed."""
    write_bytes(path, document_bytes(document))


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write ``content`` under a temporary name in the same folder, then rename it."""
    target = Path(path)
    if target.suffix == ".gz":
        content = gzip.compress(content, compresslevel=6, mtime=0)
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)  # Ctrl-C may come after the rename
            raise
    except OSError as error:
        raise InvalidInput(f"cannot be written: {error.strerror}", file=str(target)) from None


def document_bytes(document: Mapping[str, Any]) -> bytes:
    """Canonical bytes: one line per top-level field, no spaces, shortest floats."""
    lines = [
        f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'), allow_nan=False)}"
        for key, value in document.items()
    ]
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def sha256_of(document: Mapping[str, Any]) -> str:
    """Hash of the canonical bytes."""
    return hashlib.sha256(document_bytes(document)).hexdigest()


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _read_bytes(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            stream = gzip.GzipFile(fileobj=raw) if packed else raw
            return _read_limited(stream, max_bytes)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InvalidInput("is not a complete gzip file") from None
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror or error}") from None


def _read_limited(stream: Any, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while chunk := stream.read(_CHUNK):
        size += len(chunk)
        if size > max_bytes:
            raise InvalidInput(f"is larger than {max_bytes} bytes once decompressed")
        chunks.append(chunk)
    return b"".join(chunks)


def _parse(content: bytes) -> Document:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"is not UTF-8 text (byte {error.start})") from None
    try:
        document = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=float)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidInput(f"is not JSON: {error.msg.removesuffix(' at')} at {where}") from None
    except RecursionError:
        raise InvalidInput("is nested too deeply") from None
    except ValueError:  # an integer with more digits than Python converts
        raise InvalidInput("holds a number with too many digits") from None
    if not isinstance(document, dict):
        raise InvalidInput(f"must hold a JSON object, found {_kind(document)}")
    return document


def _unique_keys(pairs: list[tuple[str, Any]]) -> Document:
    document = dict(pairs)
    if len(document) < len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise InvalidInput("is given twice", field=repeated)
    return document


def _current(
    document: Document,
    formats: Mapping[str, int],
    migrations: Mapping[tuple[str, int], Migration],
) -> Document:
    known = " or ".join(f'"{name}"' for name in formats)
    name = document.get("format")
    if not isinstance(name, str) or name not in formats:
        found = f", found {json.dumps(name)[:80]}" if "format" in document else ""
        raise InvalidInput(f"must be {known}{found}", field="format")
    current = formats[name]
    version = document.get("version")
    if version is None:
        raise InvalidInput(f'is missing; add "version": {current}', field="version")
    if type(version) is not int or not 1 <= version <= current:
        raise InvalidInput(
            f"{json.dumps(version)[:40]} is not known; this release reads 1 to {current}",
            field="version",
        )
    while version < current:
        document = migrations[name, version](document)
        version += 1
    return document


def _kind(value: Any) -> str:
    kinds = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
