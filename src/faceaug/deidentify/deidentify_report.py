"""The report of a de-identified folder, as text and as JSON data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faceaug.deidentify.hidden_photo import HiddenPhoto
from faceaug.deidentify.options import DeidentifyOptions
from faceaug.errors import counted, printable, some
from faceaug.presentation import Fact, Presentation

NOTHING = "nothing hidden"
NOT_SURE = "not sure"
NOT_REPLACED = "not replaced"
UNREADABLE = "unreadable"
YOURS = (
    "Pictures are shown as they are in the new folder: where nothing was hidden, that is the photo as it was. This "
    "page, deidentify.json and metadata.csv are for you: do not pass them on with the pictures."
)
LOOK = (
    "Look through these before you pass the pictures on: a face that was not found is still in the picture. If you see "
    "one, run again into another folder with a lower --threshold (threshold=) or a smaller --min-face (min_face=), or "
    "delete the picture and its row in metadata.csv."
)
_NOTES = 4  # in a summary: as many as there are on people and --drop
KINDS = {
    NOTHING: "nothing hidden: look at these",
    NOT_SURE: "hidden, but not sure that it is a face",
    NOT_REPLACED: "blurred, because no synthetic face fits",
    UNREADABLE: "cannot be read, and were not written",
}
WORTH = (
    "A synthetic face is not anonymity: hair, clothes, posture, place and other pictures of the same event still say "
    "who somebody is, and in law such a picture remains one of a person who can be identified."
)
REMAINS = (
    "Blur and mosaic leave five means along a face. They do not show who it is, but somebody with pictures of few "
    "people may compare them; fill leaves nothing of the face. Hair, clothes and place remain in any case."
)


@dataclass(frozen=True, slots=True, repr=False)
class DeidentifyReport(Presentation):
    """The report of ``deidentify_folder``.

    Attributes:
        out: the new folder.
        folder: the folder of the photos.
        options: how faces were hidden.
        photos: number of photos.
        written: number of pictures written.
        faces: number of faces hidden.
        replaced: number of those that were replaced by a synthetic one.
        pictures: kind of doubt -> pictures: "nothing hidden", "not sure", "not replaced", "unreadable".
        doubtful: faces that are not sure, each with ``file``, ``box`` and ``score``.
        notes: what may still name people, then other decisions.
        seconds: time taken.
        notes_on_photos: the notes of the given folder. They may say where the photos lie or name what was dropped, so
            that the files in the new folder do not hold them.

    Example:
        >>> from faceaug import SyntheticFaceSource, deidentify_folder
        >>> _ = SyntheticFaceSource("faces-64", seed=0).save("photos", 3)
        >>> report = deidentify_folder("photos", "hidden", how="fill")
        >>> report.photos, report.written
        (3, 3)
    """

    out: Path
    folder: Path
    options: DeidentifyOptions
    photos: int
    written: int
    faces: int
    replaced: int
    pictures: dict[str, tuple[str, ...]]
    doubtful: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    seconds: float
    notes_on_photos: tuple[str, ...] = ()

    def facts(self) -> list[Fact]:
        """See ``Presentation``."""
        return [
            ("folder", self.out),
            ("pictures", f"{self.written:,} of {self.photos:,}"),
            ("faces hidden", f"{self.faces:,} by {self.options.how}"),
            ("replaced", self.replaced or None),
            *((name, len(names) or None) for name, names in self.pictures.items()),
        ]

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        told = self.told() | {"notes": [*self.notes, *self.notes_on_photos]}
        return {"out": str(self.out), "folder": str(self.folder), **told, "seconds": round(self.seconds, 2)}

    def told(self) -> dict[str, Any]:
        """What the record in the new folder says: nothing about the place of the photos or what was dropped."""
        return {
            "options": self.options.to_json(),
            "photos": self.photos,
            "written": self.written,
            "faces": self.faces,
            "replaced": self.replaced,
            "pictures": {name.replace(" ", "_"): list(names) for name, names in self.pictures.items()},
            "doubtful": list(self.doubtful),
            "notes": list(self.notes),
        }

    def summary(self, *, verbose: bool = False) -> str:
        """The report as text: what was hidden, and what to look at; ``verbose`` lists every name."""
        of = f"{counted(self.faces, 'face')} hidden in {counted(self.written, 'photo')}"
        lines = [f"{of}, by {self.options.how}" + (f" ({self.replaced:,} replaced)" if self.replaced else "")]
        for name, names in self.pictures.items():
            if names:
                shown = some(list(names), len(names) if verbose else 3)
                lines.append(f"  {KINDS[name]}: {len(names):,} ({shown})")
        notes = (*self.notes, *self.notes_on_photos)
        lines += [f"note: {note}" for note in (notes if verbose else notes[:_NOTES])]
        return "\n".join([*lines, f"{printable(self.out)}: written in {self.seconds:.1f} s"])


def sorted_out(
    entries: Sequence[HiddenPhoto], names: Sequence[str], options: DeidentifyOptions
) -> tuple[dict[str, tuple[str, ...]], tuple[dict[str, Any], ...]]:
    """The fields ``pictures`` and ``doubtful`` of the report.

    Args:
        entries: what came of every photo.
        names: a name for each photo that cannot be read.
        options: how faces were hidden.
    """
    pictures: dict[str, list[str]] = {name: [] for name in KINDS}
    doubtful: list[dict[str, Any]] = []
    for entry in entries:
        for kind in kinds_of(entry, options):
            pictures[kind].append(entry.file or f"{printable(names[entry.photo])}: {entry.problem}")
        for face in entry.faces:
            if not face.sure:
                box = [round(number, 1) for number in face.box]
                doubtful.append({"file": entry.file, "box": box, "score": round(face.score, 3)})
    return {name: tuple(found) for name, found in pictures.items()}, tuple(doubtful)


def kinds_of(entry: HiddenPhoto, options: DeidentifyOptions) -> list[str]:
    """What is to be looked at in a photo, in the order of ``KINDS``."""
    if entry.problem:
        return [UNREADABLE]
    kinds = [] if entry.faces else [NOTHING]
    kinds += [NOT_SURE] if any(not face.sure for face in entry.faces) else []
    if options.how == "synthetic" and any(face.sure and not face.replaced for face in entry.faces):
        kinds.append(NOT_REPLACED)
    return kinds
