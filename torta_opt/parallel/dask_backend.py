"""joblib's back end for Dask, which also tells joblib of tasks that Dask gives up.

joblib 1.6 hears of a task when it returns. Where Dask ends it with an error of its own (workers
that die one after the other, a worker that cannot import this package), nobody calls joblib back,
and it waits for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

from joblib._dask import DaskDistributedBackend


class Backend(DaskDistributedBackend):  # type: ignore[misc]
    """The same, with one more line for errors."""

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
