"""The libraries that work on tensors, as ``augment_kits.py`` wants them."""

# ruff: noqa: D102, ARG002 - what the methods are stands in augment_kits.Kit

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from augment_kits import (
    BLACK,
    BLUR_SIDE,
    DRAWN,
    FIXED,
    GRID,
    ONE_FACTOR,
    Apply,
    Image8,
    Kit,
    Lacking,
    Points,
    Size,
    chw,
    homography,
    made_by,
    moved_corners,
)
from numpy.typing import NDArray


class Torchvision(Kit):
    """torchvision.transforms.v2 on uint8 CHW tensors."""

    name = "torchvision v2"
    notes: ClassVar[dict[str, str]] = dict.fromkeys(("rotate", "perspective", "elastic"), BLACK) | {
        "stretch": ONE_FACTOR + "; fills with black",
        "gaussian": f"kernel of {BLUR_SIDE} for every sigma",
    }
    isotropic = True
    has_sigma = True

    def probe(self, transform: Any, ramp: NDArray[np.float32]) -> NDArray[np.float32]:
        return transform(chw(ramp)).permute(1, 2, 0).numpy()

    def load(self, image: Image8) -> Any:
        return chw(image)

    def show(self, result: Any) -> Image8:
        return result.permute(1, 2, 0).numpy()

    def step(self, name: str, *, fixed: bool) -> Any:
        from torchvision.transforms import v2

        values = FIXED if fixed else DRAWN
        linear = v2.InterpolationMode.BILINEAR
        make = {
            "flip h": lambda: v2.RandomHorizontalFlip(p=values["p"]),
            "flip v": lambda: v2.RandomVerticalFlip(p=values["p"]),
            "rotate": lambda: v2.RandomRotation(values["rotate"], interpolation=linear),
            "stretch": lambda: v2.RandomAffine(0, scale=values["stretch"][0], interpolation=linear),
            "perspective": lambda: _torchvision_perspective(self.size, fixed)(2 * values["perspective"][1], p=1.0),
            "elastic": lambda: v2.ElasticTransform(alpha=self.elastic, sigma=self.sigma),
            "gaussian": lambda: v2.GaussianBlur(BLUR_SIDE, sigma=values["gaussian"]),
        }
        return made_by(make, name)

    def chain(self, transforms: Sequence[Any]) -> Any:
        from torchvision.transforms import v2

        return v2.Compose(list(transforms))

    def call_marked(self, transforms: Sequence[Any], points: Points) -> Apply:
        import torch
        from torchvision import tv_tensors

        transform = self.chain(transforms)
        marks = tv_tensors.KeyPoints(torch.from_numpy(points), canvas_size=self.size)

        def work(image: Any) -> Any:
            made, moved = transform(tv_tensors.Image(image), marks)
            return made, moved.numpy()

        return work


class TorchvisionPil(Torchvision):
    """The same on PIL pictures."""

    name = "torchvision v2 (PIL)"

    def step(self, name: str, *, fixed: bool) -> Any:
        if name == "elastic" and max(self.size) > 300:
            raise Lacking("as on tensors: nearly all of it is the making of the field")
        return super().step(name, fixed=fixed)

    def load(self, image: Image8) -> Any:
        from PIL import Image

        return Image.fromarray(image)

    def show(self, result: Any) -> Image8:
        return np.asarray(result)


def _torchvision_perspective(size: Size, fixed: bool) -> Any:
    from torchvision.transforms import v2
    from torchvision.transforms.v2.functional._geometry import _get_perspective_coeffs

    if not fixed:
        return v2.RandomPerspective
    start, end = moved_corners(size)

    class Perspective(v2.RandomPerspective):
        def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
            return {"coefficients": _get_perspective_coeffs(start.tolist(), end.tolist())}

    return Perspective


class Kornia(Kit):
    """kornia, a batch of one; from uint8 to uint8, as its users do it in a Dataset."""

    name = "kornia"
    notes: ClassVar[dict[str, str]] = dict.fromkeys(("rotate", "perspective"), BLACK) | {
        "motion": "a line turned in its kernel's grid",
        "elastic": "kernel of 6 sigma",
    }
    has_sigma = True

    def probe(self, transform: Any, ramp: NDArray[np.float32]) -> NDArray[np.float32]:
        return transform(chw(ramp)[None])[0].permute(1, 2, 0).numpy()

    def load(self, image: Image8) -> Any:
        return chw(image)

    def show(self, result: Any) -> Image8:
        return result.permute(1, 2, 0).numpy()

    def step(self, name: str, *, fixed: bool) -> Any:
        import kornia.augmentation as K

        values = FIXED if fixed else DRAWN
        (x, y), angle = values["stretch"], values["angle"]
        side = 2 * int(3 * self.sigma) + 1
        make = {
            "flip h": lambda: K.RandomHorizontalFlip(p=values["p"]),
            "flip v": lambda: K.RandomVerticalFlip(p=values["p"]),
            "rotate": lambda: K.RandomRotation(values["rotate"], p=1.0),
            "stretch": lambda: K.RandomAffine(
                0.0, scale=(*x, *y), padding_mode="reflection", align_corners=True, p=1.0
            ),
            "perspective": lambda: _kornia_perspective(self.size, fixed)(2 * values["perspective"][1], p=1.0),
            "elastic": lambda: K.RandomElasticTransform(
                (side, side), (self.sigma, self.sigma), (self.elastic, self.elastic), padding_mode="reflection", p=1.0
            ),
            "gaussian": lambda: K.RandomGaussianBlur((BLUR_SIDE, BLUR_SIDE), values["gaussian"], p=1.0),
            "motion": lambda: K.RandomMotionBlur(
                values["motion"] if not fixed else 9, angle, 0.0, border_type="REFLECT", resample="BILINEAR", p=1.0
            ),
        }
        return made_by(make, name)

    def chain(self, transforms: Sequence[Any]) -> Any:
        import kornia.augmentation as K

        return K.AugmentationSequential(*transforms, data_keys=["input"])

    def call(self, transform: Any) -> Apply:
        return lambda image: self.down(transform(self.up(image)))

    def call_marked(self, transforms: Sequence[Any], points: Points) -> Apply:
        import kornia.augmentation as K
        import torch

        transform = K.AugmentationSequential(*transforms, data_keys=["input", "keypoints"])
        marks = torch.from_numpy(points)[None]

        def work(image: Any) -> Any:
            made, moved = transform(self.up(image), marks)
            return self.down(made), moved[0].numpy()

        return work

    def up(self, image: Any) -> Any:
        """uint8 CHW to a float batch of one."""
        return image[None].float() / 255

    def down(self, batch: Any) -> Any:
        """And back."""
        import torch

        return (batch[0] * 255).round().clamp(0, 255).to(torch.uint8)


