"""Datasets with labels in file names, in a table of codes, or in folders named by code.

* UTKFace (github.com/aicip/UTKFace, README and issue 1): ``[age]_[gender]_[race]_[date&time].jpg``, also with
  ``.chip.jpg``; age 0 to 116, gender 0 male and 1 female, race 0 to 4; 23,708 pictures. Four names lack a part
  (``61_1_20170109142408075``, ``61_1_20170109150557335``, ``39_1_20170116174525125``, ``53__0_20170116184028385``);
  their age is known, and ambiguous parts are unknown
* FairFace (github.com/joojs/fairface): ``train/1.jpg``, ``val/1.jpg``; ``fairface_label_train.csv`` and ``_val.csv``
  with the columns ``file, age, gender, race, service_test``, as words; 86,744 and 10,954 rows
* RAF-DB (whdeng.cn/RAF): ``Image/aligned/train_00001_aligned.jpg``, ``original/train_00001.jpg``;
  ``EmoLabel/list_patition_label.txt`` (sic) with lines ``train_00001.jpg 5``; 12,271 and 3,068 pictures. On Kaggle
  ``train/5/train_00001_aligned.jpg`` with ``train_labels.csv`` (``image,label``)
* FER2013 in folders: ``train/angry/*.jpg``, ``test/angry``; or ``Training``, ``PublicTest`` and ``PrivateTest``. Codes
  of ``fer2013.csv``: 0 angry, 1 disgust, 2 fear, 3 happy, 4 sad, 5 surprise, 6 neutral

``classes`` are the sorted names, as for class folders; the published codes are in the column ``code``.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from faceaug.data.annotations import Annotations, attribute_index, unknown
from faceaug.data.layouts.levels import find_levels, part_note
from faceaug.data.layouts.place import Place, part_of
from faceaug.data.layouts.reading import Evidence, Reading
from faceaug.data.tables import delimiter_of, text_lines
from faceaug.errors import AnnotationError, ArgumentError, counted, printable, some

GENDERS = ("male", "female")
RACES = ("White", "Black", "Asian", "Indian", "Others")
RAF_EMOTIONS = ("Surprise", "Fear", "Disgust", "Happiness", "Sadness", "Anger", "Neutral")  # codes from 1
_RAF_WORDS = {name.lower(): code for code, name in enumerate(RAF_EMOTIONS, start=1)}
_RAF_WORDS |= {"surprised": 1, "fearful": 2, "disgusted": 3, "happy": 4, "sad": 5, "angry": 6}
FER_EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")  # codes from 0
_UTK_WHOLE = re.compile(r"([0-9]{1,3})_([01])_([0-4])_([0-9]{8,17})", re.ASCII)
_UTK_LIKE = re.compile(r"([0-9]{1,3})_[0-9]?_?[0-9]?_?[0-9]{8,17}", re.ASCII)
_RAF = re.compile(r"(train|test)_[0-9]{4,5}(_aligned)?\.(jpg|jpeg|png)", re.ASCII)
_RAF_CODE = re.compile(r"[1-9]|1[01]", re.ASCII)  # of both sets: seven basic emotions, or eleven compound ones
_COMPOUND = "compound"
_RAF_FOLDERS = frozenset(["train", "test", "image", "aligned", "original"])
_RAF_TABLES = ("list_patition_label.txt", "list_partition_label.txt")
_RAF_CSV = ("train_labels.csv", "test_labels.csv")
_FAIR = ("fairface_label_train.csv", "fairface_label_val.csv")
_FAIR_COLUMNS = ("file", "age", "gender", "race")
_SAMPLE = 100  # names
_FER_PARTS = {"training": 0, "publictest": 1, "privatetest": 2}
_DATES = {"03-Sep": "3-9", "3-Sep": "3-9", "Oct-19": "10-19", "19-Oct": "10-19"}  # what Excel makes of two ages
_MALE = {"male": 1, "female": -1}


def find_utkface(place: Place) -> Evidence | None:
    """Detect UTKFace by file names of three numbers and a time."""
    step = max(1, len(place.pictures) // _SAMPLE)  # a quick check before reading all names
    if not any(_UTK_LIKE.match(name.rpartition("/")[2]) for name in place.pictures[::step]):
        return None
    whole = sum(_UTK_WHOLE.match(name.rpartition("/")[2]) is not None for name in place.pictures)
    return Evidence("utkface", "names of age, gender, race and time") if whole > 0.5 * len(place.pictures) else None


def read_utkface(place: Place) -> Reading:
    """Read age, gender and race from file names into columns; gender also becomes the attribute Male."""
    ages: list[int | None] = []
    genders: list[str | None] = []
    races: list[str | None] = []
    odd = []
    for name in place.pictures:
        last = name.rpartition("/")[2]
        whole = _UTK_WHOLE.match(last)
        like = _UTK_LIKE.match(last)
        fields = last.split("_")
        ages.append(int((whole or like)[1]) if whole or like else None)  # type: ignore[index]
        genders.append(GENDERS[int(whole[2])] if whole else None)
        races.append(RACES[int(whole[3])] if whole else RACES[int(fields[2])] if _lacks_gender(fields) else None)
        odd += [] if whole else [name]
    columns = {"age": tuple(ages), "gender": tuple(genders), "race": tuple(races)}
    known = _with_male(unknown(len(place.pictures)), genders)
    lack = counted(len(odd), "name lacks a part; what it does", "names lack a part; what they do")
    notes = [f"{lack} not say is unknown ({some(odd)})"] if odd else []
    return Reading(place.pictures, replace(known, columns=columns), notes=(*notes, *_codes(columns)))


def find_fairface(place: Place) -> Evidence | None:
    """Detect FairFace by its tables, by name or columns."""
    tables = _fair_tables(place)
    return Evidence("fairface", some(tables), strong=True) if tables else None


def read_fairface(place: Place) -> Reading:
    """Read age, gender and race into columns; the partition comes from the folder named in the table."""
    tables = _fair_tables(place)
    if not tables:
        raise ArgumentError(f"{printable(place.root)}: layout='fairface', but neither of {some(list(_FAIR))} is here")
    position = {name: k for k, name in enumerate(place.pictures)} | {"": -1}
    known = unknown(len(place.pictures))
    columns: dict[str, list[str | None]] = {name: [None] * len(place.pictures) for name in ("age", "gender", "race")}
    notes = []
    for table in tables:
        rows = _csv(place, place.file(table))
        _refuse_twice(place.file(table), [row["file"] for row in rows])
        at = [position[name] for name in place.named_in(table, [row["file"] for row in rows])]
        absent = [row["file"] for row, k in zip(rows, at, strict=True) if k < 0]
        if absent and len(absent) == len(rows):
            raise AnnotationError(
                f"{printable(place.file(table))}: none of its {len(rows)} names ({some(absent)}) is a picture here, or "
                "the unique end of its path"
            )
        if absent:
            have = counted(len(absent), "row has", "rows have")
            notes.append(f"{printable(table)}: {have} no picture, of {len(rows):,} ({some(absent)})")
        for row, k in zip(rows, at, strict=True):
            if k >= 0:
                for name, values in columns.items():
                    values[k] = row[name] or None
    known = _with_male(known, columns["gender"])
    dates = sum(age in _DATES for age in columns["age"])
    if dates:
        notes.append(f"{counted(dates, 'age was', 'ages were')} changed to a date by Excel; 03-Sep is read as 3-9")
    columns["age"] = [_DATES.get(age, age) if age else age for age in columns["age"]]
    done = {name: tuple(values) for name, values in columns.items()}
    guessed = [table for table in tables if table.rpartition("/")[2] not in _FAIR]
    notes += [f"{printable(table)}: read as a table of FairFace, by its columns" for table in guessed]
    return Reading(place.pictures, replace(known, columns=done), notes=(*notes, *_codes(done)), used=frozenset(tables))


def find_rafdb(place: Place) -> Evidence | None:
    """Detect RAF-DB by its table or file names."""
    tables = [name for name in _RAF_TABLES if name in place.tables]
    if tables:
        return Evidence("rafdb", some(tables), strong=True)
    if all(_RAF.fullmatch(name.rpartition("/")[2]) for name in place.pictures):
        return Evidence("rafdb", "names train_00001_aligned.jpg")
    return None


def read_rafdb(place: Place) -> Reading:
    """Read the emotion from the table or else the folder's code, and the partition from the file name."""
    codes, used = _raf_codes(place)
    compound = _compound_pictures(place)
    known = unknown(len(place.pictures))
    stems = [name.rpartition("/")[2].rpartition(".")[0].removesuffix("_aligned") for name in place.pictures]
    parts = find_levels(place)
    found: list[int | None] = []
    for k, (name, stem) in enumerate(zip(place.pictures, stems, strict=True)):
        code = next((codes[below, stem] for below in _above(name) if (below, stem) in codes), None)
        code = None if name in compound else code if codes else _folder_code(name)
        found.append(code)
        word = stem.partition("_")[0]
        known.partition[k] = {"train": 0, "test": 2}.get(word, parts.part.get(name.rpartition("/")[0], -1))
    classes = tuple(sorted(RAF_EMOTIONS))
    known.label[:] = [-1 if code is None else classes.index(RAF_EMOTIONS[code - 1]) for code in found]
    notes = [_compound_note(compound)] if compound else []
    unlabelled = [
        name for name, code in zip(place.pictures, found, strict=True) if code is None and name not in compound
    ]
    have = counted(len(unlabelled), "picture has", "pictures have")
    notes += [f"{have} no emotion ({some(unlabelled)})"] if unlabelled else []
    notes.append(f"codes 1 to 7 are {', '.join(RAF_EMOTIONS)}; the partition comes from the file names")
    return Reading(
        place.pictures, replace(known, columns={"code": tuple(found)}), classes, notes=tuple(notes), used=used
    )


