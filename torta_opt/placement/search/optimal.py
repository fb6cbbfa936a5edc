"""Optimal block placement and request routing.

Three steps, each of which may end the search: known methods and one chain for all (``start``)
against the combinatorial bound; a tree of combinatorial bounds (``tree``) and the schedules that it
suggests (``assembly``, ``improve``); the program with positions.

With positions. Only the hosted start, the hosted end and where a request enters matter.

Sets        j servers · c clients · 0 ≤ p < e ≤ L positions, e − p ≤ u_j = use_limit_j
Variables   H[j,p,e] ∈ {0, 1}    j hosts blocks up to e − 1, from p or earlier
            X[c,j,p,e] ∈ ℤ₊      requests of c that leave j after block e − 1, having entered at
                                 p or earlier                                      [requests]
            so h = H[p] − H[p−1] hosts exactly p … e − 1, x = X[p] − X[p−1] processes it
minimise    Σ visit_cj X[c,j,e−1,e] + Σ block_j X[c,j,p,e]                          (objective)
subject to  H and X do not decrease in p                                            (grow)
            Σ_e H[j,e−1,e] ≤ 1                                                      (one)
            X[c,j,p,e] ≤ R_c H[j,p,e]                                               (enter)
            Σ_{c,p} X[c,j,p,e] ≤ Σ_p S_j(e−p) (H[j,p,e] − H[j,p−1,e])               (memory)
            Σ_j X[c,j,b−1,b] = Σ_{j,e} (X[c,j,b,e] − X[c,j,b−1,e])  (R_c at 0 and L)  (flow)

S_j(m) = min{R m, ⌊(M_j − s_m m)/s_c⌋}. Products of the authors' program are gone, requests of one
client are not told apart, and a server is passed at most once by the structure alone.

Proofs: docs/formulations/placement.md.
"""

from __future__ import annotations

import contextlib
import math
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import FrameType

import numpy as np

from torta_opt.placement.bounds.combinatorial import lower_bound_ms
from torta_opt.placement.bounds.proof import Hint, Pricing
from torta_opt.placement.bounds.tree import Tree, proof_of
from torta_opt.placement.formulations.positions import position_program
from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.schedule.data import Placement, PlacementSchedule
from torta_opt.placement.search.assembly import schedules
from torta_opt.placement.search.improve import Improver, laid_out, layers
from torta_opt.placement.search.incumbent import PROBE_LIMITS, ROUNDING, Incumbent
from torta_opt.placement.search.start import by_other_methods, known_schedules
from torta_opt.results import Found
from torta_opt.solvers import Limits, Progress, Status, solve_milp

SHARE = 0.6  # largest share of the time that the tree gets
FIRST_BOXES = 60  # boxes of the tree before the first schedules are made from it
ROUTES_GAP = 1e-4  # gap at which the program of routes under a placement stops
MOST_SCORES = 600  # placements that one local search looks at
MOST_HINTS = 8  # hints that become schedules before the tree grows further


def solve_exact(
    instance: PlacementInstance,
    limits: Limits | None = None,
    start: PlacementSchedule | None = None,
    on_progress: Callable[[Progress], object] | None = None,
    objective: str = "response",
    positions: bool = True,
) -> Found:
    """The best schedule, and a bound on all schedules; a limit or Ctrl-C keeps both so far.

    Raises Infeasible if no schedule exists. ``on_progress`` gets seconds, the cost of the best
    schedule that passed the verifier, and the bound that is proved.
    Without ``positions`` the third step is left out: then no bound rests on a solver.
    """
    best = Incumbent(instance, limits or Limits(seconds=600.0), objective, on_progress)
    best.raise_bound(lower_bound_ms(instance, best.paid), "combinatorial")
    steps = _Steps(best)
    try:
        for schedule in known_schedules(instance, best.paid, start, objective):
            best.offer(schedule)
        if best.schedule is None:
            best.first_of(by_other_methods(instance))
        if not best.done:
            steps.by_tree(SHARE if positions else 1.0)
        if positions and not best.done:
            steps.with_positions()
    except KeyboardInterrupt:
        best.interrupted = True
    return best.result()


