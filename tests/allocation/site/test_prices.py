"""Rents from price lists of clouds: per instance, not per GPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.real_data import real_data
from support.sites import write_site

from torta_opt.allocation.instance.generate.loading import PRESETS, loading_times
from torta_opt.allocation.site.build import build_site
from torta_opt.allocation.site.prices import ec2instances
from torta_opt.allocation.site.prices.offers import READERS, read_offers
from torta_opt.io import InvalidInput

SKYPILOT = """\
InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Price,Region,GpuInfo,SpotPrice
cpu,,0,4,16,0.1,eu-west-1,,
one,H100,1,16,200,3.00,eu-west-1,,1.25
eight,H100,8,128,1600,23.20,eu-west-1,,10.00
old,A100,8,96,1000,20.0,eu-west-1,,
"""


def offers(path: Path, text: str, kind: str, price: str = "on_demand"):
    path.write_text(text)
    return read_offers(kind, path, price)


class TestSkypilot:
    def test_a_price_is_that_of_the_instance(self, tmp_path: Path) -> None:
        found = offers(tmp_path / "a.csv", SKYPILOT, "skypilot")
        assert found.find("eu-west-1", "H100", 8) == (23.2, "eight")
        assert found.find("eu-west-1", "H100", 1) == (3.0, "one")
        assert found.find("eu-west-1", "H100", 4) == (11.6, "4 of the 8 GPUs of eight")
        assert found.find("us-east-1", "H100", 8) is None
        assert found.left_out == {"machines without GPUs": 1}

    def test_a_share_is_that_of_a_larger_instance(self, tmp_path: Path) -> None:
        """Four GPUs of one server are not four servers of one, even where these are cheaper."""
        found = offers(tmp_path / "a.csv", SKYPILOT.replace("3.00", "2.00"), "skypilot")
        assert found.find("eu-west-1", "H100", 4) == (11.6, "4 of the 8 GPUs of eight")
        assert found.find("eu-west-1", "H100", 16) == (32.0, "16 × one, none has 16 GPUs")

    def test_gpus_without_a_machine_and_parts_of_gpus_are_left_out(self, tmp_path: Path) -> None:
        rows = ",T4,1,,,0.35,us-east1,,0.12\npart,A10,0.167,6,55,0.45,us-east1,,\n"
        found = offers(tmp_path / "a.csv", SKYPILOT + rows, "skypilot")
        assert found.left_out == {
            "machines without GPUs": 1,
            "GPUs priced without their machine": 1,
            "fractions of a GPU": 1,
        }
        assert found.find("us-east1", "T4", 1) is None

    def test_spot(self, tmp_path: Path) -> None:
        found = offers(tmp_path / "a.csv", SKYPILOT, "skypilot", "spot")
        assert found.find("eu-west-1", "H100", 8) == (10.0, "eight")
        assert found.find("eu-west-1", "A100-40GB", 8) is None  # no spot price

    def test_a_site_takes_what_its_fleet_does_not_say(self, tmp_path: Path) -> None:
        (tmp_path / "vms.csv").write_text(SKYPILOT)
        changes = (
            ("usd_per_gpu_hour = 3.5\n", ""),
            ("[demand]", '[[prices]]\nkind = "skypilot"\nfile = "vms.csv"\n\n[demand]'),
        )
        instance, report = build_site(write_site(tmp_path, *changes))
        assert instance.system.rent_usd_per_hour.tolist() == [[12], [11.6]]
        assert report.fleet.pools[1].how_priced == "vms.csv: 4 of the 8 GPUs of eight"

    def test_on_demand_prices_are_not_taken_for_spot(self, tmp_path: Path) -> None:
        (tmp_path / "vms.csv").write_text(SKYPILOT)
        changes = (
            ("usd_per_gpu_hour = 3.5\n", 'buy = "spot"\ninterruptions_per_month = 1\n'),
            ("[demand]", '[[prices]]\nkind = "skypilot"\nfile = "vms.csv"\n\n[demand]'),
        )
        with pytest.raises(InvalidInput, match="no spot price of H100 in eu-west-1"):
            build_site(write_site(tmp_path, *changes))
        spot = ('file = "vms.csv"', 'file = "vms.csv"\nspot = true')
        instance, _ = build_site(write_site(tmp_path, *changes, spot))
        assert instance.system.rent_usd_per_hour[1].tolist() == [0, 5]

    def test_real(self) -> None:
        found = read_offers("skypilot", real_data("skypilot_catalog/nebius_vms.csv"))
        assert found.find("eu-north1", "H100", 1) == (2.95, "gpu-h100-sxm_1gpu-16vcpu-200gb")
        assert found.find("eu-north1", "H100", 8) == (23.60, "gpu-h100-sxm_8gpu-128vcpu-1600gb")
        assert found.find("eu-north1", "L40S", 1) == (1.5484, "gpu-l40s-a_1gpu-8vcpu-32gb")


class TestOthers:
    def test_plain(self, tmp_path: Path) -> None:
        text = "region,type,usd_per_server_hour\nus-east-1,4xH100,11\n"
        assert offers(tmp_path / "a.csv", text, "plain").find("us-east-1", "H100", 4) == (
            11,
            "4xH100",
        )

    def test_aws_counts_the_gpus_of_a_type(self, tmp_path: Path) -> None:
        text = (
            "region,instance_type,on_demand_usd_per_hour\nus-east-1,p5.48xlarge,55.04\n"
            "us-east-1,g6.12xlarge,4.6016\nus-east-1,trn1.2xlarge,1.3\n"
        )
        found = offers(tmp_path / "a.csv", text, "aws")
        assert found.find("us-east-1", "H100", 8) == (55.04, "p5.48xlarge")
        assert found.find("us-east-1", "L4", 1) == (1.1504, "1 of the 4 GPUs of g6.12xlarge")
        assert found.left_out == {"types whose GPUs are not known": 1}

    def test_azure_leaves_fractions_out(self, tmp_path: Path) -> None:
        text = (
            "region,vm_size,gpu_in_name,on_demand_usd_per_hour\n"
            "eastus,Standard_NC80adis_H100_v5,H100,14\neastus,Standard_NV6ads_A10_v5,A10,0.5\n"
        )
        found = offers(tmp_path / "a.csv", text, "azure")
        assert found.find("eastus", "H100", 2) == (14, "Standard_NC80adis_H100_v5")
        assert found.find("eastus", "A10", 1) is None

    def test_google(self, tmp_path: Path) -> None:
        text = (
            "machine_type,region,hour_usd,hour_spot_usd,attrs\n"
            "a3-highgpu-8g,us-central1,88.49,30.0,h100-80gb=8;cpu=208\n"
        )
        found = offers(tmp_path / "a.csv", text, "google")
        assert found.find("us-central1", "H100", 8) == (88.49, "a3-highgpu-8g")

    @pytest.mark.parametrize(
        ("kind", "name", "region", "gpu", "gpus", "usd"),
        [
            (
                "aws",
                "aws_us-east-1_accelerator_on_demand_2026-07-20.csv",
                "us-east-1",
                "H100",
                8,
                55.04,
            ),
            ("azure", "azure_gpu_on_demand_2026-06-18.csv", "australiaeast", "A100", 4, 21.303),
        ],
    )
    def test_real(self, kind: str, name: str, region: str, gpu: str, gpus: int, usd: float) -> None:
        found = read_offers(kind, real_data(f"gpu_prices_azure_aws/{name}"))
        priced = found.find(region, gpu, gpus)
        assert priced is not None
        assert priced[0] == usd

    @pytest.mark.parametrize("kind", READERS)
    @pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "\0"])
    def test_other_files_give_one_plain_line(self, tmp_path: Path, kind: str, text: str) -> None:
        with pytest.raises(InvalidInput) as refused:
            offers(tmp_path / "a.csv", text, kind)
        assert "a.csv" in str(refused.value)
        assert "\n" not in str(refused.value)


class TestReserved:
    """A reservation is paid anyway: its price is in the bill, and not in the instance."""

    PLAIN = (
        "region,type,usd_per_server_hour,reserved_1y_usd_per_server_hour\n"
        "us-east-1,4xH100,11,7\neu-west-1,4xH100,12,\n"
    )

    def test_google_prices_are_of_a_month_of_730_hours(self, tmp_path: Path) -> None:
        text = (
            "machine_type,region,hour_usd,month_1y_usd,month_3y_usd,attrs\n"
            "a3-highgpu-8g,us-central1,88.49,36500,29200,h100-80gb=8;cpu=208\n"
        )
        for price, usd in (("reserved_1y", 50), ("reserved_3y", 40), ("on_demand", 88.49)):
            found = offers(tmp_path / "a.csv", text, "google", price)
            assert found.find("us-central1", "H100", 8) == (usd, "a3-highgpu-8g")

    def test_real_google(self) -> None:
        """102.358780070575 $ an hour, 51837.84115728 and 32816.67618544 $ a month in the file."""
        file = real_data("gpu_prices/gcp_gpu_machine_prices_2026-07-30.csv")
        for price, usd in (
            ("on_demand", 102.3588),
            ("reserved_1y", 71.0108),
            ("reserved_3y", 44.9544),
        ):
            priced = read_offers("google", file, price).find("asia-east1", "H100", 8)
            assert priced is not None
            assert priced[0] == pytest.approx(usd, abs=1e-4)

    def test_ec2instances(self, tmp_path: Path) -> None:
        terms = {"yrTerm1Standard.noUpfront": "36.3", "yrTerm1Standard.allUpfront": "33.9"}
        linux = {"ondemand": "55.04", "spot_avg": "N/A", "reserved": terms}
        one = {"instance_type": "p5.48xlarge", "pricing": {"us-east-1": {"linux": linux}}}
        path = tmp_path / "instances.json"
        path.write_text(json.dumps([one, {**one, "instance_type": "x2iedn.32xlarge"}]))
        found = read_offers("ec2instances", path, "reserved_1y")
        assert found.find("us-east-1", "H100", 8) == (36.3, "p5.48xlarge")
        assert found.left_out == {"types whose GPUs are not known": 1}
        for price in ("reserved_3y", "spot"):
            with pytest.raises(InvalidInput, match=f"holds no {price} price"):
                read_offers("ec2instances", path, price)

    def test_real_ec2instances_form(self) -> None:
        file = real_data("gpu_prices_azure_aws/ec2instances_info_x2iedn.32xlarge_linux.json")
        table = ec2instances.read(file)
        row = next(row for row in table if row.text("region") == "af-south-1")
        assert row.text("yrTerm1Standard.noUpfront") == "23.44047"
        assert row.text("yrTerm3Standard.noUpfront") == "12.21967"
        assert row.text("ondemand") == "38.096"

    def test_a_site_takes_them_for_reserved_servers_only(self, tmp_path: Path) -> None:
        (tmp_path / "own.csv").write_text(self.PLAIN.replace("1,4xH100,12,", "1,4xH100,12,8"))
        listed = '[[prices]]\nkind = "plain"\nfile = "own.csv"\nprice = "reserved_1y"\n\n[demand]'
        changes = (("usd_per_gpu_hour = 3.5\n", 'buy = "reserved"\n'), ("[demand]", listed))
        instance, report = build_site(write_site(tmp_path, *changes))
        pool = report.fleet.pools[1]
        assert (pool.usd_per_hour, pool.is_fixed) == (8, True)
        assert pool.how_priced == "own.csv, reserved_1y: 4xH100"
        assert report.fleet.fixed_usd_per_hour == 8 * pool.count
        place = instance.system.types.index(pool.label)
        assert instance.system.rent_usd_per_hour[:, place].tolist() == [0, 0]

    def test_no_offer_is_told_with_the_price(self, tmp_path: Path) -> None:
        (tmp_path / "own.csv").write_text(self.PLAIN)
        listed = '[[prices]]\nkind = "plain"\nfile = "own.csv"\nprice = "reserved_1y"\n\n[demand]'
        changes = (("usd_per_gpu_hour = 3.5\n", 'buy = "reserved"\n'), ("[demand]", listed))
        with pytest.raises(InvalidInput, match="no price of a reservation of H100 in eu-west-1"):
            build_site(write_site(tmp_path, *changes))

    def test_a_list_that_has_none_says_which_it_has(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidInput, match="no reserved_3y prices; they have on_demand, spot"):
            offers(tmp_path / "a.csv", SKYPILOT, "skypilot", "reserved_3y")

    def test_price_and_spot_are_not_said_twice(self, tmp_path: Path) -> None:
        listed = '[[prices]]\nkind = "plain"\nfile = "a"\nprice = "spot"\nspot = true\n\n[demand]'
        with pytest.raises(InvalidInput, match="leave out spot"):
            build_site(write_site(tmp_path, ("[demand]", listed)))


class TestLoading:
    """The presets against the starts that they were read off, within what these scatter."""

    @pytest.mark.parametrize(
        ("weights_gb", "low", "high"), [(16, 120, 200), (65.5, 210, 270), (141, 300, 400)]
    )
    def test_cluster_2026(self, weights_gb: float, low: float, high: float) -> None:
        """Operators report 2 to 8 minutes; one published setting has 240 ± 30 s for one H100."""
        found = loading_times("cluster-2026", weights_gb)
        assert low < found.start_s < high
        assert found.switch_s == pytest.approx(found.start_s - 60)

    def test_warm_starts_are_faster_than_cold_ones(self) -> None:
        for weights_gb in (1, 16, 141, 472):
            warm, cold = (
                loading_times(name, weights_gb) for name in ("cluster-2026-warm", "cluster-2026")
            )
            assert warm.start_s < cold.start_s

    def test_measured_h100_starts(self) -> None:
        """Llama-3-70B with all shortcuts: load 27.5 s + engine 38.1 s; Qwen3-235B: 78 + 88 s."""
        rows = real_data("cold_start_measured/anyscale_replica_initialization_h100.csv")
        assert "27.513809" in rows.read_text()
        assert loading_times("cluster-2026-warm", 141).switch_s == pytest.approx(65.6, rel=0.1)
        assert loading_times("cluster-2026", 141).switch_s == pytest.approx(305.4, rel=0.1)
        assert loading_times("cluster-2026", 472).switch_s == pytest.approx(928.7, rel=0.1)

    def test_torta_is_the_generators(self) -> None:
        found = loading_times("torta", 15.44)
        assert found.switch_s == pytest.approx(3.5 + 2.1 + 6.8 + 14.2 + 3.4)
        assert set(PRESETS) == {"cluster-2026", "cluster-2026-warm", "torta"}