def find_fer2013(place: Place) -> Evidence | None:
    """Detect FER2013 by a folder for each of its seven emotions."""
    label = _fer_label(place) or find_levels(place).label
    if label and {name.lower() for name in label.values()} == set(FER_EMOTIONS):
        return Evidence("fer2013", "a folder for each of its seven emotions")
    return None


def read_fer2013(place: Place) -> Reading:
    """Read emotion and partition from the folders."""
    levels = find_levels(place)
    label = _fer_label(place) or levels.label
    if not label or not {name.lower() for name in label.values()} <= set(FER_EMOTIONS):
        raise ArgumentError(f"{printable(place.root)}: layout='fer2013', but its folders are not its seven emotions")
    classes = tuple(sorted(set(label.values())))
    known = unknown(len(place.pictures))
    folders = [name.rpartition("/")[0] for name in place.pictures]
    known.label[:] = [classes.index(label[folder]) if folder in label else -1 for folder in folders]
    own = {folder: _fer_part(parts) for folder, parts in place.parts.items()}
    known.partition[:] = [own[folder] if own[folder] >= 0 else levels.part.get(folder, -1) for folder in folders]
    codes = tuple(FER_EMOTIONS.index(label[folder].lower()) if folder in label else None for folder in folders)
    notes = [*part_note(levels), f"codes 0 to 6 are {', '.join(FER_EMOTIONS)}, in the column code"]
    known = replace(known, columns={"code": codes})
    return Reading(place.pictures, known, classes, notes=tuple(notes), class_folders=True)


