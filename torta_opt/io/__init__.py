"""Envelope of every file this package reads or writes."""

from torta_opt.io.errors import (
    Infeasible,
    InvalidInput,
    LimitReached,
    TortaOptError,
    VerificationFailed,
)
from torta_opt.io.files import document_bytes, read_document, sha256_of, write_document
from torta_opt.io.writing import write_bytes

__all__ = [
    "Infeasible",
    "InvalidInput",
    "LimitReached",
    "TortaOptError",
    "VerificationFailed",
    "document_bytes",
    "read_document",
    "sha256_of",
    "write_bytes",
    "write_document",
]
