"""CelebA: six tables and up to three editions of 202,599 pictures, in any unpacked or rewritten form.

Sources: the dataset's README (``Anno``, ``Eval``, ``Img``), ``torchvision/datasets/celeba.py`` 0.29 (names, order of
the columns) and the CSV edition on Kaggle.

* ``Img/img_align_celeba`` (JPEG, 178 x 218, aligned), ``img_align_celeba_png`` (the tables still say .jpg),
  ``img_celeba`` (the original photos); an archive may add a second folder level of the same name
* ``Anno/list_attr_celeba.txt`` (40 attributes), ``identity_CelebA.txt`` (10,177 people),
  ``list_landmarks_align_celeba.txt`` (5 points in the aligned pictures), ``list_landmarks_celeba.txt`` and
  ``list_bbox_celeba.txt`` (points and boxes in the original photos), ``Eval/list_eval_partition.txt`` (0 train up to
  162770.jpg, 1 validation up to 182637.jpg, 2 test); torchvision keeps them all next to the picture folder
* Kaggle: the same as .csv, with the first column ``image_id``
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from faceaug.data.annotations import ATTRIBUTES, Annotations, Doubt, Table, fill, join_tables, match_names
from faceaug.data.containers import without_ending
from faceaug.data.layouts.place import Place
from faceaug.data.layouts.reading import Evidence, Reading
from faceaug.data.tables import Kind, find_tables, kind_of_table
from faceaug.errors import AnnotationError, ArgumentError, counted, printable, some

ALIGNED = "img_align_celeba"
WILD = "img_celeba"
EDITIONS = (ALIGNED, f"{ALIGNED}_png", WILD)
_PICTURE_FOLDERS = (*EDITIONS, "Img")
_TABLE_FOLDERS = ("", "Anno", "Eval")  # relative to the parent of the picture folders
_PARTITION_ENDS = (162_770, 182_637)


def find(place: Place) -> Evidence | None:
    """Detect CelebA by its tables or picture folders."""
    tables = table_paths(place)
    if tables:
        return Evidence("celeba", some([path.name for path in tables]), strong=True)
    rewritten = _rewritten(place)
    if rewritten:
        return Evidence("celeba", f"the columns of {printable(rewritten[0])}", strong=True)
    if place.has_folder(EDITIONS):
        return Evidence("celeba", f"a folder {ALIGNED}")
    return None


def read(place: Place) -> Reading:
    """Join all tables by name to each edition of the pictures."""
    tables, twins = _without_twins([place.table(path) for path in table_paths(place)])
    notes: list[str] = []
    used = {name for name in place.others if kind_of_table(name.rpartition("/")[2])}
    if not any(table.kind == "attributes" for table in tables):
        for name in _rewritten(place)[:1]:
            table = place.table(place.file(name), "attributes")
            tables.append(replace(table, notes=("read as a table of attributes, by its columns", *table.notes)))
            used.add(name)
    if not tables and not place.has_folder(EDITIONS):
        raise ArgumentError(f"{printable(place.root)}: layout='celeba', but none of its tables or folders is here")
    known, more = join_editions(tables, place.pictures, wild=place.own_name == WILD)
    doubts, compared = _compare_twins(twins)
    return Reading(
        place.pictures, replace(known, doubts=doubts), notes=(*notes, *more, *compared), used=frozenset(used)
    )


def table_paths(place: Place) -> list[Path]:
    """The tables of a folder: those in it, otherwise those above the picture folders."""
    inside = [name for names in place.tables.values() for name in names if kind_of_table(name.rpartition("/")[2])]
    if inside:
        least = min(name.count("/") for name in inside)
        near = [name for name in inside if name.count("/") <= least + 1]
        order = {path.name: k for k, path in enumerate(find_names())}
        return [place.file(name) for name in sorted(near, key=lambda n: (order[n.rpartition("/")[2]], n))]
    return tables_above(place.root)


def find_names() -> list[Path]:
    """The names of CelebA's tables, in both forms, in reading order."""
    stems = ("list_attr_celeba", "identity_CelebA", "list_eval_partition", "list_landmarks_align_celeba")
    more = ("list_bbox_celeba", "list_landmarks_celeba")
    return [Path(stem + ending) for stem in (*stems, *more) for ending in (".txt", ".csv")]


def tables_above(root: Path) -> list[Path]:
    """The tables above a picture folder; of a table in both forms, the published .txt."""
    here = root.resolve()
    for _ in range(4):
        if here.name not in _PICTURE_FOLDERS:
            return []
        here = here.parent
        found = [path for name in _TABLE_FOLDERS for path in find_tables(here / name)]
        if found:
            return found
    return []


def join_editions(
    tables: Sequence[Table], names: Sequence[str], *, wild: bool = False
) -> tuple[Annotations, tuple[str, ...]]:
    """Join tables to the pictures of every edition.

    Args:
        tables: the tables.
        names: paths of the pictures.
        wild: whether the folder is that of the original photos.

    Returns:
        (annotations, notes).
    """
    folders = [name.rpartition("/")[0] for name in names]
    editions = {folder: _edition(folder) for folder in set(folders)}
    kinds = sorted(set(editions.values()) - {""})
    plain = table_names(names)
    known, notes = join_tables(list(tables), plain)
    owned = [k for k, name in enumerate(plain) if not name]
    if len(kinds) > 1:
        notes.append(f"{len(kinds)} editions of the same pictures are here ({', '.join(kinds)}); all get annotations")
        for kind in kinds:
            rows = [k for k in owned if editions[folders[k]] == kind]
            _join_some(known, tables, names, rows)
        owned = [k for k in owned if not editions[folders[k]]]
    if owned and tables:
        twins = [names[k] for k in owned]
        share = counted(len(twins), "picture shares a name with another one and gets", "pictures share a name and get")
        notes.append(f"{share} no annotations ({some(twins)})")
    return _join_photos(known, tables, names, wild=wild, notes=notes)


