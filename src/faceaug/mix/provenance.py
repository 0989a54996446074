"""What is worth telling about the folder a dataset is made from: was it cleaned, does it hold duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from faceaug.data.manifest import DATASET
from faceaug.errors import printable
from faceaug.presentation import argument


def provenance_notes(
    root: Path | None, pictures: int, repeated: Sequence[tuple[str, str]], *, cleaned: int | None
) -> tuple[str, ...]:
    """One line at most, with the command that helps.

    Args:
        root: the folder; None for datasets that are no folder.
        pictures: number of pictures in it now.
        repeated: real pictures that are another one over again: (name, the first).
        cleaned: what ``faceaug.data.standing.cleaned_pictures`` says of the folder.
    """
    found = [_repeats(repeated)] if repeated else []
    if root is None:
        return tuple(found)
    if cleaned is None and not (root / DATASET).is_file():  # what faceaug wrote needs no cleaning
        found.append(f"no clean of {printable(root)} is on record")
    elif cleaned is not None and 0 <= cleaned < pictures:
        found.append(f"{pictures - cleaned:,} pictures came into {printable(root)} after it was cleaned")
    if not found:
        return ()
    return (f"{'; '.join(found)}. To set duplicates and damaged files aside: faceaug clean {argument(root)}",)


def _repeats(repeated: Sequence[tuple[str, str]]) -> str:
    copy, first = map(printable, repeated[0])
    more = f", and {len(repeated) - 1:,} more" if len(repeated) > 1 else ""
    what = "pictures repeat others" if len(repeated) > 1 else "picture repeats another"
    return f"{len(repeated):,} real {what}, pixel for pixel ({copy} is the same as {first}{more})"
