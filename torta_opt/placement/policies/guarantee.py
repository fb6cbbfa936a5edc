"""Theorem 2: what CG-BPRR promises, and whether a run kept it.

If no more than |R| requests are served at once, the mean time per token (decoding) is at most

    Σ_{k≤K} t̃_k m_k − τ_K (Σ_{k≤K} m_k − L),

k running over the servers in CG-BP's order, m_k the blocks they host and K the fewest servers that
serve every block for |R| requests. There is no worst-case ratio: see ``presets.worst_case``.
"""

from __future__ import annotations

from dataclasses import dataclass

from torta_opt.io import VerificationFailed
from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.policies.cg_bp import ConservativeGreedy
from torta_opt.placement.schedule.chains import chains_of

ROUNDING = 1e-9


@dataclass(frozen=True)
class Guarantee:
    """token_ms: what the placement reaches (mean over requests); bound_ms: what is promised."""

    token_ms: float
    bound_ms: float

    @property
    def kept(self) -> bool:
        return self.token_ms <= self.bound_ms * (1 + ROUNDING)


def guarantee(instance: PlacementInstance, found: ConservativeGreedy) -> Guarantee:
    """The promise for ``found`` and the mean time per token on shortest paths."""
    servers, links = instance.servers, instance.links
    used = list(found.order[: found.needed])
    count = found.placement.count
    hosted = int(count[used].sum())
    promise = float(found.per_block_ms[used] @ count[used])
    promise -= float(servers.decode_ms[used[-1]]) * (hosted - instance.llm.blocks)
    chains = chains_of(found.placement, instance.llm.blocks)
    total = weight = 0.0
    for c, requests in enumerate(instance.clients.requests.tolist()):
        least, _ = chains.cheapest(chains.prices_of(links.token_ms[c], servers.decode_ms))
        total += requests * least
        weight += requests
    return Guarantee(total / weight if weight else 0.0, promise)


def check_guarantee(instance: PlacementInstance, found: ConservativeGreedy) -> Guarantee:
    """Hold ``found`` to Theorem 2. Raises VerificationFailed if it does not keep it."""
    promised = guarantee(instance, found)
    if not promised.kept:
        raise VerificationFailed(
            f"{instance.name}: CG-BPRR needs {promised.token_ms!r} ms a token, Theorem 2 promises "
            f"{promised.bound_ms!r}"
        )
    return promised
