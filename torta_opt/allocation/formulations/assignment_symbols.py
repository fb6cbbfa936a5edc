"""The assignment program (``assignment_model.py``) as text."""

from __future__ import annotations

from torta_opt.symbolic import INTEGER, Columns, Cost, Rows, Symbol, SymbolicProgram, Term

ASSIGNMENT = SymbolicProgram(
    "The assignment program: requests of one region on its servers, a few slots ahead",
    "dollars",
    (
        Symbol("t < H", "slots of the window"),
        Symbol("s", "servers, or servers alike that are counted together"),
        Symbol("k", "options of a server: keep its model, or load one at some slot"),
        Symbol("g, m(g)", "groups of identical requests, the model of a group"),
        Symbol("f", "facets of the whole requests of two groups"),
    ),
    (
        Symbol("D_{t,g}", "requests that come, in slot 0 with those that wait already", "requests"),
        Symbol("N_s", "servers that s stands for", "servers"),
        Symbol("d_{t,g}", "requests that are due by the end of slot t", "requests"),
        Symbol("u_{s,g}", "server time of a request", "ms"),
        Symbol("U_{t,s,k,m}", "time that an option leaves for a model", "ms"),
        Symbol(r"\alpha^f_g, \beta^f", "facet f, its right-hand side for a server time"),
        Symbol("h", "hot share"),
        Symbol("o_{s,k}", "price of an option", "USD"),
        Symbol("c_{t,s,g}, h_{s,g}", "service of a request, what a hot one saves", "USD"),
        Symbol(r"w, l_g, \pi_g", "waiting of a slot, what is left at the end, expiry", "USD"),
    ),
    (
        Columns("pick", "s,k", "servers that take option k", "servers", INTEGER),
        Columns("z", "t,s,g", "requests served; whole in the first slots", "requests"),
        Columns("hot", "t,s,g", "hot ones of these; whole in the first slots", "requests"),
        Columns("q", "t,g", "requests that wait at the end of the slot", "requests"),
        Columns("expired", "t,g", "requests that expire", "requests"),
    ),
    (
        Cost("options", (Term("pick", "o_{s,k}", "s,k"),)),
        Cost(
            "service",
            (Term("z", "c_{t,s,g}", "t,s,g"), Term("hot", "h_{s,g}", "t,s,g", sign=-1)),
        ),
        Cost("waiting", (Term("q", "w", "t,g"), Term("q", "l_g", "g", "H-1,g"))),
        Cost("expiry", (Term("expired", r"\pi_g", "t,g"),)),
    ),
    (
        Rows("choose", "s", (Term("pick", over="k"),), "=", constant="N_s"),
        Rows(
            "queue",
            "t,g",
            (Term("q"),),
            "=",
            (Term("q", at="t-1,g"), Term("z", over="s", sign=-1), Term("expired", sign=-1)),
            "D_{t,g}",
        ),
        Rows(
            "expire",
            "t,g",
            (Term("expired", over=r"\tau=0..t", at=r"\tau,g"),),
            "≤",
            constant="d_{t,g}",
        ),
        Rows(
            "capacity",
            "t,s,m",
            (Term("z", "u_{s,g}", "g: m(g)=m"),),
            "≤",
            (Term("pick", "U_{t,s,k,m}", "k"),),
        ),
        Rows(
            "fit",
            "t,s,g",
            (Term("z"),),
            "≤",
            (Term("pick", r"\lfloor U_{t,s,k,m(g)}/u_{s,g} \rfloor", "k"),),
        ),
        Rows(
            "hull",
            "t,s,m,f",
            (Term("z", r"\alpha^f_g", "g: m(g)=m"),),
            "≤",
            (Term("pick", r"\beta^f(U_{t,s,k,m})", "k"),),
        ),
        Rows("hot_served", "t,s,g", (Term("hot"),), "≤", (Term("z"),)),
        Rows("reuse", "t,s,g", (Term("hot"),), "≤", (Term("z", "h", at="t-1,s,g"),), where="t>0"),
    ),
)
