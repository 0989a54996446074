from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

import faceaug
from faceaug.synthesize.cards import model_card
from faceaug.synthesize.classifier import BUNDLED_CLASSIFIERS
from faceaug.synthesize.weights import BUNDLED, BUNDLED_FOLDER, read_config

PACKAGE, ROOT = Path(faceaug.__file__).parent, Path(__file__).parents[2]
SUMS = BUNDLED | BUNDLED_CLASSIFIERS


def shipped() -> list[Path]:
    """What the wheel is made of: everything under the package but what Python leaves there."""
    return [path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def test_every_bundled_model_is_there_and_nothing_else() -> None:
    assert {folder.name for folder in BUNDLED_FOLDER.iterdir()} == set(SUMS)
    for name in SUMS:
        names = {"README.md", "config.json", "metrics.json", "model.safetensors"}
        assert {p.name for p in (BUNDLED_FOLDER / name).iterdir()} == names


@pytest.mark.parametrize("name", sorted(BUNDLED))
def test_the_card_of_a_bundled_model_states_the_figures_of_these_weights(name: str) -> None:
    metrics = json.loads((BUNDLED_FOLDER / name / "metrics.json").read_bytes())
    assert (metrics["model"], metrics["sha256"]) == (name, read_config(BUNDLED_FOLDER / name).sha256)
    assert metrics["n"] >= 10_000
    assert {(row["control"], row["against"]) for row in metrics["figures"]} >= {
        (False, "training faces"), (False, "unseen real faces"), (True, "training faces")
    }  # fmt: skip
    card = (BUNDLED_FOLDER / name / "README.md").read_text()
    assert card == model_card(read_config(BUNDLED_FOLDER / name), metrics)
    for row in metrics["figures"]:
        line = next(line for line in card.splitlines() if f"{row['n']:,} {row['of']} | {row['reference_n']:,}" in line)
        assert f"| {row['recall']:.3f} |" in line


@pytest.mark.parametrize("name", sorted(SUMS))
def test_a_bundled_model_is_the_reviewed_one_and_states_its_terms(name: str) -> None:
    folder = BUNDLED_FOLDER / name
    assert hashlib.sha256((folder / "config.json").read_bytes()).hexdigest() == SUMS[name]
    config = json.loads((folder / "config.json").read_bytes())
    weights = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert (config["name"], config["sha256"]) == (name, weights)
    assert config["license"] == "LicenseRef-CelebA-NonCommercial"
    assert "non-commercial" in (folder / "README.md").read_text()


def test_the_wheel_holds_code_a_page_and_models_and_is_small_enough() -> None:
    files = shipped()
    kinds = {".py", ".typed", ".md", ".json", ".safetensors", ".onnx", ".css", ".js", ".svg", ".html"}
    assert {path.suffix or path.name for path in files} <= kinds | {"py.typed"}
    assert sum(path.stat().st_size for path in files) < 30e6


def test_no_rule_of_the_repository_keeps_models_out_of_the_wheel() -> None:
    rules = ROOT / ".gitignore"
    if not rules.is_file():
        pytest.skip("no checkout")
    lines = [line.strip() for line in rules.read_text().splitlines()]
    assert not [line for line in lines if "safetensors" in line or line.strip("/") in ("models", "src")]
