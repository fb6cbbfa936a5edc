"""Optimal block placement and request routing.

Three steps, each of which may end the search: known methods and one chain for all (``one_chain``)
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
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import FrameType

import numpy as np

from torta_opt.io import Infeasible
from torta_opt.placement.bounds.combinatorial import least_with_blocks, lower_bound_ms
from torta_opt.placement.bounds.proof import Hint, Pricing, Proof
from torta_opt.placement.bounds.tree import Tree, proof_of
from torta_opt.placement.formulations.positions import position_program
from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.policies.cg_bprr import cg_bprr
from torta_opt.placement.schedule.data import Placement, PlacementSchedule, Route
from torta_opt.placement.schedule.evaluate import total_ms
from torta_opt.placement.schedule.performance import Prices, prices
from torta_opt.placement.schedule.verify import verify
from torta_opt.placement.search.assembly import schedules
from torta_opt.placement.search.improve import Improver, laid_out, layers
from torta_opt.results import Found
from torta_opt.solvers import Limits, Progress, Status, solve_milp

SHARE = 0.6  # of the time, at most, for the tree
FIRST_BOXES = 60  # of the tree before the first schedules are made of it
ROUTES_GAP = 1e-4  # of the program of routes under a placement
MOST_SCORES = 600  # placements that one search by small moves looks at
MOST_HINTS = 8  # that schedules are made of before the tree grows on
PROBE_LIMITS = Limits(seconds=1.0, gap=1e-3)  # of the program that picks sets of servers
ROUNDING = 1e-9  # of a bound: a solver's last digits


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
    search = _Search(instance, limits or Limits(seconds=600.0), objective, on_progress)
    search.raise_bound(lower_bound_ms(instance, search.paid), "combinatorial")
    try:
        for schedule in _known(instance, search.paid, start, objective):
            search.offer(schedule)
        if search.best is None:
            search.first_of(_by_other_methods(instance))
        if not search.done:
            search.by_tree(SHARE if positions else 1.0)
        if positions and not search.done:
            search.with_positions()
    except KeyboardInterrupt:
        search.interrupted = True
    return search.result()


class _Search:
    """The best schedule and the best bound so far, in milliseconds without the start."""

    def __init__(
        self,
        instance: PlacementInstance,
        limits: Limits,
        objective: str,
        on_progress: Callable[[Progress], object] | None,
    ) -> None:
        self.instance, self.limits = instance, limits
        self.paid = prices(instance, objective)
        start = instance.delays.start_ms if objective == "response" else 0.0
        self.offset = start * instance.requests
        self.began = time.perf_counter()
        self.on_progress = on_progress
        self.best: PlacementSchedule | None = None
        self.cost, self.bound, self.source = math.inf, -math.inf, "combinatorial"
        self.proof: Proof | None = None
        self.interrupted = self.solved = self.cut = False
        self.phase = "known methods"
        self.trace: list[Progress] = []
        self._improver = Improver(instance, self.paid)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began

    @property
    def left(self) -> float:
        return max(self.limits.seconds - self.seconds, 0.0)

    @property
    def closed(self) -> bool:
        allowed = self.limits.gap * abs(self.cost + self.offset)
        return self.best is not None and self.cost - self.bound <= allowed

    @property
    def done(self) -> bool:
        return self.closed or self.interrupted or self.left == 0

    def offer(self, schedule: PlacementSchedule) -> None:
        """Keep ``schedule`` if it passes the verifier and is cheaper than the best so far."""
        if not verify(self.instance, schedule).ok:
            return
        cost = total_ms(self.paid, schedule)
        if cost < self.cost:
            self.best, self.cost = schedule, cost
            self._tell(0)

    def first_of(self, schedules: Iterator[PlacementSchedule]) -> None:
        """Offer schedules until one passes."""
        for schedule in schedules:
            self.offer(schedule)
            if self.best is not None:
                return

    def raise_bound(self, bound: float, source: str) -> None:
        if bound > self.bound:
            self.bound, self.source = bound, source
            self._tell(0)

    def by_tree(self, share: float) -> None:
        """Boxes and schedules in turn, until the tree and what it suggests are used up.

        share   of the time left that it may take
        """
        self.phase = "tree"
        tree = Tree(Pricing(self.instance, self.paid))
        until = self.seconds + share * self.left
        with _noticing_ctrl_c() as was_interrupted:
            try:
                self._grow(tree, lambda: self.seconds >= until or was_interrupted())
            except KeyboardInterrupt:
                self.interrupted = True
            self.interrupted |= was_interrupted()
        self._take_tree(tree)

    def _grow(self, tree: Tree, is_over: Callable[[], bool]) -> None:
        order = np.argsort(self.paid.block, kind="stable").tolist()
        self._route(layers(self.instance, order, self.instance.use_limit))
        most = math.inf if self.limits.work is None else self.limits.work
        tried: set[bytes] = set()
        self.cut = True  # unless the tree is used up
        while not (self.done or is_over() or tree.count >= most):
            boxes = int(min(max(FIRST_BOXES, tree.count), most - tree.count))
            tree.grow(self._target, is_over, boxes)
            self._take_tree(tree)
            if not self._assemble(tree, tried, is_over) and not tree.can_grow:
                self.cut = False
                break

    @property
    def _target(self) -> float:
        """The bound at which the search ends."""
        return self.cost - self.limits.gap * abs(self.cost + self.offset)

    def _take_tree(self, tree: Tree) -> None:
        if tree.bound == math.inf and self.best is None:
            raise self._infeasible()
        if self.bound < tree.bound < math.inf:
            self.raise_bound(tree.bound, "tree")
            self.proof = proof_of(tree)

    def _assemble(self, tree: Tree, tried: set[bytes], is_over: Callable[[], bool]) -> bool:
        """Offer what new hints give, for as long as the tree took; whether there were any.

        A limit of work stands in for the time where the user has set one.
        """
        latest = {hint.hosted.tobytes(): hint for hint in tree.hints if hint.bound < self.cost}
        fresh = [hint for key, hint in latest.items() if key not in tried]
        fresh.sort(key=lambda hint: (not hint.is_whole, hint.bound))
        ends = self.seconds + max(self.seconds, 2.0) if self.limits.work is None else math.inf

        def is_late() -> bool:
            return self.closed or self.seconds >= ends or is_over()

        for hint in fresh[:MOST_HINTS]:
            if is_late():
                break
            tried.add(hint.hosted.tobytes())
            self._from_hint(hint, tree, is_late)
        if fresh and self.best is not None and not self.closed:
            self._improve(self.best.placement, is_over)
        return bool(fresh)

    def _from_hint(self, hint: Hint, tree: Tree, stop: Callable[[], bool]) -> None:
        """Sets of servers put together, then small moves from the chain that most requests take."""
        found = schedules(
            self.instance,
            self.paid,
            hint,
            tree.ways(),
            lambda: self.cost,
            self._small(PROBE_LIMITS.gap),
            stop=stop,
        )
        for schedule in found:
            self.offer(schedule)
        if not stop():
            order = np.lexsort((np.arange(len(hint.way)), self.paid.block))
            chain = [j for j in order.tolist() if hint.way[j]]
            self._improve(laid_out(self.instance, chain, hint.hosted), stop)

    def _improve(self, placement: Placement, stop: Callable[[], bool]) -> None:
        """Offer what small moves lead to from here."""
        self._route(self._improver.improve(placement, MOST_SCORES, stop))

    def _route(self, placement: Placement) -> None:
        """Offer the best routes under ``placement``."""
        schedule = self._improver.schedule(placement, self._small(ROUTES_GAP))
        if schedule is not None:
            self.offer(schedule)

    def with_positions(self) -> None:
        self.phase = "positions"
        program = position_program(self.instance, self.paid)
        start = program.point(self.best) if self.best is not None else None
        found = solve_milp(
            program.problem,
            replace(self.limits, seconds=self.left),
            start=start,
            on_progress=self._watch,
        )
        if found.x is not None:
            self.offer(program.schedule(found.x))
        self.solved = found.status == Status.OPTIMAL and self.best is not None
        self.solved &= self.cost <= found.objective + ROUNDING * abs(found.objective)
        self.cut = not self.solved
        self._take(found.status, found.bound, "positions")

    def result(self) -> Found:
        cost, bound = self.cost + self.offset, min(self.bound, self.cost) + self.offset
        return Found(
            schedule=self.best,
            cost=None if self.best is None else cost / 1000,
            bound=bound / 1000,
            seconds=self.seconds,
            reached=self.closed or self.solved,
            interrupted=self.interrupted,
            limited=(self.cut or self.left == 0) and not (self.closed or self.solved),
            stopped=self._reason(),
            source=self.source,
            trace=tuple(self.trace),
            certificate=self.proof if self.source == "tree" else None,
        )

    def _reason(self) -> str:
        if self.closed:
            return "the gap asked for is reached"
        if self.solved:
            return "the program with positions is solved to its end"
        if self.interrupted:
            return "Ctrl-C"
        if self.left == 0:
            return "the time limit came first"
        if self.cut and self.limits.work is not None:
            return "the work limit came first"
        return "the solver gave up" if self.cut else "the tree is used up"

    def _take(self, status: Status, bound: float, source: str) -> None:
        self.interrupted |= status == Status.INTERRUPTED
        if status == Status.INFEASIBLE:
            if self.best is None:
                raise self._infeasible()
            return  # a contradiction to a verified schedule: this bound is not believed
        self.raise_bound(bound - ROUNDING * abs(bound), source)

    def _small(self, gap: float) -> Limits:
        """Of small programs; a limit of work stands in for one of time where there is one."""
        seconds = min(PROBE_LIMITS.seconds, self.left) if self.limits.work is None else self.left
        return replace(self.limits, gap=gap, seconds=seconds)

    def _infeasible(self) -> Infeasible:
        return Infeasible(f"{self.instance.name}: no placement has room for all requests at once")

    def _watch(self, sample: Progress) -> None:
        """The solver's incumbents are no schedules before the verifier has seen them."""
        self._tell(sample.nodes, max(self.bound, sample.bound - ROUNDING * abs(sample.bound)))

    def _tell(self, nodes: int, bound: float | None = None) -> None:
        bound = min(self.bound if bound is None else bound, self.cost)
        scaled = (self.cost + self.offset) / 1000, (bound + self.offset) / 1000
        self.trace.append(Progress(self.seconds, *scaled, nodes, self.phase))
        if self.on_progress is not None:
            self.on_progress(self.trace[-1])


