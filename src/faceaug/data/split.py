"""Split a folder into train, validation and test parts, whole people at a time."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import ATTRIBUTES, PARTITIONS, settle
from faceaug.data.folder import FaceFolder
from faceaug.data.layouts.added_tables import odd_names, odd_names_note
from faceaug.data.layouts.split_table import SPLIT_TABLE, table_bytes
from faceaug.data.marks import SPLIT
from faceaug.data.shares import assign_groups
from faceaug.draws import check_seed
from faceaug.errors import ArgumentError, RefusedError, counted, printable, some
from faceaug.presentation import Fact, Presentation
from faceaug.progress import Show, open_progress
from faceaug.storage.outputs import check_output, write_output

SplitBy: TypeAlias = Literal["identity", "class", "picture"]
SPLIT_BY: tuple[SplitBy, ...] = get_args(SplitBy)
_MOST_CLASSES = 100  # labels beyond this are too many to give each part its share of every class


@dataclass(frozen=True, slots=True, repr=False)
class SplitReport(Presentation):
    """Report of ``split_folder``.

    Attributes:
        folder: the folder.
        table: the table that was written.
        by: what was kept together: "identity", "class" or "picture".
        pictures: number of pictures of each part: {"train": ..., "val": ..., "test": ...}.
        groups: number of identities, classes or pictures of each part.
        left_out: number of pictures in no part: generated and augmented ones, those without a known group, and those
            whose names are not in UTF-8.
        largest_deviation: largest difference between the share of an attribute or class in a part and in all of the
            parts together, 0..1.
        deviates: the attribute or class and part with that difference, such as "Bald in val"; "" if none are known.
        changed: number of pictures that were in another part before.
        notes: remarks, and the notes of the folder.
    """

    folder: Path
    table: Path
    by: SplitBy
    pictures: dict[str, int]
    groups: dict[str, int]
    left_out: int
    largest_deviation: float
    deviates: str
    changed: int
    notes: tuple[str, ...]

    def facts(self) -> list[Fact]:
        """See ``Presentation``."""
        return [
            ("table", self.table),
            *((part, f"{count:,} ({self._groups(part)})") for part, count in self.pictures.items()),
            ("left out", self.left_out or None),
            ("notes", len(self.notes)),
        ]

    def to_json(self) -> dict[str, Any]:
        """The report as JSON data."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return found | {"folder": str(self.folder), "table": str(self.table), "notes": list(self.notes)}

    def summary(self) -> str:
        """The report as text."""
        total = sum(self.pictures.values())
        lines = [f"{counted(total, 'picture')} in {printable(self.table)}, split by {self.by}"]
        for part, count in self.pictures.items():
            lines.append(f"{part:>5}: {count:,} ({count / total:.1%}), {self._groups(part)}")
        if self.deviates:
            lines.append(f"largest difference in a share: {100 * self.largest_deviation:.2f} points ({self.deviates})")
        if self.changed:
            lines.append(f"{counted(self.changed, 'picture was', 'pictures were')} in another part before")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def _groups(self, part: str) -> str:
        return _counted(self.groups[part], self.by)


