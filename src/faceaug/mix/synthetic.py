"""The synthetic faces of a dataset, generated once and in order, in a file that all workers map into memory."""

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

_PATIENCE = 20  # faces examined per face wanted before the model counts as collapsed
_SELECTING = 100  # the same if faces are selected by attribute: one in fifty shows a rare one
_HOPELESS = 100 * BLOCK  # consecutive unusable faces before giving up
_AT_ONCE = 8 * BLOCK
MANY = 0.4  # share of faces rejected as unlike real ones above which the report explains the reason


@dataclass(frozen=True, slots=True, eq=False)
class Patterns:
    """Requested attributes of synthetic faces.

    Attributes:
        attributes: int8 (all rows, 40), attributes of the real rows.
        rows: int64 (n,), row whose attributes are requested for each face.
        pools: alternative rows for each face: those with the same balanced attributes.
    """

    attributes: NDArray[np.int8]
    rows: NDArray[np.int64]
    pools: Sequence[NDArray[np.int64]]

    def asked(self, slots: Sequence[int], tries: Sequence[int], seed: int) -> NDArray[np.int8]:
        """Requested attributes of faces; a rejected face is retried with the attributes of another row."""
        chosen = [
            self.rows[s] if not t else _another_row(self.pools[s], seed, s, t)
            for s, t in zip(slots, tries, strict=True)
        ]
        return self.attributes[chosen]


