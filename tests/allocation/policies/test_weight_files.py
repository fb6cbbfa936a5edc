"""Weight files: where they are found, what they fit, and what is said of broken ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from torta_opt import generate
from torta_opt.allocation.policies.weight_files import find_weights, fitted, load_fitted
from torta_opt.io import InvalidInput

SYSTEM = generate("small/loading").system
FORMAT = ("torta-opt/part", 1)


def load(stem: Path) -> float:
    def build(tensors: dict[str, np.ndarray]) -> float:
        return float(tensors["numbers"][1])

    return load_fitted(stem, FORMAT, SYSTEM, "train one", build)[0]


@pytest.fixture
def stem(tmp_path: Path) -> Path:
    card = {"format": FORMAT[0], "version": FORMAT[1], **fitted(SYSTEM)}
    (tmp_path / "mine.json").write_text(json.dumps(card))
    (tmp_path / "mine.safetensors").write_bytes(save({"numbers": np.array([1.0, 2.5])}))
    return tmp_path / "mine"


def test_a_file_or_a_name_in_the_folder_of_models(
    stem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORTA_MODELS", str(stem.parent))
    assert find_weights("mine") == find_weights(f"{stem}.safetensors") == stem
    assert find_weights("other") == stem.parent / "other"
    assert find_weights("./other") == Path("other")
    assert load(find_weights("mine")) == 2.5


@pytest.mark.parametrize("field", ["types", "models", "classes"])
def test_a_part_for_another_system_is_refused(stem: Path, field: str) -> None:
    card = stem.with_suffix(".json")
    card.write_text(json.dumps({**json.loads(card.read_text()), field: ["another"]}))
    with pytest.raises(
        InvalidInput, match=rf"mine\.safetensors: is for other {field} than those of this system"
    ):
        load(stem)


@pytest.mark.parametrize(
    "content",
    [b"no tensors", save({"other": np.ones(2)}), save({"numbers": np.ones(1)})],
    ids=["no tensors", "another name", "too short"],
)
def test_a_file_that_is_not_what_its_card_says_is_refused(stem: Path, content: bytes) -> None:
    stem.with_suffix(".safetensors").write_bytes(content)
    with pytest.raises(InvalidInput, match="does not hold the weights that its card describes"):
        load(stem)
    stem.with_suffix(".safetensors").unlink()
    with pytest.raises(InvalidInput, match=r"mine\.safetensors: cannot be read: No such file"):
        load(stem)
