"""The libraries that work on arrays, as ``augment_kits.py`` wants them."""

# ruff: noqa: D102, ARG002 - what the methods are stands in augment_kits.Kit

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from augment_kits import (
    BLUR_SIDE,
    DRAWN,
    FIXED,
    Apply,
    Image8,
    Kit,
    Lacking,
    Points,
    Size,
    chw,
    counted,
    homography,
    made_by,
)
from numpy.typing import NDArray


class Albumentations(Kit):
    """albumentations 2.0.8, the last one under MIT: arrays."""

    name = "albumentations"
    notes: ClassVar[dict[str, str]] = {"motion": "aliased line of one pixel; ours is anti-aliased"}
    has_sigma = True

    def probe(self, transform: Any, ramp: NDArray[np.float32]) -> NDArray[np.float32]:
        return transform(image=ramp)["image"]

    def load(self, image: Image8) -> Any:
        return image

    def show(self, result: Any) -> Image8:
        return result

    def step(self, name: str, *, fixed: bool) -> Any:
        import albumentations as A
        import cv2

        values = FIXED if fixed else DRAWN
        (x, y), linear, mirrored = values["stretch"], cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101
        warp = {"interpolation": linear, "border_mode": mirrored, "p": 1.0}
        (low, high), side = values["angle"], (BLUR_SIDE, BLUR_SIDE) if fixed else 0
        make = {
            "flip h": lambda: A.HorizontalFlip(p=values["p"]),
            "flip v": lambda: A.VerticalFlip(p=values["p"]),
            "rotate": lambda: A.Rotate(values["rotate"], **warp),
            "stretch": lambda: A.Affine(scale={"x": x, "y": y}, **warp),
            "perspective": lambda: _albumentations_perspective(self.size, fixed)(scale=values["perspective"], **warp),
            "elastic": lambda: A.ElasticTransform(alpha=self.elastic, sigma=self.sigma, **warp),
            "gaussian": lambda: A.GaussianBlur(side, sigma_limit=values["gaussian"], p=1.0),
            "motion": lambda: A.MotionBlur(
                values["motion"],
                allow_shifted=False,
                angle_range=(low + 180, high + 180),
                direction_range=(0, 0),
                p=1.0,
            ),
        }
        return made_by(make, name)

    def chain(self, transforms: Sequence[Any]) -> Any:
        import albumentations as A

        return A.Compose(list(transforms))

    def call(self, transform: Any) -> Apply:
        return lambda image: transform(image=image)["image"]

    def call_marked(self, transforms: Sequence[Any], points: Points) -> Apply:
        import albumentations as A

        # By default it drops points that leave the frame, and with a mirrored border it may return several for one.
        params = A.KeypointParams(format="xy", remove_invisible=False)
        transform = A.Compose(list(transforms), keypoint_params=params)

        def work(image: Image8) -> Any:
            made = transform(image=image, keypoints=points)
            return made["image"], np.asarray(made["keypoints"])

        return work


class AlbumentationsCompose(Albumentations):
    """The same with single operations inside its Compose, without which it takes neither a seed nor landmarks."""

    name = "albumentations (in A.Compose)"

    def apply(self, steps: Sequence[str], *, fixed: bool) -> Apply:
        if len(steps) > 1:
            raise Lacking("as albumentations")
        return self.call(self.chain([self.step(steps[0], fixed=fixed)]))

    def apply_marked(self, steps: Sequence[str], points: Points, *, fixed: bool) -> Apply:
        raise Lacking("as albumentations")


def _albumentations_perspective(size: Size, fixed: bool) -> Any:
    import albumentations as A

    if not fixed:
        return A.Perspective

    class Perspective(A.Perspective):
        def get_params_dependent_on_data(self, params: Any, data: Any) -> dict[str, Any]:
            height, width = size
            matrix = homography(size)
            return {"matrix": matrix, "max_height": height, "max_width": width, "matrix_bbox": matrix}

    return Perspective


class Fuse(Kit):
    """fuse-augmentations over albumentations' transforms: arrays, or from uint8 to uint8 by a float batch of one.

    With a perspective in it, only the second takes the chain.
    """

    name = "fuse-augmentations"
    notes: ClassVar[dict[str, str]] = {
        "perspective": "ends a fused run; float tensors only",
        "elastic": "passed through to albumentations",
    }
    has_sigma = True

    def __init__(self, size: Size) -> None:
        super().__init__(size)
        self.source = Albumentations(size)

    def probe(self, transform: Any, ramp: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.source.probe(transform, ramp)

    def load(self, image: Image8) -> Any:
        return image

    def show(self, result: Any) -> Image8:
        return np.asarray(result)

    def step(self, name: str, *, fixed: bool) -> Any:
        self.source.elastic, self.source.sigma = self.elastic, self.sigma
        return self.source.step(name, fixed=fixed)

    def chain(self, transforms: Sequence[Any]) -> Any:
        return list(transforms)

    def call(self, transform: Any) -> Apply:
        import fuse_augmentations as fuse

        steps = transform if isinstance(transform, list) else [transform]
        fused = fuse.Compose(steps, interpolation="bilinear", padding_mode="reflection")
        if not any("Perspective" in type(step).__name__ for step in steps):
            return lambda image: fused(image=image)["image"]
        return lambda image: _from_float(fused(chw(image)[None].float() / 255))


def _from_float(batch: Any) -> Image8:
    import torch

    return (batch[0] * 255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()


class Variopinta(Kit):
    """variopinta, compiled: arrays through Rust."""

    name = "variopinta"
    notes: ClassVar[dict[str, str]] = {
        "stretch": "same factor on both axes (it has no other)",
        "perspective": "corners cannot be given",
    }
    isotropic = True

    def load(self, image: Image8) -> Any:
        return image

    def show(self, result: Any) -> Image8:
        return np.asarray(result)

    def step(self, name: str, *, fixed: bool) -> Any:
        import variopinta as vp

        values = FIXED if fixed else DRAWN
        mirrored = vp.BorderMode.REFLECT101
        make = {
            "flip h": lambda: vp.HorizontalFlip(p=values["p"]),
            "flip v": lambda: vp.VerticalFlip(p=values["p"]),
            "rotate": lambda: vp.RandomRotation((-values["rotate"][1], -values["rotate"][0]), border_mode=mirrored),
            "stretch": lambda: vp.Affine(
                degrees_range=(0.0, 0.0), scale_range=values["stretch"][0], border_mode=mirrored
            ),
            "perspective": lambda: vp.Perspective(distortion_scale_range=values["perspective"], border_mode=mirrored),
            "gaussian": lambda: vp.GaussianBlur(kernel_size=BLUR_SIDE, sigma_range=values["gaussian"]),
        }
        return made_by(make, name)

    def chain(self, transforms: Sequence[Any]) -> Any:
        import variopinta as vp

        return vp.Pipeline(list(transforms), seed=0).compile()

    def call(self, transform: Any) -> Apply:
        import variopinta as vp

        compiled = transform if isinstance(transform, vp.CompiledPipeline) else self.chain([transform])
        return counted(lambda image, key: compiled(image, key=key))
