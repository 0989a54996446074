"""expand_dataset: real, augmented and synthetic faces as one dataset.

The plan is made first, as data; then item i is a function of (seed, epoch, i) alone. So the same samples come from
0, 1 or 4 workers, in any order, in any process.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Sampler

from faceaug.augment import Transform
from faceaug.augment.pictures import planar
from faceaug.data.annotations import select_rows
from faceaug.data.crop import Crop, words_of
from faceaug.data.folder import Target
from faceaug.draws import check_seed
from faceaug.errors import ArgumentError
from faceaug.mix.balance import Balance, parse_balance
from faceaug.mix.blocks import FileFormat
from faceaug.mix.copies import Recipe, as_recipe
from faceaug.mix.framing import SizeLike, Wishes, choose_frame
from faceaug.mix.generators import Generators, ModelLike
from faceaug.mix.item import Frame
from faceaug.mix.mixture import Mixture
from faceaug.mix.plan import Plan, is_held_out, make_plan
from faceaug.mix.real import Faces, RealFaces
from faceaug.mix.report import ExpandReport
from faceaug.mix.sampler import EpochSampler
from faceaug.mix.save import save_dataset
from faceaug.progress import Show, open_progress


class ExpandedDataset(Mixture):
    """What ``expand_dataset`` returns: a map-style dataset of (uint8 (3, H, W) tensor, target dict).

    Attributes:
        plan: which items there are.
        frame: the crop and size of every picture.
        real: the pictures it is made from.
        made_with: what decides the samples beside the real pictures, as JSON data: seeds, model, recipe and so on.
        no_synthetic: why there are no synthetic faces, where nobody said that there should be none.
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
        no_synthetic: str = "",
    ) -> None:
        super().__init__(
            real,
            plan,
            frame,
            generators=generators,
            recipe=recipe,
            filtered=filtered,
            seed=seed,
            wanted=wanted,
            synthetic_weight=synthetic_weight,
            no_synthetic=no_synthetic,
        )
        self._transform, self._target_transform = transform, target_transform
        self._varies = plan.augmented > 0 or transform is not None or target_transform is not None

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        item = self.item(index)
        return self._finished(torch.from_numpy(planar(item.image)), item.target, index % len(self))

    def __repr__(self) -> str:
        sizes = ", ".join(f"{count:,} {name}" for name, count in self.sizes())
        return f"ExpandedDataset({sizes}; {self.frame.words or 'sizes of their own'}, seed {self.seed})"

    def sampler(self, *, shuffle: bool = True, balanced: bool = False) -> Sampler[int]:
        """A sampler for ``DataLoader(..., sampler=...)`` that moves on to the next epoch with each pass.

        Args:
            shuffle: a new order each pass.
            balanced: draw with replacement in proportion to ``weights``, so that every attribute of ``balance`` is
                as frequent as was asked. The weights have then done their work: leave them out of the loss.
        """
        if balanced and not self.wanted:
            raise ArgumentError("sampler(balanced=True): expand_dataset was called without balance=")
        if balanced and not self.weights.any():
            raise ArgumentError("sampler(balanced=True): the weight of every face is 0, so there is nothing to draw")
        return EpochSampler(self, shuffle=shuffle, weights=self.weights.astype(np.float64) if balanced else None)

    def save(
        self,
        out: Path | str,
        *,
        format: FileFormat = "png",
        workers: int | None = None,
        progress: Show = None,
    ) -> ExpandReport:
        """Write every item as a file; see ``faceaug.mix.save.save_dataset``."""
        return save_dataset(self, Path(out), format=format, workers=workers, progress=progress)


