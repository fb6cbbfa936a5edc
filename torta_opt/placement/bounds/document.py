"""The bound file of the placement family: what was proved, and the tree that proves it.

A proof is a list, parents before their halves: a split says ``server`` (and ``client``, if it is of
visits) and ``most``, the end of its lower half; a leaf says its prices. ``proof.proved_ms`` derives
the value from it, with sweeps over servers only.
"""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

from pydantic import Field

from torta_opt.io import InvalidInput, VerificationFailed
from torta_opt.io.schema import Bulk, Strict, parse
from torta_opt.placement.bounds.floor import floor_s
from torta_opt.placement.bounds.proof import Leaf, Proof, Split, proved_ms
from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.instance.document import placement_sha256
from torta_opt.placement.schedule.performance import prices
from torta_opt.results import BoundResult

FORMAT = "torta-opt/placement-bound"
VERSION = 1
LOSS = 1e-9  # share of a bound: a proof that loses more is rejected

Name = Annotated[str, Field(min_length=1, max_length=200)]
Price = Annotated[float, Field(allow_inf_nan=False)]


class SplitEntry(Strict):
    """Schedules fall into those with at most ``most``, whose proof follows first, and the rest."""

    server: Name
    client: Name | None = Field(
        default=None, description="visits of its requests are meant; left out: hosted blocks"
    )
    most: int = Field(ge=-(10**9), le=10**9)


class LeafEntry(Strict):
    """Prices in milliseconds; those left out are 0."""

    block_price: dict[Name, Price] = Field(description="of a block processed, by server, ≥ 0")
    visit_price: dict[Name, dict[Name, Price]] = Field(
        default_factory=dict, description="of a visit, by client and server"
    )


class PlacementBoundDocument(Strict):
    """A lower bound on the cost of every schedule of a block placement instance."""

    format: Literal["torta-opt/placement-bound"]
    version: Literal[1]
    instance: Name = Field(description="name of the instance")
    instance_sha256: str = Field(description="hash of the instance")
    source: Name = Field(description="the method that proved the bound")
    value: Price = Field(description="seconds")
    certified: bool = Field(description="there is a proof")
    proof: Bulk[SplitEntry | LeafEntry] | None = None


def derived_s(instance: PlacementInstance, proof: Proof) -> float:
    """Seconds that a proof proves; no less than the floor, which needs none.

    Raises ValueError if it is no proof.
    """
    start_ms = instance.requests * instance.delays.start_ms
    derived = (proved_ms(instance, prices(instance), proof) + start_ms) / 1000
    return max(derived, floor_s(instance))


def bound_to_document(bound: BoundResult, instance: PlacementInstance) -> dict[str, Any]:
    """Everything but the time it took, so that the same bound gives the same bytes."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "instance": instance.name,
        "instance_sha256": placement_sha256(instance),
        "source": bound.source,
        "value": bound.value,
        "certified": bound.certified,
    }
    if bound.certificate is not None:
        document["proof"] = [_to_entry(step, instance) for step in bound.certificate]
    return document


def bound_from_document(document: dict[str, Any], instance: PlacementInstance) -> BoundResult:
    """The bound in a file, derived again. Raises InvalidInput, or VerificationFailed if it claims
    more than can be derived."""
    result, problem = rederived(instance, document)
    if problem is not None:
        raise VerificationFailed(f"{instance.name}: {problem}")
    return result


def check_bound(instance: PlacementInstance, document: dict[str, Any]) -> tuple[float, str | None]:
    """The claimed value, and what is wrong with it, if anything. Raises InvalidInput."""
    _, problem = rederived(instance, document)
    return document["value"], problem


def rederived(
    instance: PlacementInstance, document: dict[str, Any]
) -> tuple[BoundResult, str | None]:
    """What a bound file proves, and what is wrong with its claim, if anything.

    A floor is computed again; any other bound is derived from its proof. There is no tolerance:
    what is written is what is derived (``family.bound``), on every processor to the last bit.
    """
    began = time.perf_counter()
    entry: PlacementBoundDocument = parse(PlacementBoundDocument, document)
    if entry.instance_sha256 != placement_sha256(instance):
        raise InvalidInput(
            f"is not that of instance {instance.name!r}: the bound was made for another one",
            field="instance_sha256",
        )
    proof: Proof | None = None
    if entry.proof is not None:
        proof = tuple(_from_entry(step, at, instance) for at, step in enumerate(entry.proof))
        try:
            least, what = derived_s(instance, proof), "its proof derives"
        except ValueError as error:
            raise InvalidInput(f"proves nothing: {error}", field="proof") from None
    elif entry.source == "floor":
        least, what = floor_s(instance), "the floor is"
    else:
        raise InvalidInput(
            f"{entry.source!r} cannot be checked without a solver or a proof", field="source"
        )
    result = BoundResult(
        least,
        entry.source,
        certified=proof is not None,
        seconds=time.perf_counter() - began,
        certificate=proof,
    )
    if entry.value <= least:
        return result, None
    return result, f"bound-too-high: value is {entry.value!r}, {what} {least!r}"


def json_schema() -> dict[str, Any]:
    """JSON Schema of the bound file."""
    schema = PlacementBoundDocument.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _to_entry(step: Split | Leaf, instance: PlacementInstance) -> dict[str, Any]:
    servers, clients = instance.servers.names, instance.clients.names
    if isinstance(step, Split):
        client = {} if step.client is None else {"client": clients[step.client]}
        return {"server": servers[step.server], **client, "most": step.value}
    visits: dict[str, dict[str, float]] = {}
    for c, j, price in step.visit:
        visits.setdefault(clients[c], {})[servers[j]] = price
    blocks = {servers[j]: price for j, price in step.block}
    return {"block_price": blocks, **({"visit_price": visits} if visits else {})}


def _from_entry(
    entry: SplitEntry | LeafEntry, position: int, instance: PlacementInstance
) -> Split | Leaf:
    field = f"proof[{position}]"
    server = {name: j for j, name in enumerate(instance.servers.names)}
    client = {name: c for c, name in enumerate(instance.clients.names)}

    def place(known: dict[str, int], name: str) -> int:
        if name not in known:
            raise InvalidInput(f"names an unknown one, {name!r:.60}", field=field)
        return known[name]

    if isinstance(entry, SplitEntry):
        owner = None if entry.client is None else place(client, entry.client)
        return Split(place(server, entry.server), owner, entry.most)
    blocks = tuple((place(server, name), price) for name, price in entry.block_price.items())
    visits = tuple(
        (place(client, owner), place(server, name), price)
        for owner, row in entry.visit_price.items()
        for name, price in row.items()
    )
    return Leaf(blocks, visits)
