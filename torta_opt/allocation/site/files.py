"""Reads a site file: TOML, its schema, and the files that it names."""

from __future__ import annotations

import datetime
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from torta_opt.allocation.instance.imports.csv_rows import to_milliseconds
from torta_opt.allocation.instance.imports.horizon import MAX_SLOTS
from torta_opt.allocation.site.faults import from_schema
from torta_opt.allocation.site.schema import EXAMPLES, SiteDocument
from torta_opt.io import InvalidInput

MAX_BYTES = 4 << 20


@dataclass(frozen=True)
class Site:
    """A site file that its schema accepts, and where it stands."""

    file: str
    document: SiteDocument

    @property
    def folder(self) -> Path:
        return Path(self.file).parent

    def path(self, name: str) -> Path:
        """A file that the site names, beside it unless its name is absolute."""
        return self.folder / name

    @property
    def files(self) -> list[str]:
        """Every file that the site is read from: itself and those that it names."""
        return [self.file, *(str(self.path(name)) for name in _named(self.document.model_dump()))]

    @property
    def slot_ms(self) -> int:
        return round(self.document.horizon.slot_seconds * 1000)

    @property
    def slots(self) -> int:
        """Slots with demand; drain slots follow in the instance."""
        return round(self.document.horizon.hours * 3_600_000 / self.slot_ms)

    @property
    def start_ms(self) -> int:
        """Milliseconds since 1970 UTC at which slot 0 begins."""
        return time_ms(self.document.horizon.start, "horizon.start")


def read_site(path: str | os.PathLike[str]) -> Site:
    """The site in a file, or in the folder that holds a ``site.toml``. Raises InvalidInput."""
    file = os.fspath(Path(path) / "site.toml" if Path(path).is_dir() else path)
    document = _toml(file)
    try:
        entry = SiteDocument.model_validate(document)
    except ValidationError as error:
        raise from_schema(error, file, EXAMPLES) from None
    site = Site(file, entry)
    if any("\0" in name for name in site.files):
        raise InvalidInput("must not hold a zero byte", "file", file)
    _check_horizon(site)
    return site


def time_ms(value: str | datetime.datetime | datetime.date, field: str) -> int:
    """A point of time as milliseconds since 1970 UTC; without a zone it is UTC."""
    if isinstance(value, datetime.datetime):
        zoned = value if value.tzinfo else value.replace(tzinfo=datetime.UTC)
        return round(zoned.timestamp() * 1000)
    text = f"{value}T00:00:00" if len(str(value)) == len("2026-11-30") else str(value)
    ms, known = to_milliseconds(np.array([text], dtype=object))
    if not known[0]:
        raise InvalidInput(
            f"{value!r:.40} must be a date and time such as 2026-11-30T00:00:00Z", field
        )
    return int(ms[0])


def _toml(file: str) -> dict[str, Any]:
    try:
        if os.stat(file).st_size > MAX_BYTES:
            raise InvalidInput(f"is larger than {MAX_BYTES} bytes", file=file)
        return tomllib.loads(Path(file).read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", file=file) from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"is not UTF-8 text (byte {error.start})", file=file) from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"is not TOML: {error}", file=file) from None
    except ValueError:  # Python reads no integer of more than 4300 digits
        raise InvalidInput("holds a number with too many digits", file=file) from None
    except RecursionError:
        raise InvalidInput("is nested too deeply", file=file) from None


def _named(part: Any) -> list[str]:
    """The values of all fields ``file`` in a part of a site document."""
    if isinstance(part, dict):
        own = [part["file"]] if isinstance(part.get("file"), str) else []
        return own + [name for value in part.values() for name in _named(value)]
    if isinstance(part, list | tuple):
        return [name for value in part for name in _named(value)]
    return []


def _check_horizon(site: Site) -> None:
    horizon = site.document.horizon
    if abs(horizon.slot_seconds * 1000 - site.slot_ms) > 1e-6:
        raise InvalidInput("must be whole milliseconds", "horizon.slot_seconds", site.file)
    if abs(site.slots * site.slot_ms - horizon.hours * 3_600_000) > 1e-3 or site.slots < 1:
        rule = f"must be a whole number of slots of {horizon.slot_seconds:g} s"
        raise InvalidInput(rule, "horizon.hours", site.file)
    if site.slots > MAX_SLOTS:
        rule = f"make {site.slots} slots, more than {MAX_SLOTS}: take longer slots"
        raise InvalidInput(rule, "horizon.hours", site.file)
    try:
        _ = site.start_ms
    except InvalidInput as error:
        raise error.within(site.file) from None
