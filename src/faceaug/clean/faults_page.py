"""The faults of faces in a clean's page: a table of what was looked for, and a gallery with a filter for each fault."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from faceaug.clean.faults import FAULTS, MEANING, FaceChecks, Limit
from faceaug.errors import counted
from faceaug.presentation import argument
from faceaug.reports.gallery import Group, Shown
from faceaug.reports.sections import Block, Code, Heading, Notes, Paragraph, Table


class Places(Protocol):
    """Where the pictures of a report are now."""

    def staying(self, name: str) -> Path:
        """Path of a picture that stays."""
        ...

    def gone(self, name: str) -> Path:
        """Path of a picture that was set aside."""
        ...


@dataclass(frozen=True, slots=True)
class Leaving:
    """The pictures that leave, and what that is called.

    Attributes:
        names: their former paths.
        mark: "set aside", "would be set aside" or "left out".
    """

    names: frozenset[str]
    mark: str


def fault_blocks(checks: FaceChecks, folder: str) -> list[Block]:
    """What was looked for in the faces, and how often it was found."""
    counts = checks.counts()
    source = "come from this folder, within bounds" if checks.calibrated else "are absolute: the folder is small"
    rows = [(fault, counts.get(fault, 0), MEANING[fault], *_limits(checks, fault)) for fault in FAULTS]
    shown = (
        f"{checks.faces:,} of {counted(checks.pictures, 'picture')} show a face; {len(checks.faulty):,} have a fault."
    )
    blocks: list[Block] = [
        Heading("Faces"),
        Paragraph(f"{shown} The limits of what is blurred, dark and so on {source}."),
        Table(("fault", "pictures", "what it means", "limit", "usual here"), rows),
    ]
    idle = [fault for fault in counts if fault not in checks.set_aside]
    if idle:
        command = Code(f"faceaug clean {argument(folder)} --set-aside {','.join(idle[:2])}")
        blocks.append(Notes([("Pictures with a fault stay unless you name it: ", command)]))
    return blocks


def fault_groups(checks: FaceChecks, places: Places, leaving: Leaving) -> Iterator[Group]:
    """A group for each picture with a fault; its faults are the filters of the gallery."""
    for picture in checks.faulty:
        gone = picture.name in leaving.names
        path = places.gone(picture.name) if gone else places.staying(picture.name)
        shown = Shown(picture.name, path, picture.why, leaving.mark if gone else "stays", stays=not gone)
        yield Group((shown,), picture.faults, picture.doubt)


def fault_list(checks: FaceChecks) -> tuple[str, tuple[str, ...], list[tuple[str, ...]]]:
    """Title, header and rows of the list of all faults."""
    found = [(one.name, fault, why) for one in checks.faulty for fault, why in zip(one.faults, one.why, strict=True)]
    rows: list[tuple[str, ...]] = [*sorted(found, key=lambda row: (FAULTS.index(row[1]), row[0]))]
    return "faults of faces", ("file", "fault", "why"), rows


def _limits(checks: FaceChecks, fault: str) -> tuple[str, str]:
    """Where a fault begins, and what is usual."""
    for limit in checks.limits:
        if limit.fault == fault:
            return f"{_range(limit)} ({limit.figure})", "" if limit.usual is None else f"{limit.usual:.4g}"
    return "", ""


def _range(limit: Limit) -> str:
    sides = [("below", limit.least), ("above", limit.most)]
    return " or ".join(f"{word} {border:.4g}" for word, border in sides if border is not None)
