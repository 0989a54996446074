"""Fixtures of the server's tests: an engine with the bundled models, and a model that takes attributes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from faceaug.annotations import attribute_index
from faceaug.errors import ArgumentError
from faceaug.serve import Engine, FaceService
from faceaug.synthesize import SyntheticFaceSource, load_model
from faceaug.synthesize.weights import BUNDLED

SWITCHES = ("Smiling", "Male", "Eyeglasses")


class SwitchedSource(SyntheticFaceSource):
    """A source that takes three attributes: each moves the latent vector its own way."""

    _wanted: Mapping[str, int] = {}

    def _check_attributes(self, attributes: Mapping[str, int] | None) -> None:
        for name in attributes or ():
            attribute_index(name)
            if name not in SWITCHES:
                raise ArgumentError(f"model {self.config.name} does not take {name}")
        self._wanted = dict(attributes or {})

    def latents(self, n: int, *, start: int = 0) -> Tensor:
        numbers = super().latents(n, start=start)
        for name, sign in self._wanted.items():
            numbers[:, SWITCHES.index(name)] += 3.0 * sign
        return numbers


def bundled(**options: object) -> Engine:
    return Engine({name: partial(load_model, name) for name in BUNDLED}, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = bundled()
    yield made
    made.close()


@pytest.fixture(scope="module")
def service(engine: Engine) -> FaceService:
    return FaceService(engine)


def pixels(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as picture:
        return np.array(picture.convert("RGB"))


def tiles(data: bytes, columns: int, rows: int) -> NDArray[np.uint8]:
    """A sprite as faces: uint8 (n, H, W, 3)."""
    sprite = pixels(data)
    height, width = sprite.shape[0] // rows, sprite.shape[1] // columns
    cut = sprite.reshape(rows, height, columns, width, 3).swapaxes(1, 2)
    return cut.reshape(rows * columns, height, width, 3)
