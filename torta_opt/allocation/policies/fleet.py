"""Prototype: open-loop plan of the fleet."""

from __future__ import annotations
from dataclasses import dataclass
from typing import Any
import numpy as np
from torta_opt.allocation.formulations.fleet_program import *
from torta_opt.allocation.instance.data import OFF
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.policies.greedy_forecast import GreedyForecast
from torta_opt.allocation.schedule.data import NO_MODEL, Command


class Past:
    def __init__(self, rho=0.9, sigma=0.15, mix_memory=0.98, mix_sigma=0.2, fast=0.4, slow=0.03, mix=0.15):
        self.__dict__.update(rho=rho, sigma=sigma, mm=mix_memory, ms=mix_sigma, a=fast, b=slow, m=mix)
        self.t = 0
    def update(self, d):  # (C,)
        d = d.astype(float); tot = d.sum()
        if self.t == 0:
            self.fast = self.slow = max(tot, 1.0); self.share = d / max(tot, 1)
        else:
            self.fast += self.a * (tot - self.fast)
            self.slow += max(self.b, 1 / (self.t + 5)) * (tot - self.slow)
            self.share = self.share + self.m * (d / max(tot, 1) - self.share)
        self.t += 1
    def sample(self, lags, models, u, z):
        """lags (E,S), u (E,S) standard normal total, z (E,S,M) -> (E,S,C)"""
        fade = self.rho ** lags
        dev = np.log(max(self.fast, 1e-9) / max(self.slow, 1e-9))
        tot = self.slow * np.exp(fade * dev + u * self.sigma * np.sqrt(1 - fade**2) - .5 * self.sigma**2 * (1 - fade**2))
        s = self.ms * np.sqrt(1 - self.mm ** (2 * lags))
        f = np.exp(s[..., None] * z)[:, :, models] * self.share
        f /= f.sum(-1, keepdims=True)
        return tot[..., None] * f


class QueueAware(GreedyForecast):
    """Due first, then the class whose waiting costs most per ms of server time."""

    order = "cmu"

    def _ranked(self):
        t, w = self.tables, self.tables.system.weights
        best = np.where(t.can_serve, t.work_ms, 2**40).min(0)
        return np.argsort(best, kind="stable")

    def decide(self, o):
        from torta_opt.allocation.policies.base import Decision
        from torta_opt.allocation.policies.dispatch import SlotCapacity
        from torta_opt.allocation.schedule.step import apply_commands
        if self.order != "cmu":
            return super().decide(o)
        self.observation = o
        self.expected = self._forecaster.update(o.arrivals)
        self.prepare(o)
        command, command_model = self.commands(o)
        system, state = self.tables.system, o.state
        fleet = apply_commands(system, state, o.up, command, command_model)
        desk = SlotCapacity(self.tables, fleet.usable_ms, fleet.model, state.processing)
        self.next_desk = self._next_slot(fleet.model, fleet.loading_ms_after, state.processing)
        deadline = system.deadline_slots
        ages = np.arange(1, state.waiting.shape[2] + 1)
        due = np.where(ages >= deadline[:, None], state.waiting, 0).sum(axis=2)
        rest = state.waiting.sum(axis=2) - due
        regions, _, classes = self.tables.sizes
        routing = np.zeros((regions, regions, classes), np.int64)
        for c in self._ranked():
            if due[:, c].any():
                desk.take(c, self.assign(c, due[:, c], desk))
        for c in self._ranked():
            if rest[:, c].any():
                desk.take(c, self.assign(c, rest[:, c], desk))
            if o.arrivals[:, c].any():
                routing[:, :, c] = self.route(c, o.arrivals[:, c], desk)
                desk.take(c, self.assign(c, routing[:, :, c].sum(axis=0), desk))
        return Decision(routing, command, command_model, desk.processing)


