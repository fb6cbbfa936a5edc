"""PDLP in a process of its own: it prints to standard output and never asks whether to stop.

HiGHS has two of them: ``pdlp`` is cuPDLP-C, ``hipdlp`` HiGHS's own, with Halpern restarts only.
Stopped at a limit, hipdlp hands back no vector; cuPDLP-C hands back its own if the program was not
presolved, so under a limit it is not.

Run as a module, it reads one problem (.npz) from standard input and writes vectors to standard
output. Stopped by killing it.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from typing import Any

import numpy as np
import scipy.sparse as sparse

from torta_opt.solvers.problem import Limits, Problem, SolverFailed

_VECTORS = ("row_lower", "row_upper", "col_lower", "col_upper", "cost")


def run_pdlp(
    problem: Problem, scale: float, limits: Limits, solver: str = "pdlp"
) -> dict[str, Any] | None:
    """``status``, ``iterations``, ``x`` and ``row_dual`` (of scaled costs); None after Ctrl-C."""
    matrix = problem.matrix.tocsc()
    request = io.BytesIO()
    np.savez(
        request,
        data=matrix.data,
        indices=matrix.indices,
        indptr=matrix.indptr,
        shape=matrix.shape,
        scale=scale,
        seconds=limits.seconds,
        work=-1 if limits.work is None else limits.work,
        threads=limits.threads,
        solver=solver,
        **{name: getattr(problem, name) for name in _VECTORS},
    )
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        start_new_session=True,  # Ctrl-C reaches this process only
    )
    with process:
        try:
            answer, complaint = process.communicate(request.getvalue())
        except KeyboardInterrupt:
            process.kill()
            return None
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
        raise SolverFailed(f"PDLP failed: {last or process.returncode}")
    with np.load(io.BytesIO(answer)) as vectors:
        return {name: vectors[name] for name in vectors.files}


def _solve(request: Any) -> dict[str, Any]:
    from torta_opt.solvers.loading import load, set_option

    matrix = sparse.csc_array(
        (request["data"], request["indices"], request["indptr"]), shape=request["shape"]
    )
    problem = Problem(matrix, **{name: request[name] for name in _VECTORS})
    highs = load(problem, float(request["scale"]))
    solver = str(request["solver"])
    is_limited = request["work"] >= 0 or np.isfinite(request["seconds"])
    set_option(highs, "solver", solver)
    set_option(highs, "presolve", "off" if solver == "pdlp" and is_limited else "choose")
    set_option(highs, "run_crossover", "off")
    set_option(highs, "time_limit", float(request["seconds"]))
    set_option(highs, "threads", int(request["threads"]))
    if request["work"] >= 0:
        set_option(highs, "pdlp_iteration_limit", int(request["work"]))
    highs.run()
    solution = highs.getSolution()
    return {
        "status": highs.getModelStatus().name,
        "iterations": highs.getInfo().pdlp_iteration_count,
        "x": np.array(solution.col_value),
        "row_dual": np.array(solution.row_dual),
    }


def _main() -> None:
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # where PDLP prints
    with np.load(io.BytesIO(sys.stdin.buffer.read())) as request:
        vectors = _solve(request)
    answer = io.BytesIO()
    np.savez(answer, **vectors)
    with output:
        output.write(answer.getvalue())


if __name__ == "__main__":
    _main()
