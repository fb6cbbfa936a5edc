"""Classes that some regions only may serve, and traces that name the region of each request."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.sites import write_site

from torta_opt.allocation.instance import Instance
from torta_opt.allocation.plan.exports.replicas import deployments
from torta_opt.allocation.plan.make import make_plan, site_facts
from torta_opt.allocation.schedule.data import Command
from torta_opt.allocation.site.build import SiteReport, build_site
from torta_opt.allocation.site.gpus import split_label
from torta_opt.api import bound, solve, verify
from torta_opt.io import InvalidInput

ONLY_EUROPE = ("target_s = 10\n", 'target_s = 10\nregions = ["eu-west-1"]\n')
CHAT, REPORT = 0, 1
US, EU = 0, 1


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spot = (
        "[demand]\n",
        '[[fleet]]\nregion = "us-east-1"\ntype = "H100"\ncount = 1\nbuy = "spot"\n'
        "interruptions_per_month = 0\nusd_per_server_hour = 2.0\n\n[demand]\n",
    )
    return write_site(tmp_path_factory.mktemp("admitted"), ONLY_EUROPE, spot)


@pytest.fixture(scope="module")
def built(site: Path) -> tuple[Instance, SiteReport]:
    return build_site(site)


def test_types_of_a_region_that_may_not_serve_a_class_are_its_own(
    built: tuple[Instance, SiteReport],
) -> None:
    system = built[0].system
    assert system.types == ("4xH100@us-east-1", "4xH100", "H100@us-east-1 spot")
    assert system.server_ms[:, CHAT].tolist() == [0, 63, 0]
    assert system.server_ms[:, REPORT].tolist() == [500, 500, 0]
    assert not system.holds[0, CHAT]  # models in the order of the classes here
    assert system.holds[0, REPORT]
    assert [split_label(name, "us-east-1") for name in system.types] == [
        ("4xH100", "on_demand"),
        ("4xH100", "on_demand"),
        ("H100", "spot"),
    ]
    assert "chat is served in eu-west-1 only" in built[1].notes


def test_schedules_serve_it_there_only(built: tuple[Instance, SiteReport], site: Path) -> None:
    instance = built[0]
    result = solve(instance, "greedy_forecast")
    served = result.schedule.processing.sum(axis=0)
    assert served[instance.system.server_region == US, CHAT].sum() == 0
    assert served[instance.system.server_region == EU, CHAT].sum() > 0
    plan = make_plan(instance, result.schedule, site_facts(site, instance))
    assert {d.region for d in deployments(plan, 60) if d.model == "small"} == {"eu-west-1"}


@pytest.mark.parametrize("per_s", [4.0, 400.0])  # at 400 the class is too rare for a share
def test_its_model_is_ready_before_slot_0_where_it_is_served(tmp_path: Path, per_s: float) -> None:
    faster = ("requests_per_s = 4.0", f"requests_per_s = {per_s}")
    instance = build_site(write_site(tmp_path, ONLY_EUROPE, faster))[0]
    system, model = instance.system, instance.initial.model
    small, large = (system.models.index(name) for name in ("small", "large"))
    assert model[system.server_region == EU].tolist() == [small]
    assert model[system.server_region == US].tolist() == [large, large]
    schedule = solve(instance, "open_loop").schedule
    assert not (schedule.command[0] == Command.SWITCH).any()


def test_servers_that_the_fleet_names_stay_as_named(tmp_path: Path) -> None:
    named = ("count = 1\nusd_per_gpu_hour", "count = 1\nready = { large = 1 }\nusd_per_gpu_hour")
    instance = build_site(write_site(tmp_path, ONLY_EUROPE, named))[0]
    large = instance.system.models.index("large")
    assert instance.initial.model[instance.system.server_region == EU].tolist() == [large]


def test_the_referee_refuses_a_schedule_that_serves_it_elsewhere(
    built: tuple[Instance, SiteReport], tmp_path: Path
) -> None:
    """A schedule of the same site without the rule, on the same servers."""
    free = build_site(write_site(tmp_path))[0]
    made = solve(free, "greedy_forecast").schedule
    assert made.processing.sum(axis=0)[free.system.server_region == US, CHAT].sum() > 0
    barred = build_site(write_site(tmp_path, ONLY_EUROPE))[0]
    found = verify(barred, made)
    assert not found.ok
    assert verify(free, made).ok


def test_the_bound_knows_the_rule(tmp_path: Path) -> None:
    free = bound(build_site(write_site(tmp_path))[0], "lp")
    barred = bound(build_site(write_site(tmp_path, ONLY_EUROPE))[0], "lp")
    assert barred.certified
    assert barred.value > free.value * 1.001


@pytest.mark.parametrize(
    ("regions", "complaint"),
    [
        ('["mars"]', r"classes\[0\].regions: 'mars' is not in \[\[regions\]\]"),
        ("[]", r"classes\[0\].regions"),
    ],
)
def test_regions_that_do_not_exist_are_refused(
    tmp_path: Path, regions: str, complaint: str
) -> None:
    change = ("target_s = 10\n", f"target_s = 10\nregions = {regions}\n")
    with pytest.raises(InvalidInput, match=complaint):
        build_site(write_site(tmp_path, change))


def test_a_region_without_a_server_that_can_is_refused(tmp_path: Path) -> None:
    only_us = ("target_s = 10\n", 'target_s = 10\nregions = ["eu-west-1"]\n')
    no_server = ('region = "eu-west-1"\ntype = "4xH100"\ncount = 1', 
                 'region = "us-east-1"\ntype = "8xH100"\ncount = 1')  # fmt: skip
    with pytest.raises(InvalidInput, match=r"no server in eu-west-1 can serve chat; those that"):
        build_site(write_site(tmp_path, only_us, no_server))


class TestOrigin:
    TRACE = '[demand.trace]\nkind = "mooncake"\nfile = "t.jsonl"\norigin = "from"\n'

    def trace(self, folder: Path, names: list[str]) -> None:
        rows = [
            {"timestamp": 30_000 * n, "input_length": 900, "output_length": 300, "from": name}
            for n, name in enumerate(names)
        ]
        (folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def test_requests_arise_where_the_trace_says(self, tmp_path: Path) -> None:
        """By the name of the region, or of its cloud."""
        self.trace(tmp_path, ["eu-west-1", "us-east-1", "eu-central-1"] * 40)
        cloud = ('name = "eu-west-1"\n', 'name = "eu-west-1"\ncloud = "eu-central-1"\n')
        change = ('[demand]\nfile = "demand.csv"\n', self.TRACE)
        arrivals = build_site(write_site(tmp_path, change, cloud))[0].arrivals
        assert arrivals[:12, :, CHAT].sum(axis=0).tolist() == [40, 80]
        assert arrivals[0, :, CHAT].tolist() == [3, 7]

    def test_other_names_are_refused(self, tmp_path: Path) -> None:
        self.trace(tmp_path, ["eu-west-1", "us-east-1", "mars"] * 40)
        with pytest.raises(InvalidInput, match=r"has 'mars', which is no region of the instance"):
            build_site(write_site(tmp_path, ('[demand]\nfile = "demand.csv"\n', self.TRACE)))

    def test_the_file_is_named(self, tmp_path: Path) -> None:
        self.trace(tmp_path, ["mars"])
        with pytest.raises(InvalidInput, match=r"t\.jsonl: origin"):
            build_site(write_site(tmp_path, ('[demand]\nfile = "demand.csv"\n', self.TRACE)))

    def test_origin_and_origins_are_refused(self, tmp_path: Path) -> None:
        self.trace(tmp_path, ["eu-west-1"])
        both = self.TRACE + "origins = { us-east-1 = 1.0 }\n"
        with pytest.raises(InvalidInput, match="has origin and origins"):
            build_site(write_site(tmp_path, ('[demand]\nfile = "demand.csv"\n', both)))


def test_without_the_rule_nothing_changes(tmp_path: Path) -> None:
    every = ("target_s = 10\n", 'target_s = 10\nregions = ["eu-west-1", "us-east-1"]\n')
    plain, listed = (build_site(write_site(tmp_path, *c))[0] for c in ((), (every,)))
    assert plain.system.types == listed.system.types
    assert np.array_equal(plain.system.server_ms, listed.system.server_ms)


class TestShares:
    """A class with a share beside one without."""

    SECOND = (
        'name = "report"',
        'name = "chat-eu"\nmodel = "small"\ninput_tokens = 1000\noutput_tokens = 250\n'
        'target_s = 10\nshare = {}\nregions = ["eu-west-1"]\n\n[[classes]]\nname = "report"',
    )
    SERVED = (
        '[[fleet]]\nregion = "us-east-1"',
        '[[service]]\ntype = "H100"\nclass = "chat-eu"\nrequests_per_s = 4.0\nlatency_s = 8.0\n\n'
        '[[fleet]]\nregion = "us-east-1"',
    )

    def built(self, folder: Path, share: float) -> Instance:
        second = (self.SECOND[0], self.SECOND[1].format(share))
        return build_site(write_site(folder, second, self.SERVED))[0]

    def test_the_other_takes_the_rest(self, tmp_path: Path) -> None:
        arrivals = self.built(tmp_path, 0.25).arrivals.sum(axis=(0, 1))
        assert abs(3 * arrivals[1] - arrivals[0]) <= 8  # each series is floored
        assert arrivals[:2].sum() == pytest.approx(
            build_site(write_site(tmp_path))[0].arrivals[..., 0].sum(), abs=4
        )

    def test_shares_that_leave_nothing_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(
            InvalidInput, match=r"classes\[0\].share: is missing.*leaves it nothing"
        ):
            self.built(tmp_path, 1.0)
