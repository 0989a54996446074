"""Report of a conversion to another layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faceaug.errors import counted, printable
from faceaug.presentation import Fact, Presentation


@dataclass(frozen=True, slots=True, repr=False)
class ConvertReport(Presentation):
    """Report of ``convert_folder``.

    Attributes:
        out: the new folder.
        layout: its layout.
        source_layout: the layout in which the given folder was read.
        pictures: number of pictures written.
        copied: number of those whose bytes are those of the original.
        rewritten: reason -> number of pictures that became PNG.
        unreadable: a line for each picture that could not be read; these are left out.
        not_held: kind of annotation that the layout cannot hold -> number of pictures of which it is known.
        notes: other decisions, and the notes of the given folder.
        seconds: time taken.
    """

    out: Path
    layout: str
    source_layout: str
    pictures: int
    copied: int
    rewritten: dict[str, int]
    unreadable: tuple[str, ...]
    not_held: dict[str, int]
    notes: tuple[str, ...]
    seconds: float

    def facts(self) -> list[Fact]:
        """See ``Presentation``."""
        return [
            ("folder", self.out),
            ("layout", f"{self.layout}, from {self.source_layout}"),
            ("pictures", self.pictures),
            ("copied", self.copied),
            ("rewritten", self.pictures - self.copied),
            ("unreadable", len(self.unreadable)),
            ("not held", ", ".join(self.not_held)),
            ("notes", len(self.notes)),
        ]

    def to_json(self) -> dict[str, Any]:
        """The report as JSON data."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return found | {"out": str(self.out), "unreadable": list(self.unreadable), "notes": list(self.notes)}

    def summary(self) -> str:
        """The report as text."""
        lines = [
            f"{self.pictures:,} pictures in {printable(self.out)}, layout {self.layout} (read as {self.source_layout})"
        ]
        if self.copied < self.pictures:
            why = "; ".join(f"{count:,} {reason}" for reason, count in self.rewritten.items())
            lines.append(f"{self.copied:,} files are copies; {self.pictures - self.copied:,} became PNG: {why}")
        if self.not_held:
            lost = ", ".join(f"{name} ({count:,} pictures)" for name, count in self.not_held.items())
            lines.append(f"not held by this layout: {lost}")
        if self.unreadable:
            one, many = "picture cannot be read and is left out", "pictures cannot be read and are left out"
            lines.append(f"{counted(len(self.unreadable), one, many)}:")
            lines += [f"  {line}" for line in self.unreadable[:5]]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])
