"""TORTA in full (arXiv 2507.10259): a learned macro layer over the micro layer of ``torta_ot``.

Each slot the forecaster says what comes next, the transport target P_t is solved, the policy
network sees the state (``macro_state``) and gives the routing shares A_t; activation (6), scores
(7)-(10) and the greedy matching of Alg. 1 do the rest.

``plan`` swaps the macro layer, for ablations:

    learned     A_t of the network
    smoothed    A_t = (P_t + λ·A_{t−1})/(1 + λ), λ = ``smoothing``: the one-step optimum of reward
                (3) without its queue term, and what the untrained network does
    target      A_t = P_t: ``torta_ot``

``micro`` is ``scores`` (the paper's) or ``round_robin`` (servers of a region by turn).
``forecaster`` is a name of ``forecasters``; ``perfect`` and ``corrupted`` must be shown the
instance beforehand (``show``): they are for studies.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from torta_opt.allocation.instance.data import OFF, Instance, System
from torta_opt.allocation.policies.base import Decision, Observation
from torta_opt.allocation.policies.dispatch import Capacity, fill_evenly
from torta_opt.allocation.policies.forecasters import (
    LEARNED,
    NAMES,
    SHOWN_THE_FUTURE,
    Learned,
    forecaster,
)
from torta_opt.allocation.policies.macro_state import (
    HISTORY,
    FleetView,
    feature_count,
    features,
    last_shares,
    request_scale,
    row_shares,
)
from torta_opt.allocation.policies.settings import check_number
from torta_opt.allocation.policies.torta_ot import TortaOt
from torta_opt.allocation.policies.weight_files import find_weights, models_folder
from torta_opt.io import InvalidInput

if TYPE_CHECKING:
    from torta_opt.allocation.policies.neural.files import Networks

PLANS = ("learned", "smoothed", "target")
MICROS = ("scores", "round_robin")


class Torta(TortaOt):
    """See the module; further parameters are those of ``torta_ot`` and ``Settings``.

    weights      file of networks (``torta-opt train``), or a name in the folder models/
    plan, micro, forecaster    see the module
    shrink       λ of ``plan=smoothed``
    season       slots of a season, for ``forecaster=seasonal``
    accuracy     of ``forecaster=corrupted``, Eq. (12)
    """

    name = "torta"

    def __init__(
        self,
        weights: str = "",
        plan: str = "learned",
        micro: str = "scores",
        forecaster: str = "smoothed",
        shrink: float = 1.0,
        season: int = 1,
        accuracy: float = 0.5,
        **given: Any,
    ):
        super().__init__(**given)
        for field, value, known in (
            ("plan", plan, PLANS),
            ("micro", micro, MICROS),
            ("forecaster", forecaster, NAMES),
        ):
            if value not in known:
                raise InvalidInput(f"must be one of {', '.join(known)}", field=field)
        check_number("shrink", shrink, 0, 1e6)
        check_number("season", season, 1, 1e6)
        check_number("accuracy", accuracy, 1e-6, 1)
        self.weights, self.plan, self.micro, self.forecaster = weights, plan, micro, forecaster
        self.shrink, self.season, self.accuracy = shrink, int(season), accuracy
        self._future: np.ndarray | None = None

    @property
    def deterministic(self) -> bool:
        """The network takes no lots once it is trained; a corrupted forecast does."""
        return super().deterministic and self.forecaster != "corrupted"

    @property
    def information(self) -> str:
        """What its forecast rests on."""
        return "future" if self.forecaster in SHOWN_THE_FUTURE else "past"

    def show(self, instance: Instance) -> None:
        """Let ``perfect`` and ``corrupted`` forecasts know the arrivals: not a fair policy."""
        self._future = instance.arrivals

    def reset(self, system: System, seed: int) -> None:
        super().reset(system, seed)
        self._networks = self._load(system) if self._needs_networks else None
        self._scale = request_scale(system)
        self._fleet = FleetView(self.tables)
        regions = len(system.regions)
        self._past: deque[np.ndarray] = deque(maxlen=HISTORY)
        self._utilisation = np.zeros(regions)
        self._usable_ms = np.zeros(len(system.servers))
        self._last: np.ndarray | None = None
        if self.forecaster == LEARNED:
            self._forecaster = Learned(self._predict, self.settings.smoothing)
            self._sights: deque[np.ndarray] = deque(maxlen=HISTORY)
        else:
            rng = np.random.default_rng([seed, 1])
            self._forecaster = forecaster(
                self.forecaster,
                self.settings.smoothing,
                season=self.season,
                accuracy=self.accuracy,
                future=self._future,
                rng=rng,
            )

    def decide(self, observation: Observation) -> Decision:
        self._look(observation)
        decision = super().decide(observation)
        on = np.where(observation.up, observation.state.model, -1) >= 0
        on = (on | np.isin(decision.command, (1, 3))) & (decision.command != 2)
        self._usable_ms = self._usable(observation, decision, on)
        self._last = self.share
        return decision

    def shares(self, observation: Observation) -> np.ndarray:
        target = super().shares(observation)
        if self.plan == "target":
            return target
        last = self._last
        if last is None:
            last = last_shares(observation.state.routing, target)
        if self.plan == "smoothed":
            return (target + self.shrink * last) / (1 + self.shrink)
        return self._learned(observation, target, last)

    def assign(self, c: int, wanted: np.ndarray, desk: Capacity) -> np.ndarray:
        if self.micro == "scores":
            return super().assign(c, wanted, desk)
        region, servers = self.tables.system.server_region, self.tables.sizes[1]
        dealt, one = desk.processing.sum(axis=1), np.ones(servers)
        turn = (np.arange(servers) - self.observation.slot) % servers
        return fill_evenly(wanted, region, desk.room(c), dealt, one, turn)

    @property
    def _needs_networks(self) -> bool:
        return self.plan == "learned" or self.forecaster == LEARNED

    def _load(self, system: System) -> Networks:
        from torta_opt.allocation.policies.neural.files import load_networks

        path = find_weights(self.weights) if self.weights else _fitting(system.regions)
        networks = load_networks(path, system.regions)
        sizes = len(system.regions), len(system.classes), len(system.models)
        if networks.card["features"] != feature_count(*sizes):
            raise InvalidInput(
                "fits other models or classes of requests: train weights for them with "
                "torta-opt train, or use torta_ot, which needs none",
                file=str(path) + ".safetensors",
            )
        return networks

    def _learned(
        self, observation: Observation, target: np.ndarray, last: np.ndarray
    ) -> np.ndarray:
        import torch

        system = self.tables.system
        regions, slot = len(system.regions), observation.slot
        history = np.zeros((HISTORY, regions))
        seen = [observation.arrivals, *observation.past_arrivals[:-HISTORY:-1]][:HISTORY]
        for n, arrivals in enumerate(seen[: slot + 1]):
            history[n] = arrivals.sum(axis=1)
        held = np.where(observation.up, observation.state.model, OFF)
        state = features(
            self._utilisation,
            observation.state.waiting.sum(axis=(1, 2)),
            history,
            self.expected.sum(axis=1),
            observation.price,
            self._fleet.see(observation.up, held)[0],
            last,
            target,
            self._scale,
        )
        assert self._networks is not None
        with torch.no_grad():
            found = self._networks.policy.act(torch.from_numpy(state[None]))[0].numpy()
        return row_shares(found, system.allowed, target)

    def _look(self, observation: Observation) -> None:
        """Utilisation of the last slot, and what the forecaster's network sees."""
        system = self.tables.system
        regions = len(system.regions)
        worked = np.bincount(
            system.server_region, self.tables.busy_ms(observation.state.processing), regions
        )
        usable = np.bincount(system.server_region, self._usable_ms, regions)
        self._utilisation = np.where(usable > 0, worked / np.maximum(usable, 1), 0.0)
        if self.forecaster != LEARNED:
            return
        queue = observation.state.waiting.sum(axis=(1, 2)) / self._scale
        arrivals = observation.arrivals.sum(axis=1) / self._scale
        self._sights.append(np.stack([self._utilisation, queue, arrivals]))
        if len(self._sights) == HISTORY:
            assert isinstance(self._forecaster, Learned)
            self._forecaster.see(np.stack(self._sights))

    def _usable(self, observation: Observation, decision: Decision, on: np.ndarray) -> np.ndarray:
        """(S,) ms that servers could work in the slot just decided."""
        system, kind = self.tables.system, self.tables.system.server_type
        loading = np.where(observation.up, observation.state.loading_ms, 0)
        held = np.maximum(decision.command_model, 0)
        loading = np.where(decision.command == 1, system.start_ms[kind, held], loading)
        loading = np.where(decision.command == 3, system.switch_ms[kind, held], loading)
        return np.where(on, system.slot_ms - np.minimum(loading, system.slot_ms), 0)

    def _predict(self, history: np.ndarray) -> np.ndarray:
        import torch

        seen = torch.from_numpy(history[None].astype(np.float32))
        assert self._networks is not None
        with torch.no_grad():
            return self._networks.forecast(seen)[0].numpy().astype(float) * self._scale


def _fitting(regions: tuple[str, ...]) -> Path:
    """Weights in the folder of models that fit a topology. Raises InvalidInput."""
    from torta_opt.allocation.policies.neural.files import FORMAT, VERSION
    from torta_opt.io import read_document

    for card in sorted(models_folder().glob("*.json")):
        try:
            fits = read_document(card, {FORMAT: VERSION}).get("regions") == list(regions)
        except InvalidInput:
            continue
        if fits:
            return card.with_suffix("")
    raise InvalidInput(
        f"no weights fit this topology in {models_folder()}: make them with torta-opt train, or "
        "use torta_ot, which needs none",
        field="policy",
    )
