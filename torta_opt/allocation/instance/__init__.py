"""Instances of allocation: data classes, rules, file, generators, importers."""

from torta_opt.allocation.instance.data import (
    CANNOT_HOLD,
    INCOMPATIBLE,
    OFF,
    Initial,
    Instance,
    System,
    Weights,
)
from torta_opt.allocation.instance.document import (
    instance_from_document,
    instance_sha256,
    instance_to_document,
    load_instance,
    save_instance,
)

__all__ = [
    "CANNOT_HOLD",
    "INCOMPATIBLE",
    "OFF",
    "Initial",
    "Instance",
    "System",
    "Weights",
    "instance_from_document",
    "instance_sha256",
    "instance_to_document",
    "load_instance",
    "save_instance",
]
