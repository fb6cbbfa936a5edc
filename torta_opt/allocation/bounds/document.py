"""The bound file: what was proved, for which instance, by which method."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from torta_opt.allocation.bounds.certificate import (
    Certificate,
    CertificateEntry,
    certificate_from_entry,
    certificate_to_entry,
)
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.document import instance_sha256
from torta_opt.io import InvalidInput
from torta_opt.io.schema import Name, Real, Strict, parse
from torta_opt.results import BoundResult

FORMAT = "torta-opt/bound"
VERSION = 1


class BoundDocument(Strict):
    """A lower bound on the cost of every schedule of one instance."""

    format: Literal["torta-opt/bound"]
    version: Literal[1]
    instance: Name = Field(description="name of the instance")
    instance_sha256: str = Field(description="hash of the instance")
    source: Name = Field(description="the method that proved the bound")
    value: Real = Field(description="dollars; in the unit of the weights if they are not dollars")
    certified: bool = Field(description="there is a certificate")
    certificate: CertificateEntry | None = None


def bound_to_document(bound: BoundResult, instance: Instance) -> dict[str, Any]:
    """Everything but the time it took, so that the same bound gives the same bytes.

    Where ``auto`` went beyond what a certificate proves, the file holds what it does prove: a file
    is there to be checked.
    """
    if bound.why and bound.beside is not None:
        bound = bound.beside
    if bound.statistical:
        raise InvalidInput(f"{bound.source} is statistical: it has no bound file", field="bound")
    document = {
        "format": FORMAT,
        "version": VERSION,
        "instance": instance.name,
        "instance_sha256": instance_sha256(instance),
        "source": bound.source,
        "value": bound.value,
        "certified": bound.certified,
    }
    if bound.certificate is not None:
        document["certificate"] = certificate_to_entry(bound.certificate, instance)
    return document


def bound_from_document(document: dict[str, Any], instance: Instance) -> BoundDocument:
    """The file's content, refused if it was made for another instance."""
    entry: BoundDocument = parse(BoundDocument, document)
    if entry.instance_sha256 != instance_sha256(instance):
        raise InvalidInput(
            f"is not that of instance {instance.name!r}: the bound was made for another one",
            field="instance_sha256",
        )
    if entry.certified and entry.certificate is None:
        raise InvalidInput("is missing", field="certificate")
    return entry


def certificate_from_document(entry: BoundDocument, instance: Instance) -> Certificate | None:
    """The certificate of a bound file, None if it has none."""
    if entry.certificate is None:
        return None
    return certificate_from_entry(entry.certificate, instance)


def json_schema() -> dict[str, Any]:
    """JSON Schema of the bound file."""
    schema = BoundDocument.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
