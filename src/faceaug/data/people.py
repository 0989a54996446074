"""People whose pictures lie in more than one partition, from the tables of a folder alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import PARTITIONS, Annotations
from faceaug.errors import counted, printable

_NAMED = 3  # people in a note


@dataclass(frozen=True, slots=True)
class SharedPerson:
    """A person with pictures in several partitions.

    Attributes:
        name: name or number of the identity.
        pictures: partition -> number of pictures in it.
    """

    name: str
    pictures: dict[str, int]

    def words(self) -> str:
        """The person with the numbers of pictures."""
        return f"{printable(self.name)} ({', '.join(f'{part} {count}' for part, count in self.pictures.items())})"


def person_name(identity: int, identities: Sequence[str]) -> str:
    """Name of an identity, or its number."""
    return identities[identity] if identities else str(identity)


def people_in_partitions(
    known: Annotations, identities: Sequence[str] = (), *, staying: NDArray[np.bool_] | None = None
) -> tuple[SharedPerson, ...]:
    """Find the people who are in more than one partition; none if the folder is ambiguous about either.

    Args:
        known: annotations of the pictures.
        identities: names of the identities; empty if they are numbers.
        staying: the pictures that count; None for all.
    """
    if any(doubt.about in ("identity", "partition") for doubt in known.doubts):
        return ()
    counting = (known.identity >= 0) & (known.partition >= 0) & (known.origin == 0)
    rows = np.flatnonzero(counting if staying is None else counting & staying)
    people, which = np.unique(known.identity[rows], return_inverse=True)
    counts = np.zeros((len(people), len(PARTITIONS)), np.int64)
    np.add.at(counts, (which, known.partition[rows]), 1)
    return tuple(
        SharedPerson(
            person_name(int(people[k]), identities),
            {part: int(counts[k, number]) for part, number in PARTITIONS.items() if counts[k, number]},
        )
        for k in np.flatnonzero((counts > 0).sum(axis=1) > 1)
    )


def shared_people_note(people: Sequence[SharedPerson]) -> tuple[str, ...]:
    """A note for a report, if there are any."""
    if not people:
        return ()
    shown = ", ".join(person.words() for person in people[:_NAMED])
    more = f" and {len(people) - _NAMED:,} more" if len(people) > _NAMED else ""
    have = counted(len(people), "person has", "people have")
    return (f"{have} pictures in two partitions: {shown}{more}; `faceaug split --by identity` keeps people together",)
