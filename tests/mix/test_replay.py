"""Pictures made again: whose errors are told as whose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faceaug.augment import HorizontalFlip
from faceaug.data.image import encode_png
from faceaug.errors import ArgumentError
from faceaug.mix import expand_dataset, replay_row
from faceaug.synthesize import SyntheticFaceSource


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Two real pictures, a copy of each, and two synthetic ones."""
    (tmp_path / "faces").mkdir()
    for k in range(2):
        (tmp_path / "faces" / f"{k}.png").write_bytes(encode_png(np.full((32, 32, 3), 90 * k, np.uint8)))
    dataset = expand_dataset(
        tmp_path / "faces",
        source="dcgan-32",
        synthetic=2,
        copies=1,
        size=32,
        recipe=HorizontalFlip(p=1),
        partition="all",
    )
    return dataset.save(tmp_path / "out").out


class Faulty(HorizontalFlip, in_recipes=False):
    def render(self, *_: Any, **__: Any) -> Any:
        raise KeyError("a fault of the caller's")


def test_an_error_of_the_recipe_that_was_passed_is_not_one_of_the_folder(out: Path) -> None:
    with pytest.raises(KeyError, match="a fault of the caller's"):
        replay_row(out, 2, recipe=Faulty(p=1))
    assert replay_row(out, 2, recipe=HorizontalFlip(p=1)).same


def test_an_error_of_the_source_that_was_passed_is_not_one_of_the_folder(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FaultySource(SyntheticFaceSource):
        def generate(self, *_: Any, **__: Any) -> Any:
            raise ValueError("a fault of the caller's")

    with pytest.raises(ValueError, match="^a fault of the caller's"):
        replay_row(out, 5, source=FaultySource("dcgan-32"))
    monkeypatch.setattr("faceaug.mix.replay.load_model", lambda model: {}["a fault of the caller's"])
    with pytest.raises(KeyError, match="a fault of the caller's"):
        replay_row(out, 5, source="elsewhere")


@pytest.mark.parametrize(
    ("row", "changes"),
    [(2, {"recipe": None}), (5, {"truncation": "much"}), (5, {"models": 5}), (0, {"size": "wide"})],
)
def test_an_error_of_what_is_recorded_is_one_of_the_folder(out: Path, row: int, changes: dict[str, Any]) -> None:
    document = json.loads((out / "dataset.json").read_bytes())
    document["run"] |= changes
    (out / "dataset.json").write_text(json.dumps(document))
    with pytest.raises(ArgumentError, match="is not as faceaug wrote it"):
        replay_row(out, row)
