"""What whole requests are worth that fit into a server's time, by trying all."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=100_000)
def most_worth(work_ms: tuple[int, ...], alpha: tuple[int, ...], usable_ms: int) -> int:
    """max { Σ alpha[n]·z[n] : Σ work_ms[n]·z[n] ≤ usable_ms, z ≥ 0 whole }, alpha ≥ 0"""
    if len(work_ms) == 1:
        return alpha[0] * (usable_ms // work_ms[0])
    return max(
        alpha[0] * z + most_worth(work_ms[1:], alpha[1:], usable_ms - work_ms[0] * z)
        for z in range(usable_ms // work_ms[0] + 1)
    )
