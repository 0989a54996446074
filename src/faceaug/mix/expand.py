"""expand_dataset: real, augmented and synthetic faces as one dataset.

The plan is made first, as data; then item i is a function of (seed, epoch, i) alone. So the same samples come from
0, 1 or 4 workers, in any order, in any process.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Sampler

from faceaug.data.annotations import ATTRIBUTES
from faceaug.augment import Transform
from faceaug.augment.pictures import planar
from faceaug.data.crop import Crop
from faceaug.draws import check_seed
from faceaug.errors import ArgumentError
from faceaug.data.folder import Target
from faceaug.mix.balance import Balance, Share, parse_balance, reached
from faceaug.mix.copies import Recipe, as_recipe
from faceaug.mix.generators import Generators, ModelLike, open_generators
from faceaug.mix.item import Frame, Item, augmented_item, real_item, synthetic_item
from faceaug.mix.plan import AUGMENTED, SYNTHETIC, Plan, make_plan
from faceaug.mix.real import Faces, RealFaces
from faceaug.mix.sampler import EpochDataset, EpochSampler
from faceaug.mix.synthetic import SyntheticFaces

if TYPE_CHECKING:
    from faceaug.mix.blocks import FileFormat
    from faceaug.mix.report import ExpandReport

_ENLARGED_TOO_MUCH = 2


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
        generators: Generators | None,
        recipe: Transform | None,
        filtered: bool,
        transform: Callable[[Tensor], Any] | None,
        target_transform: Callable[[Target], Any] | None,
        seed: int,
        wanted: dict[str, float],
        synthetic_weight: float = 1.0,
    ) -> None:
        super().__init__(seed)
        self.plan, self.frame, self.real, self.recipe = plan, frame, real, recipe
        self.generators = generators if plan.synthetic else None
        self.synthetic_weight, self.wanted, self.filtered = synthetic_weight, wanted, filtered
        self.made_with: dict[str, Any] = {
            "seed": self.seed, "size": list(frame.size), "crop": frame.crop, "real": plan.real,
            "augmented": plan.augmented, "synthetic": plan.synthetic, "balance": wanted, "filter": filtered,
            "synthetic_weight": synthetic_weight, "recipe": "default" if recipe is None else recipe.to_json(),
        }  # fmt: skip
        models = self.generators.made_with(asked=len(plan.patterns) > 0) if self.generators else None
        self.made_with |= models or {"model": "", "model_sha256": ""}
        self._synthetic: SyntheticFaces | None = None
        self._transform, self._target_transform = transform, target_transform

    @property
    def model(self) -> str:
        """Name of the generator; empty where there is none."""
        return str(self.made_with["model"])

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
        row = int(self.plan.rows[i])
        image, target = self.real.read(row), self.real.target(row)
        if self.plan.origin(i) == AUGMENTED:
            return augmented_item(
                image, target, self.frame, self.recipe, seed=self.seed, epoch=self.epoch, index=i,
                source=self.plan.source(row),
            )  # fmt: skip
        return real_item(image, target, self.frame, index=i, source=self.plan.source(row))

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
        """The share of each balanced attribute, before and after; of synthetic faces those whose label is known."""
        if self._synthetic is None or self._synthetic.asked is None:
            return self.plan.shares
        before = {share.attribute: share.before for share in self.plan.shares}
        known = self.real.annotations.attributes
        return reached(known, self.plan.rows, self._synthetic.attributes, self.wanted, before)

    @property
    def rejected(self) -> dict[str, int]:
        """Synthetic faces left out by the filter, by reason."""
        return self.synthetic.rejected if self.generators else {}

    @property
    def synthetic(self) -> SyntheticFaces:
        """The synthetic faces; made now, if they are not yet."""
        if self.generators is None:
            raise ArgumentError("there are no synthetic faces in this dataset")
        if self._synthetic is None:
            self.make_faces()
        return self._synthetic  # type: ignore[return-value]  # made above

    def make_faces(
        self, *, hashes: Mapping[int, int] | None = None, on_progress: Callable[[int], None] = lambda _: None
    ) -> None:
        """Make the synthetic faces, unless they are there.

        Args:
            hashes: perceptual hashes of the real pictures, by row, where they are known already.
            on_progress: called with the number of faces done.
        """
        if self.generators is not None and self._synthetic is None:
            self._synthetic = self.generators.make(
                self.real, self.plan, self.wanted, filtered=self.filtered, hashes=hashes, on_progress=on_progress
            )

    def __getstate__(self) -> dict[str, Any]:
        self.make_faces()  # here, not once more in every process it is sent to
        return self.__dict__

    def synthetic_key(self, index: int) -> int:
        """The number of a synthetic item in its model's stream of faces."""
        return int(self.synthetic.keys[index - len(self.plan.rows)])

    def save(
        self,
        out: Path | str,
        *,
        format: FileFormat = "png",
        workers: int | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> ExpandReport:
        """Write every item as a file; see ``faceaug.mix.save.save_dataset``."""
        from faceaug.mix.save import save_dataset  # above this module: save needs its class

        return save_dataset(self, Path(out), format=format, workers=workers, on_progress=on_progress)

    def labels(self) -> NDArray[np.int8]:
        """The attributes of all items: int8 (n, 40), 0 where nothing is known."""
        known = self.real.annotations.attributes[self.plan.rows]
        return np.concatenate([known, self.synthetic.attributes]) if self.generators else known

    def _synthetic_item(self, i: int) -> Item:
        k, faces = i - len(self.plan.rows), self.synthetic
        return synthetic_item(
            faces[k], self.frame, index=i, attributes=faces.attributes[k], label=int(faces.labels[k]),
            weight=self.synthetic_weight,
        )  # fmt: skip

    def _balanced_weights(self) -> NDArray[np.float64]:
        if not self.wanted:
            raise ArgumentError("sampler(balanced=True): expand_dataset was called without balance=")
        # Faces of which nothing is known are a group of their own.
        values = self.labels()[:, [ATTRIBUTES.index(name) for name in self.wanted]]
        _, groups, counts = np.unique(values, axis=0, return_inverse=True, return_counts=True)
        return 1.0 / counts[groups.reshape(-1)]


def expand_dataset(
    faces: Faces,
    *,
    copies: int = 1,
    synthetic: float | int = 0.25,
    balance: Balance | None = None,
    recipe: Recipe | None = None,
    source: ModelLike | Mapping[str, ModelLike] | None = None,
    size: int | tuple[int, int] | None = None,
    partition: str | int | None = None,
    filter: bool = True,
    transform: Callable[[Tensor], Any] | None = None,
    target_transform: Callable[[Target], Any] | None = None,
    seed: int = 0,
    only_synthetic: bool = False,
    synthetic_weight: float = 1.0,
    eager: bool = True,
) -> ExpandedDataset:
    """Blend real, augmented and synthetic faces into one dataset.

    Args:
        faces: a folder, a ``FaceFolder``, or any map-style dataset of (image, label or target).
        copies: augmented copies of every real face.
        synthetic: a float is a share of the real faces used, an int a count.
        balance: {"Eyeglasses": 0.5}, or names for a half each: adds augmented copies of the rare rows until the
            attribute has that share; no real row is dropped. With a model that obeys attributes, synthetic faces take
            the place of such copies, as many as there are.
        recipe: what an augmented copy goes through: a transform, a preset's name ("light", "document", "strong") or
            the path of a recipe.toml; "light" by default. It works on the picture as it lies on disk, before crop
            and size.
        source: a ``SyntheticFaceSource``, or the model to make one from; for class folders also a mapping from class
            to one of these, whose faces get its label. None is the default model, or with ``balance`` the one that
            obeys attributes.
        size: side in pixels, or (height, width). By default the model's size; without synthetic faces the most
            common size of the pictures.
        partition: "train", "val", "test" or "all". By default the train rows where a table has any, else all rows,
            with a warning. Synthetic faces never enter validation or test rows.
        filter: leave out synthetic faces that are flat, unlike real faces, copies of a real face or of each other, or
            without the attributes they were asked for; others take their place.
        transform: applied to each uint8 (3, H, W) tensor; what it draws from torch's, NumPy's or Python's global
            generators depends on (seed, epoch, item) alone.
        target_transform: applied to each target dict.
        seed: of everything that is drawn.
        only_synthetic: leave the real faces out; needs copies=0. They only say what to ask for and what not to copy.
        synthetic_weight: ``weight`` of synthetic faces in their target.
        eager: make the synthetic faces now. False leaves it to the first use of one, or to ``save``, which looks at its
            folder first; use one before worker processes start, or each makes them all.

    Returns:
        A map-style dataset for a ``DataLoader``; items are (uint8 (3, H, W), target dict).

    Raises:
        ArgumentError: an option that cannot be used; unknown attributes and models are answered with the valid ones.
        RefusedError: there are no pictures.
    """
    check_seed(seed)
    wanted = parse_balance(balance)
    if not 0 <= synthetic_weight < np.inf:
        raise ArgumentError(f"synthetic_weight {synthetic_weight}: expected 0 or more")
    real = RealFaces(faces)
    generators = open_generators(source, seed, balanced=bool(wanted), classes=real.classes) if synthetic else None
    plan = make_plan(
        real.annotations, partition=partition, copies=copies, synthetic=synthetic, wanted=wanted, seed=seed,
        asked=generators is not None and generators.can_be_asked(balanced=bool(wanted), filtered=filter),
        only_synthetic=only_synthetic,
    )  # fmt: skip
    dataset = ExpandedDataset(
        real, plan, _frame(real, generators if plan.synthetic else None, size), generators=generators,
        recipe=as_recipe(recipe), filtered=filter, transform=transform, target_transform=target_transform, seed=seed,
        wanted=wanted, synthetic_weight=synthetic_weight,
    )  # fmt: skip
    if eager:
        dataset.make_faces()
    return dataset


def _frame(real: RealFaces, source: Generators | None, size: int | tuple[int, int] | None) -> Frame:
    """Real faces beside synthetic ones are cut as the model's were; alone they keep all of the picture."""
    wanted = (size, size) if isinstance(size, int) else size
    if wanted is not None and (len(wanted) != 2 or min(wanted) < 1):
        raise ArgumentError(f"size {size!r}: expected a side in pixels, or (height, width)")
    if source is None:
        crop: Crop = "square" if isinstance(size, int) else "none"
        return Frame(crop, wanted or real.common_size())
    side = source.size
    if wanted is not None and max(wanted) > _ENLARGED_TOO_MUCH * side:
        warnings.warn(
            f"size {max(wanted)}: the model's faces have {side} pixels and are enlarged more than twice; they will be "
            "blurrier than the real ones",
            stacklevel=3,
        )
    return Frame(source.crop, wanted or (side, side))
