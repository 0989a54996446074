"""The report of an alignment, as text and as JSON data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faceaug.data.crop import words_of
from faceaug.errors import counted, printable, some
from faceaug.faces.align_options import AlignOptions
from faceaug.faces.aligned_face import AlignedFace
from faceaug.presentation import Fact, Presentation

TURNED = 30.0  # degrees from which a face counts as turned
OUTSIDE = 0.1  # share of the frame outside the photo from which a face counts as cut off
ENLARGED = 2.0  # pixels of the frame per pixel of the photo from which a face counts as enlarged
KINDS = {
    "no face": "photos without a face",
    "several": "photos with several faces",
    "tiny": "photos whose faces are all too small",
    "turned": "turned by more than 30 degrees",
    "cut off": "more than a tenth outside the photo",
    "enlarged": "enlarged more than twice",
    "unreadable": "photos that cannot be read",
}


@dataclass(frozen=True, slots=True, repr=False)
class AlignReport(Presentation):
    """The report of ``align_folder``.

    Attributes:
        out: the new folder.
        folder: the folder of the photos.
        options: how faces were aligned.
        photos: number of photos.
        faces: number of faces found in them.
        aligned: number of pictures written.
        pictures: kind of oddity -> names: of photos for "no face", "several", "tiny" and "unreadable", of aligned
            pictures for "turned", "cut off" and "enlarged".
        unreadable: a line for each photo that cannot be read.
        notes: other decisions, and the notes of the given folder.
        seconds: time taken.

    Example:
        >>> from faceaug import SyntheticFaceSource, align_folder
        >>> _ = SyntheticFaceSource("faces-64", seed=0).save("photos", 3)
        >>> report = align_folder("photos", "faces", template="arcface")
        >>> report.options.template, report.photos
        ('arcface', 3)
    """

    out: Path
    folder: Path
    options: AlignOptions
    photos: int
    faces: int
    aligned: int
    pictures: dict[str, tuple[str, ...]]
    unreadable: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float

    def facts(self) -> list[Fact]:
        """See ``Presentation``."""
        options = self.options
        return [
            ("folder", self.out),
            ("pictures", f"{self.aligned:,} of {words_of(options.frame)}, template {options.template}"),
            ("photos", self.photos),
            ("faces found", self.faces),
            *((name, len(self.pictures[name]) or None) for name in ("no face", "several", "tiny", "turned")),
            ("unreadable", len(self.unreadable) or None),
        ]

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "out": str(self.out),
            "folder": str(self.folder),
            "options": self.options.to_json(),
            "photos": self.photos,
            "faces": self.faces,
            "aligned": self.aligned,
            "pictures": {name.replace(" ", "_"): list(names) for name, names in self.pictures.items()},
            "unreadable": list(self.unreadable),
            "notes": list(self.notes),
            "seconds": round(self.seconds, 2),
        }

    def summary(self, *, verbose: bool = False) -> str:
        """The report as text: what was written, and what is odd; ``verbose`` lists every name."""
        options = self.options
        found = f"{counted(self.faces, 'face')} found in {counted(self.photos, 'photo')}"
        lines = [f"{self.aligned:,} of {found}: {words_of(options.frame)}, template {options.template}"]
        for name, names in self.pictures.items():
            if names and name != "unreadable":
                shown = some(list(names), len(names) if verbose else 3)
                lines.append(f"  {KINDS[name]}: {len(names):,} ({shown})")
        if self.unreadable:
            lines.append(f"  {KINDS['unreadable']}: {len(self.unreadable):,}")
            lines += [f"    {line}" for line in (self.unreadable if verbose else self.unreadable[:3])]
        lines += [f"note: {note}" for note in (self.notes if verbose else self.notes[:3])]
        return "\n".join([*lines, f"{printable(self.out)}: written in {self.seconds:.1f} s"])


def odd_pictures(entries: Sequence[AlignedFace], names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The field ``pictures`` of the report.

    Args:
        entries: what came of every photo.
        names: names of the photos.
    """
    found: dict[str, list[str]] = {name: [] for name in KINDS}
    for entry in entries:
        for kind in kinds_of(entry):
            found[kind].append(entry.file if kind in _OF_FACES else names[entry.photo])
    return {name: tuple(dict.fromkeys(pictures)) for name, pictures in found.items()}


_OF_FACES = ("turned", "cut off", "enlarged")


def kinds_of(entry: AlignedFace) -> list[str]:
    """What is odd about a face or photo, in the order of ``KINDS``."""
    if entry.problem:
        return ["unreadable"]
    if not entry.file:
        return ["tiny" if entry.found else "no face"]
    return [
        name
        for name, odd in (
            ("several", entry.found > 1),
            ("turned", abs(entry.roll) > TURNED),
            ("cut off", entry.outside > OUTSIDE),
            ("enlarged", entry.scale > ENLARGED),
        )
        if odd
    ]
