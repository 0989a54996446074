"""expand_dataset: real, augmented and synthetic faces as one dataset.

The plan is made first, as data; then item i is a function of (seed, epoch, i) alone. So the same samples come from
0, 1 or 4 workers, in any order, in any process.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Sampler

from faceaug.annotations import ATTRIBUTES
from faceaug.augment import Transform
from faceaug.augment.pictures import planar
from faceaug.crop import Crop, crop_face, crop_points, in_frame
from faceaug.draws import check_seed
from faceaug.errors import ArgumentError
from faceaug.folder import Target
from faceaug.image import Image8
from faceaug.mix.balance import Balance, Share, parse_balance
from faceaug.mix.copies import Recipe, as_recipe, augment
from faceaug.mix.plan import AUGMENTED, REAL, SYNTHETIC, Plan, make_plan
from faceaug.mix.real import Faces, RealFaces
from faceaug.mix.sampler import EpochDataset, EpochSampler
from faceaug.mix.synthetic import SyntheticFaces
from faceaug.synthesize.source import SyntheticFaceSource, synthetic_target

if TYPE_CHECKING:
    from faceaug.mix.save import ExpandReport, FileFormat

_ENLARGED_TOO_MUCH = 2


@dataclass(frozen=True, slots=True)
class Frame:
    """How real pictures are cut and sized: crop, and (height, width) in pixels."""

    crop: Crop
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Item:
    """One item before it becomes a tensor: picture, target, and how it was made (for the manifest)."""

    image: Image8
    target: Target
    operations: str = ""


class ExpandedDataset(EpochDataset):
    """What ``expand_dataset`` returns: a map-style dataset of (uint8 (3, H, W) tensor, target dict).

    Attributes:
        plan: which items there are.
        frame: the crop and size of every picture.
        real: the pictures it is made from.
        made_with: what decides the samples beside the real pictures, as JSON data: seeds, model, recipe and so on.
    """

    def __init__(
        self,
        real: RealFaces,
        plan: Plan,
        frame: Frame,
        *,
        source: SyntheticFaceSource | None,
        recipe: Transform | None,
        filtered: bool,
        transform: Callable[[Tensor], Any] | None,
        target_transform: Callable[[Target], Any] | None,
        seed: int,
        wanted: dict[str, float],
    ) -> None:
        super().__init__(seed)
        self.plan, self.frame, self.real = plan, frame, real
        self.model = "" if source is None else source.config.name
        self.model_seed = 0 if source is None else source.seed
        self.made_with: dict[str, Any] = {
            "seed": self.seed, "size": list(frame.size), "crop": frame.crop, "real": plan.real,
            "augmented": plan.augmented, "synthetic": plan.synthetic, "balance": wanted, "model": self.model,
            "model_sha256": "" if source is None else source.config.sha256, "model_seed": self.model_seed,
            "filter": filtered, "recipe": "default" if recipe is None else recipe.to_json(),
        }  # fmt: skip
        self._recipe = recipe
        self._synthetic = None if source is None else SyntheticFaces(source, plan.synthetic, filtered=filtered)
        self._transform, self._target_transform = transform, target_transform
        self._wanted = wanted

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        item = self.item(index)
        return self._finished(torch.from_numpy(planar(item.image)), item.target, index % len(self))

    def __repr__(self) -> str:
        sizes = ", ".join(f"{count:,} {name}" for name, count in self.sizes())
        height, width = self.frame.size
        return f"ExpandedDataset({sizes}; {height}x{width}, seed {self.seed})"

    def item(self, index: int) -> Item:
        """Item ``index`` before the user's transforms: uint8 (H, W, 3) picture, target, operations as JSON."""
        i = self._position(index)
        if self.plan.origin(i) == SYNTHETIC:
            return self._synthetic_item(i)
        return self._real_item(i, augmented=self.plan.origin(i) == AUGMENTED)

    def sampler(self, *, shuffle: bool = True, balanced: bool = False) -> Sampler[int]:
        """A sampler for ``DataLoader(..., sampler=...)`` that moves on to the next epoch with each pass.

        Args:
            shuffle: a new order each pass.
            balanced: draw with replacement so that every combination of the ``balance`` attributes is equally
                frequent.
        """
        weights = self._balanced_weights() if balanced else None
        return EpochSampler(self, shuffle=shuffle, weights=weights)

    def sizes(self) -> list[tuple[str, int]]:
        """The rows of the small table: original, cleaned, augmented, synthetic, total."""
        plan = self.plan
        return [
            ("original", len(self.real)),
            ("cleaned", plan.real),
            ("augmented", plan.augmented),
            ("synthetic", plan.synthetic),
            ("total", len(plan)),
        ]

    @property
    def shares(self) -> tuple[Share, ...]:
        """The share of each balanced attribute, before and after."""
        return self.plan.shares

    @property
    def rejected(self) -> dict[str, int]:
        """Synthetic faces left out by the filter, by reason."""
        return {} if self._synthetic is None else self._synthetic.rejected

    def synthetic_key(self, index: int) -> int:
        """The number of a synthetic item in its model's stream of faces."""
        return int(cast(SyntheticFaces, self._synthetic).keys[index - len(self.plan.rows)])

    def save(
        self, out: Path | str, *, format: FileFormat = "png", on_progress: Callable[[int], None] | None = None
    ) -> ExpandReport:
        """Write every item as a file; see ``faceaug.mix.save.save_dataset``."""
        from faceaug.mix.save import save_dataset  # below this module, and save needs its class

        return save_dataset(self, Path(out), format=format, on_progress=on_progress)

    def _synthetic_item(self, i: int) -> Item:
        face = cast(SyntheticFaces, self._synthetic)[i - len(self.plan.rows)].transpose(1, 2, 0)
        return Item(crop_face(np.ascontiguousarray(face), "none", self.frame.size), synthetic_target(i))

    def _real_item(self, i: int, *, augmented: bool) -> Item:
        row = int(self.plan.rows[i])
        image, target, operations = self.real.read(row), self.real.target(row), ""
        if augmented:
            # As the picture lies on disk, before crop and size: what turns into view is real, and sizing smooths once.
            image, target, drawn = augment(image, target, self._recipe, (self.seed, self.epoch, i))
            operations = json.dumps(drawn)
        points = crop_points(target["landmarks"], self.frame.crop, self.frame.size, image_size=image.shape[:2])
        first = int(np.searchsorted(self.plan.rows[: self.plan.real], row))  # the item that is this picture itself
        target |= {
            "landmarks": points, "visible": in_frame(points, self.frame.size), "index": i, "source": first,
            "origin": AUGMENTED if augmented else REAL,
        }  # fmt: skip
        return Item(crop_face(image, self.frame.crop, self.frame.size), target, operations)

    def _balanced_weights(self) -> NDArray[np.float64]:
        if not self._wanted:
            raise ArgumentError("sampler(balanced=True): expand_dataset was called without balance=")
        columns = [ATTRIBUTES.index(name) for name in self._wanted]
        values = np.zeros((len(self), len(columns)), np.int8)  # synthetic faces: unknown, a group of their own
        values[: len(self.plan.rows)] = self.real.annotations.attributes[self.plan.rows][:, columns]
        _, groups, counts = np.unique(values, axis=0, return_inverse=True, return_counts=True)
        return 1.0 / counts[groups.reshape(-1)]


