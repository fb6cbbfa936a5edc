"""How long it takes to read an instance, and to verify and evaluate a schedule of full size.

    python benchmarks/bench_referee.py

The schedule is that of round_robin on paper/abilene (480 slots, 12 regions, 250 servers, about a
million requests). The instance read is paper/cost2 (480 slots, 32 regions, 6 classes). The peer is
the reference of the tests, a plain loop over requests, on the first slots only.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from torta_opt.allocation.instance import load_instance, save_instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import evaluate, load_schedule, save_schedule, verify

SLOTS_OF_PEER = 4


def timed(label: str, action):
    start = time.perf_counter()
    result = action()
    print(f"{label:<58} {time.perf_counter() - start:8.3f} s")
    return result


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        wide = Path(folder) / "cost2.json.gz"
        save_instance(generate("paper/cost2"), wide)
        timed("read and validate 480 slots, 32 regions, 6 classes", lambda: load_instance(wide))
        instance = generate("paper/abilene")
        schedule = timed("run round_robin", lambda: run(create("round_robin"), instance).schedule)
        path = Path(folder) / "schedule.json.gz"
        timed("write the schedule", lambda: save_schedule(schedule, path))
        print(f"{'  its file':<58} {path.stat().st_size / 1e6:8.1f} MB")
        timed("read the schedule", lambda: load_schedule(path, instance))
    size = f"{instance.requests} requests, {len(instance.system.servers)} servers"
    timed(f"verify ({size})", lambda: verify(instance, schedule))
    timed(f"evaluate ({size})", lambda: evaluate(instance, schedule))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'peak memory of the process':<58} {peak:8.0f} MB")
    short = instance.cut(0, SLOTS_OF_PEER)
    plan = run(create("round_robin"), short).schedule
    from support.reference import simulate

    timed(f"peer: request by request, {SLOTS_OF_PEER} slots", lambda: simulate(short, plan))
    timed(f"evaluate, {SLOTS_OF_PEER} slots", lambda: evaluate(short, plan))


if __name__ == "__main__":
    main()