def split_folder(
    folder: Path | str | FaceFolder,
    parts: Sequence[float] = (0.8, 0.1, 0.1),
    *,
    by: SplitBy = "identity",
    seed: int = 0,
    out: Path | str | None = None,
    overwrite: bool = False,
    progress: Show = None,
) -> SplitReport:
    """Split a folder into train, validation and test parts. Pictures of one person never end up in two of them.

    The parts also get their share of each attribute and each class, as far as whole groups allow. No picture is moved:
    the parts are written to a table, which ``FaceFolder`` reads from the folder in place of other partitions.

    Args:
        folder: a folder or ``FaceFolder``.
        parts: shares of train, val and test, of any sum; a part with share 0 stays empty.
        by: what is kept together: "identity", "class" (for class folders that are people), or "picture", which keeps
            nothing together and puts pictures of one person into several parts.
        seed: 0..2**63-1; another seed gives another split.
        out: the table; None for ``faceaug-split.csv`` in the folder.
        overwrite: replace a file in the way that ``split_folder`` did not write.
        progress: see ``faceaug.progress.open_progress``.

    Returns:
        The report.

    Raises:
        ArgumentError: no such folder or ``by``, or ``parts`` are not three shares.
        RefusedError: no picture's group is known, there are fewer groups than parts, the folder is ambiguous about the
            groups, or ``out`` cannot be written.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from faceaug import FaceFolder, split_folder
        >>> for person in range(10):
        ...     Path(f"people/{person}").mkdir(parents=True)
        ...     for k in range(3):
        ...         Image.new("RGB", (64, 64), (25 * person, 80 * k, 0)).save(f"people/{person}/{k}.png")
        >>> split_folder("people", (0.6, 0.2, 0.2), by="class").pictures
        {'train': 18, 'val': 6, 'test': 6}
        >>> FaceFolder("people").annotations.partition[:3]
        array([0, 0, 0], dtype=int8)
    """
    shares = check_shares(parts)
    if by not in SPLIT_BY:
        raise ArgumentError(f"by {by!r}: expected one of {', '.join(SPLIT_BY)}")
    check_seed(seed)
    faces = folder if isinstance(folder, FaceFolder) else FaceFolder(folder)
    table = _place(faces, out)
    check_output(table, [SPLIT], overwrite=overwrite)
    rows, group, names = _grouped(faces, by)
    if len(names) < np.count_nonzero(shares):
        raise RefusedError(
            f"{printable(faces.root)}: {_counted(len(names), by)} cannot fill {np.count_nonzero(shares)} parts"
        )
    features, labels = _features(faces, rows, by)
    part = np.full(len(faces.names), -1, np.int8)
    with open_progress(progress).phase("splitting", len(names), "groups") as phase:
        of_group = assign_groups(group, features, shares, seed, on_group=phase.advance)
    part[rows] = of_group[group]
    texts = np.full(len(faces.names), "", object)
    texts[rows] = np.array(names, object)[group]
    write_output(table, table_bytes(faces.names, part, texts.tolist()), [SPLIT], overwrite=overwrite)
    return _report(faces, table, by, part, of_group, (features, labels, rows))


def check_shares(parts: Sequence[float]) -> NDArray[np.float64]:
    """The shares of train, val and test, with sum 1.

    Raises:
        ArgumentError: they are not three finite numbers of at least 0, or are all 0.
    """
    shares = np.array([float(share) for share in parts])
    if len(shares) != len(PARTITIONS) or not np.isfinite(shares).all() or (shares < 0).any() or not shares.any():
        shown = "/".join(f"{share:g}" for share in shares)
        raise ArgumentError(
            f"parts {shown}: expected three shares, of train, val and test, such as 80/10/10; 80/0/20 leaves val empty"
        )
    return np.asarray(shares / shares.sum(), np.float64)


def parse_shares(text: str) -> tuple[float, ...]:
    """Shares as text, such as "80/10/10".

    Raises:
        ArgumentError: see ``check_shares``, or a share is not a number.
    """
    words = re.split(r"[/,:]", text)
    try:
        shares = tuple(float(word) for word in words)
    except ValueError:
        shares = (math.nan,)
    if not all(map(math.isfinite, shares)):
        raise ArgumentError(f"parts {printable(text)!r}: expected numbers such as 80/10/10, for train, val and test")
    check_shares(shares)
    return shares


def _counted(groups: int, by: SplitBy) -> str:
    return counted(groups, by, {"identity": "identities", "class": "classes", "picture": "pictures"}[by])


def _place(faces: FaceFolder, out: Path | str | None) -> Path:
    if out is not None:
        return Path(out)
    if not faces.root.is_dir():
        raise ArgumentError(f"{printable(faces.root)}: an archive is not changed; name the table with out= (--out)")
    return faces.root / SPLIT_TABLE


