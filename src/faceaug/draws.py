"""The keyed random stream: (seed, epoch, index, slot) -> numbers.

Every random decision in faceaug is drawn here, from a counter-based generator (Philox4x64-10, Salmon et al. 2011,
"Parallel random numbers: as easy as 1, 2, 3"). The four words are the generator's key and counter, so any stream
can be opened directly: item i of anything depends on nothing but its words, not on workers, batches or order.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.errors import ArgumentError

Seed: TypeAlias = int
MAX_SEED = 2**63 - 1


def check_seed(seed: int) -> int:
    """Return the seed, or raise ArgumentError if it is not an integer in 0..2**63-1."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed <= MAX_SEED:
        raise ArgumentError(f"seed {seed!r}: expected an integer from 0 to 2**63-1")
    return int(seed)


def stream(seed: Seed, *, epoch: int = 0, index: int = 0, slot: str = "") -> np.random.Generator:
    """Open the random stream of one decision.

    Args:
        seed: chosen by the user, 0..2**63-1.
        epoch: the pass over the data, >= 0.
        index: the item, >= 0.
        slot: what the numbers are for ("latent", "flip", "compose/2"). Different slots are independent, so adding
            a decision never changes the numbers of another.

    Returns:
        A generator at the start of the stream. Opening it again gives the same numbers.

    Raises:
        ArgumentError: the seed, the epoch or the index is out of range.
    """
    if index < 0 or epoch < 0:
        raise ArgumentError(f"index {index}, epoch {epoch}: expected numbers from 0")
    # The lowest word of the counter is left to the generator itself: 2**64 blocks before streams could meet.
    philox = np.random.Philox(
        key=np.array([check_seed(seed), _slot_word(slot)], dtype=np.uint64),
        counter=np.array([0, 0, index, epoch], dtype=np.uint64),
    )
    return np.random.Generator(philox)


def permutation(n: int, seed: Seed, *, epoch: int = 0, slot: str = "order") -> NDArray[np.int64]:
    """The order of n items in one epoch: int64 (n,), each of 0..n-1 once."""
    return stream(seed, epoch=epoch, slot=slot).permutation(n)


@lru_cache(maxsize=4096)
def _slot_word(slot: str) -> int:
    return int.from_bytes(hashlib.blake2b(slot.encode(), digest_size=8).digest(), "little")
