"""CelebA's five tables for any names, with values that say which picture a row is about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from faceaug.data.tables import ATTRIBUTES, LANDMARKS

BOXES = ("x_1", "y_1", "width", "height")


def write_tables(
    folder: Path, names: Sequence[str], *, partition: dict[str, int] | None = None, kaggle: bool = False
) -> None:
    """Write all five; the identity of a picture is its number, its first landmark too, its first box as well."""
    said = partition or {}
    folder.mkdir(parents=True, exist_ok=True)
    for stem, header, columns, values in (
        ("list_attr_celeba", True, ATTRIBUTES, attributes),
        ("identity_CelebA", False, ("identity",), lambda name: [number(name)]),
        ("list_eval_partition", False, ("partition",), lambda name: [said.get(name, number(name) % 3)]),
        ("list_landmarks_align_celeba", True, LANDMARKS, lambda name: [number(name), *range(9)]),
        ("list_bbox_celeba", True, BOXES, lambda name: [number(name), 1, 2, 3]),
    ):
        rows = [[name, *map(str, values(name))] for name in names]
        if kaggle:
            lines = [",".join(row) for row in [["image_id", *columns], *rows]]
        else:
            head = [str(len(names)), " ".join(columns) + " "] if header else []
            lines = [*head, *("  ".join(row) for row in rows)]
        (folder / f"{stem}.{'csv' if kaggle else 'txt'}").write_text("".join(f"{line}\n" for line in lines))


def number(name: str) -> int:
    return int(name.partition(".")[0])


def attributes(name: str) -> list[int]:
    """The number of a picture in binary, as forty attributes."""
    return [1 if number(name) >> k & 1 else -1 for k in range(40)]
