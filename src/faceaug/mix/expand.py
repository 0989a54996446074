"""expand_dataset: real, augmented and synthetic faces as one dataset.

A plan, made first, lists the items; item i then depends only on the plan and (seed, epoch, i). Any number of workers
therefore gives the same samples, in any order and any process.
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

from faceaug.augment.pictures import planar
from faceaug.data.annotations import select_rows
from faceaug.data.crop import Crop, words_of
from faceaug.data.folder import Target
from faceaug.errors import ArgumentError
from faceaug.executor import Executor
from faceaug.mix.balance import Balance, parse_balance
from faceaug.mix.blocks import FileFormat
from faceaug.mix.copies import Recipe, as_recipe
from faceaug.mix.framing import Choice, SizeLike, Wishes, choose_frame
from faceaug.mix.generators import Generators, ModelLike
from faceaug.mix.item import Frame
from faceaug.mix.mixture import Mixture, Settings
from faceaug.mix.plan import Plan, is_held_out, make_plan
from faceaug.mix.real import Faces, RealFaces
from faceaug.mix.report import ExpandReport
from faceaug.mix.sampler import EpochSampler
from faceaug.mix.save import save_dataset
from faceaug.progress import Show, open_progress


class ExpandedDataset(Mixture):
    """A map-style dataset of (uint8 (3, H, W) tensor, target dict), as returned by ``expand_dataset``.

    Attributes:
        plan: list of the items.
        frame: crop and size of every picture.
        real: the real pictures.
        made_with: everything besides the real pictures that decides the samples (seeds, model, recipe and so on), as
            JSON data.
        no_synthetic: why there are no synthetic faces although they were not switched off; else "".

    Example:
        >>> import numpy as np
        >>> from faceaug import expand_dataset
        >>> faces = np.zeros((4, 64, 64, 3), np.uint8)
        >>> dataset = expand_dataset(faces, copies=2, synthetic=0, partition="all")
        >>> dataset.sizes()[1:]
        [('real', 4), ('augmented', 8), ('synthetic', 0), ('total', 12)]
        >>> image, target = dataset[5]  # an augmented copy of picture 1
        >>> image.shape, int(target["origin"]), int(target["source"])
        (torch.Size([3, 64, 64]), 1, 1)
        >>> report = dataset.save("expanded", workers=1, progress=False)
        >>> report.files
        12
    """

    def __init__(
        self,
        real: RealFaces,
        plan: Plan,
        choice: Choice,
        settings: Settings,
        *,
        transform: Callable[[Tensor], Any] | None = None,
        target_transform: Callable[[Target], Any] | None = None,
    ) -> None:
        super().__init__(real, plan, choice.frame, settings, generators=choice.generators, no_synthetic=choice.why)
        self._transform = transform
        self._target_transform = target_transform
        self._varies = plan.augmented > 0 or transform is not None or target_transform is not None

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        item = self.item(index)
        return self._finished(torch.from_numpy(planar(item.image)), item.target, index % len(self))

    def __repr__(self) -> str:
        sizes = ", ".join(f"{count:,} {name}" for name, count in self.sizes())
        return f"ExpandedDataset({sizes}; {self.frame.words or 'sizes of their own'}, seed {self.seed})"

    def sampler(self, *, shuffle: bool = True, balanced: bool = False) -> Sampler[int]:
        """A sampler for ``DataLoader(..., sampler=...)`` that advances the epoch with each pass.

        Args:
            shuffle: whether each pass has a new order.
            balanced: whether to draw with replacement in proportion to ``weights``, so that every attribute of
                ``balance`` has its wanted share. Leave the weights out of the loss then.

        Raises:
            ArgumentError: ``balanced`` for a dataset without ``balance``, or with weights of 0 alone.
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
        executor: Executor | None = None,
        progress: Show = None,
    ) -> ExpandReport:
        """Write every item to a file; see ``faceaug.mix.save.save_dataset``."""
        return save_dataset(self, Path(out), format=format, workers=workers, executor=executor, progress=progress)


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
    """Combine real, augmented and synthetic faces into one dataset.

    Args:
        faces: a folder, a ``FaceFolder``, any map-style dataset of (image, label or target), a list of pictures, or a
            uint8 (n, H, W, 3) array.
        copies: augmented copies per real face; with ``balance`` the mean number, higher for rare faces.
        synthetic: a float is a share of the real faces used, an int a count. None adds a quarter if a bundled model
            makes faces at least as large as the pictures, and none otherwise; ``no_synthetic`` says why.
        balance: {"Eyeglasses": 0.5}, or names for a half each. The attribute reaches that share among the augmented
            copies, among the synthetic faces of a model that takes attributes and, by ``weight``, in the whole
            dataset. No real row is dropped. Multiply the loss by ``target["weight"]`` or use
            ``sampler(balanced=True)``.
        recipe: augments the copies: a transform, the name of a preset ("light", "document", "strong") or the path of a
            recipe.toml; "light" by default. It is applied to the stored picture, before crop and size.
        source: a ``SyntheticFaceSource`` or the model of one; for class folders also a mapping from class to one of
            these, whose faces get that label. None is the smallest bundled model whose faces are at least as large as
            ``size``, or "faces-64" without a size; with ``balance`` one that takes attributes.
        size: side in pixels, or (width, height). None keeps the size of every picture; with synthetic faces, all
            pictures must then have the same size after cropping.
        crop: "center178", "center140", "square" or "none", see ``faceaug.data.crop``. None crops real faces like the
            model's training pictures if there are synthetic faces, and not at all otherwise. The aspect ratio is
            always kept: a picture of another shape than ``size`` is padded with black.
        partition: "train", "val", "test" or "all". By default the train rows if a table marks any, else all rows with
            a warning. Synthetic faces never enter validation or test rows.
        filter: replace synthetic faces that are flat, unlike real faces, copies of a real face or of each other, or
            without the requested attributes.
        transform: applied to each uint8 (3, H, W) tensor; its draws from the global generators of torch, NumPy and
            Python depend only on (seed, epoch, item).
        target_transform: applied to each target dict.
        seed: seed of all draws.
        only_synthetic: leave the real faces out; needs copies=0. The real faces still decide which attributes are
            requested and which faces count as copies.
        synthetic_weight: ``weight`` of synthetic faces in their targets; with ``balance`` the mean weight.
        eager: make the synthetic faces now and warn of sizes that a ``DataLoader`` cannot stack. False defers both to
            the first use, or to ``save``, which checks its folder first; read one synthetic face before worker
            processes start, or each of them makes all faces.
        progress: None shows progress on a terminal and in a notebook, True everywhere, False nowhere; a function is
            called with (phase, done, total, words). See ``faceaug.progress.open_progress``.

    Returns:
        A map-style dataset for a ``DataLoader``; items are (uint8 (3, H, W), target dict).

    Raises:
        ArgumentError: an unusable option (the message lists the valid attributes or models), or a model whose faces are
            smaller than the pictures.
        RefusedError: there are no pictures.

    Example:
        >>> import numpy as np
        >>> from torch.utils.data import DataLoader
        >>> from faceaug import expand_dataset
        >>> faces = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)  # or a folder
        >>> dataset = expand_dataset(
        ...     faces, source="dcgan-32", copies=1, synthetic=0.25, crop="square", partition="all", progress=False
        ... )
        >>> dataset
        ExpandedDataset(8 original, 8 real, 8 augmented, 2 synthetic, 18 total; 32x32, seed 0)
        >>> images, targets = next(iter(DataLoader(dataset, batch_size=4, sampler=dataset.sampler())))
        >>> images.shape
        torch.Size([4, 3, 32, 32])
    """
    shown = open_progress(progress)
    settings = Settings(
        recipe=as_recipe(recipe),
        filtered=filter,
        seed=seed,
        wanted=parse_balance(balance),
        synthetic_weight=synthetic_weight,
    )
    real = RealFaces(faces)
    rows = select_rows(real.annotations, partition)[0]
    wishes = Wishes(
        synthetic=synthetic,
        source=source,
        size=size,
        crop=crop,
        balanced=bool(settings.wanted),
        seed=seed,
        only_synthetic=only_synthetic,
        held_out=is_held_out(partition),
    )
    choice = choose_frame(real, rows, wishes)
    plan = make_plan(
        real.annotations,
        partition=partition,
        copies=copies,
        synthetic=choice.synthetic,
        wanted=settings.wanted,
        seed=seed,
        asked=_can_ask(choice.generators, real, rows, settings),
        only_synthetic=only_synthetic,
        synthetic_weight=synthetic_weight,
    )
    dataset = ExpandedDataset(real, plan, choice, settings, transform=transform, target_transform=target_transform)
    if eager:
        dataset.make_faces(progress=shown)
        if choice.frame.size is None and transform is None:
            _warn_of_sizes(real, rows, choice.frame)
    return dataset


def _can_ask(generators: Generators | None, real: RealFaces, rows: NDArray[np.int64], settings: Settings) -> bool:
    """Whether synthetic faces get requested attributes, which real annotations or the source must provide."""
    if generators is None:
        return False
    known = bool(real.annotations.attributes[rows].any())
    balanced = bool(settings.wanted)
    return generators.can_be_asked(balanced=balanced, filtered=settings.filtered) and (known or generators.asks)


def _warn_of_sizes(real: RealFaces, rows: NDArray[np.int64], frame: Frame) -> None:
    sizes = real.distinct_sizes(rows.tolist(), frame.crop, most=4)
    shown = ", ".join(map(words_of, sizes[:3])) + (", ..." if len(sizes) > 3 else "")
    warnings.warn(
        f"the pictures have different sizes ({shown}), and each keeps its own: save() can write them, but a DataLoader "
        "cannot stack them. Set size=224 or size=(width, height); crop='square' crops instead of padding",
        stacklevel=3,
    )
