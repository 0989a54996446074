"""A folder of face pictures as an immutable, sorted dataset.

The readers in ``faceaug.data.layouts``, one per layout, interpret the folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from faceaug.data.annotations import Annotations
from faceaug.data.containers import kind_of, open_container
from faceaug.data.crop import in_frame
from faceaug.data.image import WHITE, Colour, Image8, check_colour, read_image
from faceaug.data.layouts import Layout, Place, read_layout
from faceaug.data.layouts.celeba import ALIGNED as CELEBA_PICTURES, table_names, table_paths as place_tables
from faceaug.data.layouts.leftovers import unread_files
from faceaug.errors import RefusedError, counted
from faceaug.storage.walk import Listing, is_hidden, is_picture, list_folder

__all__ = [
    "CELEBA_PICTURES",
    "CLASS_FOLDERS",
    "FaceFolder",
    "Layout",
    "Target",
    "make_target",
    "table_names",
    "table_paths",
]

Target: TypeAlias = dict[str, Any]
CLASS_FOLDERS: frozenset[Layout] = frozenset(
    {"classes", "lfw", "identities"}
)  # where a new subfolder would be a new class


class FaceFolder:
    """A map-style dataset of a folder of face pictures and their annotations.

    ``folder[i]`` is ``(image, target)``: a uint8 (height, width, 3) RGB array and a dict with the same keys for
    every item, so that torch's default collate works (for pictures of one size).

    Args:
        path: a folder, or a ZIP, tar or RecordIO file, which is read without unpacking.
        layout: one of ``faceaug.data.layouts.LAYOUTS``; None to detect it.
        ground: colour laid under transparent pixels, RGB 0..255.

    Attributes:
        root: the folder.
        ground: that colour.
        names: sorted tuple of picture paths below the folder.
        layout: the layout in which it was read.
        evidence: why that layout was chosen.
        classes: names of the labels, in label order: the class folders, or the texts in a ``label`` column;
            empty if labels are numbers or there are none.
        identities: names of the identities: identity k is ``identities[k]``; empty if identities are numbers.
        annotations: arrays over all pictures; read-only.
        notes: oddities that are not errors, one line each: rows without a picture, guesses, unused files.

    Raises:
        ArgumentError: there is no such folder or layout, or the folder does not have that layout.
        RefusedError: it contains no pictures.
        AnnotationError: a table contradicts itself.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from faceaug import FaceFolder
        >>> for person in ("ann", "ben"):
        ...     Path("people", person).mkdir(parents=True)
        ...     Image.new("RGB", (178, 218), "tan").save(f"people/{person}/1.png")
        >>> folder = FaceFolder("people")
        >>> folder
        FaceFolder('people'): 2 pictures, layout classes
        >>> image, target = folder[1]
        >>> image.shape, folder.classes[target["label"]]
        ((218, 178, 3), 'ben')
    """

    def __init__(self, path: Path | str, layout: str | None = None, *, ground: Colour = WHITE) -> None:
        self.ground = check_colour(ground)
        root = Path(path)
        if kind_of(root.name) and root.is_file():
            place, left = _within(root, ("",))
            listing = Listing(root, (), left)
        else:
            place, listing = _with_containers(list_folder(root))
        self._read(place, listing, layout)
        self.notes += tuple(listing.notes())

    @classmethod
    def from_listing(
        cls,
        listing: Listing,
        layout: str | None = None,
        *,
        ground: Colour = WHITE,
        place: Place | None = None,
    ) -> FaceFolder:
        """Read a folder that has been listed, without listing it again.

        Args:
            listing: its files.
            layout: see ``FaceFolder``.
            ground: see ``FaceFolder``.
            place: the names in the listing, if the caller uses the same tables: each of them is then read once.

        Returns:
            The folder. Its notes leave out what the listing itself notes: links and other entries that were skipped.

        Raises:
            FaceAugError: see ``FaceFolder``.
        """
        faces = cls.__new__(cls)
        faces.ground = check_colour(ground)
        if place is None:
            place, listing = _with_containers(listing)
        faces._read(place, listing, layout)
        return faces

    def _read(self, place: Place, listing: Listing, layout: str | None) -> None:
        if not place.pictures:
            raise RefusedError("; ".join([listing.no_pictures(), *unread_files(place.others)]))
        choice, reading = read_layout(place, layout)
        self.root = place.root
        self.names: tuple[str, ...] = reading.names
        self.layout: Layout = choice.layout
        self.evidence = choice.why
        self.classes = reading.classes
        self.identities = reading.identities
        self.in_class_folders = reading.class_folders
        self.annotations = reading.known
        _freeze(self.annotations)
        self.notes = reading.notes

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Pickling to a worker process loses NumPy's read-only flag.
        self.__dict__.update(state)
        _freeze(self.annotations)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[Image8, Target]:
        image = self.read(index)
        target = self.target(index)
        return image, target | {"visible": in_frame(target["landmarks"], image.shape[:2])}

    def __iter__(self) -> Iterator[tuple[Image8, Target]]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"FaceFolder({str(self.root)!r}): {counted(len(self), 'picture')}, layout {self.layout}"

    def read(self, index: int) -> Image8:
        """Read only the picture: uint8 (height, width, 3), RGB; ImageError if it cannot be read."""
        return read_image(self.path(index), ground=self.ground)

    def path(self, index: int) -> Path:
        """The path of picture ``index``."""
        return self.root / self.names[index]

    def target(self, index: int) -> Target:
        """Only the target of picture ``index``, with the keys of ``faceaug.data.folder.make_target``.

        The picture's size is unknown here, so ``visible`` means only that a landmark is known.
        """
        position = range(len(self))[index]
        return make_target(self.annotations, position)


def _with_containers(listing: Listing) -> tuple[Place, Listing]:
    """The names in a folder, or in its containers if it has no other pictures; and the skipped entries of both."""
    root = listing.root
    place = Place.of(listing)
    containers = tuple(name for name in place.others if kind_of(name))
    if place.pictures or not containers:
        return place, listing
    found, left = _within(root, containers)
    others = (name for name in place.others if name not in containers)
    whole = Place(root, found.pictures, tuple(sorted((*others, *found.others))))
    return whole, replace(listing, skipped=(*listing.skipped, *left))


def _within(root: Path, containers: Sequence[str]) -> tuple[Place, tuple[tuple[str, str], ...]]:
    """The names in containers, as if these were folders, and (name, reason) of skipped members."""
    names: list[str] = []
    left: list[tuple[str, str]] = []
    for container in containers:
        contents = open_container(root / container)
        below = f"{container}/" if container else ""
        names += [below + name for name in contents.members if not any(map(is_hidden, name.split("/")))]
        left += [(below + name, why) for name, why in contents.left]
    names.sort(key=os.fsencode)
    pictures = tuple(name for name in names if is_picture(name))
    return Place(root, pictures, tuple(name for name in names if not is_picture(name))), tuple(left)


def _freeze(known: Annotations) -> None:
    for array in known.arrays().values():
        array.flags.writeable = False


def make_target(known: Annotations, position: int) -> Target:
    """One row of annotations as the target dict of a dataset (NumPy arrays and scalars, never None)."""
    landmarks = known.landmarks[position]
    return {
        "attributes": known.attributes[position].copy(),
        "identity": int(known.identity[position]),
        "label": int(known.label[position]),
        "partition": known.partition[position],
        "landmarks": landmarks.copy(),
        "visible": ~np.isnan(landmarks).any(axis=1),
        "origin": int(known.origin[position]),
        "source": int(known.source[position]),
        "weight": known.weight[position],
        "index": position,
    }


def table_paths(place: Place) -> list[Path]:
    """The CelebA tables of a folder: in it, or in its parents if it is one of CelebA's own folders.

    Returns:
        The paths; of a table in both forms only the published .txt.
    """
    found = place_tables(place)
    return [path for path in found if path.suffix == ".txt" or path.with_suffix(".txt") not in found]
