"""What profile readers share: the user's settings, JSON entries with their place, CSV cells."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torta_opt.allocation.profiles.data import BASES, LoadPoint, Profile
from torta_opt.io import InvalidInput
from torta_opt.io.text import did_you_mean

MAX_BYTES = 256 << 20
MOST = 1e15  # of any figure
MOST_ODD = 0.1  # share of entries that may be left out


@dataclass(frozen=True)
class Settings:
    """What a file does not say, and how its load points are chosen.

    model, gpu, engine    names; they replace those of the file
    gpus                  GPUs of one replica
    replicas              replicas that the figures of the file add up
    basis                 measured, modelled, stated or mock, where the file does not tell
    input_tokens, output_tokens    lengths, for files whose figures do not belong to any
    target_s, ttft_s, tpot_s       show the load point that meets these mean seconds
    """

    model: str | None = None
    gpu: str | None = None
    gpus: int | None = None
    replicas: int = 1
    engine: str | None = None
    basis: str | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    target_s: float | None = None
    ttft_s: float | None = None
    tpot_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("model", "gpu", "engine"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and value):
                raise InvalidInput("must be a name", field=name)
        for name in ("gpus", "replicas"):
            value = getattr(self, name)
            if value is not None and not (type(value) is int and 1 <= value <= 100_000):
                raise InvalidInput("must be a whole number in [1, 100000]", field=name)
        for name in ("input_tokens", "output_tokens", "target_s", "ttft_s", "tpot_s"):
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
                raise InvalidInput("must be a positive number", field=name)
        if self.basis is not None and self.basis not in BASES:
            raise InvalidInput(f"must be one of {', '.join(BASES)}", field="basis")

    @classmethod
    def of(cls, **given: Any) -> Settings:
        """Defaults with some replaced; an unknown name is refused."""
        known = [entry.name for entry in dataclasses.fields(cls)]
        for name in given:
            if name not in known:
                hint = did_you_mean(name, known)
                raise InvalidInput(f"is not a setting of a profile{hint}", field=name)
        return cls(**given)

    def need(self, name: str, kind: str, found: Any = None) -> Any:
        """The setting, or what the file says; refused where neither is there."""
        given = getattr(self, name)
        if given is not None:
            return given
        if found:
            return found
        raise InvalidInput(f"is not in a file of kind {kind}; add --set {name}=...", field=name)


@dataclass(frozen=True)
class Reader:
    """An importer of profiles.

    summary    one line for people
    fields     (field of the file, its unit, what it becomes), for the report
    read       (files, settings, collector): gathers their load points
    """

    summary: str
    fields: tuple[tuple[str, str, str], ...]
    read: Callable[[Sequence[Path], Settings, Collector], None]


@dataclass(frozen=True)
class Entry:
    """A JSON object and where it stands, for messages."""

    file: str
    path: str
    values: Mapping[str, Any]

    def fault(self, rule: str, name: str = "") -> InvalidInput:
        return InvalidInput(rule, self._field(name) or None, self.file)

    def has(self, name: str) -> bool:
        return self.values.get(name) is not None

    def number(self, *names: str) -> float:
        """The first of ``names`` that is there, a finite number."""
        for name in names:
            if self.has(name):
                return self._finite(name)
        found = ", ".join(list(self.values)[:12])
        raise self.fault(f"is missing; the entry has {found or 'nothing'}", names[0])

    def optional(self, *names: str) -> float | None:
        return next((self._finite(name) for name in names if self.has(name)), None)

    def whole(self, *names: str) -> int:
        value = self.number(*names)
        if value != int(value):
            raise self.fault(f"{value:g} is not a whole number", names[0])
        return int(value)

    def text(self, *names: str) -> str:
        for name in names:
            value = self.values.get(name)
            if isinstance(value, str) and value:
                return value
        raise self.fault("is missing", names[0])

    def child(self, *names: str) -> Entry:
        """The object under a path of names."""
        value: Any = self.values
        for name in names:
            value = value.get(name) if isinstance(value, Mapping) else None
        if not isinstance(value, Mapping):
            raise self.fault("is missing", ".".join(names))
        return Entry(self.file, self._field(".".join(names)), value)

    def children(self, name: str) -> list[Entry]:
        """The objects of a list."""
        value = self.values.get(name)
        if not isinstance(value, list) or not value:
            raise self.fault("must be a list that is not empty", name)
        return entries(self.file, self._field(name), value)

    def _finite(self, name: str) -> float:
        value = self.values[name]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not -MOST <= value <= MOST:  # also of NaN and of integers of any length
            raise self.fault(f"{value!r:.40} is not a number", name)
        return float(value)

    def _field(self, name: str) -> str:
        return ".".join(part for part in (self.path, name) if part)


def entries(file: str, path: str, values: Sequence[Any]) -> list[Entry]:
    found = []
    for position, value in enumerate(values):
        where = f"{path}[{position}]"
        if not isinstance(value, Mapping):
            raise InvalidInput("must be an object", where, file)
        found.append(Entry(file, where, value))
    return found


def read_json(path: str | os.PathLike[str]) -> Any:
    """The JSON value in a file. Raises InvalidInput."""
    file = os.fspath(path)
    try:
        if Path(path).stat().st_size > MAX_BYTES:
            raise InvalidInput(f"is larger than {MAX_BYTES} bytes", file=file)
        return json.loads(Path(path).read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", file=file) from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"is not UTF-8 text (byte {error.start})", file=file) from None
    except RecursionError:
        raise InvalidInput("is nested too deeply", file=file) from None
    except ValueError as error:
        raise InvalidInput(f"is not JSON: {error}", file=file) from None


def read_json_lines(path: str | os.PathLike[str]) -> Any:
    """The JSON value in a file, or the list of them if each line holds one."""
    try:
        return read_json(path)
    except InvalidInput as error:
        lines = _lines(path)
        if len(lines) < 2:
            raise
        try:
            return [json.loads(line) for line in lines]
        except (ValueError, RecursionError):
            raise error from None


def _lines(path: str | os.PathLike[str]) -> list[str]:
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return []
    return [line for line in text.splitlines() if line.strip()]


def read_object(path: str | os.PathLike[str]) -> Entry:
    value = read_json(path)
    if not isinstance(value, Mapping):
        raise InvalidInput("must hold a JSON object", file=os.fspath(path))
    return Entry(os.fspath(path), "", value)


def json_files(
    paths: Sequence[Path], pattern: str = "*.json", alike: bool = True
) -> Iterator[Path]:
    """The files named, and those of the folders named, in order.

    A folder without such a file stands for the one in it that has some; for several where their
    files say themselves what they are about (not ``alike``).
    """
    for path in paths:
        if path.is_dir():
            inside = sorted(path.glob(pattern)) or sorted(path.rglob(pattern))
            if not inside:
                raise InvalidInput(f"holds no {pattern}", file=str(path))
            folders = sorted({str(file.parent.relative_to(path)) for file in inside})
            if alike and len(folders) > 1:
                raise InvalidInput(
                    f"holds {pattern} in several folders: {', '.join(folders[:6])}; name one, as "
                    "each may be about another replica",
                    file=str(path),
                )
            yield from inside
        else:
            yield path


@dataclass
class Collector:
    """Load points gathered into profiles: one per model, replica, basis and engine.

    Of files with many entries, odd ones are left out and counted (``attempt``), as long as they
    are few: a wrong unit makes every entry odd.
    """

    kind: str
    found: dict[tuple[str, str, int, str, str], list[LoadPoint]] = dataclasses.field(
        default_factory=dict
    )
    notes: list[str] = dataclasses.field(default_factory=list)
    tried: int = 0
    odd: list[InvalidInput] = dataclasses.field(default_factory=list)

    def attempt(self, add: Callable[[], None]) -> None:
        """Run ``add`` for one of many entries."""
        self.tried += 1
        try:
            add()
        except InvalidInput as error:
            self.odd.append(error)

    def add(
        self, model: str, gpu: str, gpus: int, basis: str, engine: str, point: LoadPoint
    ) -> None:
        self.found.setdefault((model, gpu, gpus, basis, engine), []).append(point)

    def note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)

    def profiles(self, file: str) -> list[Profile]:
        if self.odd and len(self.odd) > MOST_ODD * self.tried:
            raise self.odd[0]
        if self.odd:
            self.note(f"{len(self.odd)} of {self.tried} entries left out: {self.odd[0].rule}")
        if not self.found:
            why = f": {self.notes[0]}" if self.notes else ""
            raise InvalidInput(f"holds no usable load point{why}", file=file)
        return [
            Profile(model, gpu, gpus, basis, self.kind, engine, tuple(points), tuple(self.notes))
            for (model, gpu, gpus, basis, engine), points in self.found.items()
        ]


def load_of(form: str, value: object) -> str:
    """``form`` with the load that a file names; empty where that is no number, or of no load."""
    return form.format(value) if isinstance(value, int | float) and abs(value) <= MOST else ""


def point(
    entry: Entry,
    *,
    input_tokens: float,
    output_tokens: float,
    requests_per_s: float,
    latency_s: float,
    ttft_s: float | None = None,
    tpot_s: float | None = None,
    concurrency: float | None = None,
    detail: str = "",
) -> LoadPoint:
    """A load point of an entry of a file; what is wrong with it names the file and the entry.

    A time of 0 to the first token, or between two, was not measured: servers that do not stream
    leave it so.
    """
    source = os.path.basename(entry.file) + (f" {entry.path}" if entry.path else "")
    try:
        return LoadPoint(
            input_tokens,
            output_tokens,
            requests_per_s,
            latency_s,
            ttft_s or None,
            tpot_s or None,
            concurrency,
            f"{source}{f' ({detail})' if detail else ''}",
        )
    except InvalidInput as error:
        raise InvalidInput(error.rule, error.field, entry.file) from None
