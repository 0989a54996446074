"""The plan of an expanded dataset: its items, decided before any picture is read."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import ALL, AUGMENTED, PARTITIONS, REAL, SYNTHETIC, Annotations, select_rows, settle
from faceaug.draws import permutation
from faceaug.errors import ArgumentError
from faceaug.mix.balance import BalancedRows, balanced_columns, warn_of
from faceaug.mix.raking import item_weights
from faceaug.mix.shares import Share, measure_shares


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The items of an expanded dataset: real ones first, then augmented, then synthetic.

    Attributes:
        rows: row of the real picture of each real and augmented item, int64 (r + a,).
        real: r, number of real items.
        synthetic: s, number of synthetic items.
        shares: shares that balancing reaches if every synthetic face has its requested attributes.
        weights: ``weight`` of each item, float32 (r + a + s,).
        used: rows that the dataset is made from, int64 (u,).
        patterns: row whose attributes are requested for each synthetic face, int64 (s,); empty if none are requested.
    """

    rows: NDArray[np.int64]
    real: int
    synthetic: int
    shares: tuple[Share, ...]
    weights: NDArray[np.float32]
    used: NDArray[np.int64]
    patterns: NDArray[np.int64]

    @property
    def augmented(self) -> int:
        """a, number of augmented items."""
        return len(self.rows) - self.real

    @property
    def origins(self) -> NDArray[np.int64]:
        """0 real, 1 augmented or 2 synthetic, of every item: int64 (r + a + s,)."""
        return np.repeat([REAL, AUGMENTED, SYNTHETIC], self.kinds)

    @property
    def kinds(self) -> tuple[int, int, int]:
        """Numbers of real, augmented and synthetic items."""
        return self.real, self.augmented, self.synthetic

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
    asked: bool = False,
    only_synthetic: bool = False,
    synthetic_weight: float = 1.0,
) -> Plan:
    """Decide which rows appear, how often and with which weight, and how many synthetic faces are added.

    Args:
        known: annotations of all real pictures.
        partition: "train", "val", "test" (or 0, 1, 2) or "all"; None is the train rows if there are any, else all.
        copies: augmented copies per real row, >= 0.
        synthetic: a float is a share of the real rows used, an int a count.
        wanted: shares of attributes among the copies, among synthetic faces with requested attributes, and by weight.
        seed: decides the rows copied and the attributes requested for synthetic faces.
        asked: whether attributes are requested for synthetic faces.
        only_synthetic: leave the real rows out; they only decide the requested attributes.
        synthetic_weight: mean weight of synthetic faces.

    Raises:
        ArgumentError: wrong counts or contradictory shares.
        RefusedError: the partition has no rows.
    """
    _check_counts(copies, only_synthetic)
    rows, assumed = select_rows(known, partition)
    if wanted:
        settle(known, ("attributes",))
    if assumed:
        warnings.warn(
            "no table marks training pictures, so all pictures are used; choose the partition 'all' to confirm",
            stacklevel=3,
        )
    count = _checked_count(synthetic_count(synthetic, len(rows)), len(rows), partition)
    if only_synthetic and not count:
        raise ArgumentError("only_synthetic without synthetic faces: nothing would be left; synthetic=5000 adds some")
    source = BalancedRows(known.attributes, rows, wanted)
    augmented = source.draw(copies * len(rows), seed=seed, slot="balance/copies") if wanted else np.tile(rows, copies)
    patterns = rows[:0]
    if count and asked:
        patterns = source.draw(count, seed=seed, slot="balance/synthetic")
        patterns = patterns[permutation(count, seed, slot="balance/patterns")]
    real = rows[:0] if only_synthetic else rows
    kinds = (len(real), len(augmented), count)
    shown = np.concatenate([real, augmented])
    weights, shares = _weigh(known, rows, shown, patterns, kinds, wanted, synthetic_weight)
    return Plan(shown, len(real), count, shares, weights, rows, patterns)


def _weigh(
    known: Annotations,
    rows: NDArray[np.int64],
    shown: NDArray[np.int64],
    patterns: NDArray[np.int64],
    kinds: tuple[int, int, int],
    wanted: dict[str, float],
    synthetic_weight: float,
) -> tuple[NDArray[np.float32], tuple[Share, ...]]:
    base = np.concatenate([known.weight[shown], np.full(kinds[2], synthetic_weight, np.float32)])
    if not wanted:
        return base, ()
    asked = known.attributes[patterns] if len(patterns) else np.zeros((kinds[2], known.attributes.shape[1]), np.int8)
    values = balanced_columns(np.concatenate([known.attributes[shown], asked]), wanted)
    weights = item_weights(values, kinds, base.astype(np.float64), list(wanted.values()))
    origins = np.repeat([REAL, AUGMENTED, SYNTHETIC], kinds)
    shares = measure_shares(values, origins, weights, wanted, balanced_columns(known.attributes[rows], wanted))
    warn_of(shares)
    return weights, shares


def _check_counts(copies: int, only_synthetic: bool) -> None:
    if isinstance(copies, bool) or not isinstance(copies, int | np.integer) or copies < 0:
        raise ArgumentError(f"copies {copies!r}: expected a whole number, 0 or more")
    if only_synthetic and copies:
        raise ArgumentError(
            f"copies {copies}: only synthetic faces were requested, but copies are made of real ones; set copies=0"
        )


def is_held_out(partition: str | int | None) -> bool:
    """Whether the chosen rows are not for training: validation or test."""
    return partition not in {None, ALL, "train", PARTITIONS["train"]}


def _checked_count(count: int, real: int, partition: str | int | None) -> int:
    """The number of synthetic faces: 0 for held-out rows; warns of that and of more faces than real ones."""
    if count and is_held_out(partition):
        warnings.warn(
            f"partition {partition}: synthetic faces never enter validation or test rows; none are added", stacklevel=4
        )
        return 0
    if count > real:
        warnings.warn(
            f"{count:,} synthetic faces and {real:,} real ones: training gets worse when synthetic faces outnumber "
            "real ones (Fan et al. 2024, arXiv 2312.04567); a share of 0.25 is a good start",
            stacklevel=4,
        )
    return count


def synthetic_count(synthetic: float | int, real: int) -> int:
    """Number of synthetic faces: a float is a share of ``real``, an int a count."""
    whole = isinstance(synthetic, int | np.integer) and not isinstance(synthetic, bool)
    if not (whole or isinstance(synthetic, float)) or not 0 <= synthetic < 1e12:
        raise ArgumentError(f"synthetic {synthetic!r}: expected a share such as 0.25 or a count such as 5000")
    return int(synthetic) if whole else round(synthetic * real)