def _grouped(faces: FaceFolder, by: SplitBy) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
    """Rows of the real pictures with a known group, the number of each one's group, and the names of the groups.

    Pictures whose names the table cannot hold are left out.
    """
    known = faces.annotations
    odd = frozenset(odd_names(faces.names))
    real = (known.origin == 0) & np.array([name not in odd for name in faces.names])
    if by == "picture":
        rows = np.flatnonzero(real)
        return rows, np.arange(len(rows)), [faces.names[k] for k in rows.tolist()]
    settle(known, ("identity",) if by == "identity" else ("label",))
    values, texts = (known.identity, faces.identities) if by == "identity" else (known.label, faces.classes)
    rows = np.flatnonzero(real & (values >= 0))
    if not len(rows):
        raise RefusedError(f"{printable(faces.root)}: no {by} is known; {_advice(faces, by)}")
    numbers, group = np.unique(values[rows], return_inverse=True)
    return rows, group.astype(np.int64), [texts[k] if texts else str(k) for k in numbers.tolist()]


def _advice(faces: FaceFolder, by: SplitBy) -> str:
    if by == "identity" and faces.classes:
        return (
            f"by='class' (--by class) keeps each of its {len(faces.classes)} classes together "
            f"({some(list(faces.classes))}), by='picture' nothing"
        )
    return "by='picture' (--by picture) keeps nothing together"


def _features(faces: FaceFolder, rows: NDArray[np.int64], by: SplitBy) -> tuple[NDArray[np.int8], list[str]]:
    """What every part should have its share of, 0 or 1: attributes that vary, and classes unless kept together."""
    attributes = faces.annotations.attributes[rows] == 1
    columns = [(name, attributes[:, k]) for k, name in enumerate(ATTRIBUTES)]
    labels = faces.annotations.label[rows]
    if by != "class" and 1 < len(np.unique(labels)) <= _MOST_CLASSES:
        texts = faces.classes
        columns += [(texts[k] if texts else f"label {k}", labels == k) for k in np.unique(labels[labels >= 0]).tolist()]
    varying = [(name, column) for name, column in columns if 0 < column.sum() < len(column)]
    if not varying:
        return np.empty((len(rows), 0), np.int8), []
    return np.stack([column for _, column in varying], axis=1).astype(np.int8), [name for name, _ in varying]


def _report(
    faces: FaceFolder,
    table: Path,
    by: SplitBy,
    part: NDArray[np.int8],
    of_group: NDArray[np.int8],
    balanced: tuple[NDArray[np.int8], list[str], NDArray[np.int64]],
) -> SplitReport:
    features, labels, rows = balanced
    mine = part[rows]
    largest, where = 0.0, ""
    for name, number in PARTITIONS.items():
        if labels and (mine == number).any():
            off = np.abs(features[mine == number].mean(axis=0) - features.mean(axis=0))
            if off.max() >= largest:
                largest, where = float(off.max()), f"{labels[int(off.argmax())]} in {name}"
    before = faces.annotations.partition
    odd = odd_names(faces.names)
    left_out = [faces.names[k] for k in np.flatnonzero(part < 0).tolist()]
    others = [name for name in left_out if name not in set(odd)] if odd else left_out
    notes = (*faces.notes, *odd_names_note(odd))
    if others:
        words = counted(len(others), "picture is", "pictures are")
        examples = some(others)
        notes = (*notes, f"{words} in no part: generated, augmented, or without a known {by} ({examples})")
    if faces.root.is_dir() and table.resolve() != (faces.root / SPLIT_TABLE).resolve():
        notes = (*notes, f"FaceFolder reads the table as {SPLIT_TABLE} in the folder, not where it is now")
    return SplitReport(
        folder=faces.root,
        table=table,
        by=by,
        pictures={name: int((part == number).sum()) for name, number in PARTITIONS.items()},
        groups={name: int((of_group == number).sum()) for name, number in PARTITIONS.items()},
        left_out=len(part) - len(rows),
        largest_deviation=largest,
        deviates=where,
        changed=int(((before >= 0) & (part >= 0) & (before != part)).sum()),
        notes=notes,
    )
