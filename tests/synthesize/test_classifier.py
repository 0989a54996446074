from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from faceaug.data.annotations import ATTRIBUTES
from faceaug.draws import stream
from faceaug.errors import ArgumentError, WeightsError
from faceaug.synthesize import SyntheticFaceSource, classifier as module
from faceaug.synthesize.attribute_network import AttributeNetwork, build_attribute_network
from faceaug.synthesize.classifier import (
    AttributeClassifier,
    as_input,
    bundled_classifiers,
    load_classifier,
    save_classifier,
)
from faceaug.synthesize.config import ClassifierConfig

NAMES = ("Smiling", "Male", "Bald")
CONFIG = ClassifierConfig(
    name="small", attributes=NAMES, prevalence=(0.5, 0.4, 0.02), balanced_accuracy=(0.9, 0.95, 0.8), training={}
)


def network() -> AttributeNetwork:
    """One with fresh weights, whose norms have seen something."""
    made = build_attribute_network(3, seed=1)
    with torch.no_grad():
        for _ in range(3):
            made(torch.from_numpy(stream(2, slot="tests/norms").standard_normal((32, 3, 64, 64), "f4")).clamp(-1, 1))
    return made.eval()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    save_classifier(tmp_path / "small", network(), CONFIG)
    return tmp_path / "small"


def pictures(n: int, side: int = 64) -> NDArray[np.uint8]:
    return stream(3, slot="tests/faces").integers(0, 256, (n, 3, side, side)).astype(np.uint8)


def test_fresh_weights_depend_on_the_seed_alone() -> None:
    before = torch.get_rng_state()
    one, same, other = (build_attribute_network(3, seed=s).state_dict() for s in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["stem.0.weight"], other["stem.0.weight"])
    assert torch.equal(before, torch.get_rng_state())


def test_the_network_stays_within_its_size() -> None:
    assert sum(p.numel() for p in build_attribute_network(40, seed=0).parameters()) <= 2_500_000


def test_a_classifier_returns_the_logits_of_its_network(small: Path) -> None:
    faces = pictures(70)
    with torch.no_grad():
        expected = network()(as_input(torch.from_numpy(faces))).numpy()
    classifier = load_classifier(small)
    found = classifier.logits(faces)
    assert found.dtype == np.float32
    assert classifier.attributes == NAMES
    np.testing.assert_allclose(found, expected, atol=0.03)  # stored in half precision, norms folded
    with torch.no_grad():
        features = network().features(as_input(torch.from_numpy(faces))).numpy()
    np.testing.assert_allclose(classifier.features(faces), features, atol=0.03)


def test_tensors_and_arrays_are_answered_alike(small: Path) -> None:
    classifier, faces = load_classifier(small), pictures(3)
    np.testing.assert_array_equal(classifier.logits(torch.from_numpy(faces)), classifier.logits(faces))


def test_the_attributes_of_a_face_do_not_depend_on_the_batch(small: Path) -> None:
    classifier, faces = load_classifier(small), pictures(100)
    whole = classifier.logits(faces)
    np.testing.assert_array_equal(classifier.logits(faces[77:78])[0], whole[77])
    assert classifier.logits(faces[:0]).shape == (0, 3)


@pytest.mark.parametrize("side", [16, 32, 64, 128])
def test_faces_of_any_size_are_taken(small: Path, side: int) -> None:
    assert load_classifier(small).logits(pictures(2, side)).shape == (2, 3)


@pytest.mark.parametrize(
    "faces",
    [np.zeros((2, 3, 8, 8), np.uint8), np.zeros((2, 64, 64, 3), np.uint8), np.zeros((2, 3, 64, 64), np.float32)],
)
def test_arrays_that_are_no_faces_are_refused(small: Path, faces: NDArray[Any]) -> None:
    with pytest.raises(ArgumentError, match=r"expected uint8 \(n, 3, H, W\), at least 16"):
        load_classifier(small).logits(faces)


