"""Certificates against the cheapest of all schedules, on as many tiny instances as time allows.

    python studies/certificate_soundness.py [--count 100000] [--seed 1] [--minutes 60]

Every instance has at most two regions, servers, types, models and classes, and three slots, so that
all its schedules can be tried. Of each, with regions apart or as one, a certificate of noise, one
of the best numbers, and that one corrupted are checked; none may prove more than the cheapest
schedule costs. Prints how many were checked, and stops at the first that fails, naming its seed.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.certificates import apart, as_one, corrupted, noise
from support.optima import slack
from support.tiny import TINIEST, TooLarge, brute_force_optimum, random_tiny_instance

from torta_opt.allocation.bounds.certificate import Certificate
from torta_opt.allocation.bounds.certify import certificate_of, merged_certificate
from torta_opt.allocation.bounds.checker.check import certified_bound
from torta_opt.allocation.instance import Instance
from torta_opt.io import InvalidInput
from torta_opt.solvers import solve_lp


def certificates(
    instance: Instance, rng: np.random.Generator
) -> list[tuple[str, Certificate | None]]:
    """Noise, the best numbers, and these corrupted, of one of the two programs."""
    tiers = int(rng.integers(0, len(instance.system.regions) + 1))
    if tiers == 0:
        name, program = "apart", apart(instance)
        of = partial(certificate_of, program)
    else:
        merged = as_one(instance, tiers)
        name, program = "as one", merged.program
        of = partial(merged_certificate, merged)
    found = [(f"{name}, noise", of(noise(rng, program)))]
    result = solve_lp(program.problem())
    if result.row_dual is not None:
        best = of(result.row_dual)
        assert best is not None
        found += [(f"{name}, best", best), (f"{name}, corrupted", corrupted(best, rng))]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000, help="instances")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60.0)
    chosen = parser.parse_args()
    ends = time.monotonic() + 60 * chosen.minutes
    limits = dataclasses.replace(TINIEST)
    seen: Counter[str] = Counter()
    closest = np.inf
    for n in range(chosen.count):
        if time.monotonic() > ends:
            break
        rng = np.random.default_rng([chosen.seed, n])
        instance = random_tiny_instance(rng, limits)
        try:
            best = float(brute_force_optimum(instance, max_states=5_000).cost)
        except TooLarge:
            seen["left out: too many schedules"] += 1
            continue
        seen["instances"] += 1
        for kind, certificate in certificates(instance, rng):
            try:
                found = certified_bound(certificate, instance)
            except InvalidInput:
                seen[f"{kind}: refused"] += 1
                continue
            seen[kind] += 1
            if found > best + slack(best):
                sys.exit(f"seed [{chosen.seed}, {n}], {kind}: proves {found!r}, best {best!r}")
            if kind.endswith("best"):
                closest = min(closest, (best - found) / (1 + abs(best)))
    for kind, number in sorted(seen.items()):
        print(f"{number:9,d}  {kind}")
    print(f"none proves more than the cheapest schedule; the closest stays {closest:.1e} below")


if __name__ == "__main__":
    main()