def _lacks_gender(parts: list[str]) -> bool:
    return len(parts) > 3 and parts[1] == "" and parts[2] in {"0", "1", "2", "3", "4"}


def _with_male(known: Annotations, genders: list[str | None]) -> Annotations:
    known.attributes[:, attribute_index("Male")] = [_MALE.get((gender or "").lower(), 0) for gender in genders]
    return known


def _codes(columns: dict[str, tuple[Any, ...]]) -> list[str]:
    return [f"{', '.join(columns)} are columns of the annotations; gender is also the attribute Male"]


def _fair_tables(place: Place) -> list[str]:
    named = [name for file in _FAIR for name in place.tables.get(file, ())]
    if named:
        return named
    tables = [name for name in place.others if name.lower().endswith(".csv") and name.count("/") < 2]
    return [name for name in tables if _has_columns(place, name)] if len(tables) <= 10 else []


def _has_columns(place: Place, name: str) -> bool:
    try:
        heading = place.head(place.file(name)).split("\n")[0].lower()
    except AnnotationError:
        return False
    return {*_FAIR_COLUMNS, "service_test"} <= {cell.strip() for cell in heading.split(delimiter_of(heading))}


def _csv(place: Place, path: Path) -> list[dict[str, str]]:
    text = place.text(path)
    reader = csv.DictReader(io.StringIO(text), strict=True, delimiter=delimiter_of(text))
    reader.fieldnames = [cell.strip().lower() for cell in reader.fieldnames or ()]
    try:
        rows = list(reader)
    except csv.Error as error:
        raise AnnotationError(f"{printable(path)}: line {reader.line_num}: {error}") from error
    absent = [column for column in _FAIR_COLUMNS if column not in (reader.fieldnames or ())]
    if absent:
        raise AnnotationError(f"{printable(path)}: column {some(absent)} is missing")
    if any(None in row or None in row.values() for row in rows):
        raise AnnotationError(f"{printable(path)}: a row has too few or too many values")
    return rows


