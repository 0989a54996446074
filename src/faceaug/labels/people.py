"""People under wrong names: identities that mix people, and one person under two names, by embeddings of their faces.

The limits were chosen with dlib's network on 2,500 pictures of 839 people of CelebA (``benchmarks/check_people.py``).
Vectors are centred on the folder, so that what all its faces have in common does not count as likeness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceaug.data.folder import FaceFolder
from faceaug.data.people import SharedPerson, people_in_partitions, person_name, shared_people_note
from faceaug.errors import counted, printable
from faceaug.executor import open_executor
from faceaug.labels.embeddings import DLIB, INSTALL, FaceJob, embed_photo
from faceaug.progress import SILENT, Progress

_FEWEST = 20  # people from whom can be said what is alike
_MIXED = 0.3  # likeness of two groups of pictures of one identity below which they are two people
_STRAY = 0.1  # the same, where one of the groups is a single picture
_ALIKE = 0.5  # likeness from which two identities may be one person ...
_APART = 0.12  # ... if each is by this much more like the other than like anybody else
_TURNS = 10  # of two-means
_BLOCK = 1024  # identities compared at once
_CHUNK = 4  # pictures per message to a worker
_FEW = 40  # pictures that are done before worker processes would have started
_LISTED = 5  # lines of a summary
_EITHER = "identities that mix people, and people under two names"
Vectors = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MixedIdentity:
    """An identity whose pictures fall into two groups that do not look like one person.

    Attributes:
        person: name or number of the identity.
        groups: names of the pictures of both, the larger group first.
        likeness: cosine of the means of both groups, -1 to 1.
    """

    person: str
    groups: tuple[tuple[str, ...], tuple[str, ...]]
    likeness: float


@dataclass(frozen=True, slots=True)
class TwoNames:
    """Two identities that look like one person.

    Attributes:
        one: name or number of the first.
        other: name or number of the second.
        likeness: cosine of their means, -1 to 1.
        margin: how much less alike either of them is to anybody else.
        one_pictures: names of the pictures of the first.
        other_pictures: names of the pictures of the second.
    """

    one: str
    other: str
    likeness: float
    margin: float
    one_pictures: tuple[str, ...]
    other_pictures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PeopleCheck:
    """What was found about the people of a folder.

    Attributes:
        people: number of identities.
        shared: people with pictures in several partitions, from the tables alone.
        model: what compared the faces: "dlib", or the file; "" if none did.
        compared: number of pictures whose faces were compared.
        unseen: number of pictures in which no face was found, or that cannot be read.
        mixed: identities that mix people, the least alike first.
        twice: pairs of identities that may be one person, the surest first.
        not_looked: what was not looked at, and why; "" if everything was.
    """

    people: int
    shared: tuple[SharedPerson, ...]
    model: str
    compared: int
    unseen: int
    mixed: tuple[MixedIdentity, ...]
    twice: tuple[TwoNames, ...]
    not_looked: str

    def headline(self) -> str:
        """The numbers in one line."""
        parts = [f"{self.people:,}", f"{len(self.shared):,} in two partitions"]
        if self.model:
            parts += [f"{len(self.mixed):,} may be mixed", f"{len(self.twice):,} may have two names"]
        return ", ".join(parts)

    def lines(self, *, verbose: bool) -> list[str]:
        """Lines of the summary."""
        most = None if verbose else _LISTED
        lines = [f"people: {self.headline()}", *(f"  {note}" for note in shared_people_note(self.shared))]
        lines += [
            f"  {printable(one.person)} may be two people: {len(one.groups[0])} and {len(one.groups[1])} pictures "
            f"(likeness {one.likeness:.2f})"
            for one in self.mixed[:most]
        ]
        lines += [
            f"  {printable(one.one)} and {printable(one.other)} may be one person (likeness {one.likeness:.2f})"
            for one in self.twice[:most]
        ]
        if self.unseen:
            lines.append(f"  {counted(self.unseen, 'picture')} not compared: no face was found")
        return lines + ([f"  not looked at: {self.not_looked}"] if self.not_looked else [])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "people": self.people,
            "in_two_partitions": {one.name: dict(one.pictures) for one in self.shared},
            "model": self.model or None,
            "compared": self.compared,
            "unseen": self.unseen,
            "mixed": [
                {"person": one.person, "likeness": round(one.likeness, 4), "groups": list(map(list, one.groups))}
                for one in self.mixed
            ],
            "two_names": [
                {
                    "one": one.one,
                    "other": one.other,
                    "likeness": round(one.likeness, 4),
                    "margin": round(one.margin, 4),
                    "one_pictures": list(one.one_pictures),
                    "other_pictures": list(one.other_pictures),
                }
                for one in self.twice
            ],
            "not_looked": self.not_looked or None,
        }


def check_people(
    faces: FaceFolder,
    rows: NDArray[np.int64],
    model: str | None,
    *,
    workers: int | None = None,
    progress: Progress = SILENT,
) -> PeopleCheck:
    """Check the identities of a folder.

    Args:
        faces: the folder.
        rows: the pictures to look at.
        model: see ``FaceJob``; None looks at the tables alone.
        workers: processes that compute embeddings; see ``open_executor``.
        progress: counts the pictures.
    """
    known = faces.annotations
    shared = people_in_partitions(known, faces.identities)
    rows = rows[known.identity[rows] >= 0]
    people = len(np.unique(known.identity[rows]))
    if model is None or people < _FEWEST:
        why = f"needs embeddings of faces, {INSTALL}" if model is None else _too_few(known.identity[rows])
        return PeopleCheck(people, shared, "", 0, 0, (), (), f"{_EITHER}: {why}")
    vectors, seen = embed_faces(faces, rows, model, workers=workers, progress=progress)
    names = [faces.names[row] for row in seen.tolist()]
    identity = known.identity[seen]
    told = model if model == DLIB else Path(model).name
    unseen = len(rows) - len(seen)
    if len(np.unique(identity)) < _FEWEST:
        return PeopleCheck(people, shared, told, len(seen), unseen, (), (), f"{_EITHER}: {_too_few(identity)}")
    mixed, twice = find_mixed(vectors, identity), find_two_names(vectors, identity)

    def pictures(at: NDArray[np.int64]) -> tuple[str, ...]:
        """Names of embedded pictures."""
        return tuple(names[k] for k in at.tolist())

    def person(number: int) -> str:
        """Name of an identity."""
        return person_name(number, faces.identities)

    return PeopleCheck(
        people,
        shared,
        told,
        len(seen),
        unseen,
        tuple(MixedIdentity(person(n), (pictures(one), pictures(other)), like) for n, one, other, like in mixed),
        tuple(
            TwoNames(
                person(one), person(other), like, margin,
                pictures(np.flatnonzero(identity == one)), pictures(np.flatnonzero(identity == other)),
            )
            for one, other, like, margin in twice
        ),
        "",
    )  # fmt: skip


def centred(vectors: Vectors) -> Vectors:
    """Vectors (n, d) without their mean, of length 1."""
    moved = vectors - vectors.mean(axis=0)
    found: Vectors = moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12)
    return found


def find_mixed(
    vectors: Vectors, identity: NDArray[np.int64]
) -> list[tuple[int, NDArray[np.int64], NDArray[np.int64], float]]:
    """Find identities whose pictures fall into two groups of two people.

    Args:
        vectors: float64 (n, d), embeddings.
        identity: int64 (n,).

    Returns:
        (identity, pictures of the larger group, of the smaller group, likeness), the least alike first.
    """
    faces = centred(vectors)
    found = []
    for number, at in _by_identity(identity):
        side = _halves(faces[at])
        if side.all() or not side.any():
            continue
        one, other = at[side], at[~side]
        likeness = _cosine(faces[one].mean(axis=0), faces[other].mean(axis=0))
        if likeness < (_STRAY if min(len(one), len(other)) < 2 else _MIXED):
            larger, smaller = (one, other) if len(one) >= len(other) else (other, one)
            found.append((number, larger, smaller, likeness))
    return sorted(found, key=lambda entry: (entry[3], entry[0]))


def find_two_names(vectors: Vectors, identity: NDArray[np.int64]) -> list[tuple[int, int, float, float]]:
    """Find pairs of identities that are each other's nearest, far nearer than anybody else.

    Args:
        vectors: float64 (n, d), embeddings.
        identity: int64 (n,), of at least three people.

    Returns:
        (identity, identity, likeness, margin), the largest margin first.
    """
    faces = centred(vectors)
    people = _by_identity(identity)
    means = centres(faces, [at for _, at in people])
    first, second, nearest = _nearest(means)
    found = []
    for one, other in enumerate(nearest.tolist()):
        if one < other and nearest[other] == one:
            margin = float(first[one] - max(second[one], second[other]))
            if margin >= _APART and first[one] >= _ALIKE:
                found.append((people[one][0], people[other][0], float(first[one]), margin))
    return sorted(found, key=lambda entry: (-entry[3], entry[0]))


def centres(faces: Vectors, groups: Sequence[NDArray[np.int64]]) -> Vectors:
    """The mean of each group, of length 1."""
    means = np.stack([faces[at].mean(axis=0) for at in groups])
    found: Vectors = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return found


def _too_few(identity: NDArray[np.int64]) -> str:
    count = counted(len(np.unique(identity)), "identity", "identities")
    return f"{count} with a face, at least {_FEWEST} are needed"


def _by_identity(identity: NDArray[np.int64]) -> list[tuple[int, NDArray[np.int64]]]:
    """(identity, its pictures), in order."""
    order = np.argsort(identity, kind="stable")
    numbers, starts = np.unique(identity[order], return_index=True)
    return list(zip(numbers.tolist(), np.split(order, starts[1:]), strict=True))


def _halves(faces: Vectors) -> NDArray[np.bool_]:
    """Split faces into two groups, by their main difference and then by the nearer mean."""
    moved = faces - faces.mean(axis=0)
    side: NDArray[np.bool_] = np.linalg.svd(moved, full_matrices=False)[0][:, 0] > 0
    for _ in range(_TURNS):
        if side.all() or not side.any():
            break
        one, other = centres(faces, [np.flatnonzero(side), np.flatnonzero(~side)])
        nearer = faces @ one > faces @ other
        if (nearer == side).all():
            break
        side = nearer
    return side


def _cosine(one: Vectors, other: Vectors) -> float:
    return float(one @ other / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-12))


def _nearest(means: Vectors) -> tuple[Vectors, Vectors, NDArray[np.int64]]:
    """Likeness of each mean to the nearest other and to the next one, and which the nearest is."""
    n = len(means)
    first, second, nearest = np.empty(n), np.empty(n), np.empty(n, np.int64)
    for start in range(0, n, _BLOCK):
        likeness = means[start : start + _BLOCK] @ means.T
        rows = np.arange(len(likeness))
        likeness[rows, start + rows] = -np.inf
        best = likeness.argmax(axis=1)
        nearest[start : start + _BLOCK] = best
        first[start : start + _BLOCK] = likeness[rows, best]
        likeness[rows, best] = -np.inf
        second[start : start + _BLOCK] = likeness.max(axis=1)
    return first, second, nearest


def embed_faces(
    faces: FaceFolder,
    rows: NDArray[np.int64],
    model: str,
    *,
    workers: int | None = None,
    progress: Progress = SILENT,
) -> tuple[Vectors, NDArray[np.int64]]:
    """Compute embeddings of pictures; see ``check_people``.

    Returns:
        (vectors, rows): float64 (n, d), and the rows in which a face was found.
    """
    landmarks = faces.annotations.landmarks
    tasks = [
        (str(faces.path(row)), () if np.isnan(landmarks[row]).any() else tuple(landmarks[row].reshape(-1).tolist()))
        for row in rows.tolist()
    ]
    workers = 1 if workers is None and len(tasks) <= _FEW else workers
    embed = partial(embed_photo, FaceJob(model, faces.ground))
    with (
        open_executor(workers, chunk=_CHUNK) as executor,
        progress.phase("comparing faces", len(tasks), "pictures") as phase,
    ):
        found = list(phase.over(executor.map(embed, tasks)))
    kept = [k for k, vector in enumerate(found) if vector is not None]
    vectors = [vector for vector in found if vector is not None]
    return np.stack(vectors) if vectors else np.empty((0, 1)), rows[kept]