def expand_dataset(
    faces: Faces,
    *,
    copies: int = 1,
    synthetic: float | int | None = None,
    balance: Balance | None = None,
    recipe: Recipe | None = None,
    source: ModelLike | Mapping[str, ModelLike] | None = None,
    size: SizeLike | None = None,
    crop: Crop | None = None,
    partition: str | int | None = None,
    filter: bool = True,
    transform: Callable[[Tensor], Any] | None = None,
    target_transform: Callable[[Target], Any] | None = None,
    seed: int = 0,
    only_synthetic: bool = False,
    synthetic_weight: float = 1.0,
    eager: bool = True,
    progress: Show = None,
) -> ExpandedDataset:
    """Blend real, augmented and synthetic faces into one dataset.

    Args:
        faces: a folder, a ``FaceFolder``, any map-style dataset of (image, label or target), a list of pictures, or an
            array of them, uint8 (n, H, W, 3).
        copies: augmented copies of every real face; with ``balance`` as many in all, of rare faces more.
        synthetic: a float is a share of the real faces used, an int a count. None adds a quarter if a bundled model
            makes faces at least as large as the pictures, and none otherwise; ``no_synthetic`` says why.
        balance: {"Eyeglasses": 0.5}, or names for a half each: the attribute has that share among the augmented
            copies, among the synthetic faces of a model that obeys attributes, and, by ``weight``, in all. No real
            row is dropped. Multiply the loss by ``target["weight"]``, or use ``sampler(balanced=True)``.
        recipe: what an augmented copy goes through: a transform, a preset's name ("light", "document", "strong") or
            the path of a recipe.toml; "light" by default. It works on the picture as it lies on disk, before crop
            and size.
        source: a ``SyntheticFaceSource``, or the model to make one from; for class folders also a mapping from class
            to one of these, whose faces get its label. None is the smallest bundled model whose faces are at least as
            large as ``size``, without a size "faces-64"; with ``balance`` one that obeys attributes.
        size: side in pixels, or (width, height). None leaves every picture as large as it is; with synthetic faces all
            must then have one size, once they are cut.
        crop: "center178", "center140", "square" or "none", see ``faceaug.data.crop``. None crops real faces like the
            model's training pictures if there are synthetic faces, else not at all. The aspect ratio is always kept: a
            picture of another shape than ``size`` is fitted in, with black edges.
        partition: "train", "val", "test" or "all". By default the train rows where a table has any, else all rows,
            with a warning. Synthetic faces never enter validation or test rows.
        filter: leave out synthetic faces that are flat, unlike real faces, copies of a real face or of each other, or
            without the attributes they were asked for; others take their place.
        transform: applied to each uint8 (3, H, W) tensor; what it draws from torch's, NumPy's or Python's global
            generators depends on (seed, epoch, item) alone.
        target_transform: applied to each target dict.
        seed: of everything that is drawn.
        only_synthetic: leave the real faces out; needs copies=0. They only say what to ask for and what not to copy.
        synthetic_weight: ``weight`` of synthetic faces in their target, with ``balance`` on average.
        eager: make the synthetic faces now, and warn of sizes that a ``DataLoader`` cannot stack. False leaves both to
            the first use, or to ``save``, which looks at its folder first; use one synthetic face before worker
            processes start, or each makes them all.
        progress: None shows progress on a terminal and in a notebook, True everywhere, False nowhere; a function is
            called with (phase, done, total, words). See ``faceaug.progress.open_progress``.

    Returns:
        A map-style dataset for a ``DataLoader``; items are (uint8 (3, H, W), target dict).

    Raises:
        ArgumentError: an option that cannot be used; unknown attributes and models are answered with the valid ones.
            Synthetic faces were asked for, and the model's are smaller than the pictures.
        RefusedError: there are no pictures.
    """
    check_seed(seed)
    shown = open_progress(progress)
    wanted = parse_balance(balance)
    if not 0 <= synthetic_weight < np.inf:
        raise ArgumentError(f"synthetic_weight {synthetic_weight}: expected 0 or more")
    real = RealFaces(faces)
    rows = select_rows(real.annotations, partition)[0]
    wishes = Wishes(
        synthetic=synthetic,
        source=source,
        size=size,
        crop=crop,
        balanced=bool(wanted),
        seed=seed,
        only_synthetic=only_synthetic,
        held_out=is_held_out(partition),
    )
    choice = choose_frame(real, rows, wishes)
    generators = choice.generators
    plan = make_plan(
        real.annotations,
        partition=partition,
        copies=copies,
        synthetic=choice.synthetic,
        wanted=wanted,
        seed=seed,
        asked=generators is not None and _can_ask(generators, real, rows, balanced=bool(wanted), filtered=filter),
        only_synthetic=only_synthetic,
        synthetic_weight=synthetic_weight,
    )
    dataset = ExpandedDataset(
        real,
        plan,
        choice.frame,
        generators=generators,
        recipe=as_recipe(recipe),
        filtered=filter,
        transform=transform,
        target_transform=target_transform,
        seed=seed,
        wanted=wanted,
        synthetic_weight=synthetic_weight,
        no_synthetic=choice.why,
    )
    if eager:
        dataset.make_faces(progress=shown)
        if choice.frame.size is None and transform is None:
            _warn_of_sizes(real, rows, choice.frame)
    return dataset


def _can_ask(
    generators: Generators, real: RealFaces, rows: NDArray[np.int64], *, balanced: bool, filtered: bool
) -> bool:
    """Whether each synthetic face is asked for attributes: there must be some to ask for."""
    known = bool(real.annotations.attributes[rows].any())
    return generators.can_be_asked(balanced=balanced, filtered=filtered) and (known or generators.asks)


def _warn_of_sizes(real: RealFaces, rows: NDArray[np.int64], frame: Frame) -> None:
    sizes = real.distinct_sizes(rows.tolist(), frame.crop, most=4)
    shown = ", ".join(map(words_of, sizes[:3])) + (", ..." if len(sizes) > 3 else "")
    warnings.warn(
        f"the pictures have different sizes ({shown}), and each keeps its own: save() writes them so, but a DataLoader "
        "cannot stack them. Choose one: size=224, or size=(width, height), with crop='square' to cut instead of pad",
        stacklevel=3,
    )
