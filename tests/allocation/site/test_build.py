"""Site files: the template builds, every figure lands where it belongs, omissions come at once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.real_data import real_data
from support.sites import DEMAND, write_site

from torta_opt.allocation.instance.data import CANNOT_HOLD, Instance
from torta_opt.allocation.instance.document import instance_to_document
from torta_opt.allocation.profiles.data import LoadPoint, Profile
from torta_opt.allocation.profiles.document import save_profiles
from torta_opt.allocation.site.build import SiteReport, build_site
from torta_opt.allocation.site.faults import SiteFaults
from torta_opt.allocation.site.template import write_template
from torta_opt.io import InvalidInput


def build(folder: Path, *changes: tuple[str, str], demand: str = DEMAND) -> Instance:
    return build_site(write_site(folder, *changes, demand=demand))[0]


def refusal(folder: Path, *changes: tuple[str, str], demand: str = DEMAND) -> str:
    with pytest.raises(InvalidInput) as refused:
        build_site(write_site(folder, *changes, demand=demand))
    return str(refused.value)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Instance, SiteReport]:
    folder = tmp_path_factory.mktemp("template") / "site"
    write_template(folder)
    return build_site(folder)


class TestTemplate:
    def test_it_answers_the_planners_question(self, built: tuple[Instance, SiteReport]) -> None:
        """20 H100 and 40 L4 in three regions, two models, a day of hourly demand."""
        instance, report = built
        gpus: dict[str, int] = {}
        for pool in report.fleet.pools:
            gpu = pool.type.rpartition("x")[2]
            gpus[gpu] = gpus.get(gpu, 0) + pool.count * pool.gpus
        assert gpus == {"H100": 20, "L4": 40}
        assert len(instance.system.regions) == 3
        assert len(instance.system.models) == 2
        assert instance.slots * instance.system.slot_ms == 86_700_000  # a day and a drain slot

    def test_the_load_points_meet_the_targets(self, built: tuple[Instance, SiteReport]) -> None:
        chosen = {(each.type, each.class_): each for each in built[1].chosen}
        assert set(chosen) == {("4xH100", "chat-8b"), ("L4", "chat-8b"), ("4xH100", "chat-70b")}
        assert chosen["4xH100", "chat-70b"].requests_per_s == 6.4
        assert chosen["4xH100", "chat-8b"].replicas == 4
        assert chosen["L4", "chat-8b"].server_ms == 527  # 1000 / 1.9, rounded up

    def test_the_same_site_gives_the_same_bytes(
        self, built: tuple[Instance, SiteReport], tmp_path: Path
    ) -> None:
        write_template(tmp_path / "again")
        again, _ = build_site(tmp_path / "again" / "site.toml")
        assert instance_to_document(again) == instance_to_document(built[0])

    def test_it_is_written_into_a_new_folder_only(self, tmp_path: Path) -> None:
        (tmp_path / "mine.txt").write_text("")
        with pytest.raises(InvalidInput, match="is not empty: name a new folder"):
            write_template(tmp_path)
        with pytest.raises(InvalidInput, match="is a file: name a new folder"):
            write_template(tmp_path / "mine.txt")


class TestFigures:
    def test_service(self, tmp_path: Path) -> None:
        system = build(tmp_path).system
        assert system.types == ("4xH100",)
        assert system.server_ms.tolist() == [[63, 500]]  # 4 replicas of 4/s; one of 2/s
        assert system.service_s.tolist() == [[8, 16]]
        assert system.slo_s.tolist() == [10, 20]
        assert system.deadline_slots.tolist() == [1, 1]

    def test_fleet_and_rents(self, tmp_path: Path) -> None:
        system = build(tmp_path).system
        assert system.servers == ("us-east-1-4xH100-1", "us-east-1-4xH100-2", "eu-west-1-4xH100-1")
        assert system.rent_usd_per_hour.tolist() == [[12], [14]]  # 3.5 for each of 4 GPUs
        assert system.peak_kw.tolist() == [0]  # electricity is in the price

    def test_demand_keeps_its_sums(self, tmp_path: Path) -> None:
        arrivals = build(tmp_path).arrivals
        assert arrivals.shape == (13, 2, 2)
        assert arrivals[:6].sum(axis=0).tolist() == [[1500, 600], [300, 30]]
        assert arrivals[6:12].sum(axis=0).tolist() == [[2000, 600], [600, 30]]  # 4001 / 2, floored
        assert not arrivals[12].any()

    @pytest.mark.parametrize(
        ("title", "factor"),
        [("requests_per_minute", 60), ("requests_per_second", 3600), ("requests", 2)],
    )
    def test_units_of_demand(self, tmp_path: Path, title: str, factor: int) -> None:
        """``requests`` of half an hour are twice as many an hour."""
        other = build(tmp_path, demand=DEMAND.replace("requests_per_hour", title)).arrivals
        hourly = (3000 + 4001) / 2 + 1200 + (600 + 1200) / 2 + 60
        assert other[:12].sum() == pytest.approx(hourly * factor, abs=4)  # four series, floored

    def test_latency_follows_the_way(self, tmp_path: Path) -> None:
        latency = build(tmp_path).system.latency_s
        assert latency[0, 0] == latency[1, 1] == 0.001
        assert 0.03 < latency[0, 1] == latency[1, 0] < 0.06  # Virginia to Ireland, 5,500 km

    def test_measured_latencies_and_forbidden_pairs(self, tmp_path: Path) -> None:
        rows = "origin,region,latency_ms\nus-east-1,eu-west-1,41\neu-west-1,us-east-1,39\n"
        (tmp_path / "latency.csv").write_text(rows)
        table = (
            '[latency]\nfile = "latency.csv"\nforbidden = [["eu-west-1", "us-east-1"]]\n\n[demand]'
        )
        latency = build(tmp_path, ("[demand]", table)).system.latency_s
        assert latency[0, 1] == 0.041
        assert np.isnan(latency[1, 0])

    def test_loading_grows_with_the_weights(self, tmp_path: Path) -> None:
        system = build(tmp_path).system
        assert system.start_ms.tolist() == [[139_600, 369_000]]  # 60 + 50 + 1.85 · W
        assert system.switch_ms.tolist() == [[79_600, 309_000]]

    def test_your_own_loading_times(self, tmp_path: Path) -> None:
        own = '[[loading.times]]\nmodel = "large"\nstart_s = 200\nswitch_s = 100\n\n[demand]'
        system = build(tmp_path, ("[demand]", own)).system
        assert system.start_ms[0, 1] == 200_000
        assert system.start_ms[0, 0] == 139_600

    def test_a_model_that_no_class_of_a_type_needs_is_not_held(self, tmp_path: Path) -> None:
        single = 'type = "H100"\ncount = 2\nusd_per_server_hour = 3.0'
        change = ('type = "4xH100"\ncount = 1\nusd_per_gpu_hour = 3.5', single)
        system = build(tmp_path, change).system
        assert system.types == ("4xH100", "H100")
        assert system.start_ms[1].tolist() == [139_600, CANNOT_HOLD]

    def test_power_that_you_pay(self, tmp_path: Path) -> None:
        own = ("count = 1\nusd_per_gpu_hour = 3.5", 'count = 1\nbuy = "owned"')
        told = refusal(tmp_path, own)
        assert "regions[1].electricity_usd_per_kwh: is missing" in told
        assert "regions[0]" not in told  # no server there whose electricity is paid
        price = ('name = "eu-west-1"', 'name = "eu-west-1"\nelectricity_usd_per_kwh = 0.2')
        other = ('name = "us-east-1"\n', 'name = "us-east-1"\nelectricity_usd_per_kwh = 0.1\n')
        instance = build(tmp_path, own, price, other)
        system = instance.system
        assert system.types == ("4xH100", "4xH100 owned")
        assert system.peak_kw[0] == 0
        assert system.peak_kw[1] == pytest.approx(4 * (0.7 * 0.7 + 0.15) * 1.56)
        assert instance.price_usd_per_kwh[0].tolist() == [0.1, 0.2]

    def test_initial_models_as_the_demand_asks(self, tmp_path: Path) -> None:
        model = build(tmp_path).initial.model
        assert (model >= 0).all()
        off = ('name = "tiny"', 'name = "tiny"\ninitial = "off"')
        assert (build(tmp_path, off).initial.model == -1).all()
        ready = ("usd_per_server_hour = 12.0", "usd_per_server_hour = 12.0\nready = { large = 1 }")
        assert build(tmp_path, off, ready).initial.model.tolist() == [1, -1, -1]
        many = (ready[0], ready[1].replace("1 }", "3 }"))
        assert "site.toml: fleet (us-east-1, 4xH100).ready: names 3 servers" in refusal(
            tmp_path, off, many
        )

    def test_hours_may_be_rounded(self, tmp_path: Path) -> None:
        rows = [f"{n / 12:.3f},us-east-1,{m},1200" for n in range(12) for m in ("small", "large")]
        table = "\n".join([DEMAND.splitlines()[0], *rows]) + "\n"
        assert abs(build(tmp_path, demand=table).arrivals[:, 0].sum() - 2400) <= 6

    def test_what_rounding_to_milliseconds_costs_is_told(self, tmp_path: Path) -> None:
        fast = ("requests_per_s = 4.0", "requests_per_s = 29.0")
        _, report = build_site(write_site(tmp_path, fast))
        assert any("(counted as 111.1: whole ms)" in line for line in report.lines())

    def test_a_share_divides_a_model_among_its_classes(self, tmp_path: Path) -> None:
        more = (
            '[[classes]]\nname = "report"',
            '[[classes]]\nname = "short"\nmodel = "small"\ninput_tokens = 1000\n'
            'output_tokens = 250\ntarget_s = 10\nshare = 3\n\n[[classes]]\nname = "report"',
        )
        first = (
            'target_s = 10\n\n[[classes]]\nname = "short"',
            'target_s = 10\nshare = 1\n\n[[classes]]\nname = "short"',
        )
        figure = (
            '[[service]]\ntype = "4xH100"',
            '[[service]]\ntype = "H100"\nclass = "short"\nrequests_per_s = 4.0\nlatency_s = 8.0\n\n'
            '[[service]]\ntype = "4xH100"',
        )
        arrivals = build(tmp_path, more, first, figure).arrivals
        assert arrivals[:6, 0].sum(axis=0).tolist() == [375, 1125, 600]

    def test_a_share_of_0_for_all_classes_of_a_model_loses_no_requests(
        self, tmp_path: Path
    ) -> None:
        none = ("target_s = 10\n", "target_s = 10\nshare = 0\n")
        with pytest.raises(
            InvalidInput, match=r"classes\[0\].share: is 0 for every class of small"
        ):
            build(tmp_path, none)


class TestWaysOfBuying:
    def test_reserved_is_paid_anyway(self, tmp_path: Path) -> None:
        change = ("usd_per_gpu_hour = 3.5", 'usd_per_gpu_hour = 3.5\nbuy = "reserved"')
        instance, report = build_site(write_site(tmp_path, change))
        assert instance.system.rent_usd_per_hour.tolist() == [[12, 0], [0, 0]]
        assert report.fleet.fixed_usd_per_hour == 14

    def test_spot_is_interrupted_by_its_seed(self, tmp_path: Path) -> None:
        spot = 'usd_per_gpu_hour = 3.5\nbuy = "spot"\ninterruptions_per_month = 2000\n'
        change = ("usd_per_gpu_hour = 3.5", spot + "back_after_minutes = 7")
        up = build(tmp_path, change).up
        assert up[:, :2].all()
        assert not up[:, 2].all()
        assert (build(tmp_path, change).up == up).all()
        other = build(tmp_path, change, ('name = "tiny"', 'name = "tiny"\nseed = 5')).up
        assert (other != up).any()

    def test_interruptions_come_as_often_as_said(self, tmp_path: Path) -> None:
        """Over 60 days with 10 interruptions a month, about 20: a Poisson count, 3 sigma wide."""
        spot = 'count = 1\nusd_per_gpu_hour = 3.5\nbuy = "spot"\ninterruptions_per_month = 10\n'
        change = ("count = 1\nusd_per_gpu_hour = 3.5", spot)
        days = ("hours = 1\nslot_seconds = 300", "hours = 1460\nslot_seconds = 3600")
        rows = [
            f"{hour},us-east-1,small,10\n{hour},us-east-1,large,10\n"
            for hour in range(0, 1460, 730)
        ]
        up = build(tmp_path, change, days, demand=DEMAND.splitlines()[0] + "\n" + "".join(rows)).up
        down = ~up[:, 2]
        count = int((down[1:] & ~down[:-1]).sum() + down[0])
        assert abs(count - 20) <= 3 * np.sqrt(20)

    def test_an_inventory_becomes_servers_from_the_largest_down(self, tmp_path: Path) -> None:
        change = ('type = "4xH100"\ncount = 1\n', 'gpu = "H100"\ngpus = 7\n')
        _, report = build_site(write_site(tmp_path, change))
        pools = [(p.region, p.type, p.count, p.usd_per_hour) for p in report.fleet.pools]
        assert pools[1:] == [("eu-west-1", "4xH100", 1, 14), ("eu-west-1", "H100", 3, 3.5)]

    def test_entries_on_the_same_terms_are_one(self, tmp_path: Path) -> None:
        same = '[[fleet]]\nregion = "eu-west-1"\ntype = "4xH100"\ncount = 2\n'
        change = ("[demand]", same + "usd_per_server_hour = 14.0\n\n[demand]")
        own = ("usd_per_gpu_hour = 3.5", "usd_per_server_hour = 14.0")
        assert len(build(tmp_path, change, own).system.servers) == 5
        other = (change[0], change[1].replace("14.0", "15.0"))
        assert "fleet[2]: has other terms than an earlier entry" in refusal(tmp_path, other, own)

    @pytest.mark.parametrize(
        ("new", "complaint"),
        [
            ("", "usd_per_server_hour: is missing: what one 4xH100 costs in eu-west-1"),
            ('usd_per_gpu_hour = 3.5\nbuy = "spot"', "is spot: add interruptions_per_month"),
            ("usd_per_gpu_hour = 3.5\nusd_per_server_hour = 1", "has two prices"),
            ("usd_per_gpu_hour = 3.5\ninterruptions_per_month = 1", "is not buy"),
            ("usd_per_hour = 3.5", "usd_per_hour: is not a known field"),
        ],
    )
    def test_what_a_price_must_say(self, tmp_path: Path, new: str, complaint: str) -> None:
        assert complaint in refusal(tmp_path, ("usd_per_gpu_hour = 3.5", new))


class TestProfiles:
    def points(self) -> tuple[LoadPoint, ...]:
        return tuple(
            LoadPoint(4000, 500, rate, latency, 0.5, None, None, f"row {rate}")
            for rate, latency in ((1.0, 9.0), (3.0, 15.0), (5.0, 40.0))
        )

    def save(self, path: Path, basis: str = "measured", model: str = "large") -> None:
        profile = Profile(model, "H100", 4, basis, "vllm", "", self.points())
        save_profiles([profile], path)

    def test_a_profile_beats_a_stated_figure_that_is_slower(self, tmp_path: Path) -> None:
        self.save(tmp_path / "p.json")
        change = ("[demand]", '[[profiles]]\nfile = "p.json"\n\n[demand]')
        instance, report = build_site(write_site(tmp_path, change))
        assert instance.system.server_ms[0, 1] == 334  # 1000 / 3
        assert "report on 4xH100 measured" in instance.description
        assert "chat on 4xH100 stated" in instance.description
        assert any("row 3.0" in line for line in report.lines())

    def test_mock_figures_are_refused(self, tmp_path: Path) -> None:
        self.save(tmp_path / "p.json", basis="mock")
        change = ("[demand]", '[[profiles]]\nfile = "p.json"\n\n[demand]')
        assert "figures of a mock server, which mean nothing" in refusal(tmp_path, change)

    def test_another_models_name_comes_with_the_line_to_add(self, tmp_path: Path) -> None:
        self.save(tmp_path / "p.json", model="meta/large")
        change = ("[demand]", '[[profiles]]\nfile = "p.json"\n\n[demand]')
        assert "which is not in [[models]]; add: model =" in refusal(tmp_path, change)
        named = ("[demand]", '[[profiles]]\nfile = "p.json"\nmodel = "large"\n\n[demand]')
        assert build(tmp_path, named).system.server_ms[0, 1] == 334

    def test_a_class_that_no_point_serves_in_time_is_told(self, tmp_path: Path) -> None:
        change = ("target_s = 20", "target_s = 8")
        told = refusal(tmp_path, change)
        assert "classes (report): cannot be served by any server type" in told
        assert "16 s > target 8 s" in told


class TestOmissions:
    def test_all_at_once_each_with_the_line_to_add(self, tmp_path: Path) -> None:
        changes = (
            ("target_s = 10\n", ""),
            ("weights_gb = 140\n", ""),
            ("hours = 1\n", ""),
            ("count = 2\n", ""),
        )
        told = refusal(tmp_path, *changes).splitlines()
        assert told[0].endswith("site.toml: 3 things are missing or wrong:")
        assert "horizon.hours: is missing; add: hours = 24" in told[1]
        assert "classes[0].target_s: is missing; add: target_s = 10" in told[2]
        assert "fleet[0]: needs either type and count" in told[3]

    def test_what_the_schema_cannot_see_too(self, tmp_path: Path) -> None:
        changes = (
            ("weights_gb = 140\n", ""),
            ('region = "eu-west-1"', 'region = "mars"'),
            ("usd_per_server_hour = 12.0\n", ""),
            ('class = "chat"', 'class = "talk"'),
        )
        told = refusal(tmp_path, *changes)
        for part in (
            "fleet[1].region: 'mars' is not in [[regions]]",
            "fleet[0].usd_per_server_hour: is missing",
            "models[1].weights_gb: is missing: loading times follow from it; add: weights_gb = 16",
            "service[0].class: 'talk' is not in [[classes]]",
            "classes (chat): cannot be served by any server type",
        ):
            assert part in told
        with pytest.raises(SiteFaults) as refused:
            build_site(tmp_path)
        assert refused.value.exit_code == 2
        assert len(refused.value.faults) == len(told.splitlines()) - 1

    @pytest.mark.parametrize(
        "start",
        ["2026-11-30", '"2026-11-30"', '"2026-11-30 00:00:00"', "2026-11-30T01:00:00+01:00"],
    )
    def test_a_start_in_other_words(self, tmp_path: Path, start: str) -> None:
        instance = build(tmp_path, ("start = 2026-11-30T00:00:00Z", f"start = {start}"))
        assert "Slot 0 begins 2026-11-30T00:00:00Z" in instance.description

    def test_a_byte_order_mark_is_no_fault(self, tmp_path: Path) -> None:
        path = write_site(tmp_path)
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        assert build_site(path)[0].requests > 0

    def test_a_fleet_without_servers(self, tmp_path: Path) -> None:
        changes = (("count = 2", "count = 0"), ("count = 1", "count = 0"))
        assert "fleet: names no server" in refusal(tmp_path, *changes)

    def test_one_fault_is_one_line(self, tmp_path: Path) -> None:
        told = refusal(tmp_path, ('name = "tiny"\n', ""))
        assert told.endswith('site.toml: name: is missing; add: name = "us-east"')

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            (("hours = 1", "hours = 1.01"), "horizon.hours: must be a whole number of slots"),
            (('name = "us-east-1"', 'name = "moon"'), "longitude: is missing: 'moon' is not"),
            (("slot_seconds = 300", "slot_seconds = 0.5"), "slot_seconds: must be greater"),
            (("hours = 1\nslot_seconds = 300", "hours = 8000\nslot_seconds = 1"), "slots, more"),
            (("[horizon]", "[horizon"), "is not TOML"),
            (("version = 1", "version = 2"), "version: must be 1"),
            (("start = 2026-11-30T00:00:00Z", 'start = "soon"'), "must be a date and time"),
            (('file = "demand.csv"', 'file = "none.csv"'), "none.csv: cannot be read"),
            (('file = "demand.csv"', ""), "demand: needs one of: file"),
            (('name = "eu-west-1"', 'name = "us-east-1"'), "regions[1].name: 'us-east-1' comes"),
        ],
    )
    def test_plain_lines(self, tmp_path: Path, change: tuple[str, str], complaint: str) -> None:
        told = refusal(tmp_path, change)
        assert complaint in told
        files = ("site.toml", "demand.csv", "none.csv")
        assert all(any(file in line for file in files) for line in told.splitlines())

    @pytest.mark.parametrize(
        ("old", "new", "complaint"),
        [
            ("requests_per_hour", "rate", "needs one of the columns requests_per_second"),
            ("hour,region", "when,region", "needs a column hour or time"),
            ("0,us-east-1,small,3000", "0,mars,small,3000", "line 2, region: 'mars' is not in"),
            ("0,us-east-1,small,3000", "0,us-east-1,big,3000", "line 2, model: 'big' is the model"),
            ("3000", "-3", "line 2, requests_per_hour: -3 must not be negative"),
            ("0.5,us-east-1,small", "0.4,us-east-1,small", "covers hours 0 to 0.8; the horizon"),
            ("0.5,us-east-1,small", "0,us-east-1,small", "us-east-1, chat: has hour 0 twice"),
            ("3000", "3e12", "has more than 100000000 requests in a slot: is the unit right?"),
        ],
    )
    def test_demand_tables(self, tmp_path: Path, old: str, new: str, complaint: str) -> None:
        assert complaint in refusal(tmp_path, demand=DEMAND.replace(old, new, 1))

    def test_uneven_rows_are_named(self, tmp_path: Path) -> None:
        rows = "hour,region,model,requests_per_hour\n" + "".join(
            f"{hour},us-east-1,{model},10\n"
            for hour in (0, 0.25, 1)
            for model in ("small", "large")
        )
        told = refusal(tmp_path, demand=rows)
        assert "must be evenly spaced: after hour 0.25 comes hour 1" in told


class TestOtherDemand:
    def test_a_law_has_its_mean(self, tmp_path: Path) -> None:
        """Over a day the wave averages out; Poisson, so within 5 standard deviations."""
        law = (
            '[[demand.law]]\nregion = "us-east-1"\nclass = "chat"\nmean_requests_per_hour = 3000\n'
            '[[demand.law]]\nregion = "eu-west-1"\nclass = "report"\nmean_requests_per_hour = 100\n'
        )
        changes = (('[demand]\nfile = "demand.csv"\n', law), ("hours = 1", "hours = 24"))
        arrivals = build(tmp_path, *changes).arrivals
        assert abs(arrivals[:, 0, 0].sum() - 72_000) < 5 * np.sqrt(72_000)
        assert abs(arrivals[:, 1, 1].sum() - 2_400) < 5 * np.sqrt(2_400)
        hourly = arrivals[:288, 0, 0].reshape(24, 12).sum(axis=1)
        assert hourly[19] > 2 * hourly[7]  # 14 h and 2 h local solar time in Virginia

    def test_a_trace(self, tmp_path: Path) -> None:
        rows = [
            {"timestamp": 30_000 * n, "input_length": 900 if n % 3 else 5000, "output_length": 300}
            for n in range(121)
        ]
        (tmp_path / "trace.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        trace = (
            '[demand.trace]\nkind = "mooncake"\nfile = "trace.jsonl"\nunit = "ms"\n'
            "origins = { us-east-1 = 1.0 }\n"
        )
        arrivals = build(tmp_path, ('[demand]\nfile = "demand.csv"\n', trace)).arrivals
        assert arrivals[:, 1].sum() == 0
        assert arrivals[:12, 0].sum(axis=0).tolist() == [80, 40]
        assert arrivals[0, 0].tolist() == [6, 4]

    def test_images_of_a_trace_go_to_their_own_model(self, tmp_path: Path) -> None:
        rows = [f"2024-10-15T12:{n:02}:00.269Z,{n % 3 == 0:d},1000,250" for n in range(60)]
        titles = "TIMESTAMP,NumImages,ContextTokens,GeneratedTokens"
        (tmp_path / "t.csv").write_text("\n".join([titles, *rows]) + "\n")
        trace = (
            '[demand.trace]\nkind = "azure"\nfile = "t.csv"\n'
            'models = { images = "large", text = "small" }\n'
        )
        arrivals = build(tmp_path, ('[demand]\nfile = "demand.csv"\n', trace)).arrivals
        assert arrivals.sum(axis=(0, 1)).tolist() == [40, 20]

    def test_poisson_draws_around_the_table(self, tmp_path: Path) -> None:
        change = ('file = "demand.csv"', 'file = "demand.csv"\nwithin = "poisson"')
        even, drawn = build(tmp_path).arrivals, build(tmp_path, change).arrivals
        assert (even != drawn).any()
        assert abs(int(even.sum()) - int(drawn.sum())) < 5 * np.sqrt(even.sum())


def test_real_trial_fleet(tmp_path: Path) -> None:
    """The hourly demand of a planner's trial: all of it arrives."""
    text = real_data("planner_trial/demand.csv").read_text()
    names = {"us-east": "us-east-1", "eu-west": "eu-west-1", "ap-south": "ap-south-1"}
    for old, new in names.items():
        text = text.replace(f",{old},", f",{new},")
    text = text.replace("qwen2.5-7b", "small").replace("llama-3.1-70b", "large")
    changes = (
        ("hours = 1", "hours = 24"),
        (
            '[[models]]\nname = "small"',
            '[[regions]]\nname = "ap-south-1"\n\n[[models]]\nname = "small"',
        ),
    )
    arrivals = build(tmp_path, *changes, demand=text).arrivals
    rows = [line.rsplit(",", 1)[1] for line in text.splitlines()[1:]]
    assert abs(int(arrivals.sum()) - sum(map(int, rows))) <= 6  # each series is floored once
