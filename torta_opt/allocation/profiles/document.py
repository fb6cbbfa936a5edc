"""The profile file: profiles of one or more models and replicas, as JSON."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from torta_opt.allocation.profiles.data import LoadPoint, Profile
from torta_opt.io import InvalidInput, read_document, write_document
from torta_opt.io.schema import Name, Real, Strict, parse

FORMAT = "torta-opt/profile"
VERSION = 1


class PointEntry(Strict):
    input_tokens: Real = Field(description="mean input tokens of a request")
    output_tokens: Real = Field(description="mean output tokens of a request")
    requests_per_s: Real = Field(description="requests per second of one replica")
    latency_s: Real = Field(description="mean seconds from arrival to the last token")
    ttft_s: Real | None = Field(default=None, description="mean seconds to the first token")
    tpot_s: Real | None = Field(default=None, description="mean seconds per further token")
    concurrency: Real | None = Field(default=None, description="requests in flight")
    source: str


class ProfileEntry(Strict):
    model: Name
    gpu: Name
    gpus: int = Field(description="GPUs of one replica")
    basis: Literal["measured", "modelled", "stated", "mock"]
    kind: Name
    engine: str = ""
    points: list[PointEntry]
    notes: list[str] = Field(default_factory=list)


class ProfileDocument(Strict):
    """Profiles of a torta-opt site."""

    format: Literal["torta-opt/profile"]
    version: Literal[1]
    profiles: list[ProfileEntry]


def load_profiles(path: str | os.PathLike[str]) -> tuple[Profile, ...]:
    """The profiles of a file (.json or .json.gz). Raises InvalidInput."""
    document = read_document(path, {FORMAT: VERSION})
    try:
        entries: ProfileDocument = parse(ProfileDocument, document)
        return tuple(_profile(entry) for entry in entries.profiles)
    except InvalidInput as error:
        raise error.within(os.fspath(path)) from None


def save_profiles(profiles: Sequence[Profile], path: str | os.PathLike[str]) -> None:
    write_document(path, profiles_to_document(profiles))


def profiles_to_document(profiles: Sequence[Profile]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "profiles": [
            {
                **dataclasses.asdict(each),
                "points": [dataclasses.asdict(p) for p in each.points],
                "notes": list(each.notes),
            }
            for each in profiles
        ],
    }


def _profile(entry: ProfileEntry) -> Profile:
    points = tuple(LoadPoint(**point.model_dump()) for point in entry.points)
    fields = entry.model_dump(exclude={"points", "notes"})
    return Profile(**fields, points=points, notes=tuple(entry.notes))
