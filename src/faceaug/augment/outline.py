"""Outlines: samples without pixels, for drawing the parameters of a chain before there is a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from PIL import Image

from faceaug.augment.lattice import Size
from faceaug.augment.pictures import open_picture
from faceaug.augment.sample import Sample
from faceaug.errors import ArgumentError


class Step(Protocol):
    """What an outline needs of a transform."""

    @property
    def name(self) -> str:
        """Name for errors."""

    def resized(self, params: dict[str, Any], size: Size) -> Size | None:
        """Size after the step, or None where only a picture shows it."""

    def apply(self, sample: Sample, params: dict[str, Any]) -> None:
        """Apply the step to a sample."""


# Which picture the caller has is unknown; some transforms take only one of these.
_BLANK: tuple[Callable[[Size], Any], ...] = (
    lambda size: np.zeros((*size, 3), np.uint8),
    lambda size: Image.new("RGB", size[::-1]),
    lambda size: np.zeros((*size, 3), np.float32),
)


class Outline:
    """Follows the size of a picture through the steps of a chain.

    Steps are only noted until a later one asks for the size. Then the noted ones are followed by arithmetic where they
    can say what they do to the size, otherwise on a blank picture.

    Args:
        size: (height, width) of the picture, pixels.
    """

    def __init__(self, size: Size) -> None:
        self._size = size
        self._steps: list[tuple[Step, dict[str, Any]]] = []
        self._done = 0
        self._sample: Sample | None = None
        self._started = (0, size)  # number of steps before the first that needs a picture, and the size there
        self._blank = 0

    @property
    def size(self) -> Size:
        """Current (height, width).

        Raises:
            ArgumentError: a step does not work on a blank picture without targets.
        """
        while self._done < len(self._steps):
            step, params = self._steps[self._done]
            try:
                self._follow(step, params)
                self._done += 1
            except Exception as error:  # noqa: BLE001 - a step of the user's may raise anything
                self._begin_again(step, error)
        return self._size

    def take(self, step: Step, params: dict[str, Any]) -> None:
        """Note a step."""
        self._steps.append((step, params))

    def _follow(self, step: Step, params: dict[str, Any]) -> None:
        size = step.resized(params, self._size)
        if size is None and self._sample is None:
            self._started = (self._done, self._size)
            self._sample = _opened(_BLANK[self._blank](self._size))
        if self._sample is None or size == self._size:  # pixels do not matter
            self._size = size or self._size
            return
        step.apply(self._sample, params)
        self._size = self._sample.size

    def _begin_again(self, step: Step, error: Exception) -> None:
        """Go back to the first step that needs a picture, with another blank one."""
        self._blank += 1
        if self._sample is None or self._blank >= len(_BLANK):
            raise ArgumentError(
                f"the size behind {step.name} is known only once there is a picture ({error}): call traced(picture), "
                "which returns the parameters along with the result"
            ) from error
        self._done, self._size = self._started
        self._sample = None


def _opened(picture: Any) -> Sample:
    array, restore = open_picture(picture)
    return Sample([array], [restore])
