from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from faceaug.data.folder import FaceFolder
from faceaug.errors import ArgumentError, RefusedError
from faceaug.synthesize import load_model
from faceaug.train import PRESETS, TrainConfig, choose_config, fine_tuning, parse_settings, preset
from faceaug.train.record import open_run, read_config


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"size": 48}, "size 48: expected one of 32, 64, 128, 256"),
        ({"crop": "round"}, "crop 'round': expected one of center178, center140, square, none"),
        ({"precision": "fp16"}, "precision 'fp16': expected one of auto, fp32, bf16"),
        ({"batch": 1}, "batch 1: batch norm needs at least 2"),
        ({"images": 0}, "images 0: expected at least 1"),
        ({"g_conv_dim": 0}, "g_conv_dim 0"),
        ({"checkpoint_every": 0}, "checkpoint_every 0"),
        ({"learning_rate": 0}, "learning_rate 0"),
        ({"learning_rate": float("nan")}, "learning_rate nan"),
        ({"beta1": 1.0}, "beta1 1.0"),
        ({"average_half_life": -1}, "average_half_life -1"),
        ({"seed": -1}, "seed -1"),
        ({"loss": "wasserstein"}, "loss 'wasserstein': expected one of minimax, non-saturating, hinge, relativistic"),
        ({"optimizer": "sgd"}, "optimizer 'sgd': expected one of adam, rmsprop, adagrad"),
        ({"d_norm": "layer"}, "d_norm 'layer': expected one of batch, none, spectral"),
        ({"decay": "step"}, "decay 'step': expected one of none, linear, cosine"),
        ({"r1": -1}, "r1 -1: expected at least 0"),
        ({"r2": float("nan")}, "r2 nan: expected at least 0"),
        ({"d_learning_rate": 2.0}, "d_learning_rate 2.0: expected a number between 0 and 1"),
        ({"end_rate": 1.5}, "end_rate 1.5: expected from 0 to 1"),
        ({"decay_images": 0}, "decay_images 0: expected at least 1"),
        ({"augment": "color,blur"}, "augment 'color,blur': expected some of color,translation,cutout"),
        ({"augment": "color,color"}, "augment 'color,color'"),
        ({"augment_target": 0.6}, "augment_target: there is nothing to adapt without augment"),
        ({"skips": 0}, "skips 0: expected at least 1"),
    ],
)
def test_a_number_that_cannot_be_used_is_refused(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ArgumentError, match=expected):
        TrainConfig(**changes)


def test_presets_can_be_changed_and_unknown_ones_list_the_known() -> None:
    assert preset("dcgan-32") == PRESETS["dcgan-32"]
    assert preset("dcgan-32-quick", seed=4).seed == 4
    assert preset("dcgan-32-quick", seed=4).images == PRESETS["dcgan-32-quick"].images
    with pytest.raises(
        ArgumentError, match="unknown preset 'big'; the presets are dcgan-32, dcgan-32-report, dcgan-32-quick"
    ):
        preset("big")


def test_every_preset_trains_the_networks_it_is_named_after() -> None:
    for name, config in PRESETS.items():
        assert config.size == int(name.split("-")[1])
        assert (config.z_size, config.g_conv_dim) == ((128, 96) if config.conditional else (100, 64))
    assert PRESETS["dcgan-32-report"].average_half_life == 0
    with pytest.raises(ArgumentError, match="unknown field 'speed'; the fields are size, crop"):
        preset("dcgan-32", speed=2)


def test_settings_are_read_as_the_type_of_their_field() -> None:
    found = parse_settings(
        ("loss=hinge", "r1=0.5", "batch=64", "flip=false", "d_learning_rate=none", "decay_images=2_000", "augment=")
    )
    assert found == {
        "loss": "hinge", "r1": 0.5, "batch": 64, "flip": False, "d_learning_rate": None, "decay_images": 2000,
        "augment": "",
    }  # fmt: skip
    assert preset("dcgan-32-report", **found).loss == "hinge"


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("speed=2", "expected NAME=VALUE with one of size, crop"),
        ("loss", "expected NAME=VALUE"),
        ("batch=many", "batch takes int"),
        ("flip=perhaps", "flip takes bool"),
        ("d_learning_rate=fast", "d_learning_rate takes float or None"),
    ],
)
def test_a_setting_that_cannot_be_read_says_what_was_expected(setting: str, reason: str) -> None:
    with pytest.raises(ArgumentError, match=reason):
        parse_settings((setting,))


