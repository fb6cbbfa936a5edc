"""The bound by windows on paper/abilene: how far below the linear relaxation, how fast.

    python benchmarks/bench_windows.py [--slots 24] [--window 8] [--threads 2] [--passes 3] [--lp]

Each row is one pass: seconds, bound, and with --lp the distance from the bound of the linear
relaxation in per cent. Pass 0 is the bound of the initial duals.

`--slots 480 --passes 4` takes minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from torta_opt.allocation.bounds.lp import lp_bound
from torta_opt.allocation.bounds.windows import PASSES, WINDOW, windows_bound
from torta_opt.allocation.instance import load_instance
from torta_opt.solvers import Limits, Progress

ABILENE = Path(__file__).parents[1] / "instances" / "paper" / "abilene.json.gz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instance", type=Path, default=ABILENE)
    parser.add_argument("--slots", type=int, default=24)
    parser.add_argument("--window", type=int, default=WINDOW)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--passes", type=int, default=PASSES)
    parser.add_argument("--lp", action="store_true", help="solve the whole linear relaxation too")
    chosen = parser.parse_args()
    instance = load_instance(chosen.instance)
    if chosen.slots < instance.slots:
        instance = instance.cut(0, chosen.slots)
    limits = Limits(threads=chosen.threads)
    whole = lp_bound(instance, limits) if chosen.lp else None
    if whole is not None:
        print(f"linear relaxation {whole.value:.5f} in {whole.seconds:.1f} s")
    print("pass  seconds        bound   below lp %")

    def show(sample: Progress) -> None:
        below = f"{100 * (1 - sample.bound / whole.value):12.3f}" if whole is not None else ""
        print(f"{sample.nodes:4d} {sample.seconds:8.1f} {sample.bound:12.5f} {below}", flush=True)

    windows_bound(instance, limits, window=chosen.window, passes=chosen.passes, on_progress=show)


if __name__ == "__main__":
    main()
