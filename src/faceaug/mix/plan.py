"""What an expanded dataset consists of, decided before a picture is read."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import ALL, PARTITIONS, Annotations, select_rows
from faceaug.errors import ArgumentError
from faceaug.mix.balance import Share, balancing_copies, share_out

REAL, AUGMENTED, SYNTHETIC = 0, 1, 2  # in target["origin"]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The items of an expanded dataset: real ones first, then augmented, then synthetic.

    Attributes:
        rows: row of the real picture of each real and augmented item, int64 (r + a,).
        real: r, number of real items.
        synthetic: s, number of synthetic items.
        shares: what balancing reaches, if every synthetic face is as it was asked to be.
        used: rows it all is made from, int64 (u,).
        patterns: row whose attributes each synthetic face is asked for, int64 (s,); empty where they are not asked.
    """

    rows: NDArray[np.int64]
    real: int
    synthetic: int
    shares: tuple[Share, ...]
    used: NDArray[np.int64]
    patterns: NDArray[np.int64]

    @property
    def augmented(self) -> int:
        """a, number of augmented items."""
        return len(self.rows) - self.real

    def __len__(self) -> int:
        return len(self.rows) + self.synthetic

    def source(self, row: int) -> int:
        """The item that is a real picture itself."""
        return int(np.searchsorted(self.rows[: self.real], row))

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
    asked: bool = False,
    only_synthetic: bool = False,
) -> Plan:
    """Decide which rows appear, how often, and how many synthetic faces join them.

    Args:
        known: annotations of all real pictures.
        partition: "train", "val", "test" (or 0, 1, 2), "all"; None is the train rows where there are any, else all.
        copies: augmented copies of every real row, >= 0.
        synthetic: a float is a share of the real rows used, an int a count.
        wanted: shares of attributes to reach with further augmented copies, and synthetic faces if these are asked.
        seed: of the choice of those copies.
        asked: whether synthetic faces are asked for attributes.
        only_synthetic: leave the real rows out; they only say what to ask for.
    """
    _check_counts(copies, only_synthetic)
    rows, assumed = select_rows(known, partition)
    if assumed:
        warnings.warn(
            "no table says of any picture that it is for training: all are used; partition='all' says so on purpose",
            stacklevel=3,
        )
    count = _allowed(synthetic_count(synthetic, len(rows)), len(rows), partition)
    if only_synthetic and not count:
        raise ArgumentError("only_synthetic without synthetic faces: nothing would be left; synthetic=5000 adds some")
    present = np.tile(rows, copies + 1)
    extra, shares = balancing_copies(known.attributes, present, wanted, seed=seed) if wanted else (rows[:0], [])
    patterns = rows[:0]
    if count and asked:
        extra, patterns = share_out(known.attributes, present, extra, count, wanted, seed=seed)
    if only_synthetic:
        present, extra = rows[:0], rows[:0]
    real = 0 if only_synthetic else len(rows)
    return Plan(np.concatenate([present, extra]), real, count, tuple(shares), rows, patterns)


def _check_counts(copies: int, only_synthetic: bool) -> None:
    if isinstance(copies, bool) or not isinstance(copies, int | np.integer) or copies < 0:
        raise ArgumentError(f"copies {copies!r}: expected a whole number, 0 or more")
    if only_synthetic and copies:
        raise ArgumentError(f"copies {copies}: only synthetic faces were asked for, and copies are of real ones; say 0")


def _allowed(count: int, real: int, partition: str | int | None) -> int:
    """The number of synthetic faces, with a warning where it is more than wise, or none at all."""
    if count and partition not in {None, ALL, "train", PARTITIONS["train"]}:
        warnings.warn(
            f"partition {partition}: synthetic faces never enter validation or test rows; none are added", stacklevel=4
        )
        return 0
    if count > real:
        warnings.warn(
            f"{count:,} synthetic faces beside {real:,} real ones: training gets worse where synthetic faces outnumber "
            "real ones (Fan et al. 2024, arXiv 2312.04567); a share of 0.25 is a good start",
            stacklevel=4,
        )
    return count


def synthetic_count(synthetic: float | int, real: int) -> int:
    """How many synthetic faces: a float is a share of ``real``, an int a count."""
    whole = isinstance(synthetic, int | np.integer) and not isinstance(synthetic, bool)
    if not (whole or isinstance(synthetic, float)) or not 0 <= synthetic < 1e12:
        raise ArgumentError(f"synthetic {synthetic!r}: expected a share such as 0.25 or a count such as 5000")
    return int(synthetic) if whole else round(synthetic * real)
