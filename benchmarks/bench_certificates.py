"""Certificates of paper/abilene: bound, size, and processor time to prove and to check them.

    python benchmarks/bench_certificates.py

Columns: method; slots; proven bound; rows with a dual that is not 0; compressed size of the file;
processor seconds to find the bound and to check its certificate, and their ratio. The last row
checks the certificate that comes with the project.
"""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import numpy as np

from torta_opt import api
from torta_opt.allocation.bounds.checker.check import certified_bound
from torta_opt.allocation.bounds.document import (
    bound_from_document,
    bound_to_document,
    certificate_from_document,
)
from torta_opt.allocation.bounds.registry import compute
from torta_opt.allocation.instance import Instance
from torta_opt.io import document_bytes, read_document
from torta_opt.results import BoundResult

ROOT = Path(__file__).parents[1]
CASES = (("lp", 8), ("merged", 48), ("merged", 480))  # method, slots


def bundled(instance: Instance) -> BoundResult:
    path = ROOT / "certificates" / "abilene.json.gz"
    entry = bound_from_document(read_document(path, {"torta-opt/bound": 1}), instance)
    certificate = certificate_from_document(entry, instance)
    return BoundResult(entry.value, entry.source, True, np.nan, certificate=certificate)


def show(instance: Instance, found: BoundResult, proving: float) -> None:
    assert found.certificate is not None
    began = time.process_time()
    value = certified_bound(found.certificate, instance)
    checking = time.process_time() - began
    rows = sum(np.count_nonzero(values) for values in found.certificate.duals.values())
    size = len(gzip.compress(document_bytes(bound_to_document(found, instance)), 6))
    print(
        f"{found.source:8} {instance.slots:5d} {value:11.5f} {rows:9,d} {size / 1e6:8.2f} "
        f"{proving:10.1f} {checking:9.2f} {proving / checking:7.0f}"
    )


def main() -> None:
    instance = api.open_instance(ROOT / "instances" / "paper" / "abilene.json.gz")
    print("method   slots     bound $      rows  file MB  proving s  checking s  ratio")
    for method, slots in CASES:
        part = instance if slots == instance.slots else instance.cut(0, slots)
        began = time.process_time()
        found = compute(part, method)
        show(part, found, time.process_time() - began)
    show(instance, bundled(instance), np.nan)


if __name__ == "__main__":
    main()
