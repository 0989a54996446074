"""The layouts of face data sets: one small reader for each, asked in order.

The first that recognises a folder reads it. Where another one could as well, both are held against each other: what
they say differently about partitions, labels or attributes is a doubt, which ends whatever depends on it; otherwise it
is a note. What no reader used is named.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

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
    people,
    recordio,
    shards,
    yolo,
)
from faceaug.data.layouts.leftovers import name_leftovers
from faceaug.data.layouts.levels import find_levels
from faceaug.data.layouts.place import Place
from faceaug.data.layouts.reading import Evidence, Layout, Reader, Reading
from faceaug.errors import AnnotationError, ArgumentError, RefusedError, printable, some

__all__ = ["LAYOUTS", "Choice", "Evidence", "Layout", "Place", "Reading", "choose_layout", "read_layout"]

LAYOUTS: dict[Layout, Reader] = {
    "imagefolder": Reader(imagefolder.find, imagefolder.read),
    "webdataset": Reader(shards.find, shards.read),
    "recordio": Reader(recordio.find, recordio.read),
    "celebahq": Reader(celeba_hq.find, celeba_hq.read),
    "celeba": Reader(celeba.find, celeba.read),
    "ffhq": Reader(ffhq.find, ffhq.read),
    "fairface": Reader(labelled.find_fairface, labelled.read_fairface),
    "rafdb": Reader(labelled.find_rafdb, labelled.read_rafdb),
    "lfw": Reader(people.find_lfw, people.read_lfw),
    "identities": Reader(people.find_numbered, people.read_numbered),
    "utkface": Reader(labelled.find_utkface, labelled.read_utkface),
    "fer2013": Reader(labelled.find_fer2013, labelled.read_fer2013),
    "coco": Reader(coco.find, coco.read),
    "yolo": Reader(yolo.find, yolo.read),
    "splits": Reader(plain.find_splits, plain.read_splits),
    "classes": Reader(plain.find_classes, plain.read_classes),
    "flat": Reader(plain.find_flat, plain.read_flat),
}
_COVERS: dict[str, tuple[str, ...]] = {"celebahq": ("celeba",), "webdataset": ("yolo", "imagefolder")}
_OTHER_WAY = {"partition": ", or partition='all'"}
_OPEN = ("flat", "classes", "splits")  # read by folder names alone


@dataclass(frozen=True, slots=True)
class Choice:
    """Which layout a folder is read in.

    Attributes:
        layout: its name.
        why: what speaks for it.
        others: what else the folder could be, with what speaks for that.
    """

    layout: Layout
    why: str
    others: tuple[Evidence, ...]


def choose_layout(place: Place, layout: str | None = None) -> Choice:
    """The layout of a folder.

    Args:
        place: the folder.
        layout: the name of one; None to find out.

    Raises:
        ArgumentError: there is no layout of that name.
    """
    if layout is not None:
        if layout not in LAYOUTS:
            raise ArgumentError(f"layout {layout!r}: expected one of {', '.join(LAYOUTS)}")
        return Choice(layout, "asked for", ())
    found = [evidence for reader in LAYOUTS.values() if (evidence := reader.find(place)) is not None]
    first = found[0]
    rest = [evidence for evidence in found[1:] if evidence.layout not in _COVERS.get(first.layout, ())]
    strong = tuple(evidence for evidence in rest if evidence.strong and first.strong)
    return Choice(first.layout, first.why, (*strong, *(Evidence(rival, first.why) for rival in first.rivals)))


def read_layout(place: Place, layout: str | None = None) -> tuple[Choice, Reading]:
    """Read a folder.

    Args:
        place: the folder.
        layout: how to read it; None to find out.

    Returns:
        (choice, reading): with a note for everything odd, and for every file that was seen and not used.

    Raises:
        ArgumentError: there is no such layout, or nothing here is of it.
        RefusedError: no picture is a face.
        AnnotationError: a table contradicts itself.
    """
    choice = choose_layout(place, layout)
    read = LAYOUTS[choice.layout].read
    if layout == "classes":
        read = partial(plain.read_classes, first=True)
    reading = _with_parts(place, choice, read(place))
    if not reading.names:
        raise RefusedError(f"{printable(place.root)}: none of its {len(place.pictures)} pictures is a face")
    for other in choice.others:
        reading = _held_against(place, choice, reading, other)
    return choice, replace(reading, notes=(*reading.notes, *name_leftovers(place, reading)))


def _with_parts(place: Place, choice: Choice, reading: Reading) -> Reading:
    """Partitions from folders called train, val and test, where the tables say nothing; a doubt where they disagree."""
    if choice.layout in _OPEN:
        return reading
    levels = find_levels(place)
    if not levels.parts:
        return reading
    known = reading.known
    said = np.array([levels.part[name.rpartition("/")[0]] for name in reading.names], np.int8)
    differ = np.flatnonzero((said >= 0) & (known.partition >= 0) & (said != known.partition))
    silent = (known.partition == -1) & (said >= 0)
    known.partition[silent] = said[silent]
    notes = reading.notes
    if silent.any():
        folders = some([f"{name}/" for name in levels.parts])
        notes = (*notes, f"the partition of {int(silent.sum())} pictures is that of their folder ({folders})")
    if not len(differ):
        return replace(reading, notes=notes)
    examples = some([reading.names[k] for k in differ.tolist()])
    says = f"{len(differ)} pictures are in another part of the data by their folder than by their table ({examples})"
    ways = "partition='all' takes all, layout='splits' (--layout splits) goes by the folders"
    doubt = Doubt("partition", f"{printable(place.root)}: {says}: {ways}")
    return replace(reading, known=replace(known, doubts=(*known.doubts, doubt)), notes=(*notes, says))


def _held_against(place: Place, choice: Choice, reading: Reading, other: Evidence) -> Reading:
    """A doubt for each thing that another reading says differently; else a note that it was possible."""
    seen = f"{choice.layout} ({choice.why}) or {other.layout} ({other.why})"
    try:
        second = LAYOUTS[other.layout].read(place)
    except (AnnotationError, ArgumentError) as error:
        note = f"read as {choice.layout}; as {other.layout} it cannot be read: {error}"
        return replace(reading, notes=(*reading.notes, note))
    differ = list(_differences(reading, second))
    used = reading.used | second.used
    if not differ:
        note = f"may be read as {seen}; both say the same"
        return replace(reading, notes=(*reading.notes, note), used=used)
    asks = f"may be read as {seen}, which differ in {' and '.join(differ)}"
    way = f"say layout={choice.layout!r} or layout={other.layout!r} (--layout)"
    says = f"{printable(place.root)}: {asks}: {way}"
    doubts = tuple(Doubt(about, says + _OTHER_WAY.get(about, "")) for about in differ)
    known = replace(reading.known, doubts=(*reading.known.doubts, *doubts))
    return replace(reading, known=known, notes=(*reading.notes, f"{asks}; read as {choice.layout}"), used=used)


def _differences(first: Reading, second: Reading) -> Iterable[str]:
    """What two readings say differently about the pictures they share."""
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
