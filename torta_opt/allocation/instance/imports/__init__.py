"""Instances from request traces and from tables."""

from torta_opt.allocation.instance.imports.build import import_trace
from torta_opt.allocation.instance.imports.importer import Importer, Reading
from torta_opt.allocation.instance.imports.parameters import ImportParameters
from torta_opt.allocation.instance.imports.readers import TRACE_KINDS
from torta_opt.allocation.instance.imports.report import ImportReport
from torta_opt.allocation.instance.imports.rows import Batch
from torta_opt.allocation.instance.imports.tables import load_tables, save_tables

__all__ = [
    "TRACE_KINDS",
    "Batch",
    "ImportParameters",
    "ImportReport",
    "Importer",
    "Reading",
    "import_trace",
    "load_tables",
    "save_tables",
]
