"""What the libraries of ``augment.py``, ``landmarks.py`` and ``augment_loader.py`` have in common; and faceaug itself.

A *step* is one operation by its name in ``STEPS``. A kit makes the library's own transform of a list of steps, either
``fixed`` (every range collapsed to the values of ``FIXED``, so that outputs can be compared) or drawn at random from
the ranges of ``DRAWN``, as users do. Where a library lacks a step, the kit says so by ``Lacking``; where it means
something a little different, in ``notes``.
"""

# ruff: noqa: D102, ARG002 - what the methods are stands in augment_kits.Kit

from __future__ import annotations

import itertools
import os
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

Size: TypeAlias = tuple[int, int]  # (height, width)
Image8: TypeAlias = NDArray[np.uint8]
Points: TypeAlias = NDArray[np.float32]
Apply: TypeAlias = Callable[[Any], Any]

STEPS = ("flip h", "flip v", "rotate", "stretch", "perspective", "twist", "elastic", "gaussian", "motion")
FIXED: dict[str, Any] = {
    "p": 1.0, "rotate": (15.0, 15.0), "stretch": ((1.1, 1.1), (0.95, 0.95)), "perspective": (0.08, 0.08),
    "twist": (20.0, 20.0), "elastic": (6.0, 6.0), "gaussian": (1.5, 1.5), "motion": (9, 9), "angle": (20.0, 20.0),
}  # fmt: skip
# Ends that every library takes: albumentations wants odd motion kernels, a sigma of 0 means "automatic" to some.
DRAWN: dict[str, Any] = {
    "p": 0.5, "rotate": (-20.0, 20.0), "stretch": ((1 / 1.15, 1.15), (1 / 1.15, 1.15)), "perspective": (0.0, 0.08),
    "twist": (-20.0, 20.0), "elastic": (6.0, 6.0), "gaussian": (0.1, 1.5), "motion": (3, 9), "angle": (-90.0, 90.0),
}  # fmt: skip
# How far the corners move when fixed, as shares of the size: top left, top right, bottom right, bottom left.
CORNERS = np.array([[0.04, 0.03], [-0.05, 0.02], [-0.02, -0.06], [0.05, -0.03]])
GRID = 6  # cells of our elastic
BLACK = "fills with black; has no other border"
ONE_FACTOR = "same factor on both axes (it has no other)"
BLUR_SIDE = 11  # of every Gaussian kernel where it is given: 2 ceil(3 * 1.5) + 1


class Lacking(Exception):  # noqa: N818 - it is an answer, not a failure
    """The library has no such step."""