class Olfc(QueueAware):
    name = "olfc"
    deterministic = True

    def __init__(self, epochs=7, samples=12, load=0.95, penalty=2.0, theta=0.5, every=1, span=128, worth=0.5,
                 known=None, rent_mode="margin", pi=1.0, startx=1.0, enterx=1.0, sig=0.15, order="cmu", **settings: Any):
        super().__init__(**settings)
        self.order = order
        self.p = dict(epochs=epochs, samples=samples, load=load, penalty=penalty, theta=theta, every=every, span=span, worth=worth, known=known, rm=rent_mode, pi=pi, startx=startx, enterx=enterx, sig=sig)

    def reset(self, system, seed):
        super().reset(system, seed)
        p = self.p
        self.prog = FleetProgram(system, p["epochs"], p["samples"], system.slot_ms * p["load"])
        self.past = Past(sigma=p["sig"])
        rng = np.random.default_rng(7)
        S = p["samples"]
        from scipy.stats import norm
        q = norm.ppf((np.arange(S) + .5) / S)
        self.u = np.stack([rng.permutation(q) for _ in range(p["epochs"])])
        self.z = np.stack([[rng.permutation(q) for _ in system.models] for _ in range(p["epochs"])]).transpose(0, 2, 1)
        self.r = np.stack([(rng.permutation(S) + .5) / S for _ in range(p["epochs"])])

    def attach(self, instance, topo, seed):
        if self.p["known"]:
            from torta_opt.allocation.law.registry import law_of
            self.law = law_of(instance)

    def from_law(self, o, L, lags):
        if o.slot == 0:
            self.belief = self.law.begin()
        self.belief = self.law.learn(self.belief, o.arrivals)
        if o.slot % self.p["every"]:
            return None
        span = int(L.sum())
        paths = self.law.paths_from(self.belief, max(span, 2), self.p["samples"], 5).sum(2)
        at = np.clip(lags.astype(int), 0, paths.shape[1] - 1)
        return paths[np.arange(len(self.r[0])), at].astype(float)

    def lengths(self, left):
        p = self.p
        base = np.array([2, 2, 4, 8, 16, 32, 64, 128, 256][: p["epochs"]], float)
        end = np.minimum(np.minimum(base.cumsum(), left), p["span"])
        return np.diff(end, prepend=0)

    def commands(self, o: Observation):
        system, p = self.tables.system, self.p
        if p["known"] is None:
            self.past.update(o.arrivals.sum(0))
        else:
            L = self.lengths(len(o.price_ahead))
            lag0 = np.concatenate([[0], L.cumsum()[:-1]])
            D = self.from_law(o, L, lag0[:, None] + self.r * L[:, None])
        none = np.full(len(system.servers), int(Command.NONE)), np.full(len(system.servers), NO_MODEL)
        if o.slot % p["every"]:
            return none
        kinds, w = self.prog.kinds, system.weights
        model = np.where(o.up, o.state.model, OFF)
        ready = (model != OFF) & (o.state.loading_ms == 0)
        loading = (model != OFF) & ~ready
        g = np.where(model != OFF, kinds.number[system.server_type, np.maximum(model, 0)], -1)
        count = lambda mask: np.bincount(g[mask], minlength=len(kinds)).astype(float)
        servers = np.bincount(system.server_type, o.up, len(system.types))
        state = FleetState(count(ready), count(loading), servers)
        L = self.lengths(len(o.price_ahead))
        usd = self.tables.on_usd(o.price)
        on = np.zeros(len(system.types))
        for k in range(len(on)):
            mine = (system.server_type == k) & o.up
            here = usd[mine & (model != OFF)]
            on[k] = here.mean() if len(here) else (usd[mine].min() if mine.any() else usd.max())
        lag0 = np.concatenate([[0], L.cumsum()[:-1]])
        lags = lag0[:, None] + self.r * L[:, None]
        if p["known"] is None:
            D = self.past.sample(lags, system.class_model, self.u, self.z)
        wait = o.state.waiting.sum((0, 2))
        D = D.copy(); D[0] += wait / 2
        kt, km = kinds.type, kinds.model
        f = w.loading_factor
        start = f * system.start_usd[kt, km] + on[kt] * np.ceil(system.start_ms[kt, km] / system.slot_ms)
        enter = f * system.switch_usd[kt, km] + 0*on[kt]
        k, c = kinds.serves
        price = o.price.mean()
        hot = system.hot_permille / 1000
        sv = (1 - .9*hot) * system.service_s[k, c] + .9*hot * system.hot_service_s[k, c]
        serve = w.time_usd_per_s * sv + w.energy_factor * price * ((system.peak_kw - system.idle_kw)[k] * system.server_ms[k, c] / 3.6e6)
        short = np.minimum(p["penalty"] * w.time_usd_per_s * system.slot_s, p["pi"] * w.expiry_usd) + np.array([serve[c == cc].min() for cc in range(len(system.classes))])
        left = len(o.price_ahead) - L.sum()
        worth = start * p["worth"] * min(1.0, left / 90)
        costs = FleetCosts(L, np.repeat(on[None], len(L), 0), p["startx"] * start, p["enterx"] * enter, np.repeat(serve[None], len(L), 0), short, worth)
        self.plan = plan = self.prog.solve(state, costs, D)
        rnd = lambda x: np.floor(x + 1 - p["theta"] + 1e-9).astype(int)
        return self.place(o, g, ready, usd, rnd(plan.start[0]), rnd(plan.stop[0]), rnd(plan.leave[0]), rnd(plan.enter[0]))

    def place(self, o, g, ready, usd, start, stop, leave, enter):
        system, kinds = self.tables.system, self.prog.kinds
        command = np.full(len(system.servers), int(Command.NONE)); target = np.full(len(system.servers), NO_MODEL)
        busy = self.tables.busy_ms(o.state.processing)
        used = np.zeros(len(g), bool)
        for k in range(len(system.types)):
            mine = np.flatnonzero(kinds.type == k)
            pool = []
            for i in mine:
                cand = np.flatnonzero((g == i) & ready)
                cand = cand[np.lexsort((busy[cand], -usd[cand]))]
                pool += list(cand[: leave[i]])
                out = cand[leave[i]: leave[i] + stop[i]]
                command[out] = Command.STOP; used[out] = True
            for i in mine:
                take, pool = pool[: enter[i]], pool[enter[i]:]
                take = [s for s in take if o.state.model[s] != kinds.model[i]]
                command[take] = Command.SWITCH; target[take] = kinds.model[i]
            off = np.flatnonzero((system.server_type == k) & o.up & (o.state.model == OFF))
            off = list(off[np.argsort(usd[off], kind="stable")])
            for i in mine:
                take, off = off[: start[i]], off[start[i]:]
                command[take] = Command.START; target[take] = kinds.model[i]
        return command, target
