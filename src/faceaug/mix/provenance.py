"""Notes on the source folder of a dataset: whether it was cleaned, and whether it holds duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from faceaug.data.manifest import DATASET
from faceaug.errors import counted, printable
from faceaug.presentation import argument


def provenance_notes(
    root: Path | None, pictures: int, repeated: Sequence[tuple[str, str]], *, cleaned: int | None
) -> tuple[str, ...]:
    """At most one line, with the command that helps.

    Args:
        root: source folder; None for other datasets.
        pictures: number of pictures in it now.
        repeated: duplicates among the real pictures: (name, name of the first).
        cleaned: result of ``faceaug.data.cleaned_state.cleaned_pictures`` for the folder.
    """
    found = [_repeats(repeated)] if repeated else []
    if root is None:
        return tuple(found)
    if cleaned is None and not (root / DATASET).is_file():  # what faceaug wrote needs no cleaning
        found.append(f"no clean of {printable(root)} is on record")
    elif cleaned is not None and 0 <= cleaned < pictures:
        added = counted(pictures - cleaned, "picture was", "pictures were")
        found.append(f"{added} added to {printable(root)} after it was cleaned")
    if not found:
        return ()
    return (f"{'; '.join(found)}. To set duplicates and damaged files aside: faceaug clean {argument(root)}",)


def _repeats(repeated: Sequence[tuple[str, str]]) -> str:
    copy, first = map(printable, repeated[0])
    more = f", and {len(repeated) - 1:,} more" if len(repeated) > 1 else ""
    what = "pictures repeat others" if len(repeated) > 1 else "picture repeats another"
    return f"{len(repeated):,} real {what}, pixel for pixel ({copy} is the same as {first}{more})"
