from __future__ import annotations

from typing import Any

import pytest

from faceaug.errors import ArgumentError
from faceaug.train import PRESETS, TrainConfig, preset


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


def test_a_config_survives_json() -> None:
    config = TrainConfig(seed=3, crop="square")
    assert TrainConfig(**config.to_json()) == config
