"""The synthetic faces of a dataset: made once, in order, into a file that all workers map into memory."""

from __future__ import annotations

import os
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import ATTRIBUTES
from faceaug.draws import stream
from faceaug.errors import FaceAugError
from faceaug.mix.filter import FaceFilter, unlike_share
from faceaug.mix.registration import Framing
from faceaug.progress import SILENT, Progress
from faceaug.progress.phases import Phase
from faceaug.storage.files import check_free_space, explained
from faceaug.storage.temporary import Temporary, make_temporary
from faceaug.synthesize.source import BLOCK, SyntheticFaceSource

_PATIENCE = 20  # faces looked at per face wanted before the model is called collapsed
_CHOOSING = 100  # the same where faces are chosen: one in fifty shows a rare attribute
_HOPELESS = 100 * BLOCK  # faces looked at, one after another, of which none can be used
_AT_ONCE = 8 * BLOCK
MANY = 0.4  # share of faces refused as unlike real ones above which the reason is looked for


@dataclass(frozen=True, slots=True, eq=False)
class Patterns:
    """What synthetic faces are asked for.

    Attributes:
        attributes: int8 (all rows, 40), of the real rows.
        rows: int64 (n,), whose attributes each face is asked for.
        pools: for each face the rows that will do as well: those with the same balanced attributes.
    """

    attributes: NDArray[np.int8]
    rows: NDArray[np.int64]
    pools: Sequence[NDArray[np.int64]]

    def asked(self, slots: Sequence[int], tries: Sequence[int], seed: int) -> NDArray[np.int8]:
        """Attributes for some faces; a face that was rejected before is asked for those of another row."""
        chosen = [
            self.rows[s] if not t else _another(self.pools[s], seed, s, t) for s, t in zip(slots, tries, strict=True)
        ]
        return self.attributes[chosen]


