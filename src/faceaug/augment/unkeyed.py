"""Seeds for calls without a key."""

from __future__ import annotations

import os
import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from faceaug.draws import MAX_SEED


class _Turn:
    """Whose turn it is to seed the global generators; a forked process starts with a free turn.

    Attributes:
        lock: held by a block that has seeded them.
        drawing: held for a moment, to draw a number without a key or to exchange the state of the generator.
        aside: what torch's generator was before the outermost such block, for other threads to draw from; None if
            there is no such block.
    """

    def __init__(self) -> None:
        self.renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        """Make a new lock: in a forked child the old one may be held by a thread that is not there."""
        self.lock = threading.RLock()
        self.drawing = threading.RLock()
        self.aside: Aside | None = None


class Aside:
    """The state of torch's global generator while a block has seeded it, as a generator once a thread draws from it.

    Args:
        state: see ``torch.get_rng_state``.
    """

    def __init__(self, state: Any) -> None:
        self._state = state
        self._generator: Any = None

    def generator(self) -> Any:
        """A ``torch.Generator`` in that state."""
        if self._generator is None:
            self._generator = sys.modules["torch"].Generator()
            self._generator.set_state(self._state)
        return self._generator

    def state(self) -> Any:
        """The state after the draws so far."""
        return self._state if self._generator is None else self._generator.get_state()


TURN = _Turn()


def any_seed() -> int:
    """Draw a seed: 0..2**63-2, from torch's global generator if torch is imported, else from the operating system.

    While another thread has seeded that generator for a block, see ``seeding``, the number comes from the generator as
    it was before: one taken from the seeded generator would be a number of that block, and change what the block draws.
    So after ``torch.manual_seed`` threads together draw the same numbers in every run, each number once; which thread
    gets which one depends on their timing.

    A forked process inherits the generator of its parent and would repeat the numbers of its siblings. Until it seeds
    torch itself, as ``DataLoader`` workers do, its seeds are therefore mixed with a number from the operating system.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return secrets.randbelow(MAX_SEED)
    if _NUMBER.is_keyed:  # the generator is this thread's own, or it has seeded the global one, whatever others do
        return _drawn(torch)
    with TURN.drawing:
        generator = torch.default_generator if TURN.aside is None else TURN.aside.generator()
        number = _drawn(torch, generator)
        return number if _FORK.inherited is None else _FORK.mixed(number, int(generator.initial_seed()))


def _drawn(torch: Any, generator: Any = None) -> int:
    if _NUMBER.place is None:
        _NUMBER.place = torch.empty((), dtype=torch.int64, device="cpu")
    # Three times as fast as ``torch.randint``, which matters to a flip.
    return int(_NUMBER.place.random_(generator=generator))


@contextmanager
def drawn_by_key() -> Iterator[None]:
    """Take the seeds of a block, in this thread, as they are: its generator was seeded from a key.

    Neither are they mixed with a number of this process, nor does the block count as one in which it seeded torch.
    """
    before, _NUMBER.is_keyed = _NUMBER.is_keyed, True
    try:
        yield
    finally:
        _NUMBER.is_keyed = before


class _Number(threading.local):
    place: Any = None  # one tensor per thread to draw into
    is_keyed = False


class _Fork:
    """Whether this process runs on the generator of the process it was forked from.

    Attributes:
        inherited: the seed of that generator; None in a process that was not forked or has seeded torch since.
    """

    def __init__(self) -> None:
        self.inherited: int | None = None
        self._seed: int | None = None
        self._own: int | None = None

    def before(self) -> None:
        """In the parent: note the seed, because the generator's lock may be held by another thread in the child."""
        initial_seed = getattr(sys.modules.get("torch"), "initial_seed", None)
        self._seed = None if initial_seed is None else int(initial_seed())

    def in_child(self) -> None:
        """In the child: everything is inherited."""
        self.inherited = self._seed
        self._own = None

    def mixed(self, number: int, seed: int) -> int:
        """A number that no sibling gets, unless this process has seeded torch; ``seed`` is that of the generator."""
        if seed != self.inherited:
            self.inherited = None
            return number
        if self._own is None:
            self._own = secrets.randbelow(MAX_SEED)
        return (number ^ self._own) % MAX_SEED


_NUMBER = _Number()
_FORK = _Fork()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_FORK.before, after_in_child=_FORK.in_child)
