"""What the schemas of all files share: a strict base class, kinds of values, plain errors."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from torta_opt.io.errors import InvalidInput

MAX_FIELDS = 100  # per document; formats have up to 20

T = TypeVar("T")
Name = Annotated[str, Field(min_length=1, max_length=200)]
Real = Annotated[float, Field(allow_inf_nan=False)]
# A complaint for each of millions of entries would fill memory.
Bulk = Annotated[list[T], Field(fail_fast=True)]


class Strict(BaseModel):
    """The base class of every entry of a file: no other fields, no conversions of types."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def parse(model: type[BaseModel], document: dict[str, Any]) -> Any:
    """``document`` as ``model``; the first broken rule as InvalidInput."""
    if len(document) > MAX_FIELDS:  # pydantic would complain of each
        raise InvalidInput(f"holds more than {MAX_FIELDS} fields")
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise _plain(error) from None


def _plain(error: ValidationError) -> InvalidInput:
    """The first complaint of pydantic as one plain line."""
    details = error.errors(include_url=False, include_context=False)
    first = details[0]
    field = ""
    for part in first["loc"]:
        field += f"[{part}]" if isinstance(part, int) else f".{part}" if field else str(part)
    messages = {
        "missing": "is missing",
        "extra_forbidden": "is not a known field",
        "finite_number": "must be a finite number",
        "model_type": "must be an object",
        "dict_type": "must be an object",
    }
    rule = messages.get(first["type"]) or first["msg"].replace("Input should", "must")
    rule = rule.replace("String should", "must")
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return InvalidInput(rule + more, field=field)