def _refuse_twice(path: Path, names: list[str]) -> None:
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise AnnotationError(f"{printable(path)}: {printable(twice)} has two rows; keep one")


def _raf_codes(place: Place) -> tuple[dict[tuple[str, str], int], frozenset[str]]:
    """((folder, picture without suffix) -> code, the tables).

    A single table is about all pictures; of several, each about those in its folder or, if that is called EmoLabel, in
    the folder above. The compound set has the same picture names and other codes; it is left out.
    """
    files = [name for file in (*_RAF_TABLES, *_RAF_CSV) for name in place.tables.get(file, ())]
    files = [name for name in files if not _is_compound(name)]
    if _is_in_compound(place):
        return {}, frozenset(files)
    several = len(files) > len({name.rpartition("/")[2] for name in files})
    codes: dict[tuple[str, str], int] = {}
    for file in files:
        comma = file.endswith(".csv")
        below = file.rpartition("/")[0]
        below = below.rpartition("/")[0] if below.rpartition("/")[2].lower() == "emolabel" else below
        below = below if several else ""
        for number, line in enumerate(text_lines(place.text(place.file(file))), start=1):
            cells = [cell.strip() for cell in (line.split(",") if comma else line.split())]
            if comma and number == 1:
                continue
            if len(cells) != 2 or cells[1] not in {"1", "2", "3", "4", "5", "6", "7"}:
                path = printable(place.file(file))
                raise AnnotationError(
                    f"{path}: line {number}: expected a picture and a code from 1 to 7; codes up to 11 are those of "
                    "compound emotions, which are not read"
                )
            stem = cells[0].rpartition(".")[0].removesuffix("_aligned")
            if codes.setdefault((below, stem), int(cells[1])) != int(cells[1]):
                raise AnnotationError(f"{printable(place.file(file))}: {printable(stem)} has two codes; keep one")
    return codes, frozenset(files)


def _is_compound(name: str) -> bool:
    return _COMPOUND in name.lower().split("/")


def _is_in_compound(place: Place) -> bool:
    """Whether the folder is that of the compound set, or one of its own folders."""
    here = place.root.resolve()
    while here.name.lower() in _RAF_FOLDERS:
        here = here.parent
    return here.name.lower() == _COMPOUND


def _compound_pictures(place: Place) -> frozenset[str]:
    """The pictures of the compound set: those in its folder, and those next to folders of a code above 7."""
    if _is_in_compound(place):
        return frozenset(place.pictures)
    sets = {name: _raf_set(name) for name in place.pictures}
    compound = {above for above, code in sets.values() if code > len(RAF_EMOTIONS)}
    return frozenset(
        name for name, (above, code) in sets.items() if _is_compound(name) or (code > 0 and above in compound)
    )


def _raf_set(name: str) -> tuple[str, int]:
    """(the folder above those of codes and partitions, the code of the picture's folder); 0 for other folders."""
    *above, folder = ["", *name.split("/")[:-1]]
    code = int(folder) if _RAF_CODE.fullmatch(folder) else 0
    return "/".join(part for part in above if part_of(part) is None), code


def _compound_note(pictures: Collection[str]) -> str:
    are = counted(len(pictures), "picture is", "pictures are")
    return f"{are} of the compound set, whose eleven emotions are not read ({some(sorted(pictures))})"


def _folder_code(name: str) -> int | None:
    parts = name.split("/")
    code = parts[-2] if len(parts) > 1 else ""
    return int(code) if code in {"1", "2", "3", "4", "5", "6", "7"} else _RAF_WORDS.get(code.lower())


def _above(name: str) -> list[str]:
    """The folders above a picture, the nearest first."""
    parts = name.split("/")[:-1]
    return ["/".join(parts[:k]) for k in range(len(parts), -1, -1)]


def _fer_part(parts: tuple[str, ...]) -> int:
    found = [_FER_PARTS[part.lower()] for part in parts if part.lower() in _FER_PARTS]
    return found[0] if len(found) == 1 else -1


def _fer_label(place: Place) -> dict[str, str]:
    """Folder -> emotion, if the folders above are called Training, PublicTest and PrivateTest."""
    if any(_fer_part(parts) < 0 or not parts for parts in place.parts.values()):
        return {}
    return {folder: parts[-1] for folder, parts in place.parts.items()}
