"""Layouts of face datasets: one small reader per layout, tried in order; some have a writer.

The first reader that recognises a folder reads it. If another layout is possible too, both readings are compared. If
they differ in partitions, labels or attributes, each difference becomes a doubt, and whatever depends on it is refused;
otherwise the ambiguity becomes a note. Files that no reader used are named in notes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np

from faceaug.data.annotations import Doubt
from faceaug.data.layouts import (
    celeba,
    celeba_hq,
    coco,
    ffhq,
    folders as plain,
    imagefolder,
    labelled,
    parquet,
    people,
    recordio,
    shards,
    stylegan,
    yolo,
)
from faceaug.data.layouts.landmark_table import with_landmarks
from faceaug.data.layouts.leftovers import name_leftovers
from faceaug.data.layouts.levels import find_levels
from faceaug.data.layouts.overlooked import check_overlooked
from faceaug.data.layouts.place import Place
from faceaug.data.layouts.reading import Evidence, Layout, Reader, Reading
from faceaug.data.layouts.records import CONVERTED, converted_layout
from faceaug.data.layouts.split_table import with_split_table
from faceaug.data.layouts.writers import folders as folder_writers
from faceaug.data.layouts.writers.celeba import CELEBA
from faceaug.data.layouts.writers.coco import COCO
from faceaug.data.layouts.writers.parquet import PARQUET
from faceaug.data.layouts.writers.shards import WEBDATASET
from faceaug.data.layouts.writers.stylegan import STYLEGAN
from faceaug.data.layouts.writing import Writer
from faceaug.errors import AnnotationError, ArgumentError, RefusedError, counted, printable, some

__all__ = ["LAYOUTS", "WRITERS", "Choice", "Evidence", "Layout", "Place", "Reading", "choose_layout", "read_layout"]

LAYOUTS: dict[Layout, Reader] = {
    "imagefolder": Reader(imagefolder.find, imagefolder.read, folder_writers.IMAGEFOLDER),
    "parquet": Reader(parquet.find, parquet.read, PARQUET),
    "webdataset": Reader(shards.find, shards.read, WEBDATASET),
    "recordio": Reader(recordio.find, recordio.read),
    "celebahq": Reader(celeba_hq.find, celeba_hq.read),
    "celeba": Reader(celeba.find, celeba.read, CELEBA),
    "ffhq": Reader(ffhq.find, ffhq.read),
    "fairface": Reader(labelled.find_fairface, labelled.read_fairface),
    "rafdb": Reader(labelled.find_rafdb, labelled.read_rafdb),
    "lfw": Reader(people.find_lfw, people.read_lfw),
    "identities": Reader(people.find_numbered, people.read_numbered),
    "utkface": Reader(labelled.find_utkface, labelled.read_utkface),
    "fer2013": Reader(labelled.find_fer2013, labelled.read_fer2013),
    "coco": Reader(coco.find, coco.read, COCO),
    "stylegan": Reader(stylegan.find, stylegan.read, STYLEGAN),
    "yolo": Reader(yolo.find, yolo.read),
    "splits": Reader(plain.find_splits, plain.read_splits, folder_writers.SPLITS),
    "classes": Reader(plain.find_classes, plain.read_classes, folder_writers.CLASSES),
    "flat": Reader(plain.find_flat, plain.read_flat),
}
WRITERS: dict[str, Writer] = {name: reader.writer for name, reader in LAYOUTS.items() if reader.writer is not None}
_COVERS: dict[str, tuple[str, ...]] = {
    "celebahq": ("celeba",),
    "webdataset": ("yolo", "imagefolder"),
    "parquet": ("webdataset",),
}
_ALTERNATIVE = {"partition": ", or partition='all'"}
_BY_FOLDERS = ("flat", "classes", "splits")  # layouts read by folder names alone


@dataclass(frozen=True, slots=True)
class Choice:
    """The layout chosen for a folder.

    Attributes:
        layout: its name.
        why: why it was chosen.
        others: other possible layouts, with the evidence for each.
    """

    layout: Layout
    why: str
    others: tuple[Evidence, ...]


def choose_layout(place: Place, layout: str | None = None) -> Choice:
    """Choose the layout of a folder.

    Args:
        place: the folder.
        layout: name of a layout; None to detect it.

    Raises:
        ArgumentError: there is no layout of that name.
    """
    if layout is not None:
        if layout not in LAYOUTS:
            raise ArgumentError(f"layout {layout!r}: expected one of {', '.join(LAYOUTS)}")
        return Choice(layout, "requested", ())
    written = converted_layout(place)
    if written in WRITERS and _is_there(place, cast("Layout", written)):
        return Choice(cast("Layout", written), f"{CONVERTED} of faceaug convert", ())
    found = [evidence for reader in LAYOUTS.values() if (evidence := reader.find(place)) is not None]
    first = found[0]
    rest = [evidence for evidence in found[1:] if evidence.layout not in _COVERS.get(first.layout, ())]
    strong = tuple(evidence for evidence in rest if evidence.strong and first.strong)
    return Choice(first.layout, first.why, (*strong, *(Evidence(rival, first.why) for rival in first.rivals)))


def _is_there(place: Place, layout: Layout) -> bool:
    """Whether a folder still has the tables of the layout in which it was written."""
    return layout in _BY_FOLDERS or LAYOUTS[layout].find(place) is not None


def read_layout(place: Place, layout: str | None = None) -> tuple[Choice, Reading]:
    """Read a folder.

    Args:
        place: the folder.
        layout: name of a layout; None to detect it.

    Returns:
        (choice, reading), with notes on oddities and unused files.

    Raises:
        ArgumentError: there is no such layout, or the folder does not have it.
        RefusedError: no picture is a face.
        AnnotationError: a table contradicts itself.
    """
    choice = choose_layout(place, layout)
    read = LAYOUTS[choice.layout].read
    if layout == "classes":
        read = partial(plain.read_classes, first=True)
    reading = check_overlooked(place, choice.layout, _with_folder_partitions(place, choice, read(place)))
    if not reading.names:
        raise RefusedError(f"{printable(place.root)}: no face among its {counted(len(place.pictures), 'picture')}")
    for other in choice.others:
        reading = _compare(place, choice, reading, other)
    reading = with_landmarks(place, with_split_table(place, reading))
    written = converted_layout(place)
    if written in WRITERS and layout is None and choice.layout != written:
        note = f"{CONVERTED} says layout {written}, whose files are not here; read as {choice.layout}"
        reading = replace(reading, notes=(*reading.notes, note))
    return choice, replace(reading, notes=(*reading.notes, *name_leftovers(place, reading)))


def _with_folder_partitions(place: Place, choice: Choice, reading: Reading) -> Reading:
    """Fill unknown partitions from folders called train, val and test; add a doubt if folders and tables disagree."""
    if choice.layout in _BY_FOLDERS:
        return reading
    levels = find_levels(place)
    if not levels.parts:
        return reading
    known = reading.known
    by_folder = np.array([levels.part[name.rpartition("/")[0]] for name in reading.names], np.int8)
    differ = np.flatnonzero((by_folder >= 0) & (known.partition >= 0) & (by_folder != known.partition))
    filled = (known.partition == -1) & (by_folder >= 0)
    known.partition[filled] = by_folder[filled]
    notes = reading.notes
    if filled.any():
        folders = some([f"{name}/" for name in levels.parts])
        ones = counted(int(filled.sum()), "picture is that of its folder", "pictures is that of their folder")
        notes = (*notes, f"the partition of {ones} ({folders})")
    if not len(differ):
        return replace(reading, notes=notes)
    examples = some([reading.names[k] for k in differ.tolist()])
    are = counted(len(differ), "picture is", "pictures are")
    says = f"{are} in another partition by folder than by table ({examples})"
    options = "partition='all' takes all, layout='splits' (--layout splits) uses the folders"
    doubt = Doubt("partition", f"{printable(place.root)}: {says}: {options}")
    return replace(reading, known=replace(known, doubts=(*known.doubts, doubt)), notes=(*notes, says))


def _compare(place: Place, choice: Choice, reading: Reading, other: Evidence) -> Reading:
    """Compare with another possible layout: add a doubt for each difference, or a note if there is none."""
    both = f"{choice.layout} ({choice.why}) or {other.layout} ({other.why})"
    try:
        second = LAYOUTS[other.layout].read(place)
    except (AnnotationError, ArgumentError) as error:
        note = f"read as {choice.layout}; it cannot be read as {other.layout}: {error}"
        return replace(reading, notes=(*reading.notes, note))
    differ = list(_differences(reading, second))
    used = reading.used | second.used
    if not differ:
        note = f"may be read as {both}, with the same result"
        return replace(reading, notes=(*reading.notes, note), used=used)
    ambiguity = f"may be read as {both}, which differ in {' and '.join(differ)}"
    options = f"give layout={choice.layout!r} or layout={other.layout!r} (--layout)"
    says = f"{printable(place.root)}: {ambiguity}: {options}"
    doubts = tuple(Doubt(about, says + _ALTERNATIVE.get(about, "")) for about in differ)
    known = replace(reading.known, doubts=(*reading.known.doubts, *doubts))
    return replace(reading, known=known, notes=(*reading.notes, f"{ambiguity}; read as {choice.layout}"), used=used)


def _differences(first: Reading, second: Reading) -> Iterable[str]:
    """The kinds of annotation in which two readings of the same pictures differ."""
    place = {name: k for k, name in enumerate(second.names)}
    left = [k for k, name in enumerate(first.names) if name in place]
    right = [place[first.names[k]] for k in left]
    if (first.known.partition[left] != second.known.partition[right]).any():
        yield "partition"
    if _label_texts(first, left) != _label_texts(second, right):
        yield "label"
    if (first.known.attributes[left] != second.known.attributes[right]).any():
        yield "attributes"


def _label_texts(reading: Reading, rows: list[int]) -> list[str]:
    labels = reading.known.label[rows].tolist()
    return [reading.classes[k] if reading.classes and k >= 0 else str(k) for k in labels]
