"""joblib's back end for Dask, with two faults of joblib 1.6 mended.

joblib hears of a task when it returns. Where Dask ends it with an error of its own (workers that
die one after the other, a worker that cannot import this package), nobody calls joblib back, and it
waits for ever. And where the cluster has one worker, perhaps because the others are only starting,
joblib would do all the work in this process.
"""

from __future__ import annotations

import asyncio
from typing import Any

from joblib._dask import DaskDistributedBackend


class Backend(DaskDistributedBackend):
    """The same, but errors are told, and the work is done by workers."""

    def effective_n_jobs(self, n_jobs: int) -> int:
        """Processor cores of the cluster; 1 would mean this process to joblib."""
        return max(2, int(super().effective_n_jobs(n_jobs)))

    async def _collect(self) -> None:
        while self._continue:
            async for future, result in self.waiting_futures:
                job = self._results.pop(future)
                callback = self._callbacks.pop(future)
                if future.status == "finished":
                    job.set_result(result)
                    callback(result)
                    continue
                error = result[1] if isinstance(result, tuple) else result
                if not isinstance(error, BaseException):
                    error = RuntimeError(f"Dask ended a task: {future.status}")
                job.set_exception(error)
                callback(error)
            await asyncio.sleep(0.01)


def backend_of(client: Any) -> Backend:
    """The back end of a client of ``distributed``; it waits for no further workers."""
    return Backend(client=client)
