"""The programs of this folder as text: what ``torta-opt export --format latex`` writes.

Families, their order and their axes are those of ``program.py``; a test holds every term to the
nonzeros of the matrix.
"""

from __future__ import annotations

import dataclasses
from collections import Counter

from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.symbolic import (
    BINARY,
    INTEGER,
    REAL,
    Columns,
    Cost,
    Rows,
    Symbol,
    SymbolicProgram,
    Term,
)

SETS = (
    Symbol(r"t \in T", "slots, from 0"),
    Symbol(r"i, j \in R", "regions: origin, serving region"),
    Symbol(r"p \in P, P_j", "pools, pools of region j: servers of one type and one outage plan"),
    Symbol("m", "models that a server of the pool can hold"),
    Symbol("c \\in C, m(c)", "classes of requests, the model of a class"),
    Symbol("k", "segments that bound a square from below; facets of a knapsack"),
)
DATA = (
    Symbol("D_{t,i,c}, D_{t,i}", "arrivals of a class, of all classes", "requests"),
    Symbol(r"\ell_c", "deadline", "slots"),
    Symbol(r"\Delta, \Delta_s", "slot length, the same in seconds", "ms, s"),
    Symbol("u_{p,c}", "server time of a request", "ms"),
    Symbol("n_{p,m}, n'_{p,m}", "slots that a start, a switch takes", "slots"),
    Symbol("a_{p,m}, a'_{p,m}", "time that the last of these slots leaves", "ms"),
    Symbol(r"r_{p,c}/r'_{p,c}", "largest share of processed requests that makes others hot"),
    Symbol(r"\alpha^k_c, \beta^k", "facet k of the whole requests of two classes in a time"),
    Symbol("b_{t,j,c}", "backlog that is not due by the end of slot t", "requests"),
    Symbol("v", "price of time", "USD per request-second"),
    Symbol("L_{i,j}, g_{i,j,c}", "network latency, data transfer", "s, USD per request"),
    Symbol(r"\sigma_{p,c}, \sigma^h_{p,c}", "service time, of a hot request", "s"),
    Symbol("e_{t,p}", "electricity price in the region of the pool", "USD per kWh"),
    Symbol(r"w_{p,c}", "energy of a request beyond that of an idle server", "kWh"),
    Symbol(r"o_{t,p}", "idle energy and rent of a server that is on for a slot", "USD"),
    Symbol(r"o_{t,p,m}, o'_{t,p,m}", "the same while a start, a switch loads", "USD"),
    Symbol("o_0", "the same of servers that load before slot 0", "USD"),
    Symbol("s_{p,m}, s'_{p,m}", "fixed cost of a start, a switch", "USD"),
    Symbol(r"\kappa, \phi_k, \pi_c", "price of re-routing, of a segment, of expiry", "USD"),
)
COLUMNS = (
    Columns("x", "t,i,j,c", "requests of class c routed from i to j", "requests"),
    Columns("inflow", "t,j,c", "requests routed to j", "requests"),
    Columns("q", "t,j,c", "requests that wait at the end of the slot", "requests"),
    Columns("expired", "t,j,c", "requests that expire at the end of the slot", "requests"),
    Columns("z", "t,p,c", "requests that the servers of a pool process", "requests"),
    Columns("hot", "t,p,c", "requests of these that are hot", "requests"),
    Columns("off", "t,p", "servers off that stay off", "servers", INTEGER),
    Columns("ready", "t,p,m", "servers ready with m that get no command", "servers", INTEGER),
    Columns("start", "t,p,m", "servers off that start m", "servers", INTEGER),
    Columns("stop", "t,p,m", "servers ready with m that stop", "servers", INTEGER),
    Columns("leave", "t,p,m", "servers ready with m that switch", "servers", INTEGER),
    Columns("enter", "t,p,m", "servers that switch to m", "servers", INTEGER),
    Columns("moved", "t,i,j", "requests of origin i re-routed to j", "requests"),
    Columns("rise", "t,i,j,k", "gain of j in the shares of i, by segment", "share"),
    Columns("fall", "t,i,j,k", "loss of j in the shares of i, by segment", "share"),
)
COSTS = (
    Cost("network", (Term("x", "v L_{i,j}", "t,i,j,c"),)),
    Cost("transfer", (Term("x", "g_{i,j,c}", "t,i,j,c"),)),
    Cost(
        "service",
        (
            Term("z", r"v \sigma_{p,c}", "t,p,c"),
            Term("hot", r"v (\sigma_{p,c} - \sigma^h_{p,c})", "t,p,c", sign=-1),
        ),
    ),
    Cost("waiting", (Term("q", r"v \Delta_s", "t,j,c"),)),
    Cost(
        "energy of requests",
        (Term("z", "e_{t,p} w_{p,c}", "t,p,c"),),
    ),
    Cost(
        "servers on: idle energy and rent",
        (
            Term("ready", "o_{t,p}", "t,p,m"),
            Term("start", "o_{t,p,m}", "t,p,m"),
            Term("enter", "o'_{t,p,m}", "t,p,m"),
        ),
        "o_0",
    ),
    Cost("starts", (Term("start", "s_{p,m}", "t,p,m"),)),
    Cost("switches", (Term("enter", "s'_{p,m}", "t,p,m"),)),
    Cost("rerouting", (Term("moved", r"\kappa", "t,i,j"),)),
    Cost(
        "frobenius",
        (Term("rise", r"\phi_k", "t,i,j,k"), Term("fall", r"\phi_k", "t,i,j,k")),
    ),
    Cost("expiry", (Term("expired", r"\pi_c", "t,j,c"),)),
)
_FEWER = r"\min(D_{t,i}, D_{t-1,i})"
_LEVELS = (
    Term("ready", r"\beta^k(\Delta)"),
    Term("start", r"\beta^k(a_{p,m})", at="t-n_{p,m}+1,p,m"),
    Term("enter", r"\beta^k(a'_{p,m})", at="t-n'_{p,m}+1,p,m"),
)
ROWS = (
    Rows("route", "t,i,c", (Term("x", over="j"),), "=", constant="D_{t,i,c}"),
    Rows("gather", "t,j,c", (Term("inflow"),), "=", (Term("x", over="i"),)),
    Rows(
        "queue",
        "t,j,c",
        (Term("q"),),
        "=",
        (
            Term("q", at="t-1,j,c"),
            Term("inflow"),
            Term("z", over=r"p \in P_j", sign=-1),
            Term("expired", sign=-1),
        ),
    ),
    Rows(
        "deadline",
        "t,j,c",
        (Term("q"),),
        "≤",
        (Term("inflow", over=r"\tau=t-\ell_c+1..t", at=r"\tau,j,c"),),
        "b_{t,j,c}",
    ),
    Rows(
        "aging",
        "t,j,c",
        (Term("expired", over=r"\tau=t+1..\min(t+\ell_c,T-2)", at=r"\tau,j,c"),),
        "≤",
        (Term("q"),),
    ),
    Rows(
        "off_flow",
        "t,p",
        (Term("off"), Term("start", over="m")),
        "=",
        (Term("off", at="t-1,p"), Term("stop", over="m", at="t-1,p,m")),
    ),
    Rows(
        "ready_flow",
        "t,p,m",
        (Term("ready"), Term("stop"), Term("leave")),
        "=",
        (
            Term("ready", at="t-1,p,m"),
            Term("start", at="t-n_{p,m},p,m"),
            Term("enter", at="t-n'_{p,m},p,m"),
        ),
    ),
    Rows("switch_flow", "t,p", (Term("leave", over="m"),), "=", (Term("enter", over="m"),)),
    Rows(
        "capacity",
        "t,p,m",
        (Term("z", "u_{p,c}", "c: m(c)=m"),),
        "≤",
        (
            Term("ready", r"\Delta"),
            Term("start", "a_{p,m}", at="t-n_{p,m}+1,p,m"),
            Term("enter", "a'_{p,m}", at="t-n'_{p,m}+1,p,m"),
        ),
    ),
    Rows(
        "fit",
        "t,p,c",
        (Term("z"),),
        "≤",
        (
            Term("ready", r"\lfloor \Delta/u_{p,c} \rfloor", at="t,p,m(c)"),
            Term("start", r"\lfloor a_{p,m}/u_{p,c} \rfloor", at="t-n_{p,m}+1,p,m(c)"),
            Term("enter", r"\lfloor a'_{p,m}/u_{p,c} \rfloor", at="t-n'_{p,m}+1,p,m(c)"),
        ),
    ),
    Rows("hot_served", "t,p,c", (Term("hot"),), "≤", (Term("z"),)),
    Rows(
        "reuse",
        "t,p,c",
        (Term("hot", "r'_{p,c}"),),
        "≤",
        (Term("z", "r_{p,c}", at="t-1,p,c"),),
        where="t>0",
    ),
    Rows(
        "reroute",
        "t,i,j",
        (
            Term("x", rf"\frac{{{_FEWER}}}{{D_{{t,i}}}}", "c"),
            Term("x", rf"\frac{{{_FEWER}}}{{D_{{t-1,i}}}}", "c", "t-1,i,j,c", -1),
        ),
        "≤",
        (Term("moved"),),
    ),
    Rows(
        "change",
        "t,i,j",
        (
            Term("x", r"\frac{1}{D_{t,i}}", "c"),
            Term("x", r"\frac{1}{D_{t-1,i}}", "c", "t-1,i,j,c", -1),
        ),
        "=",
        (Term("rise", over="k"), Term("fall", over="k", sign=-1)),
    ),
)
HULL = Rows("hull", "t,p,m,k", (Term("z", r"\alpha^k_c", "c: m(c)=m"),), "≤", _LEVELS)
NOTES = (
    "Slot $-1$ is the initial state: terms of slots before 0 are known and stand on the right-hand "
    "side. A slot in which a pool is down has none of its columns, and loadings that an outage "
    "cuts have no later term.",
)
_CHANGES = ("moved", "rise", "fall")
EXCESS = Columns("excess", "t,p,k", "servers on in the k-th cheapest pool of the group", "servers")
SPREAD = Rows(
    "spread",
    "t,p",
    (Term("excess", over="k"), Term("off"), Term("stop", over="m")),
    "≥",
    constant="N_p - N_{p,1}",
)
OVERDUE = Columns("overdue", "t,j,c", "1 if requests may expire", "", BINARY)
OLDEST = (
    Rows("expire", "t,j,c", (Term("expired"),), "≤", (Term("overdue", r"E_{t,j,c}"),)),
    Rows(
        "oldest",
        "t,j,c",
        (
            Term("inflow", over=r"\tau=t-\ell_c+1..t", at=r"\tau,j,c"),
            Term("q", sign=-1),
            Term("overdue", "M_{t,j,c}"),
        ),
        "≤",
        constant="M_{t,j,c} - b_{t,j,c}",
    ),
)

