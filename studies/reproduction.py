"""Write docs/reproduction.md: TORTA's published results beside ours.

    python studies/reproduction.py [-o docs/reproduction.md] [--seeds 10] [--jobs 1]

Every run is a row of a table of comparisons (``torta_opt.allocation.policies.experiment``): killed
and started again, this runs only what the table lacks. ``--write`` runs nothing and writes the page
from the rows there are. The table knows versions, not code: after a change to a policy begin a new
one.
About 30 minutes of processor time for ten seeds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from reproduction_page import Results, page
from reproduction_runs import cells, run_all

from torta_opt.allocation.policies.experiment import read_table
from torta_opt.parallel import engine


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/reproduction.md"))
    parser.add_argument("--table", type=Path, default=Path("build/reproduction.jsonl"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--backend", default="loky", help="or dask, ray: see docs/scale.md")
    parser.add_argument("--address", help="scheduler of dask or ray; must be one you trust")
    parser.add_argument("--write", action="store_true", help="run nothing")
    given = parser.parse_args()
    given.table.parent.mkdir(parents=True, exist_ok=True)
    if not given.write:
        with engine(given.backend, given.address, given.jobs):
            run_all(given.seeds, given.jobs, given.table, lambda line: print(line, flush=True))
    hashes = given.table.with_suffix(".hashes.json")
    results = Results(cells(given.seeds), read_table(given.table), hashes)
    given.output.write_text(page(results), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
