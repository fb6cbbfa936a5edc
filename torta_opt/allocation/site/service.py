"""Service of every class on every server type of a site, from its profiles and stated figures.

A server of G GPUs runs ⌊G/g⌋ replicas of g GPUs of one model at once, all started and stopped
together; it takes the size of replica that gives the most requests per second and meets the target.

    server_ms = ⌈1000 / (replicas · requests per second of one)⌉,    service_s = latency of one
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.instance.data import INCOMPATIBLE
from torta_opt.allocation.profiles.choose import Service, Target, service_of
from torta_opt.allocation.profiles.data import Profile
from torta_opt.allocation.profiles.document import load_profiles
from torta_opt.allocation.site.faults import Faults
from torta_opt.allocation.site.files import Site
from torta_opt.allocation.site.gpus import split_type
from torta_opt.allocation.site.schema import RequestClass
from torta_opt.io import InvalidInput


@dataclass(frozen=True)
class Chosen:
    """How one server of a type serves one class."""

    type: str
    class_: str
    gpus: int
    replicas: int
    requests_per_s: float
    latency_s: float
    basis: str
    how: str

    @property
    def server_ms(self) -> int:
        """Milliseconds of the server that one request takes, rounded up."""
        return max(1, math.ceil(round(1000 / self.requests_per_s, 6)))

    def line(self) -> str:
        many = "" if self.replicas == 1 else f"{self.replicas} replicas, "
        counted = 1000 / self.server_ms
        less = counted < 0.99 * self.requests_per_s
        rounded = f" (counted as {counted:.4g}: whole ms)" if less else ""
        return (
            f"{self.class_} on {self.type}: {many}{self.requests_per_s:.4g} requests/s{rounded}, "
            f"{self.latency_s:.4g} s ({self.basis}: {self.how})"
        )


def profiles_of(site: Site, faults: Faults) -> list[Profile]:
    """All profiles of a site, under the names that the site uses."""
    document = site.document
    models = {model.name for model in document.models}
    found: list[Profile] = []
    for i, entry in enumerate(document.profiles):
        with faults.catching(f"profiles[{i}]"):
            for profile in load_profiles(site.path(entry.file)):
                if profile.basis == "mock":
                    faults.add(
                        f"profiles[{i}].file",
                        f"{entry.file} holds figures of a mock server, which mean nothing",
                    )
                model = entry.model or profile.model
                if model not in models:
                    faults.add(
                        f"profiles[{i}]",
                        f"{entry.file} is about {profile.model!r}, which is not in [[models]]",
                        'model = "the name in [[models]]"',
                    )
                gpu = entry.gpu or profile.gpu
                found.append(_renamed(profile, model, gpu))
    return found


def _renamed(profile: Profile, model: str, gpu: str) -> Profile:
    return Profile(
        model, gpu, profile.gpus, profile.basis, profile.kind, profile.engine, profile.points
    )


def replica_sizes(site: Site, profiles: Sequence[Profile], gpu: str) -> list[int]:
    """GPUs per replica that figures exist for, the largest first."""
    stated = [split_type(figure.type) for figure in site.document.service]
    sizes = {p.gpus for p in profiles if p.gpu == gpu}
    return sorted(sizes | {n for n, name in stated if name == gpu}, reverse=True)


def choose_all(
    site: Site, profiles: Sequence[Profile], types: Sequence[str], faults: Faults
) -> tuple[list[Chosen], list[str]]:
    """(what serves what, why the other pairs cannot); ``types`` are GPU types such as 4xH100."""
    chosen, refused = [], []
    for kind in site.document.classes:
        served = False
        for type_ in types:
            best, why = _best(site, profiles, type_, kind)
            if best is not None and best.server_ms <= site.slot_ms:
                chosen.append(best)
                served = True
                continue
            if best is not None:
                why = f"takes {best.server_ms} ms of a server, more than a slot"
            refused.append(f"{kind.name} on {type_}: {why}")
        if not served:
            reasons = [line for line in refused if line.startswith(f"{kind.name} on ")]
            faults.add(
                f"classes ({kind.name})",
                "cannot be served by any server type: " + "; ".join(reasons[:4]),
                f'[[service]] with type, class = "{kind.name}", requests_per_s, latency_s',
            )
    return chosen, refused


def _best(
    site: Site, profiles: Sequence[Profile], type_: str, kind: RequestClass
) -> tuple[Chosen | None, str]:
    """The most requests per second of a server of the type; or why it serves none."""
    total, gpu = split_type(type_)
    target = Target(kind.target_s, kind.ttft_s, kind.tpot_s)
    options: list[Chosen] = []
    reasons = []
    for figure in site.document.service:
        gpus, name = split_type(figure.type)
        if figure.class_ != kind.name or name != gpu or gpus > total:
            continue
        if figure.latency_s > kind.target_s:
            reasons.append(f"{figure.latency_s:g} s > target {kind.target_s:g} s")
            continue
        found = Service(figure.requests_per_s, figure.latency_s, figure.source or "site file")
        options.append(_chosen(type_, kind, gpus, total, found, figure.basis))
    for profile in profiles:
        if profile.model != kind.model or profile.gpu != gpu or profile.gpus > total:
            continue
        try:
            found = service_of(
                profile, kind.input_tokens, kind.output_tokens, target, site.document.extrapolate
            )
        except InvalidInput as error:
            reasons.append(f"{profile.label}: {error.rule}")
            continue
        options.append(_chosen(type_, kind, profile.gpus, total, found, profile.basis))
    if options:
        return max(options, key=lambda each: (each.requests_per_s, -each.latency_s)), ""
    return None, "; ".join(dict.fromkeys(reasons)) or "no figures"


def _chosen(
    type_: str, kind: RequestClass, gpus: int, total: int, service: Service, basis: str
) -> Chosen:
    replicas = total // gpus
    return Chosen(
        type_,
        kind.name,
        gpus,
        replicas,
        service.requests_per_s * replicas,
        service.latency_s,
        basis,
        service.how,
    )


def service_tables(
    chosen: Sequence[Chosen],
    types: Sequence[str],
    barred: Sequence[frozenset[str]],
    classes: Sequence[str],
) -> dict[str, np.ndarray]:
    """``service_s``, ``hot_service_s``, ``server_ms`` (K, C); ``types`` may come several times.

    Types do not serve the classes in their ``barred``.
    """
    shape = (len(types), len(classes))
    seconds, work = np.full(shape, np.nan), np.full(shape, INCOMPATIBLE)
    for each in chosen:
        for k, name in enumerate(types):
            if name == each.type and each.class_ not in barred[k]:
                c = classes.index(each.class_)
                seconds[k, c] = round(each.latency_s, 6)
                work[k, c] = each.server_ms
    return {"service_s": seconds, "hot_service_s": seconds.copy(), "server_ms": work}
