"""Global random generators, seeded for a block and given back.

torch, NumPy and Python each have one generator for all threads. Blocks that seed them wait for each other, so that
threads do not draw from each other's seed; code elsewhere that draws from them at the same moment is not kept out.
Beside other threads, torchvision's own transforms do without: they draw from a generator of their own, see ``private``.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from faceaug.augment.unkeyed import TURN, Aside, drawn_by_key

_QUIET = "QueueFeederThread"  # of multiprocessing; in every worker of a DataLoader, and draws nothing


def is_alone() -> bool:
    """Whether this process has no other thread that could draw random numbers."""
    if threading.active_count() == 1:
        return True
    here = threading.current_thread()
    return all(thread is here or thread.name == _QUIET for thread in threading.enumerate())


@contextmanager
def torch_seeded(seed: int) -> Iterator[None]:
    """Seed torch's global (CPU) generator for a block and restore its state afterwards.

    Threads enter such blocks one at a time. A thread that draws from torch's generator outside of them in the meantime,
    other than by faceaug's own draws without a key, changes what the block draws, and repeats numbers afterwards.

    Args:
        seed: 0..2**63-1.

    Example:
        >>> import torch
        >>> from faceaug.augment import torch_seeded
        >>> with torch_seeded(7):
        ...     first = torch.rand(3)
        >>> with torch_seeded(7):
        ...     bool((torch.rand(3) == first).all())
        True
    """
    import torch

    with TURN.lock:
        with TURN.drawing:
            before, outer = Aside(torch.get_rng_state()), TURN.aside
            torch.default_generator.manual_seed(seed)
            TURN.aside = outer or before
        try:
            with drawn_by_key():
                yield
        finally:
            with TURN.drawing:
                torch.set_rng_state(before.state())
                TURN.aside = outer


@contextmanager
def globally_seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of torch (CPU), NumPy and Python for a block and restore them afterwards.

    Threads enter such blocks one at a time, see ``torch_seeded``.

    Args:
        seed: 0..2**63-1.
    """
    with TURN.lock:
        python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002, TID251
        try:
            with torch_seeded(seed):
                yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002
