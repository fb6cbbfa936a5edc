"""A run of HiGHS that can be watched and stopped.

HiGHS runs in a thread of its own, so that Ctrl-C reaches Python and each run has a thread pool of
the size it asks for (a pool, once made, keeps its size, and belongs to the thread that made it).
HiGHS asks now and then whether to go on; the first Ctrl-C makes it stop there, the second one is
raised. While it presolves, and in the first relaxation of an integer program, it does not ask:
after ``PATIENCE`` seconds such a run is left behind. It ends by itself when it next asks. A process
that ends before that must not wait for C++ to tidy up, see ``is_left_behind``.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import numpy as np

from torta_opt.solvers.problem import Progress, SolverFailed

if TYPE_CHECKING:
    import highspy

PATIENCE = 5.0  # seconds between Ctrl-C and leaving a run behind
REPORT_EVERY = 0.2  # seconds between two reports that say nothing new
_POLL = 0.1
THREAD_NAME = "torta-opt HiGHS"


def is_left_behind() -> bool:
    """Whether an abandoned run is still active: exit handlers of C++ would abort the process."""
    return any(thread.name == THREAD_NAME for thread in threading.enumerate())


@dataclass(eq=False)
class Run:
    """One run and what was seen of it.

    ended         HiGHS has returned; if not, its object must not be touched again
    interrupted   somebody asked it to stop
    trace         every change of incumbent or bound
    incumbent     (n,) the last improving point of an integer program
    """

    scale: float = 1.0  # factor on the objective inside HiGHS
    ended: bool = False
    trace: list[Progress] = field(default_factory=list)
    incumbent: np.ndarray | None = None
    _began: float = field(default_factory=time.perf_counter)
    _stop: Event = field(default_factory=Event)
    _reports: SimpleQueue[Progress | None] = field(default_factory=SimpleQueue)
    _reported: float = -math.inf

    @property
    def interrupted(self) -> bool:
        return self._stop.is_set()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began

    def watch(
        self, highs: highspy.Highs, on_progress: Callable[[Progress], Any] | None = None
    ) -> str:
        """Run HiGHS to its end and return its model status, "" if the run was left behind."""
        callbacks = {
            highs.cbSimplexInterrupt: self._ask,
            highs.cbIpmInterrupt: self._ask,
            highs.cbMipInterrupt: self._sample,
            highs.cbMipImprovingSolution: self._improve,
        }
        for callback, action in callbacks.items():
            callback.subscribe(action)
        answer: list[Any] = []
        thread = Thread(target=self._solve, args=(highs, answer), daemon=True, name=THREAD_NAME)
        thread.start()
        try:
            self._follow(on_progress)
        except BaseException:
            self._stop.set()
            raise
        if not self.ended:
            return ""
        thread.join()
        for callback, action in callbacks.items():
            callback.unsubscribe(action)
        if isinstance(answer[0], Exception):
            raise SolverFailed(f"HiGHS failed: {answer[0]}") from answer[0]
        if self.interrupted and answer[0] == "kOptimal":
            return "kInterrupt"  # it came when HiGHS no longer asked; the caller must know
        return answer[0]

    def _solve(self, highs: highspy.Highs, answer: list[Any]) -> None:
        try:
            failed = highs.run().name == "kError"  # the model status may then be an old one
            answer.append("kSolveError" if failed else highs.getModelStatus().name)
            highs.resetGlobalScheduler(False)
        except Exception as error:
            answer.append(error)
        finally:
            self._reports.put(None)

    def _follow(self, on_progress: Callable[[Progress], Any] | None) -> None:
        """Hand on reports until HiGHS has ended, or is left behind."""
        deadline = math.inf
        while time.perf_counter() < deadline:
            try:
                report = self._reports.get(timeout=_POLL)
                if report is None:
                    self.ended = True
                    return
                if on_progress is not None:
                    on_progress(report)
            except Empty:
                pass
            except KeyboardInterrupt:
                if self.interrupted:
                    raise
                self._stop.set()
                deadline = time.perf_counter() + PATIENCE

    # --- called by HiGHS, in its thread ---------------------------------------------------------

    def _ask(self, event: highspy.HighsCallbackEvent) -> None:
        if self.interrupted:
            event.interrupt()

    def _sample(self, event: highspy.HighsCallbackEvent) -> None:
        self._ask(event)
        self._report(event.data_out)

    def _improve(self, event: highspy.HighsCallbackEvent) -> None:
        self.incumbent = np.array(event.data_out.mip_solution)
        self._report(event.data_out)

    def _report(self, seen: Any) -> None:
        """Note what HiGHS says; incumbents never rise and bounds never fall."""
        last = self.trace[-1] if self.trace else Progress(0.0, math.inf, -math.inf, 0)
        now = Progress(
            self.seconds,
            min(last.incumbent, seen.mip_primal_bound / self.scale),
            max(last.bound, seen.mip_dual_bound / self.scale),
            max(last.nodes, int(seen.mip_node_count)),
        )
        if (now.incumbent, now.bound) != (last.incumbent, last.bound):
            self.trace.append(now)
        elif now.seconds < self._reported + REPORT_EVERY:
            return
        self._reported = now.seconds
        self._reports.put(now)