@contextlib.contextmanager
def _noticing_ctrl_c() -> Iterator[Callable[[], bool]]:
    """Whether there was a Ctrl-C: a small program that ends at once may keep it to itself."""
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


# --- schedules to start from ----------------------------------------------------------------------


def _known(
    instance: PlacementInstance, paid: Prices, start: PlacementSchedule | None, objective: str
) -> Iterator[PlacementSchedule]:
    if start is not None:
        yield start
    with contextlib.suppress(Infeasible):
        yield one_chain(instance, paid)
    with contextlib.suppress(Infeasible):
        yield cg_bprr(instance, objective=objective)


def _by_other_methods(instance: PlacementInstance) -> Iterator[PlacementSchedule]:
    """Where the known ones find nothing."""
    from torta_opt.placement.methods import METHODS

    for method in METHODS.values():
        with contextlib.suppress(Infeasible):
            yield method.solve(instance, 0)


def one_chain(instance: PlacementInstance, paid: Prices) -> PlacementSchedule:
    """The cheapest schedule in which all requests take the same chain.

    A server then holds the blocks it processes for everyone, (s_m + R s_c) k_j ≤ M_j, and positions
    do not matter: the floor's sweep, at the prices of all requests together, is exact.
    """
    demand = instance.clients.requests
    need = instance.llm.block_bytes + instance.requests * instance.cache_bytes
    limit = np.minimum(instance.use_limit, instance.servers.memory_bytes // need)
    visit, block = demand @ paid.visit, instance.requests * paid.block
    cost, counts = least_with_blocks(instance, visit, block, limit)
    if not math.isfinite(cost):
        raise Infeasible(f"{instance.name}: no single chain of servers has room for all requests")
    chain = np.flatnonzero(counts)
    first = np.zeros(len(counts), int)
    first[chain] = np.cumsum(counts[chain]) - counts[chain]
    servers = tuple(chain.tolist())
    routes = [Route(c, servers) for c, requests in enumerate(demand) for _ in range(requests)]
    return PlacementSchedule("exact", Placement(first, counts), tuple(routes))


# --- with positions -------------------------------------------------------------------------------
