"""YOLO-face: a text file per picture with a line per face.

Source: docs.ultralytics.com/datasets/pose and github.com/deepcam-cn/yolov5-face. A line is ``class x y width height``:
the centre and size of the box as fractions of the picture size. In pose datasets, five points ``x y`` or
``x y visible`` follow: eyes, nose, corners of the mouth, left in the picture first; -1 (or 0 visible) is not labelled.
The file is next to the picture, or in ``labels/`` if the picture is in ``images/``.

Only the face with the largest box of each picture is read. Its class is not its label: the classes are named in a note.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import unknown
from faceaug.data.image import picture_size
from faceaug.data.layouts.levels import find_levels, part_note
from faceaug.data.layouts.place import Place
from faceaug.data.layouts.reading import Evidence, Reading
from faceaug.data.tables import text_lines
from faceaug.errors import AnnotationError, ArgumentError, ImageError, counted, printable, some

_WIDTHS = (5, 15, 20)
_FARTHEST = 1e6  # in sides of the picture, for points beside it
_SETTINGS = ("data.yaml", "data.yml", "dataset.yaml", "classes.txt", "obj.names")


def find(place: Place) -> Evidence | None:
    """Detect text files named like the pictures, most of them with lines of numbers from 0 to 1."""
    labels = _labels(place)
    first = next(iter(labels.values()), None)
    if first is None or len(labels) * 2 < len(place.pictures):
        return None
    fit = [_fits(place, name) for name in list(labels.values())[:20]]
    if fit.count(True) <= fit.count(False):
        return None
    return Evidence("yolo", f"a line for each face in {printable(first)}", strong=True)


def _fits(place: Place, name: str) -> bool | None:
    """Whether a text has the lines of this layout; None for an empty one, of a picture without a face."""
    try:
        return bool(_lines(place, name)) or None
    except AnnotationError:
        return False


def read(place: Place) -> Reading:
    """Read the largest face of each picture."""
    labels = _labels(place)
    if not labels:
        raise ArgumentError(f"{printable(place.root)}: layout='yolo', but no picture has a text file of its name")
    known = unknown(len(place.pictures))
    boxes = np.full((len(place.pictures), 4), np.nan, np.float32)
    more = 0
    unreadable = []
    kinds: set[int] = set()
    for k, name in enumerate(place.pictures):
        lines = _lines(place, labels[name]) if name in labels else []
        if not lines:
            continue
        try:
            width, height = picture_size(place.file(name))
        except ImageError:
            unreadable.append(name)
            continue
        line = max(lines, key=lambda numbers: numbers[3] * numbers[4])
        more += len(lines) - 1
        kinds |= {int(numbers[0]) for numbers in lines}
        side = np.array([width, height], np.float64)
        centre, extent = np.array(line[1:3]) * side, np.array(line[3:5]) * side
        boxes[k] = [*(centre - extent / 2), *extent]
        known.landmarks[k] = _points(line[5:], side)
    levels = find_levels(place)
    known.partition[:] = [levels.part[name.rpartition("/")[0]] for name in place.pictures]
    notes = part_note(levels)
    if more:
        left = counted(more, "further face is", "further faces are")
        notes.append(f"{left} left out; the largest of each picture is read")
    if len(kinds) > 1:
        shown = some([str(number) for number in sorted(kinds)])
        notes.append(f"{len(kinds)} classes of boxes ({shown}) are not read as labels")
    if unreadable:
        them = "picture cannot be read, so its box is", "pictures cannot be read, so their boxes are"
        notes.append(f"{counted(len(unreadable), *them)} unknown ({some(unreadable)})")
    unlabelled = [name for name in place.pictures if name not in labels]
    if unlabelled:
        notes.append(f"{counted(len(unlabelled), 'picture has', 'pictures have')} no text file ({some(unlabelled)})")
    used = {*labels.values(), *(name for file in _SETTINGS for name in place.tables.get(file, ()))}
    return Reading(place.pictures, replace(known, boxes=boxes), notes=tuple(notes), used=frozenset(used))


def _labels(place: Place) -> dict[str, str]:
    """Map each picture to its text file."""
    texts = {name for name in place.others if name.endswith(".txt")}
    if not texts:
        return {}
    found = {}
    for name in place.pictures:
        same_folder = name.rpartition(".")[0] + ".txt"
        parts = same_folder.split("/")
        label_folder = "/".join("labels" if part == "images" else part for part in parts[:-1]) + "/" + parts[-1]
        text = next((text for text in (same_folder, label_folder) if text in texts), None)
        if text is not None:
            found[name] = text
    return found


def _lines(place: Place, name: str) -> list[list[float]]:
    lines = []
    for number, line in enumerate(text_lines(place.text(place.file(name))), start=1):
        try:
            numbers = [float(cell) for cell in line.split()]
        except ValueError:
            numbers = []
        box = numbers[1:5]
        if any(abs(number) > _FARTHEST for number in numbers[5:]):
            numbers = []
        if len(numbers) not in _WIDTHS or not all(0 <= side <= 1 for side in box) or not numbers[0].is_integer():
            raise AnnotationError(
                f"{printable(place.file(name))}: line {number}: expected a class, a box in fractions of the picture, "
                f"and no points or five; found {printable(line[:60])!r}"
            )
        lines.append(numbers)
    return lines


def _points(numbers: list[float], side: NDArray[np.float64]) -> NDArray[np.float64]:
    if not numbers:
        return np.full((5, 2), np.nan)
    rows = np.array(numbers).reshape(5, -1)
    seen = rows[:, 2:] > 0 if rows.shape[1] == 3 else np.ones((5, 1), bool)
    return np.where((rows[:, :1] >= 0) & (rows[:, 1:2] >= 0) & seen, rows[:, :2] * side - 0.5, np.nan)
