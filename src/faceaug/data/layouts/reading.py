"""Results of a layout reader: the evidence for its layout, and the annotations it read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from faceaug.data.annotations import Annotations
from faceaug.data.layouts.place import Place
from faceaug.data.layouts.writing import Writer

Layout: TypeAlias = Literal[
    "imagefolder", "celebahq", "celeba", "ffhq", "fairface", "rafdb", "lfw", "identities", "utkface", "fer2013", "coco",
    "yolo", "webdataset", "recordio", "parquet", "stylegan", "splits", "classes", "flat",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a folder may have a layout.

    Attributes:
        layout: its name.
        why: the observation, as text.
        strong: whether the layout's own tables are present, not only similar names.
        rivals: other layouts that the same observation supports.
    """

    layout: Layout
    why: str
    strong: bool = False
    rivals: tuple[Layout, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A folder as read in one layout.

    Attributes:
        names: sorted paths of the faces, without masks and the like.
        known: their annotations.
        classes: names of the labels.
        identities: names of the identities: identity k is ``identities[k]``. Empty if identities are numbers.
        notes: oddities and guesses.
        used: other files that were read or recognised.
        class_folders: whether the top-level folders are the classes.
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
    """The functions that detect, read and, for some, write one layout."""

    find: Callable[[Place], Evidence | None]
    read: Callable[[Place], Reading]
    writer: Writer | None = None
