"""Ray's back end for joblib, which may also hand on results as they come.

Ray calls joblib back for every task, so joblib could; but the class that Ray derives from says no.
"""

from __future__ import annotations

from typing import Any

from ray.util.joblib.ray_backend import RayBackend


class Backend(RayBackend):  # type: ignore[misc]
    """The same, with results as they come."""

    supports_return_generator = True


def backend() -> Any:
    """A back end of joblib on the cluster that this process is connected with."""
    return Backend(ray_remote_args={"num_cpus": 1})
