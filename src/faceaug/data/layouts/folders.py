"""Layouts without tables: class folders, split folders, and a flat folder.

* ``classes``: every picture is in a subfolder named after its class, as ``torchvision.datasets.ImageFolder`` and
  ``datasets.load_dataset("imagefolder")`` read it. A folder around all pictures is a wrapper, not a class.
* ``splits``: ``train/``, ``val/`` and ``test/``, or other keywords of Hugging Face datasets 5.2 (``data_files.py``,
  SPLIT_KEYWORDS: train, training; validation, valid, dev, val; test, testing, eval, evaluation), in upper or lower
  case, above or below the classes; also within longer names (``train_set``) if every folder has such a name.
* ``flat``: anything else.
"""

from __future__ import annotations

from faceaug.data.annotations import unknown
from faceaug.data.layouts.levels import FEW, Levels, find_levels, part_note
from faceaug.data.layouts.place import Place, part_of, part_within
from faceaug.data.layouts.reading import Evidence, Reading
from faceaug.data.layouts.records import converted_layout
from faceaug.errors import ArgumentError, counted, printable, some

_TRAIN_TEST = (0, 2)  # a class may well be called Val or Dev


def find_splits(place: Place) -> Evidence | None:
    """Detect folders such as ``train/`` and ``test/``."""
    levels = find_levels(place)
    if levels.parts:
        return Evidence("splits", f"folders {', '.join(levels.parts[:6])}")
    partial = find_levels(place, partial=True)
    parts = {part_within(name) for name in partial.parts}
    if not partial.open or len(parts) < 2 or 0 not in parts:
        return None
    return Evidence("splits", _mixed(partial), rivals=("classes",))


def find_classes(place: Place) -> Evidence | None:
    """Detect a folder for each class."""
    levels = find_levels(place)
    if not levels.label or levels.parts:
        return None
    names = sorted(set(levels.label.values()))
    words = [name for name in names if part_of(name) is not None]
    few = len(names) <= FEW
    words = words or [name for name in names if few and part_within(name) in _TRAIN_TEST]
    words = words or [name for name in names if all(part_within(other) is not None for other in names)]
    rivals: tuple[()] | tuple[str] = ("splits",) if words else ()
    folders = counted(len(names), "folder, every picture is in it", "folders, every picture is in one")
    may = f", {some(words)} could be a partition" if words else ""
    return Evidence("classes", folders + may, rivals=rivals)  # type: ignore[arg-type]


def find_flat(place: Place) -> Evidence | None:
    """Accept any folder."""
    return Evidence("flat", counted(len(place.pictures), "picture"))


def read_splits(place: Place) -> Reading:
    """Read the partition from folder names, and the class from the folders below or above."""
    levels = find_levels(place)
    if not levels.parts:
        levels = find_levels(place, partial=True)
    if not levels.parts:
        raise ArgumentError(f"{printable(place.root)}: layout='splits', but no folder is called train, val or test")
    return _labelled(place, levels, part_note(levels))


def read_classes(place: Place, *, first: bool = False) -> Reading:
    """Read the class from the first folder level that differs; with ``first``, from the first level."""
    levels = find_levels(place)
    if converted_layout(place) == "classes":
        return _labelled(place, _written_levels(place), [])
    if first or not levels.label:
        if "" in place.folders:
            raise ArgumentError(
                f"{printable(place.root)}: layout='classes', but {place.folders['']} pictures are in no folder"
            )
        label = {folder: parts[0] for folder, parts in place.parts.items()}
        levels = Levels(dict.fromkeys(label, -1), label, (), True, (), "", False)
    return _labelled(place, levels, [])


def _written_levels(place: Place) -> Levels:
    """The folders as ``faceaug convert --to classes`` writes them: the class, below the partition if that is known."""
    label = {folder: parts[-1] for folder, parts in place.parts.items() if parts}
    part = {folder: part_of(parts[0]) if len(parts) > 1 else None for folder, parts in place.parts.items()}
    parts = tuple(sorted({folder.split("/")[0] for folder, number in part.items() if number is not None}))
    known = {folder: -1 if number is None else number for folder, number in part.items()}
    return Levels(known, label, parts, True, (), "", False)


def read_flat(place: Place) -> Reading:
    """Read the pictures without annotations."""
    notes = []
    levels = find_levels(place)
    if levels.wrapper and set(place.folders) != {""}:
        notes.append(f"all pictures are in {printable(levels.wrapper)}/, which is read as a wrapper, not as a class")
    elif set(place.folders) != {""}:
        folders = sorted(folder for folder in place.folders if folder)
        words = counted(len(folders), "folder is not read as a class", "folders are not read as classes")
        notes.append(f"{words}: pictures are next to {'it' if len(folders) == 1 else 'them'} ({some(folders)})")
    return Reading(place.pictures, unknown(len(place.pictures)), notes=tuple(notes))


def _labelled(place: Place, levels: Levels, notes: list[str]) -> Reading:
    known = unknown(len(place.pictures))
    classes = tuple(sorted(set(levels.label.values())))
    numbers = {name: k for k, name in enumerate(classes)}
    label = {folder: numbers[name] for folder, name in levels.label.items()}
    folders = [name.rpartition("/")[0] for name in place.pictures]
    known.partition[:] = [levels.part[folder] for folder in folders]
    known.label[:] = [label.get(folder, -1) for folder in folders]
    if classes:
        words = counted(len(classes), "folder is read as a class", "folders are read as classes")
        notes = [*notes, f"{words} ({some(list(classes))})"]
    if levels.wrapper:
        notes = [*notes, f"{printable(levels.wrapper)}/ is read as a wrapper: all pictures are in it"]
    if len(levels.single) > 1:
        words = "which is read as a wrapper, not as a class"
        notes = [*notes, f"each partition has one folder ({some(list(levels.single))}), {words}"]
    if levels.loose:
        notes = [*notes, "folders are not read as classes if pictures are next to them"]
    unassigned = int((known.partition == -1).sum()) if levels.parts else 0
    if unassigned:
        notes = [*notes, f"{counted(unassigned, 'picture is', 'pictures are')} in no partition"]
    return Reading(place.pictures, known, classes, notes=tuple(notes), class_folders=bool(classes) and not levels.parts)


def _mixed(levels: Levels) -> str:
    return f"folders {', '.join(levels.parts[:3])} next to {', '.join(levels.open[:3])}"