def _another_row(pool: NDArray[np.int64], seed: int, slot: int, turn: int) -> np.int64:
    found: np.int64 = pool[stream(seed, epoch=turn, index=slot, slot="synthetic/pattern").integers(len(pool))]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Faces from one model.

    Attributes:
        source: generator of the faces.
        n: number of faces.
        label: class of all faces, -1 unknown.
        patterns: requested attributes; None if there are none.
        columns: attributes by which faces are selected from a model that takes none; None for one that takes them.
    """

    source: SyntheticFaceSource
    n: int
    label: int = -1
    patterns: Patterns | None = None
    columns: Sequence[int] | None = None


Sieve = Callable[[Callable[[int], NDArray[np.uint8]]], FaceFilter]  # how to read accepted faces -> what judges new ones


class SyntheticFaces:
    """n uint8 faces (3, H, W) in a file, opened by every process that needs them; see ``make_synthetic``.

    Args:
        parts: the faces of each model, all of one size.
        temporary: holds the file; removed with this object, in the process that made it.

    Attributes:
        path: the file.
        models: name and seed of the model of each face.
        keys: position of each face in its source's stream, int64 (n,).
        asked: requested attributes, int8 (n, 40); None if there are none.
        attributes: attribute labels, requested and confirmed by the classifier, int8 (n, 40), 0 unknown.
        labels: class of each face, int64 (n,), -1 unknown.
        rejected: number of faces rejected by the filter, by reason.
        made: number of faces examined.
        registration: framing of the real faces relative to these, if many were rejected as unlike real faces; else
            None.
    """

    def __init__(self, parts: Sequence[Part], temporary: Temporary) -> None:
        size = parts[0].source.config.size
        n = sum(part.n for part in parts)
        self.shape = (n, 3, size, size)
        self._remove = weakref.finalize(self, _remove_in, os.getpid(), temporary)
        self.path = temporary.path / "faces.u8"
        self._faces: NDArray[np.uint8] | None = None
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

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, k: int) -> NDArray[np.uint8]:
        """Face k, uint8 (3, H, W), a copy."""
        if self._faces is None:
            self._faces = np.memmap(self.path, np.uint8, "r", shape=self.shape)
        return np.array(self._faces[k])

    def __getstate__(self) -> dict[str, Any]:
        # Workers would receive a memory map by value; they open the file instead and never remove it.
        return {k: v for k, v in self.__dict__.items() if k != "_remove"} | {"_faces": None}


def make_synthetic(parts: Sequence[Part], *, sieve: Sieve | None, progress: Progress = SILENT) -> SyntheticFaces:
    """Generate synthetic faces into a file in the system's temporary folder.

    Args:
        parts: faces to make from each model, all of one size.
        sieve: creates the filter; None accepts every face.
        progress: shows how many faces are made.

    Raises:
        FaceAugError: too few faces of a model are usable.
        RefusedError: the disk is full.
    """
    faces = SyntheticFaces(parts, make_temporary())
    check_free_space(faces.path.parent, int(np.prod(faces.shape)))
    # Written, not mapped: on a full disk a failed write can be explained, but a map kills the process.
    with (
        progress.phase("generating", len(faces), "faces") as phase,
        explained(faces.path.parent),
        faces.path.open("w+b", buffering=0) as handle,
    ):
        judge = None if sieve is None else sieve(lambda place: _read(handle, faces.shape[1:], place))
        first = 0
        for part in parts:
            _PartFiller(faces, handle, part, first, judge, phase).fill()
            first += part.n
        if judge is not None:
            faces.rejected = judge.rejected
            if unlike_share(faces.rejected, faces.made) > MANY:
                faces.registration = judge.framing()
    return faces


def _read(handle: BinaryIO, shape: tuple[int, ...], place: int) -> NDArray[np.uint8]:
    size = int(np.prod(shape))
    return np.frombuffer(os.pread(handle.fileno(), size, place * size), np.uint8).reshape(shape)


class _PartFiller:
    """Fills the places of one part; a later face of the stream takes the place of a rejected one."""

    def __init__(
        self,
        faces: SyntheticFaces,
        handle: BinaryIO,
        part: Part,
        first: int,
        judge: FaceFilter | None,
        phase: Phase,
    ) -> None:
        self._faces = faces
        self._handle = handle
        self._part = part
        self._first = first
        self._judge = judge
        self._phase = phase
        self._open = list(range(part.n))
        self._tries = [0] * part.n
        self._key = 0  # faces examined
        self._last = 0  # faces examined when one was last accepted

    def fill(self) -> None:
        """Generate faces until every place is filled.

        Raises:
            FaceAugError: too few faces are usable.
        """
        part = self._part
        patience = _PATIENCE if part.columns is None else _SELECTING
        while self._open:
            hopeless = self._key - self._last >= _HOPELESS  # also if a value of an attribute never occurs
            if hopeless or self._key > patience * (part.n + BLOCK):
                rejected = {} if self._judge is None else {k: v for k, v in self._judge.rejected.items() if v}
                raise FaceAugError(
                    f"model {part.source.config.name}: only {part.n - len(self._open)} of {self._key} faces are usable "
                    f"({rejected}); it has collapsed, or cannot produce the requested attributes; choose another "
                    "model, request fewer attributes, or set filter=False or synthetic=0"
                )
            if part.columns is None:
                self._examine()
            else:
                self._select(part.columns)
            self._phase.reach(self._first + part.n - len(self._open))

    def _examine(self) -> None:
        """Examine further faces of the stream and keep the good ones."""
        part = self._part
        asked = None
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
            # Faces with requested attributes have a fixed place; the others take the next open one.
            slot = self._open[len(taken) if asked is None else k]
            if self._passes(reasons[k], slot, faces[k], None if words is None else words[k]):
                taken.append(slot)
                self._store(slot, faces[k], self._key + k)
                if asked is not None:
                    self._label(slot, asked[k], asked[k] if seen is None else seen[k])
        self._close(taken, count)

    def _select(self, columns: Sequence[int]) -> None:
        """Examine further faces of a model without attributes and keep those that fit the request of an open place."""
        judge = self._judge
        patterns = self._part.patterns
        if judge is None or patterns is None:
            raise ValueError("selecting faces by attribute needs a filter and requested attributes")
        # attributes={} gives the plain stream, even if the source requests attributes itself: selection happens here.
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
        """Label a face with the requested attributes that were also seen; the others are unknown."""
        faces = self._faces
        place = self._first + slot
        if faces.asked is not None:
            faces.asked[place] = asked
        faces.attributes[place] = np.where(asked == seen, asked, 0)


class _Waiting:
    """Open places by their combination of requested attributes.

    Args:
        asked: requested attributes, int8 (places, columns); 0 accepts either value.
    """

    def __init__(self, asked: NDArray[np.int8]) -> None:
        self._combinations, which = np.unique(asked, axis=0, return_inverse=True)
        which = which.reshape(-1)
        self._places = [deque(np.flatnonzero(which == c).tolist()) for c in range(len(self._combinations))]

    def first(self, seen: NDArray[np.int8]) -> int | None:
        """First open place that accepts a face with these attributes; None if there is none."""
        places = self._fitting(seen)
        return places[0] if places else None

    def take(self, seen: NDArray[np.int8]) -> None:
        """Remove the first open place that accepts a face with these attributes."""
        places = self._fitting(seen)
        if places:
            places.popleft()

    def _fitting(self, seen: NDArray[np.int8]) -> deque[int] | None:
        fits = ((self._combinations == 0) | (self._combinations == seen)).all(axis=1)
        return next((self._places[c] for c in np.flatnonzero(fits).tolist() if self._places[c]), None)


def _generate(
    source: SyntheticFaceSource, n: int, asked: NDArray[np.int8] | None, start: int, phase: Phase
) -> NDArray[np.uint8]:
    found = []
    stop = start + n
    for block in range(start - start % BLOCK, stop, BLOCK):
        low = max(start, block)
        high = min(stop, block + BLOCK)
        rows = None if asked is None else asked[low - start : high - start]
        found.append(source.generate(high - low, attributes=rows, start=low).numpy())
        phase.reach(phase.done)  # shows activity before any face is accepted
    return np.concatenate(found)


def _remove_in(process: int, temporary: Temporary) -> None:
    """Remove the file, unless this is a fork of the process that made it."""
    if os.getpid() == process:
        temporary.remove()