def test_a_config_of_the_first_release_means_what_it_meant() -> None:
    old = {"size": 32, "batch": 128, "learning_rate": 2e-4}
    config = TrainConfig.from_json(old)
    assert (config.loss, config.d_norm, config.optimizer, config.decay, config.augment) == (
        "non-saturating", "batch", "adam", "none", "",
    )  # fmt: skip
    with pytest.raises(ArgumentError, match="'telepathy' is unknown; a newer faceaug may know it"):
        TrainConfig.from_json(old | {"telepathy": 1})


GOLDEN = Path(__file__).parent / "golden"
DOCS = Path(__file__).parents[2] / "docs"
# The rows of the table that only lists the fields by group.
GROUPS = tuple(f"| {name} |" for name in ("data", "networks", "discriminators", "optimisation", "attributes", "run"))


def test_the_config_file_of_a_run_of_0_1_0_is_read_as_that_release_trained(celeba_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((GOLDEN / "config-0.1.0.json").read_bytes())
    config = read_config(tmp_path)
    assert (config.size, config.crop, config.batch, config.seed) == (32, "square", 64, 7)
    assert config == TrainConfig(crop="square", batch=64, seed=7)  # today's defaults are still those of 0.1.0
    assert open_run(
        tmp_path, FaceFolder(celeba_folder), config, resume=False, init=None
    )  # goes on without --resume, too


def test_the_config_file_of_a_run_from_before_the_groups_is_read_and_written_as_it_was(
    celeba_folder: Path, tmp_path: Path
) -> None:
    written = json.loads((GOLDEN / "config-flat.json").read_bytes())["run"]
    (tmp_path / "config.json").write_bytes((GOLDEN / "config-flat.json").read_bytes())
    config = read_config(tmp_path)
    assert len(written) == 55  # 54 fields and ``init``
    assert config.to_json() | {"init": "runs/faces-64b"} == written
    assert (config.teacher, config.toggle_weight, config.projected_on) == (4.0, 80.0, "efficientnet-lite1")
    assert open_run(tmp_path, FaceFolder(celeba_folder), config, resume=False, init="runs/faces-64b")


def test_every_field_is_set_by_a_preset_or_explained_in_the_documentation() -> None:
    tuned = fine_tuning(load_model("dcgan-32").config)
    plain = TrainConfig().to_json()
    chosen = {
        name
        for config in (*PRESETS.values(), tuned)
        for name, value in config.to_json().items()
        if value != plain[name]
    }
    page = (DOCS / "train.md").read_text()
    text = "\n".join(line for line in page.splitlines() if not line.startswith(GROUPS))
    explained = {name for name in plain if re.search(rf"`{name}[=`]|--set {name}=", text)}
    assert plain.keys() - chosen - explained == set()


def test_a_config_survives_json() -> None:
    config = TrainConfig(seed=3, crop="square")
    assert TrainConfig(**config.to_json()) == config


def test_fine_tuning_takes_the_networks_from_the_model_and_augments_from_the_start(conditional_model: Path) -> None:
    config = choose_config(None, conditional_model, images=99)
    assert (config.architecture, config.size, config.z_size, config.g_conv_dim) == ("film-subpixel", 32, 12, 16)
    assert (config.images, config.augment_p > 0, config.warmup > 0) == (99, True, True)
    assert choose_config(None, "dcgan-32").architecture == "dcgan"
    assert choose_config(None, None, seed=3) == preset("dcgan-32", seed=3)
    assert choose_config("dcgan-64", "dcgan-32") == preset("dcgan-64")
    with pytest.raises(ArgumentError, match="unknown field 'speed'"):
        choose_config(None, "dcgan-32", speed=1)
    with pytest.raises(ArgumentError, match="neither a bundled model"):
        choose_config(None, "nowhere")


def test_going_on_takes_what_the_run_began_with(tmp_path: Path) -> None:
    document = {"run": preset("faces-64", seed=3).to_json() | {"init": None}, "finished": False}
    (tmp_path / "config.json").write_text(json.dumps(document))
    assert choose_config(resume=tmp_path) == preset("faces-64", seed=3)
    assert choose_config(resume=tmp_path, images=9).images == 9
    assert choose_config("dcgan-64", resume=tmp_path) == preset("dcgan-64")
    with pytest.raises(ArgumentError, match="unknown field 'speed'"):
        choose_config(resume=tmp_path, speed=1)
    with pytest.raises(RefusedError, match="no run to resume there"):
        choose_config(resume=tmp_path / "nowhere")