def test_the_threshold_of_a_rare_attribute_is_where_the_odds_are_even_only_for_the_logits(small: Path) -> None:
    classifier, faces = load_classifier(small), pictures(50)
    logits, found = classifier.logits(faces), classifier.probabilities(faces)
    odds = logits + np.log(classifier.prevalence / (1 - classifier.prevalence))
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-odds)), atol=1e-6)
    assert (found[:, 2] < 0.5).sum() >= (logits[:, 2] < 0).sum()


def test_a_changed_byte_is_found(small: Path) -> None:
    data = bytearray((small / "model.safetensors").read_bytes())
    data[len(data) // 2] ^= 1
    (small / "model.safetensors").write_bytes(data)
    with pytest.raises(WeightsError, match="SHA-256"):
        load_classifier(small)


@pytest.mark.parametrize(
    "change",
    [
        {"architecture": "dcgan"}, {"format": 2}, {"attributes": ["Smiling"]}, {"attributes": ["a", "a", "b"]},
        {"prevalence": [0.5, 0.5, 1.0]}, {"balanced_accuracy": [0.5, 0.5, "x"]}, {"size": 32}, {"crop": "face"},
        {"attributes": None},
    ],
)  # fmt: skip
def test_a_config_that_contradicts_itself_is_refused(small: Path, change: dict[str, Any]) -> None:
    path = small / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(WeightsError, match=r"config\.json"):
        load_classifier(small)


def test_a_generator_is_no_classifier() -> None:
    with pytest.raises(WeightsError, match="not an attribute classifier"):
        load_classifier(Path(module.__file__).with_name("models") / "dcgan-32")


def test_an_unknown_classifier_is_an_error_that_lists_the_valid_names() -> None:
    with pytest.raises(ArgumentError, match="nonsense: neither a bundled model"):
        load_classifier("nonsense")


def test_the_bundled_classifier_knows_the_forty_attributes_in_the_order_of_the_tables() -> None:
    classifier = load_classifier()
    assert classifier.config.name == "attributes-64"
    assert classifier.attributes == ATTRIBUTES
    assert classifier.config.license == "LicenseRef-CelebA-NonCommercial"
    assert classifier.balanced_accuracy.mean() > 0.75
    assert [config.name for config in bundled_classifiers()] == ["attributes-64"]
    assert classifier.logits(SyntheticFaceSource("dcgan-32", seed=1).generate(3)).shape == (3, 40)


def test_the_bundled_classifier_is_checked_against_the_code_not_against_its_own_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(module.BUNDLED_FOLDER, tmp_path / "models")
    monkeypatch.setattr("faceaug.synthesize.weights.BUNDLED_FOLDER", tmp_path / "models")
    monkeypatch.setattr(module, "BUNDLED_FOLDER", tmp_path / "models")
    save_classifier(tmp_path / "models" / "attributes-64", network(), CONFIG)
    with pytest.raises(WeightsError, match="altered or another model"):
        load_classifier("attributes-64")


def test_the_card_of_the_bundled_classifier_matches_its_metrics() -> None:
    folder = module.BUNDLED_FOLDER / "attributes-64"
    metrics = json.loads((folder / "metrics.json").read_text())
    card = (folder / "README.md").read_text()
    assert set(metrics["prevalence"]) == set(ATTRIBUTES)
    assert metrics["partition"] == "val"
    assert f"On {metrics['n']:,} faces of the val partition" in card
    for name in ATTRIBUTES:
        cells = [f"{metrics['prevalence'][name]:.1%}"]
        for side in ("64", "32"):
            cells += [f"{metrics['sizes'][side][figure][name]:.1%}" for figure in ("accuracy", "balanced_accuracy")]
        assert f"| {name} | {' | '.join(cells)} |" in card
    assert "non-commercial" in card


def test_classifiers_never_look_at_torchs_random_state(small: Path) -> None:
    before = torch.get_rng_state()
    classifier = load_classifier(small)
    assert isinstance(classifier, AttributeClassifier)
    classifier.logits(pictures(2))
    assert torch.equal(before, torch.get_rng_state())
