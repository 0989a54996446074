from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from faceaug import SyntheticFaceSource
from faceaug.errors import ArgumentError
from faceaug.synthesize import load_model
from faceaug.synthesize.weights import save_model
from faceaug.train import blend_models, choose_config, train_gan

QUICK: dict[str, Any] = {
    "images": 32, "batch": 8, "precision": "fp32", "d_conv_dim": 4, "checkpoint_every": 32,
    "sample_every": 32, "monitor_every": 32, "log_every": 32, "warmup": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def run(conditional_model: Path, celeba_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("blend") / "run"
    train_gan(celeba_folder, out, choose_config(None, conditional_model, **QUICK), init=conditional_model)
    return out


def test_a_blend_holds_the_weighted_mean_of_the_weights(run: Path, conditional_model: Path, tmp_path: Path) -> None:
    blend_models({conditional_model: 3, run: 1}, tmp_path / "blend", name="blend")
    start, end = (dict(load_model(model).generator.named_parameters()) for model in (conditional_model, run))
    for name, found in load_model(tmp_path / "blend").generator.named_parameters():
        torch.testing.assert_close(found, 0.75 * start[name] + 0.25 * end[name], rtol=1e-3, atol=1e-4)  # stored in fp16
    assert any(not torch.equal(start[name], end[name]) for name in start)


def test_its_statistics_are_those_of_its_own_activations(run: Path, conditional_model: Path, tmp_path: Path) -> None:
    blend_models({conditional_model: 1, run: 1}, tmp_path / "blend", name="blend")
    start, blend = (load_model(model).generator.state_dict() for model in (conditional_model, tmp_path / "blend"))
    measured = [name for name in blend if "running_" in name]
    assert measured
    assert not any(torch.equal(blend[name], start[name]) for name in measured)


def test_a_blend_obeys_attributes_as_its_models_do_and_says_what_it_is(
    run: Path, conditional_model: Path, tmp_path: Path
) -> None:
    config = blend_models({conditional_model: 1, run: 3}, tmp_path / "blend", name="both")
    source = SyntheticFaceSource(tmp_path / "blend", attributes={"Smiling": 1}, seed=0)
    assert source.generate(2).shape == (2, 3, config.size, config.size)
    assert source.config == config
    first, second = (load_model(model).config for model in (conditional_model, run))
    assert f"0.25 of {first.name}" in config.training["weights"]
    assert f"0.75 of {second.name}, 32 images shown, which began from" in config.training["weights"]
    assert "mean of models" in (tmp_path / "blend" / "README.md").read_text()


def test_a_blend_says_what_is_true_of_all_its_models(
    run: Path, conditional_model: Path, celeba_folder: Path, tmp_path: Path
) -> None:
    slower = choose_config(None, conditional_model, **QUICK, learning_rate=1e-5)
    train_gan(celeba_folder, tmp_path / "slower", slower, init=conditional_model)
    config = blend_models({run: 1, tmp_path / "slower": 1}, tmp_path / "blend", name="both")
    one, other = (load_model(model).config.training for model in (run, tmp_path / "slower"))
    assert config.training["loss"] == one["loss"] == other["loss"]
    assert one["optimizer"] != other["optimizer"]
    assert "optimizer" not in config.training
    assert "images_shown" not in config.training  # of one alone, though both have seen as many


def test_models_of_other_layers_cannot_be_blended(conditional_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"dcgan-32: its architecture is not that of the first"):
        blend_models({conditional_model: 1, "dcgan-32": 1}, tmp_path / "blend", name="blend")
    assert not (tmp_path / "blend").exists()


def test_a_blend_has_the_licence_of_its_models_which_must_be_one(tmp_path: Path) -> None:
    model = load_model("dcgan-32")
    save_model(tmp_path / "free", model.generator, replace(model.config, license="CC0-1.0"))
    save_model(tmp_path / "unsaid", model.generator, replace(model.config, license="unknown"))
    config = blend_models({tmp_path / "unsaid": 1, "dcgan-32": 1}, tmp_path / "same", name="same")
    assert config.license == model.config.license
    with pytest.raises(ArgumentError, match=r"different licences, CC0-1.0 and LicenseRef-CelebA"):
        blend_models({"dcgan-32": 1, tmp_path / "free": 1}, tmp_path / "blend", name="blend")


@pytest.mark.parametrize("shares", [{"dcgan-32": 1.0}, {"dcgan-32": 1.0, "dcgan-32-report": 0.0}, {}])
def test_a_blend_takes_two_models_and_positive_shares(shares: dict[str | Path, float], tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="two models or more"):
        blend_models(shares, tmp_path / "blend", name="blend")


def test_the_mean_of_two_dcgans_needs_no_attributes(tmp_path: Path) -> None:
    config = blend_models({"dcgan-32": 1, "dcgan-32-report": 1}, tmp_path / "blend", name="blend")
    assert SyntheticFaceSource(tmp_path / "blend", seed=0).generate(2).shape == (2, 3, 32, 32)
    assert config.license == "LicenseRef-CelebA-NonCommercial"
    assert config.training["data"] == load_model("dcgan-32").config.training["data"]
