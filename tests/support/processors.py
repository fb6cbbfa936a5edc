"""Another processor in all but name: a Python process whose libraries think that they run on one.

OpenBLAS takes the kernel that it is told; NumPy leaves out its own code for AVX2 and AVX-512, and
the C library its code for FMA. Variables that a library does not know change nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys

from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

OLD = {
    "OPENBLAS_CORETYPE": "Prescott",
    "NPY_DISABLE_CPU_FEATURES": " ".join(n for n in __cpu_dispatch__ if __cpu_features__.get(n)),
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F,-AVX2_Usable,-FMA_Usable",
}


def printed_elsewhere(code: str, *arguments: str) -> list[str]:
    """The lines that a Python program prints on an old processor."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **OLD},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