class _Steps:
    """The steps of the search; each improves what ``best`` holds."""

    def __init__(self, best: Incumbent) -> None:
        self.best = best
        self._improver = Improver(best.instance, best.paid)

    def by_tree(self, share: float) -> None:
        """Boxes and schedules in turn, until the tree and what it suggests are used up.

        share   of the time left that it may take
        """
        best = self.best
        best.phase = "tree"
        tree = Tree(Pricing(best.instance, best.paid))
        until = best.seconds + share * best.left
        with _noticing_ctrl_c() as was_interrupted:
            try:
                self._grow(tree, lambda: best.seconds >= until or was_interrupted())
            except KeyboardInterrupt:
                best.interrupted = True
            best.interrupted |= was_interrupted()
        self._take_tree(tree)

    def _grow(self, tree: Tree, is_over: Callable[[], bool]) -> None:
        """Grow the tree and offer schedules in turn, until both are used up or ``is_over``."""
        best = self.best
        order = np.argsort(best.paid.block, kind="stable").tolist()
        self._route(layers(best.instance, order, best.instance.use_limit))
        most = math.inf if best.limits.work is None else best.limits.work
        tried: set[bytes] = set()
        best.cut = True  # unless the tree is used up
        while not (best.done or is_over() or tree.count >= most):
            boxes = int(min(max(FIRST_BOXES, tree.count), most - tree.count))
            tree.grow(best.target, is_over, boxes)
            self._take_tree(tree)
            if not self._assemble(tree, tried, is_over) and not tree.can_grow:
                best.cut = False
                break

    def _take_tree(self, tree: Tree) -> None:
        best = self.best
        if tree.bound == math.inf and best.schedule is None:
            raise best.infeasible()
        if best.bound < tree.bound < math.inf:
            best.raise_bound(tree.bound, "tree")
            best.proof = proof_of(tree)

    def _assemble(self, tree: Tree, tried: set[bytes], is_over: Callable[[], bool]) -> bool:
        """Offer schedules made from new hints, as long as the tree took; True if there were any.

        A limit of work, where the user has set one, replaces this limit of time.
        """
        best = self.best
        latest = {hint.hosted.tobytes(): hint for hint in tree.hints if hint.bound < best.cost}
        fresh = [hint for key, hint in latest.items() if key not in tried]
        fresh.sort(key=lambda hint: (not hint.is_whole, hint.bound))
        ends = best.seconds + max(best.seconds, 2.0) if best.limits.work is None else math.inf

        def is_late() -> bool:
            return best.closed or best.seconds >= ends or is_over()

        for hint in fresh[:MOST_HINTS]:
            if is_late():
                break
            tried.add(hint.hosted.tobytes())
            self._from_hint(hint, tree, is_late)
        if fresh and best.schedule is not None and not best.closed:
            self._improve(best.schedule.placement, is_over)
        return bool(fresh)

    def _from_hint(self, hint: Hint, tree: Tree, stop: Callable[[], bool]) -> None:
        """Combine sets of servers, then search locally from the chain that most requests take."""
        best = self.best
        found = schedules(
            best.instance,
            best.paid,
            hint,
            tree.ways(),
            lambda: best.cost,
            best.small_limits(PROBE_LIMITS.gap),
            stop=stop,
        )
        for schedule in found:
            best.offer(schedule)
        if not stop():
            order = np.lexsort((np.arange(len(hint.way)), best.paid.block))
            chain = [j for j in order.tolist() if hint.way[j]]
            self._improve(laid_out(best.instance, chain, hint.hosted), stop)

    def _improve(self, placement: Placement, stop: Callable[[], bool]) -> None:
        """Offer the schedule that a local search from ``placement`` ends with."""
        self._route(self._improver.improve(placement, MOST_SCORES, stop))

    def _route(self, placement: Placement) -> None:
        """Offer the best routes under ``placement``."""
        best = self.best
        schedule = self._improver.schedule(placement, best.small_limits(ROUTES_GAP))
        if schedule is not None:
            best.offer(schedule)

    def with_positions(self) -> None:
        """Branch and bound on the program with positions."""
        best = self.best
        best.phase = "positions"
        program = position_program(best.instance, best.paid)
        start = program.point(best.schedule) if best.schedule is not None else None
        found = solve_milp(
            program.problem,
            replace(best.limits, seconds=best.left),
            start=start,
            on_progress=best.watch,
        )
        if found.x is not None:
            best.offer(program.schedule(found.x))
        best.solved = found.status == Status.OPTIMAL and best.schedule is not None
        best.solved &= best.cost <= found.objective + ROUNDING * abs(found.objective)
        best.cut = not best.solved
        best.take(found.status, found.bound, "positions")


@contextlib.contextmanager
def _noticing_ctrl_c() -> Iterator[Callable[[], bool]]:
    """Yields a function: was Ctrl-C pressed? A solver run that ends at once may not report it."""
    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: bool(seen)
        return
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        if callable(before):
            before(number, frame)

    if callable(before):
        signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(seen)
    finally:
        if callable(before):
            signal.signal(signal.SIGINT, before)
