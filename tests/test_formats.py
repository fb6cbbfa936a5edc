"""docs/formats.md is true: its examples load and verify, its schemas are those of the code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from torta_opt.api import open_instance, reweighted, verify_file
from torta_opt.families import schemas

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "formats.md"


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The JSON examples of docs/formats.md by the last part of their format."""
    folder = tmp_path_factory.mktemp("examples")
    files = {}
    for text in re.findall(r"^```json\n(.*?)^```", PAGE.read_text(), re.S | re.M):
        kind = json.loads(text)["format"].removeprefix("torta-opt/")
        files[kind] = folder / f"{kind}.json"
        files[kind].write_text(text)
    return files


class TestFormats:
    def test_there_is_an_example_of_everything_a_user_writes(
        self, examples: dict[str, Path]
    ) -> None:
        placement = {"placement", "placement-schedule"}
        assert set(examples) == {"allocation", "schedule", "weights", *placement}

    def test_schedule_example_is_valid_for_the_instance_example(
        self, examples: dict[str, Path]
    ) -> None:
        check = verify_file(open_instance(examples["allocation"]), examples["schedule"])
        assert check.ok
        assert check.evaluation is not None
        assert check.evaluation.metrics["served"] == 12

    def test_placement_schedule_example_is_valid_for_the_placement_example(
        self, examples: dict[str, Path]
    ) -> None:
        check = verify_file(open_instance(examples["placement"]), examples["placement-schedule"])
        assert check.ok
        assert check.evaluation is not None
        assert check.evaluation.metrics["requests"] == 3

    def test_weights_example_changes_what_it_names(self, examples: dict[str, Path]) -> None:
        instance = open_instance(examples["allocation"])
        weights = reweighted(instance, str(examples["weights"])).system.weights
        assert weights.time_usd_per_s == 0.001
        assert weights.expiry_usd.tolist() == [0.2]
        assert weights.reroute_usd == instance.system.weights.reroute_usd

    def test_every_top_level_field_is_described(self) -> None:
        page = PAGE.read_text()
        for schema in schemas().values():
            missing = [name for name in schema["properties"] if not re.search(rf"`{name}\b", page)]
            assert not missing


class TestSchemas:
    @pytest.mark.parametrize("name", sorted(schemas()))
    def test_published_schema_is_current(self, name: str) -> None:
        published = ROOT / "docs" / "schemas" / f"{name.removeprefix('torta-opt/')}.json"
        assert json.loads(published.read_text()) == schemas()[name], "run: make schemas"

    def test_nothing_else_is_published(self) -> None:
        published = {path.stem for path in (ROOT / "docs" / "schemas").iterdir()}
        assert published == {name.removeprefix("torta-opt/") for name in schemas()}

    def test_examples_satisfy_their_schemas(self, examples: dict[str, Path]) -> None:
        import jsonschema

        for path in examples.values():
            document = json.loads(path.read_text())
            jsonschema.Draft202012Validator(schemas()[document["format"]]).validate(document)
