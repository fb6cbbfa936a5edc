"""Where tasks run: processes of this machine, or the workers of a Dask or Ray cluster.

Both clusters are reached through the back ends of joblib. Whoever can reach their schedulers can
run code on their workers and on this machine (pickle): an address must be one that is trusted.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from torta_opt.io.errors import InvalidInput
from torta_opt.parallel.tasks import ACTIVE, Engine

PATIENCE_S = 20  # for a scheduler to answer
LARGE_TASK = "1 GiB"  # below, Dask need not warn of tasks that hold their data: it is meant so


@contextlib.contextmanager
def engine(backend: str = "loky", address: str | None = None, jobs: int = 0) -> Iterator[None]:
    """All tasks inside the block run on an engine.

    Parameters
    ----------
    backend
        ``loky``: processes of this machine, as many as each caller asks for. ``dask``, ``ray``:
        the workers of a cluster.
    address
        Of the scheduler: ``tcp://host:8786`` (Dask), ``host:6379`` or ``ray://host:10001`` (Ray).
        None: a cluster on this machine, which ends with the block.
    jobs
        Workers of a cluster on this machine; 0: one per core.

    Raises
    ------
    InvalidInput
        If the package of a back end is missing, or nothing answers at the address.

    Examples
    --------
    >>> from torta_opt.parallel import engine, in_order
    >>> with engine("loky"):
    ...     list(in_order(pow, [(2, 3), (2, 4)], workers=2))
    [8, 16]
    """
    if backend not in BACKENDS:
        known = ", ".join(BACKENDS)
        raise InvalidInput(f"{backend!r:.60} is not known; known: {known}", field="backend")
    with BACKENDS[backend](address, jobs) as found:
        token = ACTIVE.set(found)
        try:
            yield
        finally:
            ACTIVE.reset(token)


@contextlib.contextmanager
def _loky(address: str | None, jobs: int) -> Iterator[None]:
    if address is not None:
        rule = "loky runs on this machine only; use --backend dask or ray for others"
        raise InvalidInput(rule, field="address")
    yield None


@contextlib.contextmanager
def _dask(address: str | None, jobs: int) -> Iterator[Engine]:
    distributed = _package("distributed", "dask")
    import dask

    from torta_opt.parallel.dask_backend import backend_of

    settings = {
        "distributed.admin.large-graph-warning-threshold": LARGE_TASK,
        "distributed.comm.timeouts.connect": f"{PATIENCE_S}s",
        "distributed.worker.daemon": False,
    }
    with dask.config.set(settings), contextlib.ExitStack() as closing:
        if address is None:
            cluster = distributed.LocalCluster(
                n_workers=jobs or os.cpu_count(),
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address=None,
            )
            closing.enter_context(cluster)
        with _answering(address):
            client = closing.enter_context(
                distributed.Client(address or cluster, timeout=PATIENCE_S, set_as_default=False)
            )
            client.wait_for_workers(1, timeout=PATIENCE_S)
        yield Engine("dask", backend_of(client), -1)


@contextlib.contextmanager
def _ray(address: str | None, jobs: int) -> Iterator[Engine]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would send reports to its makers
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else a warning of its own
    ray = _package("ray", "ray")
    if ray.is_initialized():
        raise InvalidInput("this process uses Ray already", field="backend")
    from torta_opt.parallel.ray_backend import backend, off_standard_output

    here = {"num_cpus": jobs or os.cpu_count(), "include_dashboard": False} if not address else {}
    with off_standard_output():
        with _answering(address), _own_signals():
            _reach(address)  # Ray itself would try for minutes
            ray.init(address=address or "local", logging_level="ERROR", log_to_driver=False, **here)
        try:
            if ray.cluster_resources().get("CPU", 0) < 2:  # joblib would work in this process
                raise InvalidInput("a Ray cluster needs two processors or more", field="backend")
            yield Engine("ray", backend(), -1)
        finally:
            ray.shutdown()


BACKENDS: dict[str, Callable[..., contextlib.AbstractContextManager[Any]]] = {
    "loky": _loky,
    "dask": _dask,
    "ray": _ray,
}


def _package(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        rule = f"needs the package {name}: pip install 'torta-opt[{extra}]'"
        raise InvalidInput(rule, field=f"backend {extra}") from None


def _reach(address: str | None) -> None:
    """Raises OSError or ValueError if nothing listens at ``host:port``, whatever its scheme."""
    if address is not None:
        host, _, port = address.rpartition("://")[2].rpartition(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE_S):
            pass


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """SIGTERM means what it meant before: Ray would end the process at once, and lose results."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _answering(address: str | None) -> Iterator[None]:
    """What a package says if nothing answers, in one line."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, TimeoutError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        where = address or "this machine"
        raise InvalidInput(f"no workers at {where:.100}: {said:.200}", field="address") from None
