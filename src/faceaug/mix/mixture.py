"""The data of an expanded dataset: every item before the user's transforms, and figures about all of them.

Saving and reporting use this; ``faceaug.mix.expand`` turns it into a dataset for a ``DataLoader``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceaug.augment import Transform
from faceaug.data.annotations import AUGMENTED, SYNTHETIC
from faceaug.draws import check_seed
from faceaug.errors import ArgumentError
from faceaug.mix.balance import balanced_columns
from faceaug.mix.generators import Generators
from faceaug.mix.item import Frame, Item, augmented_item, real_item, synthetic_item
from faceaug.mix.plan import Plan
from faceaug.mix.real import RealFaces
from faceaug.mix.sampler import EpochDataset
from faceaug.mix.shares import Share, measure_shares
from faceaug.mix.synthetic import SyntheticFaces
from faceaug.progress import Show, open_progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of ``expand_dataset`` that decide the samples of a plan; see there.

    Attributes:
        recipe: augments the copies; None is the preset "light" for each picture.
        filtered: whether unusable synthetic faces are replaced.
        seed: seed of all draws.
        wanted: share by attribute.
        synthetic_weight: weight of synthetic faces.

    Raises:
        ArgumentError: an impossible seed or weight.
    """

    recipe: Transform | None = None
    filtered: bool = True
    seed: int = 0
    wanted: dict[str, float] = field(default_factory=dict)
    synthetic_weight: float = 1.0

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if not 0 <= self.synthetic_weight < np.inf:
            raise ArgumentError(f"synthetic_weight {self.synthetic_weight}: expected 0 or more")


class Mixture(EpochDataset):
    """The items of an expanded dataset before the user's transforms, and figures about all of them.

    Attributes:
        plan: list of the items.
        frame: crop and size of every picture.
        real: the real pictures.
        made_with: everything besides the real pictures that decides the samples (seeds, model, recipe and so on), as
            JSON data.
        no_synthetic: why there are no synthetic faces although they were not switched off; else "".
    """

    def __init__(
        self,
        real: RealFaces,
        plan: Plan,
        frame: Frame,
        settings: Settings,
        *,
        generators: Generators | None,
        no_synthetic: str = "",
    ) -> None:
        super().__init__(settings.seed)
        self.no_synthetic = no_synthetic
        self.plan = plan
        self.frame = frame
        self.real = real
        self.recipe = settings.recipe
        self.generators = generators if plan.synthetic else None
        self.wanted = settings.wanted
        self.filtered = settings.filtered
        self.made_with: dict[str, Any] = {
            "seed": self.seed,
            "size": frame.words,
            "crop": frame.crop,
            "real": plan.real,
            "augmented": plan.augmented,
            "synthetic": plan.synthetic,
            "balance": settings.wanted,
            "filter": settings.filtered,
            "synthetic_weight": settings.synthetic_weight,
            "recipe": "default" if settings.recipe is None else settings.recipe.to_json(),
        }
        models = self.generators.made_with(asked=len(plan.patterns) > 0) if self.generators else None
        self.made_with |= models or {"model": "", "model_sha256": ""}
        self._synthetic: SyntheticFaces | None = None
        self._varies = plan.augmented > 0

    @property
    def model(self) -> str:
        """Name of the generator; empty if there is none."""
        return str(self.made_with["model"])

    def __len__(self) -> int:
        return len(self.plan)

    def item(self, index: int) -> Item:
        """Item ``index`` before the user's transforms: uint8 (H, W, 3) picture, target, operations as JSON.

        Raises:
            ImageError: its real picture cannot be read.
        """
        i = self._position(index)
        if self.plan.origin(i) == SYNTHETIC:
            return self._synthetic_item(i)
        row = int(self.plan.rows[i])
        image = self.real.read(row)
        target = self.real.target(row) | {"weight": self.plan.weights[i]}
        if self.plan.origin(i) == AUGMENTED:
            return augmented_item(
                image,
                target,
                self.frame,
                self.recipe,
                seed=self.seed,
                epoch=self.epoch,
                index=i,
                source=row,
            )
        return real_item(image, target, self.frame, index=i, source=row)

    @property
    def weights(self) -> NDArray[np.float32]:
        """``target["weight"]`` of every item, float32 (n,); read only."""
        found = self.plan.weights.view()
        found.flags.writeable = False
        return found

    def sizes(self) -> list[tuple[str, int]]:
        """Numbers of pictures and items: original (pictures found), real (used), augmented, synthetic, total."""
        plan = self.plan
        return [
            ("original", len(self.real)),
            ("real", plan.real),
            ("augmented", plan.augmented),
            ("synthetic", plan.synthetic),
            ("total", len(plan)),
        ]

    @property
    def shares(self) -> tuple[Share, ...]:
        """Shares of each balanced attribute, before and after; see ``faceaug.mix.shares``."""
        return self.plan.shares if self._synthetic is None else self.shares_without([])

    def shares_without(self, left_out: Sequence[int]) -> tuple[Share, ...]:
        """Shares of the balanced attributes without some items, given by index."""
        kept = np.delete(np.arange(len(self)), left_out)
        return measure_shares(
            balanced_columns(self.labels(), self.wanted)[kept],
            self.plan.origins[kept],
            self.weights[kept],
            self.wanted,
            balanced_columns(self.real.annotations.attributes[self.plan.used], self.wanted),
        )

    @property
    def rejected(self) -> dict[str, int]:
        """Number of synthetic faces rejected by the filter, by reason."""
        return self.synthetic.rejected if self.generators else {}

    @property
    def synthetic(self) -> SyntheticFaces:
        """The synthetic faces, made on first use.

        Raises:
            ArgumentError: the dataset has none.
        """
        if self.generators is None:
            raise ArgumentError("there are no synthetic faces in this dataset")
        if self._synthetic is None:
            self.make_faces()
        return self._synthetic  # type: ignore[return-value]  # made above

    def make_faces(self, *, hashes: Mapping[int, int] | None = None, progress: Show = None) -> None:
        """Make the synthetic faces unless this was done before.

        Args:
            hashes: perceptual hashes of the real pictures by row, if known.
            progress: see ``expand_dataset``.
        """
        if self.generators is not None and self._synthetic is None:
            self._synthetic = self.generators.make(
                self.real,
                self.plan,
                self.wanted,
                crop=self.frame.crop,
                filtered=self.filtered,
                hashes=hashes,
                progress=open_progress(progress),
            )

    def __getstate__(self) -> dict[str, Any]:
        self.make_faces()  # once here instead of in every process that receives the dataset
        return self.__dict__

    def synthetic_key(self, index: int) -> int:
        """Position of a synthetic item in its model's stream of faces."""
        return int(self.synthetic.keys[index - len(self.plan.rows)])

    def labels(self) -> NDArray[np.int8]:
        """Attributes of all items: int8 (n, 40), 0 unknown."""
        known = self.real.annotations.attributes[self.plan.rows]
        return np.concatenate([known, self.synthetic.attributes]) if self.generators else known

    def _synthetic_item(self, i: int) -> Item:
        k = i - len(self.plan.rows)
        faces = self.synthetic
        return synthetic_item(
            faces[k],
            self.frame,
            index=i,
            attributes=faces.attributes[k],
            label=int(faces.labels[k]),
            weight=float(self.plan.weights[i]),
        )