def _edition(folder: str) -> str:
    parts = set(map(without_ending, folder.split("/")))
    return next((edition for edition in EDITIONS if edition in parts), "")


def _join_some(known: Annotations, tables: Iterable[Table], names: Sequence[str], rows: list[int]) -> None:
    place = {names[k].rpartition("/")[2]: k for k in rows}
    for table in tables:
        fill(known, table, match_names(table.names, place)[0])


def _join_photos(
    known: Annotations, tables: Sequence[Table], names: Sequence[str], *, wild: bool, notes: list[str]
) -> tuple[Annotations, tuple[str, ...]]:
    """Join boxes and points of the original photos, where those of the aligned pictures do not apply."""
    special = [table for table in tables if table.kind in {"boxes", "wild"}]
    aligned = any(table.kind == "landmarks" for table in tables)
    rows = [k for k, name in enumerate(names) if wild or _edition(name.rpartition("/")[0]) == WILD] if special else []
    if special and not rows and not aligned and any(table.kind == "wild" for table in special):
        rows = [k for k, name in enumerate(names) if not _edition(name.rpartition("/")[0])]
    if not rows:
        why = "are for the original photos, not for aligned pictures; not used"
        notes += [f"{table.path.name}: its {_WORDS[table.kind]} {why}" for table in special]
        return known, tuple(notes)
    known.landmarks[rows] = np.nan
    known = replace(known, boxes=np.full((len(names), 4), np.nan, np.float32))
    _join_some(
        known, [table if table.kind == "boxes" else replace(table, kind="landmarks") for table in special], names, rows
    )
    return known, tuple(notes)


_WORDS = {"boxes": "boxes", "wild": "points"}


def _without_twins(tables: list[Table]) -> tuple[list[Table], list[tuple[Table, Table]]]:
    """The tables to use, and pairs of a used table and an unused one of the same kind."""
    kept: dict[Kind, list[Table]] = {}
    twins: list[tuple[Table, Table]] = []
    for table in tables:
        others = [other for other in kept.get(table.kind, []) if not frozenset(other.names).isdisjoint(table.names)]
        if others:
            twins.append((others[0], table))
        else:
            kept.setdefault(table.kind, []).append(table)
    return [table for group in kept.values() for table in group], twins


def _compare_twins(
    twins: Sequence[tuple[Table, Table]],
) -> tuple[tuple[Doubt, ...], list[str]]:
    """Doubts and notes about pairs of tables of the same kind."""
    doubts: list[Doubt] = []
    notes: list[str] = []
    for first, second in twins:
        pair = f"{printable(first.path.name)} and {printable(second.path.name)}"
        differ = _differences(first, second)
        if differ:
            pictures = f"{counted(len(differ), 'picture')} ({some(differ)})"
            says = f"{pair} contradict each other about {pictures}; the first is read"
            notes.append(says)
            about = first.kind if first.kind in {"attributes", "partition", "identity"} else "landmarks"
            doubts.append(Doubt(about, f"{says}. Keep the correct one and move the other away"))
        else:
            notes.append(f"{pair} agree; the first is read")
    return tuple(doubts), notes


def _differences(first: Table, second: Table) -> list[str]:
    if set(first.columns) != set(second.columns):
        return [name for name in second.names if name in set(first.names)]
    order = [second.columns.index(name) for name in first.columns]
    values = second.values[:, order]
    rows = {name: k for k, name in enumerate(first.names)}
    both = [(name, rows[name], k) for k, name in enumerate(second.names) if name in rows]
    left = [row for _, row, _ in both]
    right = [row for _, _, row in both]
    unequal = (first.values[left] != values[right]).any(axis=1)
    return [name for (name, _, _), differs in zip(both, unequal.tolist(), strict=True) if differs]


def _rewritten(place: Place) -> list[str]:
    """Tables with another name whose header lists attributes."""
    tables = [name for name in place.others if name.lower().endswith((".csv", ".txt")) and name.count("/") < 3]
    unknown = [name for name in tables if kind_of_table(name.rpartition("/")[2]) is None]
    return [name for name in unknown if _has_attributes(place, name)] if len(unknown) <= 50 else []


def _has_attributes(place: Place, name: str) -> bool:
    try:
        head = place.head(place.file(name)).splitlines()[:2]
    except AnnotationError:
        return False
    separator = "," if name.lower().endswith(".csv") else None
    cells = [{cell.strip().strip('"') for cell in line.split(separator)} for line in head]
    return any(len(line & set(ATTRIBUTES)) > 2 and len(line - set(ATTRIBUTES)) <= 2 for line in cells)


def table_names(names: Sequence[str]) -> list[str]:
    """The name of each picture in tables: its name without folders.

    If several pictures share it, only one gets it: the one in CelebA's own folder, or else the first. The others get
    an empty name.
    """
    plain = [name.rpartition("/")[2] for name in names]
    if len(set(plain)) == len(plain):
        return plain
    owner: dict[str, str] = {}
    for name in sorted(names, key=lambda name: (f"/{ALIGNED}/" not in f"/{name}", name)):
        owner.setdefault(name.rpartition("/")[2], name)
    return [last if owner[last] == name else "" for name, last in zip(names, plain, strict=True)]


def published_part(number: int) -> int:
    """The partition of CelebA's picture with this number, as in ``list_eval_partition.txt``."""
    return sum(number > end for end in _PARTITION_ENDS)
