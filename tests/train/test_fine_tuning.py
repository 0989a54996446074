from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from faceaug.cli import cli
from faceaug.errors import ArgumentError
from faceaug.synthesize import load_model, save_model
from faceaug.synthesize.convert import import_state_dict
from faceaug.train import TrainConfig, choose_config, train_gan
from faceaug.train.checkpoint import checkpoints, read_checkpoint

SMALL: dict[str, Any] = {
    "images": 64, "batch": 8, "warmup": 32, "precision": "fp32", "crop": "square", "d_conv_dim": 4,
    "checkpoint_every": 32, "sample_every": 64, "monitor_every": 64, "log_every": 32,
}  # fmt: skip


def weights(run: Path, images: int) -> dict[str, torch.Tensor]:
    found = [path for path in checkpoints(run) if path.name.endswith(f"{images:09d}")]
    parts = read_checkpoint(found[0]).tensors
    return {name.removeprefix("generator/"): t for name, t in parts.items() if name.startswith("generator/")}


def is_learnt(name: str) -> bool:
    return "running_" not in name and "num_batches" not in name


@pytest.fixture(scope="module")
def run(conditional_model: Path, celeba_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("fine") / "run"
    train_gan(celeba_folder, out, choose_config(None, conditional_model, **SMALL, freeze=1), init=conditional_model)
    return out


def test_the_generator_stays_as_it_is_while_the_discriminator_warms_up(run: Path, conditional_model: Path) -> None:
    before = load_model(conditional_model).generator.state_dict()
    warmed = weights(run, 32)
    assert all(torch.equal(warmed[name], before[name]) for name in before if is_learnt(name))


def test_frozen_layers_stay_and_the_others_move(run: Path, conditional_model: Path) -> None:
    before = load_model(conditional_model).generator.state_dict()
    after = weights(run, 64)
    kept = {name for name in before if is_learnt(name) and torch.equal(after[name], before[name])}
    assert kept == {"embed.weight", "fc.weight", "fc.bias"}


def test_a_fine_tuned_run_goes_on_to_the_bit(
    run: Path, conditional_model: Path, celeba_folder: Path, tmp_path: Path
) -> None:
    config = choose_config(None, conditional_model, **SMALL, freeze=1)
    train_gan(celeba_folder, tmp_path / "run", replace(config, images=48), init=conditional_model)
    train_gan(celeba_folder, tmp_path / "run", config, init=conditional_model, resume=True)
    whole, halves = (read_checkpoint(checkpoints(path)[-1]) for path in (run, tmp_path / "run"))
    assert whole.tensors.keys() == halves.tensors.keys()
    assert all(torch.equal(whole.tensors[name], halves.tensors[name]) for name in whole.tensors)


def test_a_folder_without_attributes_is_enough_to_go_on(
    conditional_model: Path, celeba_folder: Path, tmp_path: Path
) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in sorted(celeba_folder.rglob("*.png"))[:20]:
        (flat / path.name).write_bytes(path.read_bytes())
    config = choose_config(None, conditional_model, **SMALL)
    assert train_gan(flat, tmp_path / "run", config, init=conditional_model).finished
    assert load_model(tmp_path / "run").config.architecture == "film-subpixel"


def test_a_plain_model_is_fine_tuned_alike(celeba_folder: Path, tmp_path: Path) -> None:
    config = choose_config(None, "dcgan-32", **SMALL, freeze=2)
    assert train_gan(celeba_folder, tmp_path / "run", config, init="dcgan-32").finished
    before, after = load_model("dcgan-32").generator.state_dict(), weights(tmp_path / "run", 64)
    kept = {name for name in before if is_learnt(name) and torch.equal(after[name], before[name])}
    assert kept == {"fc.weight", "fc.bias", "t_conv1.0.weight", "t_conv1.1.weight", "t_conv1.1.bias"}


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    """A generator of another program, with widths and activations of its own."""
    layers: list[nn.Module] = []
    for k, (inner, outer) in enumerate(pairwise((12, 32, 16, 8, 3))):
        layers += [nn.ConvTranspose2d(inner, outer, 4, 1 if k == 0 else 2, 0 if k == 0 else 1), nn.BatchNorm2d(outer)]
        layers.append(nn.ReLU())
    torch.save(nn.Sequential(*layers[:-2], nn.Tanh()).state_dict(), tmp_path / "netG.pth")
    import_state_dict(tmp_path / "netG.pth", tmp_path / "imported")
    return tmp_path / "imported"


def test_an_imported_network_that_faceaug_does_not_train_is_refused_and_leaves_no_run(
    imported: Path, celeba_folder: Path, tmp_path: Path
) -> None:
    assert load_model(imported).config.architecture == "dcgan-relu"
    refused = r"its network \(dcgan-relu\) was imported from another program and only makes faces; faceaug trains dcgan"
    with pytest.raises(ArgumentError, match=refused):
        choose_config(None, imported)
    with pytest.raises(ArgumentError, match=refused):
        train_gan(celeba_folder, tmp_path / "run", TrainConfig(**SMALL), init=imported)
    done = CliRunner().invoke(
        cli, ["train", str(celeba_folder), "--out", str(tmp_path / "run"), "--init", str(imported), "--images", "32"]
    )
    assert isinstance(done.exception, ArgumentError)
    assert "only makes faces" in str(done.exception)
    assert not (tmp_path / "run").exists()


def test_a_model_of_other_latents_goes_on_with_a_warning(celeba_folder: Path, tmp_path: Path) -> None:
    model = load_model("dcgan-32")
    save_model(tmp_path / "uniform", model.generator, replace(model.config, latent="uniform"))
    config = choose_config(None, tmp_path / "uniform", **SMALL)
    with pytest.warns(UserWarning, match="trained with uniform latents and goes on with normal ones"):
        train_gan(celeba_folder, tmp_path / "run", config, init=tmp_path / "uniform")


def test_freezing_everything_is_refused(celeba_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="freeze 4: at least one of the 4 layers"):
        train_gan(celeba_folder, tmp_path / "run", TrainConfig(freeze=4, batch=8, crop="square"))
