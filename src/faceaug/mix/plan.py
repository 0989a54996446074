"""What an expanded dataset consists of, decided before a picture is read."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceaug.annotations import ALL, PARTITIONS, Annotations, select_rows
from faceaug.errors import ArgumentError
from faceaug.mix.balance import Share, balancing_copies

REAL, AUGMENTED, SYNTHETIC = 0, 1, 2  # in target["origin"]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The items of an expanded dataset: real ones first, then augmented, then synthetic.

    Attributes:
        rows: row of the real picture of each real and augmented item, int64 (r + a,).
        real: r, number of real items.
        synthetic: s, number of synthetic items.
        shares: what balancing reached.
    """

    rows: NDArray[np.int64]
    real: int
    synthetic: int
    shares: tuple[Share, ...]

    @property
    def augmented(self) -> int:
        """a, number of augmented items."""
        return len(self.rows) - self.real

    def __len__(self) -> int:
        return len(self.rows) + self.synthetic

    def origin(self, index: int) -> int:
        """0 real, 1 augmented or 2 synthetic."""
        if index < self.real:
            return REAL
        return AUGMENTED if index < len(self.rows) else SYNTHETIC


def make_plan(
    known: Annotations,
    *,
    partition: str | int | None,
    copies: int,
    synthetic: float | int,
    wanted: dict[str, float],
    seed: int,
) -> Plan:
    """Decide which rows appear, how often, and how many synthetic faces join them.

    Args:
        known: annotations of all real pictures.
        partition: "train", "val", "test" (or 0, 1, 2), "all"; None is the train rows where there are any, else all.
        copies: augmented copies of every real row, >= 0.
        synthetic: a float is a share of the real rows used, an int a count.
        wanted: shares of attributes to reach with further augmented copies.
        seed: of the choice of those copies.
    """
    if isinstance(copies, bool) or not isinstance(copies, int | np.integer) or copies < 0:
        raise ArgumentError(f"copies {copies!r}: expected a whole number, 0 or more")
    rows, assumed = select_rows(known, partition)
    if assumed:
        warnings.warn(
            "no table says which pictures are for training: all are used; partition='all' says so on purpose",
            stacklevel=3,
        )
    present = np.tile(rows, copies + 1)
    extra, shares = balancing_copies(known.attributes, present, wanted, seed=seed) if wanted else (rows[:0], [])
    count = synthetic_count(synthetic, len(rows))
    if count and partition not in {None, ALL, "train", PARTITIONS["train"]}:
        warnings.warn(
            f"partition {partition}: synthetic faces never enter validation or test rows; none are added", stacklevel=3
        )
        count = 0
    return Plan(np.concatenate([present, extra]), len(rows), count, tuple(shares))


def synthetic_count(synthetic: float | int, real: int) -> int:
    """How many synthetic faces: a float is a share of ``real``, an int a count."""
    whole = isinstance(synthetic, int | np.integer) and not isinstance(synthetic, bool)
    if not (whole or isinstance(synthetic, float)) or not 0 <= synthetic < 1e12:
        raise ArgumentError(f"synthetic {synthetic!r}: expected a share such as 0.25 or a count such as 5000")
    return int(synthetic) if whole else round(synthetic * real)
