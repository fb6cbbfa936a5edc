"""The programs of block placement as text: what ``torta-opt export --format latex`` writes."""

from __future__ import annotations

from torta_opt.symbolic import BINARY, INTEGER, Columns, Cost, Rows, Symbol, SymbolicProgram, Term

_LINK = "r,i,j"
_SETS = (
    Symbol("c", "clients"),
    Symbol("i, j", "servers"),
)
_DATA = (
    Symbol("L", "blocks of the model", "blocks"),
    Symbol("V_{c,j}, B_j", "price of a visit, of a block processed", "ms"),
)

POSITIONS = SymbolicProgram(
    "Block placement and routing by positions",
    "milliseconds",
    (*_SETS, Symbol("p < e, b", "positions between blocks, from 0 to L")),
    (
        *_DATA,
        Symbol("R_c", "requests of a client", "requests"),
        Symbol("S_j(n)", "caches for which server j has room beside n blocks; 0 for n = 0"),
    ),
    (
        Columns("H", "j,p,e", "1 if server j hosts the blocks from p to e, e excluded", "", BINARY),
        Columns("X", "c,j,p,e", "requests at j that entered at p or before", "requests", INTEGER),
    ),
    (
        Cost("visits", (Term("X", "V_{c,j}", "c,j,e", "c,j,e-1,e"),)),
        Cost("blocks", (Term("X", "B_j", "c,j,p,e"),)),
    ),
    (
        Rows("grow_h", "j,p,e", (Term("H", at="j,p-1,e"),), "≤", (Term("H"),)),
        Rows("one", "j", (Term("H", over="e", at="j,e-1,e"),), "≤", constant="1"),
        Rows("enter", "c,j,p,e", (Term("X"),), "≤", (Term("H", "R_c"),)),
        Rows("grow_x", "c,j,p,e", (Term("X", at="c,j,p-1,e"),), "≤", (Term("X"),)),
        Rows(
            "flow",
            "c,b",
            (
                Term("X", over="j,e", at="c,j,b,e"),
                Term("X", over="j,e: e>b", at="c,j,b-1,e", sign=-1),
                Term("X", over="j", at="c,j,b-1,b", sign=-1),
            ),
            "=",
            constant=r"R_c [b=0] - R_c [b=L]",
        ),
        Rows(
            "memory",
            "j,e",
            (Term("X", over="c,p"),),
            "≤",
            (Term("H", r"(S_j(e-p) - S_j(e-p-1))", "p"),),
        ),
    ),
)


def _product(tag: str, name: str, factor: str, at: str, most: str) -> tuple[Rows, ...]:
    """The three rows that make a column the product of ``factor`` and f."""
    hop, value = Term("f", most), Term(factor, at=at)
    return (
        Rows(f"{tag}a", _LINK, (Term(name),), "≤", (hop,)),
        Rows(f"{tag}b", _LINK, (Term(name),), "≤", (value,)),
        Rows(f"{tag}c", _LINK, (Term(name),), "≥", (value, hop), f"- {most}"),
    )


PUBLISHED = SymbolicProgram(
    "Block placement and routing, as its authors publish it",
    "milliseconds",
    (*_SETS, Symbol("r", "requests"), Symbol("(i,j)", "links, also from and to the client")),
    (
        *_DATA,
        Symbol("M_j/s_m, s_c/s_m", "memory of a server, size of a cache", "blocks"),
    ),
    (
        Columns("a", "j", "first block of a server, from 1", "blocks", INTEGER),
        Columns("m", "j", "blocks of a server", "blocks", INTEGER),
        Columns("f", _LINK, "1 if request r goes from i to j", "", BINARY),
        Columns("alpha", _LINK, "$a_j f$", "blocks", latex=r"\alpha"),
        Columns("beta", _LINK, "$a_i f$", "blocks", latex=r"\beta"),
        Columns("gamma", _LINK, "$m_j f$", "blocks", latex=r"\gamma"),
        Columns("delta", _LINK, "$m_i f$", "blocks", latex=r"\delta"),
    ),
    (
        Cost("visits", (Term("f", "V_{c(r),j}", _LINK),)),
        Cost(
            "blocks",
            tuple(
                Term(name, "B_j", _LINK, sign=sign)
                for name, sign in (("alpha", 1), ("beta", -1), ("gamma", 1), ("delta", -1))
            ),
        ),
    ),
    (
        Rows(
            "13b",
            "j",
            (
                Term("m"),
                *(
                    Term(name, r"\frac{s_c}{s_m}", "r,i", sign=sign)
                    for name, sign in (("alpha", 1), ("beta", -1), ("gamma", 1), ("delta", -1))
                ),
            ),
            "≤",
            constant=r"\frac{M_j}{s_m}",
        ),
        Rows(
            "13c",
            "r,i",
            (Term("f", over="j"), Term("f", over="j", at="r,j,i", sign=-1)),
            "=",
            constant=r"[i\text{ sends}] - [i\text{ receives}]",
        ),
        Rows("13d", "j", (Term("a"), Term("m")), "≤", constant="L+1"),
        Rows("13e", _LINK, (Term("alpha"),), "≤", (Term("a", at="i"), Term("m", at="i"))),
        Rows(
            "13f",
            _LINK,
            (Term("beta"), Term("delta")),
            "≤",
            (Term("a", at="j"), Term("m", at="j")),
            "- 1",
        ),
        *_product("9", "alpha", "a", "j", "(L+1)"),
        *_product("10", "beta", "a", "i", "L"),
        *_product("11", "gamma", "m", "j", "L"),
        *_product("12", "delta", "m", "i", "L"),
    ),
    (
        "The client sends from a server with $a = 0$, $m = 1$ and receives at one with $a = L+1$, "
        "$m = 1$; these are constants of the rows.",
    ),
)