class KorniaFloat(Kornia):
    """kornia on a float batch of one that is there already, and stays float."""

    name = "kornia (float in, float out)"

    def load(self, image: Image8) -> Any:
        return chw(image)[None].float() / 255

    def show(self, result: Any) -> Image8:
        return super().show(Kornia.down(self, result))

    def up(self, image: Any) -> Any:
        return image

    def down(self, batch: Any) -> Any:
        return batch


def _kornia_perspective(size: Size, fixed: bool) -> Any:
    import kornia.augmentation as K
    import torch

    if not fixed:
        return K.RandomPerspective
    start, end = (torch.from_numpy(points)[None].float() for points in moved_corners(size))

    class Perspective(K.RandomPerspective):
        def generate_parameters(self, batch_shape: Any) -> dict[str, Any]:
            count = batch_shape[0]
            return {"start_points": start.repeat(count, 1, 1), "end_points": end.repeat(count, 1, 1)}

    return Perspective


class TorchTransform(Kit):
    """torchtransform on uint8 batches; one resample for a whole chain, as ours."""

    name = "torchtransform"
    notes: ClassVar[dict[str, str]] = {
        "twist": "another profile: (1 - r / radius)**2",
        "motion": "anti-aliased in another way",
        "perspective": "corners of the frame, not of the outermost pixels, when drawn",
    }

    def probe(self, transform: Any, ramp: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.call(transform)(chw(ramp)[None])[0].permute(1, 2, 0).numpy()

    def load(self, image: Image8) -> Any:
        return chw(image)[None].repeat(self.batch, 1, 1, 1)

    def show(self, result: Any) -> Image8:
        return result[0].permute(1, 2, 0).numpy()

    def step(self, name: str, *, fixed: bool) -> Any:
        import torchtransform as tt

        values = FIXED if fixed else DRAWN
        (x, y), angle = values["stretch"], values["angle"]
        make = {
            "flip h": lambda: tt.HorizontalFlip(p=values["p"]),
            "flip v": lambda: tt.VerticalFlip(p=values["p"]),
            "rotate": lambda: tt.Rotate((-values["rotate"][1], -values["rotate"][0])),
            "stretch": lambda: tt.Scale(x=x, y=y),
            "perspective": lambda: _torchtransform_perspective(self.size, fixed)(_doubled(values["perspective"])),
            "twist": lambda: tt.Twirl((-values["twist"][1], -values["twist"][0]), radius=0.5, center=0.0),
            "elastic": lambda: tt.ElasticWarp(self.elastic, spacing=min(self.size) / GRID),
            "gaussian": lambda: tt.GaussianBlur(values["gaussian"]),
            "motion": lambda: tt.MotionBlur(values["motion"], (-angle[1], -angle[0])),
        }
        return made_by(make, name)

    def chain(self, transforms: Sequence[Any]) -> Any:
        import torchtransform as tt

        return tt.Compose(*transforms)

    def call(self, transform: Any) -> Apply:
        import torchtransform as tt

        def work(images: Any) -> Any:
            made = transform(tt.Image(images, padding="reflection"))
            return getattr(made, "data", made)

        return work

    def call_marked(self, transforms: Sequence[Any], points: Points) -> Apply:
        import torch
        import torchtransform as tt

        transform = self.chain(transforms)
        marks = torch.from_numpy(points).double()[None].repeat(self.batch, 1, 1) + 0.5  # its origin is a corner

        def work(images: Any) -> Any:
            made, moved = transform(tt.Image(images, padding="reflection"), tt.Points(marks))
            return getattr(made, "data", made), getattr(moved, "data", moved)[0].numpy() - 0.5

        return work


class TorchTransform32(TorchTransform):
    """The same on batches of 32 that are there already."""

    name = "torchtransform (batch of 32)"
    batch = 32


def _doubled(ends: tuple[float, float]) -> tuple[float, float]:
    return 2 * ends[0], 2 * ends[1]  # its share is of half the size


def _torchtransform_perspective(size: Size, fixed: bool) -> Any:
    import torch
    import torchtransform as tt

    if not fixed:
        return tt.Perspective
    to_centre = np.array([[1, 0, 0.5 - size[1] / 2], [0, 1, 0.5 - size[0] / 2], [0, 0, 1]])
    matrix = torch.from_numpy(to_centre @ homography(size) @ np.linalg.inv(to_centre))

    class Perspective(tt.Perspective):
        def get_matrices(self, context: Any) -> Any:
            return matrix.expand(context.batch_size, 3, 3)

    return Perspective
