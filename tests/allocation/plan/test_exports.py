"""Manifests: accepted by their schemas, as real ones are, and true to the plan."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import numpy as np
import pytest
import yaml
from support.real_data import real_data
from support.sites import write_site

from torta_opt.allocation.instance.imports import import_trace
from torta_opt.allocation.plan.data import Plan
from torta_opt.allocation.plan.exports.keda import _scaled_object
from torta_opt.allocation.plan.exports.registry import EXPORTERS, export
from torta_opt.allocation.plan.exports.replicas import Deployment, distinct, kubernetes_name, runs
from torta_opt.allocation.plan.make import make_plan, site_facts
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.site.build import build_site
from torta_opt.allocation.site.gpus import split_label
from torta_opt.io import InvalidInput

KUBERNETES = "1.29"
CRON = r"^\d{1,2} \d{1,2} \* \* (\*|[0-6])$"
SCALED_OBJECT: dict[str, Any] = {  # what keda.sh/v1alpha1 asks of a ScaledObject
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "keda.sh/v1alpha1"},
        "kind": {"const": "ScaledObject"},
        "metadata": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"}},
        },
        "spec": {
            "type": "object",
            "required": ["scaleTargetRef", "triggers"],
            "properties": {
                "scaleTargetRef": {"type": "object", "required": ["name"]},
                "minReplicaCount": {"type": "integer", "minimum": 0},
                "maxReplicaCount": {"type": "integer", "minimum": 1},
                "triggers": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["type", "metadata"],
                        "properties": {
                            "metadata": {
                                "type": "object",
                                "additionalProperties": {"type": "string"},
                            }
                        },
                    },
                },
            },
        },
    },
}
SERVICE: dict[str, Any] = {  # what SkyServe asks of a service
    "type": "object",
    "required": ["service", "resources", "run"],
    "properties": {
        "service": {
            "type": "object",
            "required": ["readiness_probe"],
            "additionalProperties": False,
            "properties": {
                "readiness_probe": {"type": ["string", "object"]},
                "replica_policy": {
                    "type": "object",
                    "required": ["min_replicas"],
                    "additionalProperties": False,
                    "properties": {
                        "min_replicas": {"type": "integer", "minimum": 0},
                        "max_replicas": {"type": "integer", "minimum": 0},
                        "target_qps_per_replica": {"type": "number", "exclusiveMinimum": 0},
                        "dynamic_ondemand_fallback": {"type": "boolean"},
                    },
                },
            },
        },
        "resources": {
            "type": "object",
            "properties": {
                "any_of": {"type": "array", "minItems": 1, "items": {"type": "object"}},
                "ports": {"type": ["integer", "string"]},
            },
        },
        "run": {"type": "string"},
    },
}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    site = write_site(tmp_path_factory.mktemp("site"))
    instance, _ = build_site(site)
    schedule = run(create("greedy_forecast"), instance).schedule
    return make_plan(instance, schedule, site_facts(site, instance))


def documents(files: dict[str, bytes]) -> dict[str, Any]:
    return {name: yaml.safe_load(content) for name, content in files.items()}


class TestKeda:
    def test_schema(self, plan: Plan) -> None:
        found = documents(export("keda", plan, 30))
        assert found
        for name, document in found.items():
            jsonschema.validate(document, SCALED_OBJECT)
            assert name == f"keda/{document['metadata']['name']}.yaml"
            for trigger in document["spec"]["triggers"]:
                for field in ("start", "end"):
                    jsonschema.validate(
                        trigger["metadata"][field], {"type": "string", "pattern": CRON}
                    )

    def test_real_manifests_pass_the_same_schema(self) -> None:
        folder = real_data("autoscaler_manifests/keda")
        files = sorted(folder.glob("*.yaml"))
        assert files
        for file in files:
            jsonschema.validate(yaml.safe_load(file.read_text()), SCALED_OBJECT)

    def test_triggers_give_the_replicas_of_each_hour(self) -> None:
        """Played back as KEDA does: the largest of the active triggers and the least."""
        steps = np.array([2, 2, 5, 5, 3, 2, 2, 7] + [2] * 16)
        deployment = Deployment("r", "H100", "m", steps, "H100", 1, "on_demand", 1.0)
        spec = _scaled_object(22 * 3_600_000, 60, deployment, "x", False)["spec"]
        assert spec["minReplicaCount"] == 2
        assert spec["maxReplicaCount"] == 7
        for n, replicas in enumerate(steps):
            assert played(spec, (22 + n) % 24) == replicas

    def test_a_weekly_plan_names_its_weekdays(self) -> None:
        steps = np.array([1] * 24 + [4] * 24)
        deployment = Deployment("r", "H100", "m", steps, "H100", 1, "on_demand", 1.0)
        monday = 1_796_000_400_000 // 86_400_000 * 86_400_000  # 1970-01-01 was a Thursday
        first = (monday // 86_400_000 + 4) % 7
        spec = _scaled_object(monday, 60, deployment, "x", True)["spec"]
        (trigger,) = spec["triggers"]
        assert trigger["metadata"]["start"] == f"0 0 * * {(first + 1) % 7}"
        assert trigger["metadata"]["end"] == f"0 0 * * {(first + 2) % 7}"

    def test_a_clock_is_needed(self, plan: Plan) -> None:
        blind = make_plan(plan.instance, plan.schedule)
        with pytest.raises(InvalidInput, match="when slot 0 begins: --site SITE or --start TIME"):
            export("keda", blind, 30)

    def test_cron_knows_whole_minutes_only(self, plan: Plan) -> None:
        late = make_plan(plan.instance, plan.schedule, plan.site, start_ms=plan.start_ms + 3000)
        with pytest.raises(InvalidInput, match="begins at 2026-11-30T00:00:03Z, and cron knows"):
            export("keda", late, 30)


def played(spec: dict[str, Any], hour: int) -> int:
    active = [spec["minReplicaCount"]]
    for trigger in spec["triggers"]:
        start, end = (int(trigger["metadata"][key].split()[1]) for key in ("start", "end"))
        inside = start <= hour < end if start < end else hour >= start or hour < end
        if inside:
            active.append(int(trigger["metadata"]["desiredReplicas"]))
    return max(active)


class TestHpa:
    def test_kubernetes_accepts_it(self, plan: Plan) -> None:
        found = documents(export("hpa", plan, 30))
        assert found
        for document in found.values():
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
            spec = document["spec"]
            assert 1 <= spec["minReplicas"] <= spec["maxReplicas"]

    def test_real_manifests_pass_the_same_check(self) -> None:
        for file in sorted(real_data("autoscaler_manifests/hpa").glob("*.yaml")):
            kubernetes_validate.validate(yaml.safe_load(file.read_text()), KUBERNETES, strict=True)

    def test_a_broken_one_does_not(self, plan: Plan) -> None:
        document = next(iter(documents(export("hpa", plan, 30)).values()))
        document["spec"]["maxReplicas"] = "many"
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(document, KUBERNETES, strict=True)


class TestSkyServe:
    def test_schema(self, plan: Plan) -> None:
        found = documents(export("skyserve", plan, 30))
        assert set(found) == {"skyserve/small-1gpu.yaml", "skyserve/large-4gpu.yaml"}
        for document in found.values():
            jsonschema.validate(document, SERVICE)
        places = found["skyserve/large-4gpu.yaml"]["resources"]["any_of"]
        assert {"accelerators": "H100:4", "region": "us-east-1"} in places

    def test_a_real_service_passes_the_same_schema(self) -> None:
        file = real_data("autoscaler_manifests/skyserve/dynamic_on_demand_fallback.yaml")
        jsonschema.validate(yaml.safe_load(file.read_text()), SERVICE)


class TestCsv:
    def test_replicas_are_copies_not_servers(self, plan: Plan) -> None:
        """A server of four GPUs runs four copies of the small model, and one of the large."""
        (content,) = export("csv", plan, 5).values()
        rows = list(csv.DictReader(io.StringIO(content.decode())))
        on = plan.on[:12]
        for model, copies in (("small", 4), ("large", 1)):
            m = plan.instance.system.models.index(model)
            total = sum(int(row["replicas"]) for row in rows if row["model"] == model)
            assert total == on[..., m].sum() * copies

    def test_a_step_has_the_most_of_its_slots(self, plan: Plan) -> None:
        (content,) = export("csv", plan, 60).values()
        rows = list(csv.DictReader(io.StringIO(content.decode())))
        assert {row["slot"] for row in rows} == {"0"}
        large = plan.instance.system.models.index("large")
        most = plan.on[:12, 0, 0, large].max()
        (row,) = [r for r in rows if r["model"] == "large" and r["region"] == "us-east-1"]
        assert int(row["replicas"]) == most

    def test_a_step_is_whole_slots(self, plan: Plan) -> None:
        with pytest.raises(InvalidInput, match="7 min must be a whole number of slots of 300 s"):
            export("csv", plan, 7)


class TestMooncake:
    def test_every_request_is_there_and_reads_back(self, plan: Plan, tmp_path: Path) -> None:
        files = export("mooncake", plan, 60)
        inflow = plan.schedule.routing.sum(axis=(0, 1, 3))
        for j, name in enumerate(plan.instance.system.regions):
            lines = files[f"mooncake/{name}.jsonl.gz"].decode().splitlines()
            assert len(lines) == inflow[j]
            rows = [json.loads(line) for line in lines]
            times = [row["timestamp"] for row in rows]
            assert times == sorted(times)
            assert {(row["input_length"], row["output_length"]) for row in rows} <= {
                (1000, 250),
                (4000, 500),
            }
        path = tmp_path / "us.jsonl"
        path.write_bytes(files["mooncake/us-east-1.jsonl.gz"])
        _, report = import_trace("mooncake", path, slot_seconds=300)
        assert report.requests_in_trace == inflow[0]

    def test_lengths_come_from_the_site(self, plan: Plan) -> None:
        with pytest.raises(InvalidInput, match="token counts of the classes: --site SITE"):
            export("mooncake", make_plan(plan.instance, plan.schedule), 60)


def test_an_unknown_export_is_refused(plan: Plan) -> None:
    with pytest.raises(InvalidInput, match="--export: 'helm' is not known; known: csv, keda"):
        export("helm", plan, 60)
    assert set(EXPORTERS) == {"csv", "keda", "hpa", "skyserve", "mooncake"}


@pytest.mark.parametrize("text", ["Meta/Llama 3.1-70B", "-x-", "ü", "a" * 80, "4xH100 spot"])
def test_names_fit_kubernetes(text: str) -> None:
    jsonschema.validate(
        kubernetes_name(text), SCALED_OBJECT["properties"]["metadata"]["properties"]["name"]
    )


def test_names_alike_are_told_apart() -> None:
    assert distinct(["a", "b", "a", "a"]) == ["a", "b", "a-2", "a-3"]


def test_a_type_may_have_a_space_in_its_name() -> None:
    assert split_label("RTX 4090", "eu") == ("RTX 4090", "on_demand")
    assert split_label("4xH100 spot", "eu") == ("4xH100", "spot")
    assert split_label("4xH100@eu spot", "eu") == ("4xH100", "spot")
    assert split_label("4xH100@we owned", "we owned") == ("4xH100", "on_demand")
    assert split_label("4xH100@we owned reserved", "we owned") == ("4xH100", "reserved")
    assert split_label("H100@SXM spot", "eu") == ("H100@SXM", "spot")


def test_runs_cover_all_steps() -> None:
    assert list(runs(np.array([1, 1, 2, 1]))) == [(0, 2, 1), (2, 3, 2), (3, 4, 1)]