def _another(pool: NDArray[np.int64], seed: int, slot: int, turn: int) -> np.int64:
    found: np.int64 = pool[stream(seed, epoch=turn, index=slot, slot="synthetic/pattern").integers(len(pool))]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Faces from one model.

    Attributes:
        source: the generator.
        n: how many.
        label: of all of them, -1 unknown.
        patterns: what they are asked for; None where nothing is.
        columns: attributes by which faces are chosen, of a model that obeys none; None for a model that does as asked.
    """

    source: SyntheticFaceSource
    n: int
    label: int = -1
    patterns: Patterns | None = None
    columns: Sequence[int] | None = None


Sieve = Callable[[Callable[[int], NDArray[np.uint8]]], FaceFilter]  # how to read accepted faces -> what judges new ones


class SyntheticFaces:
    """n uint8 faces (3, H, W) on disk, opened by every process that needs them.

    The file lies in the system's temporary folder and goes when this object goes, in the process that made it.

    Args:
        parts: the generators, of one size.
        sieve: makes the filter; None takes every face.
        progress: shows how many are made.

    Attributes:
        keys: number of each face in its source's stream, int64 (n,).
        asked: int8 (n, 40), what each was asked for; None where nothing was.
        attributes: int8 (n, 40), what is known of each: asked for and seen.
        labels: int64 (n,).
        rejected: how many the filter left out, by reason.
        made: faces looked at.
        registration: how the real faces are framed beside these, where that may be why many were left out; else None.
    """

    def __init__(self, parts: Sequence[Part], *, sieve: Sieve | None, progress: Progress = SILENT) -> None:
        size, n = parts[0].source.config.size, sum(part.n for part in parts)
        self.shape = (n, 3, size, size)
        temporary = make_temporary()
        self._remove = weakref.finalize(self, _remove_in, os.getpid(), temporary)
        self.path = temporary.path / "faces.u8"
        self._faces: NDArray[np.uint8] | None = None
        check_free_space(temporary.path, n * 3 * size * size)
        self.keys = np.zeros(n, np.int64)
        self.attributes = np.zeros((n, len(ATTRIBUTES)), np.int8)
        self.labels = np.repeat([part.label for part in parts], [part.n for part in parts]).astype(np.int64)
        named = [(part.source.config.name, part.source.seed) for part in parts for _ in range(part.n)]
        self.models: tuple[tuple[str, int], ...] = tuple(named)
        conditional = any(part.patterns is not None for part in parts)
        self.asked = np.zeros_like(self.attributes) if conditional else None
        self.rejected: dict[str, int] = {}
        self.made = 0
        self.registration: Framing | None = None
        with progress.phase("generating", n, "faces") as phase:
            self._fill(parts, sieve, phase)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, k: int) -> NDArray[np.uint8]:
        """Face k, uint8 (3, H, W), a copy."""
        if self._faces is None:
            self._faces = np.memmap(self.path, np.uint8, "r", shape=self.shape)
        return np.array(self._faces[k])

    def __getstate__(self) -> dict[str, Any]:
        # A memory map would be sent to workers by value; they open the file instead, and never remove it.
        return {k: v for k, v in self.__dict__.items() if k != "_remove"} | {"_faces": None}

    def _fill(self, parts: Sequence[Part], sieve: Sieve | None, phase: Phase) -> None:
        # Written, not mapped: on a full disk a write is an error that can be explained, a map kills the process.
        with explained(self.path.parent), self.path.open("w+b", buffering=0) as handle:
            judge = None if sieve is None else sieve(lambda place: self._read(handle, place))
            first = 0
            for part in parts:
                _PartFiller(self, handle, part, first, judge, phase).fill()
                first += part.n
            self.rejected = {} if judge is None else judge.rejected
            if judge is not None and unlike_share(self.rejected, self.made) > MANY:
                self.registration = judge.framing()

    def _read(self, handle: BinaryIO, place: int) -> NDArray[np.uint8]:
        size = int(np.prod(self.shape[1:]))
        return np.frombuffer(os.pread(handle.fileno(), size, place * size), np.uint8).reshape(self.shape[1:])


class _PartFiller:
    """Fills the places of one part; a face that is not good enough leaves its place to a later one of the stream."""

    def __init__(
        self,
        faces: SyntheticFaces,
        handle: BinaryIO,
        part: Part,
        first: int,
        judge: FaceFilter | None,
        phase: Phase,
    ) -> None:
        self._faces, self._handle, self._part, self._first = faces, handle, part, first
        self._judge, self._phase = judge, phase
        self._open = list(range(part.n))
        self._tries = [0] * part.n
        self._key = self._last = 0  # faces looked at; until one was last kept

    def fill(self) -> None:
        """Until no place is open."""
        part = self._part
        patience = _PATIENCE if part.columns is None else _CHOOSING
        while self._open:
            hopeless = self._key - self._last >= _HOPELESS  # also where one side of an attribute never comes
            if hopeless or self._key > patience * (part.n + BLOCK):
                rejected = {} if self._judge is None else {k: v for k, v in self._judge.rejected.items() if v}
                raise FaceAugError(
                    f"model {part.source.config.name}: only {part.n - len(self._open)} of {self._key} faces are usable "
                    f"({rejected}); it has collapsed, or cannot do what it is asked; choose another model, "
                    "ask for less, filter=False, or synthetic=0"
                )
            if part.columns is None:
                self._round()
            else:
                self._choose(part.columns)
            self._phase.reach(self._first + part.n - len(self._open))

    def _round(self) -> None:
        """Look at some more faces of the stream, and keep the good ones."""
        part, asked = self._part, None
        count = min(_AT_ONCE, -(-len(self._open) // BLOCK) * BLOCK)
        if part.patterns is not None:
            slots = self._open[:_AT_ONCE]
            count = len(slots)
            asked = part.patterns.asked(slots, [self._tries[s] for s in slots], part.source.seed)
        faces = _generate(part.source, count, asked, self._key, self._phase)
        reasons, seen, words = ([""] * count, None, None) if self._judge is None else self._judge.judge(faces, asked)
        taken: list[int] = []
        for k in range(count):
            if len(taken) == len(self._open):
                break
            # Faces that were asked for something have a place, the others take the next one.
            slot = self._open[len(taken) if asked is None else k]
            if self._passes(reasons[k], slot, faces[k], None if words is None else words[k]):
                taken.append(slot)
                self._store(slot, faces[k], self._key + k)
                if asked is not None:
                    self._label(slot, asked[k], asked[k] if seen is None else seen[k])
        self._close(taken, count)

    def _choose(self, columns: Sequence[int]) -> None:
        """Look at some more faces of a model that obeys nothing, and keep those that show what a place asks for."""
        judge, patterns = self._judge, self._part.patterns
        if judge is None or patterns is None:
            raise ValueError("faces are chosen by a filter that sees attributes")
        # The stream itself, also of a source that would choose by itself: its faces are chosen here.
        faces: NDArray[np.uint8] = self._part.source.generate(_AT_ONCE, attributes={}, start=self._key).numpy()
        seen = judge.certain(faces)
        asked = np.zeros((len(self._open), seen.shape[1]), np.int8)
        asked[:, columns] = patterns.asked(self._open, [0] * len(self._open), self._part.source.seed)[:, columns]
        waiting = _Waiting(asked[:, columns])
        fitting = [k for k in range(len(faces)) if waiting.first(seen[k, columns]) is not None]
        reasons, _, words = judge.judge(faces[fitting], None)
        taken: list[int] = []
        looked_at = len(faces)
        for k, reason, word in zip(fitting, reasons, words, strict=True):
            place = waiting.first(seen[k, columns])
            if place is None:
                continue
            slot = self._open[place]
            if self._passes(reason, slot, faces[k], word):
                waiting.take(seen[k, columns])
                taken.append(slot)
                self._store(slot, faces[k], self._key + k)
                self._label(slot, asked[place], seen[k])
            if len(taken) == len(self._open):
                looked_at = k + 1
                break
        others = looked_at - sum(k < looked_at for k in fitting)
        self._faces.made += others
        judge.rejected["attribute"] += others
        self._close(taken, len(faces))

    def _close(self, taken: Sequence[int], count: int) -> None:
        gone = set(taken)
        self._open = [slot for slot in self._open if slot not in gone]
        self._key += count
        self._last = self._key if taken else self._last

    def _passes(self, reason: str, slot: int, face: NDArray[np.uint8], words: NDArray[np.uint64] | None) -> bool:
        self._faces.made += 1
        if self._judge is None or words is None:
            return True
        reason = reason or ("" if self._judge.admits(face, words) else "repeat")
        if reason:
            self._judge.rejected[reason] += 1
            self._tries[slot] += 1
            return False
        self._judge.accept(self._first + slot, words)
        return True

    def _store(self, slot: int, face: NDArray[np.uint8], key: int) -> None:
        place = self._first + slot
        self._handle.seek(place * face.nbytes)
        self._handle.write(face.tobytes())
        self._faces.keys[place] = key

    def _label(self, slot: int, asked: NDArray[np.int8], seen: NDArray[np.int8]) -> None:
        """A label is what was asked for and is seen; where the two differ, nothing is known."""
        faces, place = self._faces, self._first + slot
        if faces.asked is not None:
            faces.asked[place] = asked
        faces.attributes[place] = np.where(asked == seen, asked, 0)


class _Waiting:
    """Open places by the combination of attributes they ask for; 0 asks for nothing.

    Args:
        asked: int8 (places, columns).
    """

    def __init__(self, asked: NDArray[np.int8]) -> None:
        self._combinations, which = np.unique(asked, axis=0, return_inverse=True)
        which = which.reshape(-1)
        self._places = [deque(np.flatnonzero(which == c).tolist()) for c in range(len(self._combinations))]

    def first(self, seen: NDArray[np.int8]) -> int | None:
        """The first open place that a face with these attributes can take."""
        places = self._fitting(seen)
        return places[0] if places else None

    def take(self, seen: NDArray[np.int8]) -> None:
        """That place is taken."""
        places = self._fitting(seen)
        if places:
            places.popleft()

    def _fitting(self, seen: NDArray[np.int8]) -> deque[int] | None:
        fits = ((self._combinations == 0) | (self._combinations == seen)).all(axis=1)
        return next((self._places[c] for c in np.flatnonzero(fits).tolist() if self._places[c]), None)


def _generate(
    source: SyntheticFaceSource, n: int, asked: NDArray[np.int8] | None, start: int, phase: Phase
) -> NDArray[np.uint8]:
    found, stop = [], start + n
    for block in range(start - start % BLOCK, stop, BLOCK):
        low, high = max(start, block), min(stop, block + BLOCK)
        rows = None if asked is None else asked[low - start : high - start]
        found.append(source.generate(high - low, attributes=rows, start=low).numpy())
        phase.reach(phase.done)  # none is accepted yet, but the work goes on
    return np.concatenate(found)


def _remove_in(process: int, temporary: Temporary) -> None:
    """Remove the faces, unless this is a fork of the process that made them."""
    if os.getpid() == process:
        temporary.remove()
