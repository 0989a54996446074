from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from faceaug.draws import stream
from faceaug.errors import ArgumentError, RefusedError, WeightsError
from faceaug.synthesize import ModelConfig, build_network, bundled_models, load_model, save_model
from faceaug.synthesize.weights import BUNDLED, BUNDLED_FOLDER, CONFIG, WEIGHTS, find_model


def small_model(folder: Path) -> Path:
    _, generator = build_network(8, 8, 10)
    save_model(folder, generator, ModelConfig(name="small", z_size=10, conv_dim=8, training={"images_shown": 0}))
    return folder


def test_every_bundled_model_loads_and_says_its_licence_crop_and_data() -> None:
    assert {config.name: config.size for config in bundled_models()} == {
        "dcgan-32": 32, "dcgan-32-report": 32, "faces-64": 64
    }  # fmt: skip
    for config in bundled_models():
        model = load_model(config.name)
        assert not model.generator.training
        assert config.license == "LicenseRef-CelebA-NonCommercial"
        assert config.crop == "center178"
        card = (BUNDLED_FOLDER / config.name / "README.md").read_text()
        assert "CelebA" in card
        assert "non-commercial" in card
        assert "24,152" in card


def test_a_saved_model_is_loaded_with_half_precision_accuracy(tmp_path: Path) -> None:
    _, generator = build_network(8, 8, 10)
    written = save_model(tmp_path / "m", generator, ModelConfig(name="m", z_size=10, conv_dim=8, training={}))
    model = load_model(tmp_path / "m")
    assert model.config == written
    for name, tensor in model.generator.state_dict().items():
        torch.testing.assert_close(tensor, generator.state_dict()[name], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["README.md", "config.json", "model.safetensors"])
def test_a_file_with_the_name_of_a_models_that_belongs_to_something_else_stays(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"model_type": "bert"}')
    model = load_model("dcgan-32")
    with pytest.raises(RefusedError, match=f"{name}: in the way, and not a part of a faceaug model"):
        save_model(tmp_path, model.generator, model.config)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, '{"model_type": "bert"}')]


def test_an_earlier_model_is_replaced(tmp_path: Path) -> None:
    model = load_model("dcgan-32")
    first = save_model(tmp_path / "m", model.generator, model.config)
    assert save_model(tmp_path / "m", model.generator, model.config) == first
    (tmp_path / "m" / "config.json").unlink()
    with pytest.raises(RefusedError):
        save_model(tmp_path / "m", model.generator, model.config)
    assert save_model(tmp_path / "m", model.generator, model.config, overwrite=True) == first


def test_a_run_folder_is_as_good_as_its_model_folder(tmp_path: Path) -> None:
    small_model(tmp_path / "run" / "model")
    assert find_model(tmp_path / "run") == tmp_path / "run" / "model"


def test_an_unknown_model_is_an_error_that_lists_the_bundled_ones() -> None:
    with pytest.raises(ArgumentError, match=r"nonsense.*dcgan-32, dcgan-32-report"):
        load_model("nonsense")


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_model_is_checked_against_the_code_not_against_its_own_config(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(BUNDLED_FOLDER, tmp_path / "models")
    monkeypatch.setattr("faceaug.synthesize.weights.BUNDLED_FOLDER", tmp_path / "models")
    folder = tmp_path / "models" / name
    _, generator = build_network(64, 64, 100, seed=5)
    save_model(folder, generator, ModelConfig(name=name, training={}))  # a whole, well-formed other model
    with pytest.raises(WeightsError, match="altered or another model"):
        load_model(name)


def test_every_changed_byte_is_found(tmp_path: Path) -> None:
    folder = small_model(tmp_path / "m")
    data = bytearray((folder / WEIGHTS).read_bytes())
    draws = stream(0, slot="tests/weights")
    for at in draws.integers(0, len(data), 200):
        changed = bytearray(data)
        changed[at] ^= int(draws.integers(1, 256))
        (folder / WEIGHTS).write_bytes(changed)
        with pytest.raises(WeightsError, match="SHA-256"):
            load_model(folder)
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])
    with pytest.raises(WeightsError, match=WEIGHTS):
        load_model(folder)


def rewrite(folder: Path, **changes: object) -> None:
    found = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(found | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv_dim": 16}, "the config asks for"),
        ({"architecture": "stylegan"}, "architecture 'stylegan'"),
        ({"format": 99}, "a newer faceaug may read it"),
        ({"crop": "ears"}, "crop: expected one of"),
        ({"z_size": -1}, "out of range"),
        ({"size": 10**9}, "out of range"),
        ({"latent": "lucky"}, "out of range"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_with_the_reason(
    changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    folder = small_model(tmp_path / "m")
    rewrite(folder, **changes)
    with pytest.raises(WeightsError, match=message):
        load_model(folder)


def test_a_config_that_is_not_json_is_refused(tmp_path: Path) -> None:
    folder = small_model(tmp_path / "m")
    (folder / CONFIG).write_text("{")
    with pytest.raises(WeightsError, match=r"config\.json"):
        load_model(folder)


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    _, generator = build_network(8, 8, 10)
    with torch.no_grad():
        generator.fc.bias[3] = float("nan")
    save_model(tmp_path / "m", generator, ModelConfig(name="m", z_size=10, conv_dim=8, training={}))
    with pytest.raises(WeightsError, match="NaN or infinite"):
        load_model(tmp_path / "m")


def test_a_pickle_with_the_right_name_is_never_executed(tmp_path: Path) -> None:
    import pickle

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "executed",)  # type: ignore[return-value]

    folder = small_model(tmp_path / "m")
    data = pickle.dumps(Bomb())
    (folder / WEIGHTS).write_bytes(data)
    import hashlib

    rewrite(folder, sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(WeightsError, match="safetensors"):
        load_model(folder)
    assert not (tmp_path / "executed").exists()


def test_the_card_names_every_fact_of_the_config(tmp_path: Path) -> None:
    folder = small_model(tmp_path / "m")
    card = (folder / "README.md").read_text()
    config = asdict(load_model(folder).config)
    assert card.startswith("---\nlicense:")
    assert config["name"] in card
    assert "images shown" in card


def test_foreign_tensors_are_refused(tmp_path: Path) -> None:
    folder = small_model(tmp_path / "m")
    save_file({"a": torch.from_numpy(np.zeros(3, np.float32))}, folder / WEIGHTS)
    import hashlib

    rewrite(folder, sha256=hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest())
    with pytest.raises(WeightsError, match="has shape"):
        load_model(folder)