ALLOCATION = SymbolicProgram(
    "Allocation of inference requests to regions and counted servers",
    "dollars",
    SETS,
    DATA,
    COLUMNS,
    COSTS,
    (*ROWS, HULL),
    NOTES,
)
MERGED = SymbolicProgram(
    "The merged program: all regions as one",
    "dollars",
    (*SETS[:1], Symbol("p", "groups of pools of one type and one outage plan"), *SETS[3:]),
    (
        *DATA,
        Symbol("N_p, N_{p,1}", "servers of the group, of its cheapest pool", "servers"),
        Symbol("d_{t,p}, d_{t,p,k}", "what a server off saves, what pool k costs more", "USD"),
    ),
    (*(each for each in COLUMNS if each.name not in _CHANGES), EXCESS),
    (
        *(
            each
            for each in COSTS
            if each.name not in ("network", "transfer", "rerouting", "frobenius")
        ),
        Cost(
            "servers on at the cheapest places first",
            (
                Term("excess", "d_{t,p,k}", "t,p,k"),
                Term("off", "d_{t,p}", "t,p", sign=-1),
                Term("stop", "d_{t,p}", "t,p,m", sign=-1),
            ),
            r"\sum_{t,p} d_{t,p} N_p + \sum_{t,i,c} D_{t,i,c} \min_j (v L_{i,j} + g_{i,j,c})",
        ),
    ),
    (*(each for each in ROWS if each.name not in ("reroute", "change")), HULL, SPREAD),
    (
        *NOTES,
        "There is one region, so $i$ and $j$ have one value, and $p$ is a group. Prices and rents "
        "are the least of the group.",
    ),
)
EXACT = SymbolicProgram(
    "The exact program: every server named, every request whole",
    "dollars",
    SETS,
    (
        *DATA,
        Symbol("E_{t,j,c}, M_{t,j,c}", "most that can expire, most that can wait", "requests"),
    ),
    (
        *(
            each
            if each.name in ("moved", "rise", "fall")
            else dataclasses.replace(each, domain=INTEGER)
            for each in COLUMNS
        ),
        OVERDUE,
    ),
    COSTS,
    (*ROWS, *OLDEST),
    (*NOTES, "Every server is a pool of its own; segments meet the square at every change."),
)


def symbolic_program(
    program: AllocationProgram, *, relaxed: bool = False, named: bool = False
) -> SymbolicProgram:
    """The text of an allocation program, with the numbers of its columns and rows."""
    families = {**program.columns, **program.rows}
    counts = {name: len(family) for name, family in families.items()}
    columns = [dataclasses.replace(each, domain=REAL) if relaxed else each for each in COLUMNS]
    rows = [each for each in ALLOCATION.rows if each.name in program.rows]
    notes = ("Every pool is a single server.",) if named else ()
    return dataclasses.replace(
        ALLOCATION,
        instance=program.instance.name,
        columns=tuple(columns),
        rows=tuple(rows),
        notes=(*NOTES, *notes),
        counts=Counter(counts),
    )
