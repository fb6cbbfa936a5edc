"""Read and write versioned JSON documents, plain or gzip-compressed.

Every document is one JSON object with ``"format"`` and ``"version"``. Reading refuses repeated
keys, unknown formats, unknown versions, and files that are too large once decompressed or hold too
much (``structure.py``); NaN and Infinity, which JSON does not know but some tools write, are left
to the schema of the format, which can name the field. Writing (``writing.py``) is atomic, and gives
the same bytes for the same document.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torta_opt.io.errors import InvalidInput
from torta_opt.io.structure import MOST, Most, Structure
from torta_opt.io.unpacking import plain_reading_errors, unpacked
from torta_opt.io.writing import write_bytes

Document = dict[str, Any]
Migration = Callable[[Document], Document]

MAX_BYTES = 1 << 30  # after decompression
_CHUNK = 1 << 20


def read_document(
    path: str | os.PathLike[str],
    formats: Mapping[str, int],
    migrations: Mapping[tuple[str, int], Migration] | None = None,
    max_bytes: int = MAX_BYTES,
    most: Most = MOST,
) -> Document:
    """The JSON object in ``path``, brought to the current version of its format.

    ``formats`` maps each accepted format to its current version; ``migrations`` maps
    (format, old version) to the step that yields the next version; ``max_bytes`` and ``most``
    bound what it may hold. Raises InvalidInput.
    """
    name = os.fspath(path)
    try:
        document = _parse(_read_text(Path(path), max_bytes, most))
        return _current(document, formats, migrations or {})
    except InvalidInput as error:
        raise error.within(name) from None


def read_object(path: str | os.PathLike[str]) -> Document:
    """The JSON object in ``path``, whatever its format. Raises InvalidInput."""
    try:
        return _parse(_read_text(Path(path), MAX_BYTES, MOST))
    except InvalidInput as error:
        raise error.within(os.fspath(path)) from None


def as_current(
    document: Document, formats: Mapping[str, int], path: str | os.PathLike[str]
) -> Document:
    """A document of ``read_object``, checked as ``read_document`` does. Raises InvalidInput."""
    try:
        return _current(document, formats, {})
    except InvalidInput as error:
        raise error.within(os.fspath(path)) from None


def write_document(path: str | os.PathLike[str], document: Mapping[str, Any]) -> None:
    """Write ``document`` atomically; a name that ends in .gz is compressed."""
    write_bytes(path, document_bytes(document))


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


def _read_text(path: Path, max_bytes: int, most: Most) -> str:
    content = _read_limited(path, max_bytes, most)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"is not UTF-8 text (byte {error.start})") from None


def _read_limited(path: Path, max_bytes: int, most: Most) -> bytes:
    chunks: list[bytes] = []
    size, structure = 0, Structure(most)
    with plain_reading_errors(), path.open("rb") as raw:
        stream = unpacked(raw)
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            if size > max_bytes:
                raise InvalidInput(f"is larger than {max_bytes} bytes once decompressed")
            structure.add(chunk)
            chunks.append(chunk)
    return b"".join(chunks)


def _parse(text: str) -> Document:
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
        for key, _ in pairs:
            if key in seen:
                raise InvalidInput("is given twice", field=key)
            seen.add(key)
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
