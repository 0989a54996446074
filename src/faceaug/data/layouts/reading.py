"""What a reader of a layout finds out: why it thinks the folder is of its kind, and what the tables say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from faceaug.data.annotations import Annotations
from faceaug.data.layouts.place import Place

Layout: TypeAlias = Literal[
    "imagefolder", "celebahq", "celeba", "ffhq", "fairface", "rafdb", "lfw", "identities", "utkface", "fer2013", "coco",
    "yolo", "webdataset", "recordio", "splits", "classes", "flat",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a folder may be of a layout.

    Attributes:
        layout: its name.
        why: what was seen, for people.
        strong: whether its own tables are there, and not only names that look like it.
        rivals: other layouts that what was seen may mean as well.
    """

    layout: Layout
    why: str
    strong: bool = False
    rivals: tuple[Layout, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What a folder says in one layout.

    Attributes:
        names: the faces, sorted; masks and the like are left out.
        known: annotations over them.
        classes: names of the labels.
        identities: names of the identities: identity k is ``identities[k]``. Empty where identities are numbers.
        notes: what was odd, or a guess.
        used: other files that were read or understood.
        class_folders: whether the first folders are the classes.
    """

    names: tuple[str, ...]
    known: Annotations
    classes: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    used: frozenset[str] = frozenset()
    class_folders: bool = False


@dataclass(frozen=True, slots=True)
class Reader:
    """One layout: how it is recognised and how it is read."""

    find: Callable[[Place], Evidence | None]
    read: Callable[[Place], Reading]