def expand_dataset(
    faces: Faces,
    *,
    copies: int = 1,
    synthetic: float | int = 0.25,
    balance: Balance | None = None,
    recipe: Recipe | None = None,
    source: SyntheticFaceSource | str | Path | None = None,
    size: int | tuple[int, int] | None = None,
    partition: str | int | None = None,
    filter: bool = True,
    transform: Callable[[Tensor], Any] | None = None,
    target_transform: Callable[[Target], Any] | None = None,
    seed: int = 0,
) -> ExpandedDataset:
    """Blend real, augmented and synthetic faces into one dataset.

    Args:
        faces: a folder, a ``FaceFolder``, or any map-style dataset of (image, label or target).
        copies: augmented copies of every real face.
        synthetic: a float is a share of the real faces used, an int a count.
        balance: {"Eyeglasses": 0.5}, or names for a half each: adds augmented copies of the rare rows until the
            attribute has that share; no real row is dropped.
        recipe: what an augmented copy goes through: a transform, a preset's name ("light", "document", "strong") or
            the path of a recipe.toml; "light" by default. It works on the picture as it lies on disk, before crop
            and size.
        source: a ``SyntheticFaceSource``, or the model to make one from.
        size: side in pixels, or (height, width). By default the model's size; without synthetic faces the most
            common size of the pictures.
        partition: "train", "val", "test" or "all". By default the train rows where a table has any, else all rows,
            with a warning. Synthetic faces never enter validation or test rows.
        filter: leave out blank and repeated synthetic faces; others take their place.
        transform: applied to each uint8 (3, H, W) tensor; what it draws from torch's, NumPy's or Python's global
            generators depends on (seed, epoch, item) alone.
        target_transform: applied to each target dict.
        seed: of everything that is drawn.

    Returns:
        A map-style dataset for a ``DataLoader``; items are (uint8 (3, H, W), target dict).

    Raises:
        ArgumentError: an option that cannot be used; unknown attributes and models are answered with the valid ones.
        RefusedError: there are no pictures.
    """
    check_seed(seed)
    wanted = parse_balance(balance)
    real = RealFaces(faces)
    plan = make_plan(
        real.annotations, partition=partition, copies=copies, synthetic=synthetic, wanted=wanted, seed=seed
    )
    generator = _source(source, seed) if plan.synthetic else None
    return ExpandedDataset(
        real, plan, _frame(real, generator, size), source=generator, recipe=as_recipe(recipe), filtered=filter,
        transform=transform, target_transform=target_transform, seed=seed, wanted=wanted,
    )  # fmt: skip


def _source(source: SyntheticFaceSource | str | Path | None, seed: int) -> SyntheticFaceSource:
    return source if isinstance(source, SyntheticFaceSource) else SyntheticFaceSource(source, seed=seed)


def _frame(real: RealFaces, source: SyntheticFaceSource | None, size: int | tuple[int, int] | None) -> Frame:
    """Real faces beside synthetic ones are cut as the model's were; alone they keep all of the picture."""
    wanted = (size, size) if isinstance(size, int) else size
    if wanted is not None and (len(wanted) != 2 or min(wanted) < 1):
        raise ArgumentError(f"size {size!r}: expected a side in pixels, or (height, width)")
    if source is None:
        crop: Crop = "square" if isinstance(size, int) else "none"
        return Frame(crop, wanted or real.common_size())
    side = source.config.size
    if wanted is not None and max(wanted) > _ENLARGED_TOO_MUCH * side:
        warnings.warn(
            f"size {max(wanted)}: the model's faces have {side} pixels and are enlarged more than twice; they will be "
            "blurrier than the real ones",
            stacklevel=3,
        )
    return Frame(source.config.crop, wanted or (side, side))
