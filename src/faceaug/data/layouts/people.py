"""Datasets with one folder per person, named after the identity.

* LFW (``lfw``, ``lfw_funneled``, ``lfw-deepfunneled``; archives often add a second level of that name):
  ``NAME/NAME_0001.jpg``, 5,749 people, 13,233 pictures. ``peopleDevTrain.txt`` and ``peopleDevTest.txt`` (a count, then
  name and number of pictures) are the development split; ``people.txt`` and ``pairs.txt`` list folds and pairs, which
  are not partitions. Source: ``torchvision/datasets/lfw.py`` 0.29
* VGGFace2: ``train/n000002/0001_01.jpg``, ``test/n000001``; 8,631 and 500 people. Source: the dataset's README
* CASIA-WebFace: ``0000045/001.jpg``, 10,575 people

The identity is the number in the folder's name, if it has one (n000002 is 2, 0000045 is 45), so it is the same in every
subset of the dataset. LFW's names have none; there the identity is the position in the sorted ``identities``.
"""

from __future__ import annotations

import re

from faceaug.data.annotations import unknown
from faceaug.data.layouts.levels import Levels, find_levels, part_note
from faceaug.data.layouts.place import Place
from faceaug.data.layouts.reading import Evidence, Reading
from faceaug.data.tables import text_lines
from faceaug.errors import AnnotationError, ArgumentError, counted, printable, some

_LFW_FOLDERS = ("lfw", "lfw_funneled", "lfw-funneled", "lfw-deepfunneled", "lfw-py")
_LISTS = {"peopleDevTrain.txt": 0, "peopleDevTest.txt": 2}
_OTHER_LISTS = (
    "people.txt",
    "pairs.txt",
    "pairsDevTrain.txt",
    "pairsDevTest.txt",
    "lfw-names.txt",
    "lfw_attributes.txt",
)
_NUMBERED = re.compile(r"n[0-9]{6}|[0-9]{7}", re.ASCII)
_OWN_NAMES = 0.75  # share of the pictures
_LARGEST = 2**63 - 1


def find_lfw(place: Place) -> Evidence | None:
    """Detect LFW by folders whose pictures have the folder's name and four digits."""
    lists = [name for name in _LISTS if name in place.tables]
    label = _people_folders(place, find_levels(place))
    if not label:
        return None
    if _own_names(place, label):
        return Evidence("lfw", some(lists) if lists else "NAME/NAME_0001.jpg", strong=bool(lists))
    return None


def find_numbered(place: Place) -> Evidence | None:
    """Detect folders called n000001 or 0000045."""
    label = _people_folders(place, find_levels(place))
    if label and all(map(_NUMBERED.fullmatch, label.values())):
        return Evidence("identities", f"a folder for each person ({some(sorted(set(label.values())))})")
    return None


def read_lfw(place: Place) -> Reading:
    """Read the identity from folder names, and the partition from the lists of the development split."""
    reading = _people(place, numbered=False)
    known = reading.known
    notes = list(reading.notes)
    used = {name for file in (*_LISTS, *_OTHER_LISTS) for name in place.tables.get(file, ())}
    parts: dict[str, int] = {}
    for file, part in _LISTS.items():
        for name in place.tables.get(file, ())[:1]:
            people = _listed_people(place, name)
            twice = sorted(parts.keys() & set(people))
            if twice:
                raise AnnotationError(
                    f"{printable(place.file(name))}: people of the other list are here too ({some(twice)})"
                )
            parts |= dict.fromkeys(people, part)
    if parts:
        found = [parts.get(reading.identities[k], -1) for k in known.identity.tolist()]
        known.partition[:] = found
        notes.append(f"the partition comes from the lists {some([n for n in _LISTS if n in place.tables])}")
    lists = [name for name in _OTHER_LISTS if name in place.tables]
    if lists:
        notes.append(f"{some(lists)}: folds, pairs and lists of names, which are not partitions; not used")
    return Reading(reading.names, known, reading.classes, reading.identities, tuple(notes), frozenset(used), True)


def read_numbered(place: Place) -> Reading:
    """Read the identity from the number in the folder's name."""
    return _people(place, numbered=True)


def _people(place: Place, *, numbered: bool) -> Reading:
    levels = find_levels(place)
    label = _people_folders(place, levels)
    if not label and "" not in place.folders:  # one person only
        label = {folder: parts[-1] for folder, parts in place.parts.items()}
    if not label:
        raise ArgumentError(f"{printable(place.root)}: there is no folder for each person")
    people = tuple(sorted(set(label.values())))
    position = {name: k for k, name in enumerate(people)}
    identity = {name: _number(name) for name in people} if numbered else position
    if min(identity.values(), default=0) < 0 or len(set(identity.values())) < len(people):
        identity = position
        numbered = False
    known = unknown(len(place.pictures))
    folders = [name.rpartition("/")[0] for name in place.pictures]
    known.label[:] = [position[label[folder]] if folder in label else -1 for folder in folders]
    known.identity[:] = [identity[label[folder]] if folder in label else -1 for folder in folders]
    known.partition[:] = [levels.part.get(folder, -1) for folder in folders]
    words = counted(len(people), "folder is read as a person", "folders are read as people")
    notes = [*part_note(levels), f"{words} ({some(list(people))})"]
    identities = () if numbered else people
    return Reading(place.pictures, known, people, identities, tuple(notes), class_folders=True)


def _people_folders(place: Place, levels: Levels) -> dict[str, str]:
    """Folder -> person, also if each partition has only one."""
    if levels.label or not levels.single:
        return levels.label
    return {folder: parts[-1] for folder, parts in place.parts.items() if parts[-1] in levels.single}


def _number(name: str) -> int:
    digits = re.search(r"[0-9]+$", name, re.ASCII)
    number = int(digits[0]) if digits and len(digits[0]) < 20 else -1
    return number if number <= _LARGEST else -1


def _own_names(place: Place, label: dict[str, str]) -> bool:
    """Whether nearly every picture has its folder's name, an underscore and four digits."""
    most = len(place.pictures) * (1 - _OWN_NAMES)
    others = 0
    for name in place.pictures:
        folder, _, last = name.rpartition("/")
        person = label.get(folder, "")
        stem = last.rpartition(".")[0]
        rest = stem[len(person) :]
        own = person and stem.startswith(person) and len(rest) == 5 and rest[0] == "_" and rest[1:].isdecimal()
        others += not own
        if others > most:
            return False
    return True


def _listed_people(place: Place, name: str) -> list[str]:
    lines = text_lines(place.text(place.file(name)))
    rows = [line.split("\t") if "\t" in line else line.split() for line in lines[1:]]
    count = lines[0].strip() if lines else ""
    if (
        not count.isdecimal()
        or any(len(row) != 2 for row in rows)
        or count.lstrip("0") != (str(len(rows)) if rows else "")
    ):
        raise AnnotationError(
            f"{printable(place.file(name))}: expected the number of people, then a name and a number in each line"
        )
    return [row[0] for row in rows]
