"""Ray as a back end of joblib that hands on results as they come, and keeps off standard output.

Ray calls joblib back for every task, so joblib could hand on results; but the class that Ray
derives from says no. And Ray prints what happens to its workers to standard output, where a command
promises to print its document and nothing else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import ray._private.worker
from ray.util.joblib.ray_backend import RayBackend


class Backend(RayBackend):
    """The same, with results as they come."""

    supports_return_generator = True


def backend() -> Any:
    """A back end of joblib on the cluster that this process is connected with."""
    return Backend(ray_remote_args={"num_cpus": 1})


@contextlib.contextmanager
def off_standard_output() -> Iterator[None]:
    """What Ray has to say goes to standard error."""
    original = ray._private.worker.print_to_stdstream

    def to_stderr(data: dict[str, Any], *rest: Any, **options: Any) -> None:
        original({**data, "is_err": True}, *rest, **options)

    ray._private.worker.print_to_stdstream = to_stderr
    try:
        yield
    finally:
        ray._private.worker.print_to_stdstream = original
