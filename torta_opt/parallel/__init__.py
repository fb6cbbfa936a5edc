"""Independent tasks side by side: the only place that asks joblib for workers.

    in_order, as_finished    run a function on many arguments
    engine                   where: processes of this machine, a Dask cluster, a Ray cluster
    Deadline                 until when, on whatever machine a task runs

A task is a function of a module and its arguments, and its result depends on nothing else. So it
does not matter who computes it, or how often: a task whose worker ends in the middle is repeated.
"""

from torta_opt.parallel.deadline import Deadline
from torta_opt.parallel.engines import BACKENDS, engine
from torta_opt.parallel.tasks import as_finished, in_order, is_elsewhere, worker_count

__all__ = [
    "BACKENDS",
    "Deadline",
    "as_finished",
    "engine",
    "in_order",
    "is_elsewhere",
    "worker_count",
]