def homography(size: Size) -> NDArray[np.float64]:
    """The matrix, in pixel indices, that takes the outermost pixels where ``CORNERS`` puts them."""
    ends = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * (size[1] - 1, size[0] - 1)
    rows, values = [], []
    for (x, y), (u, v) in zip(ends, ends + CORNERS * (size[1] - 1, size[0] - 1), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.append(np.linalg.solve(np.array(rows), np.array(values)), 1.0).reshape(3, 3)


def moved_corners(size: Size) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The four outermost pixels, and where ``CORNERS`` puts them: (4, 2) each."""
    ends = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]]) * (size[1] - 1, size[0] - 1)
    return ends, ends + CORNERS * (size[1] - 1, size[0] - 1)


class Kit:
    """One library.

    Attributes:
        name: as in the tables.
        batch: pictures per call.
        notes: step -> where it means something else here.
        isotropic: its stretch has one factor for both axes.
        has_sigma: its elastic is noise under a Gaussian.
        elastic: the strength of its elastic, in its own unit.
        sigma: that Gaussian's, pixels.
    """

    name = ""
    batch = 1
    notes: ClassVar[dict[str, str]] = {}
    isotropic = False
    has_sigma = False

    def __init__(self, size: Size) -> None:
        self.size = size
        self.elastic = 1.0
        self.sigma = smoothness(size)

    @abstractmethod
    def load(self, image: Image8) -> Any:
        """A picture in the layout that this library works on."""

    @abstractmethod
    def show(self, result: Any) -> Image8:
        """A result as uint8 (height, width, 3)."""

    @abstractmethod
    def step(self, name: str, *, fixed: bool) -> Any:
        """The library's transform, or Lacking."""

    def probe(self, transform: Any, ramp: NDArray[np.float32]) -> NDArray[np.float32]:
        """The transform of a float picture (height, width, 3) of 0..1, to read off where pixels come from."""
        raise Lacking("no float pictures")

    @abstractmethod
    def chain(self, transforms: Sequence[Any]) -> Any:
        """Transforms one after another, as this library does it."""

    def call(self, transform: Any) -> Apply:
        """How the transform is applied to what ``load`` gave."""
        return transform

    def call_marked(self, transforms: Sequence[Any], points: Points) -> Apply:
        """The same with landmarks; gives (result, (n, 2) array)."""
        raise Lacking("no landmarks")

    def apply(self, steps: Sequence[str], *, fixed: bool) -> Apply:
        """A function of a loaded picture."""
        made = [self.step(name, fixed=fixed) for name in steps]
        return self.call(made[0] if len(made) == 1 else self.chain(made))

    def apply_marked(self, steps: Sequence[str], points: Points, *, fixed: bool) -> Apply:
        """A function of a loaded picture that carries landmarks along."""
        return self.call_marked([self.step(name, fixed=fixed) for name in steps], points)


def smoothness(size: Size) -> float:
    """The Gaussian sigma as smooth as our elastic: a cubic B-spline has a variance of a third of a cell squared."""
    return round(float(np.sqrt(1 / 3) * min(size) / GRID), 1)


class Ours(Kit):
    """faceaug on arrays."""

    name = "faceaug"

    def load(self, image: Image8) -> Any:
        return image

    def show(self, result: Any) -> Image8:
        return np.asarray(result)

    def step(self, name: str, *, fixed: bool) -> Any:
        import faceaug as fa

        values = FIXED if fixed else DRAWN
        x, y = values["stretch"]
        make = {
            "flip h": lambda: fa.HorizontalFlip(p=values["p"]),
            "flip v": lambda: fa.VerticalFlip(p=values["p"]),
            "rotate": lambda: fa.Rotate(values["rotate"]),
            "stretch": lambda: fa.Stretch(x, y),
            "perspective": lambda: fa.Perspective(values["perspective"]),
            "twist": lambda: fa.Twist(values["twist"]),
            "elastic": lambda: fa.Elastic(values["elastic"], grid=GRID),
            "gaussian": lambda: fa.GaussianBlur(values["gaussian"]),
            "motion": lambda: fa.MotionBlur(values["motion"], angle=values["angle"]),
        }
        return make[name]()

    def chain(self, transforms: Sequence[Any]) -> Any:
        import faceaug as fa

        return fa.Compose(list(transforms))

    def call_marked(self, transforms: Sequence[Any], points: Points) -> Apply:
        transform = self.chain(transforms)

        def work(image: Image8) -> Any:
            made = transform(image, landmarks=points)
            return made["image"], made["landmarks"]

        return work

    def with_corners(self, steps: Sequence[str], image: Image8, *, isotropic: bool = False) -> Image8:
        """The picture under the fixed steps with the fixed corners, by the public replay."""
        transform = self.chain([self.step(name, fixed=True) for name in steps])
        params = transform.params(0, self.size)
        for step in params:
            if step["name"] == "Perspective":
                step["corners"] = CORNERS.tolist()
            if step["name"] == "Stretch" and isotropic:
                step["y"] = step["x"]
        return transform.render(image, params)

    def probe(self, transform: Any, ramp: NDArray[np.float32]) -> NDArray[np.float32]:
        """Read off its map: pictures of floats it refuses."""
        height, width = ramp.shape[:2]
        key = int(np.random.default_rng().integers(2**40))
        motion = transform.motion(transform.params(key, (height, width))[0], (height, width))
        y, x = np.mgrid[:height, :width].astype(np.float64)
        found = motion.sources(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(height, width, 2)
        return np.concatenate([found / (width, height), np.zeros((height, width, 1))], axis=2).astype(np.float32)


class OursTensor(Ours):
    """faceaug on CHW tensors."""

    name = "faceaug (CHW tensor)"

    def load(self, image: Image8) -> Any:
        return chw(image)

    def show(self, result: Any) -> Image8:
        return result.permute(1, 2, 0).numpy()


def chw(image: NDArray[Any]) -> Any:
    """A picture as a contiguous tensor (channels, height, width)."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def made_by(make: dict[str, Callable[[], Any]], name: str) -> Any:
    """The transform of that name, or Lacking."""
    if name not in make:
        raise Lacking(f"no {name}")
    return make[name]()


def counted(call: Callable[[Any, int], Any]) -> Apply:
    """A call that wants a key, with a new one each time."""
    numbers = itertools.count()
    return lambda image: call(image, next(numbers))


def quiet() -> None:
    """Before any import: one thread for everything, no call home."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "RAYON"):
        os.environ[f"{name}_NUM_THREADS"] = "1"


def single_threaded() -> None:
    """After the imports: one thread in OpenCV and torch."""
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
