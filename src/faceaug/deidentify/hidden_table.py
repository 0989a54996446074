"""``metadata.csv`` of a de-identified folder: the annotations of the photos, without what was to be dropped.

It follows the Hugging Face imagefolder layout, and ``FaceFolder`` reads it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from faceaug.data.annotations import ATTRIBUTES, Annotations
from faceaug.data.folder import FaceFolder
from faceaug.data.layouts.writers.rows import clashes, plain_rows
from faceaug.data.layouts.writing import Faces, name_sources
from faceaug.data.manifest import METADATA, csv_text, is_plain_text
from faceaug.data.metadata import CLASS
from faceaug.deidentify.hidden_photo import HiddenPhoto
from faceaug.deidentify.options import DeidentifyOptions
from faceaug.errors import some
from faceaug.faces.aligned_table import IDENTITY_NAME
from faceaug.storage.files import publish_file
from faceaug.storage.partial import PARTIAL, open_partial
from faceaug.storage.unfinished import Begun, begin

OWN = ("faces_hidden", "faces_not_sure", "hidden_by")  # further columns


class HiddenTable:
    """The columns of the table for the annotations that a folder has.

    Args:
        given: the folder of the photos.
        options: what is dropped.

    Attributes:
        classes: names of the labels that the new folder keeps.
        notes: what may name people, then annotations that the table does not hold.
    """

    def __init__(self, given: FaceFolder, options: DeidentifyOptions) -> None:
        self._given, self._options = given, options
        known = without(given.annotations, options)
        self.classes = () if "labels" in options.drop else given.classes
        self._identities = () if "identities" in options.drop else given.identities
        taken = tuple(name for name in (*OWN, IDENTITY_NAME) if name in known.columns)
        self._known = replace(known, columns={n: v for n, v in known.columns.items() if n not in taken})
        names = given.names
        self._faces = Faces(names, self._known, self.classes, self._identities, name_sources(names, self._known))
        own = f"{len(taken)} further columns are left out: this table has its own ({some(list(taken))})"
        lost = _lost(given.annotations, options)
        self.notes = (*self._people(), *lost, *clashes(self._faces), *((own,) if taken else ()))

    def write(self, folder: Path, entries: Sequence[HiddenPhoto], *, begun: Begun) -> None:
        """Write the table durably. Call it when the pictures are durable.

        Args:
            folder: the output folder.
            entries: photos that were written. While a run is unfinished there are none.
            begun: the contents that this run has begun to write.

        Raises:
            RefusedError: a table that this run did not write has its name.
        """
        rows = self._rows(entries) if entries else []
        lines: list[Iterable[object]] = [list(rows[0]) if rows else ["file_name"]]
        lines += [["" if cell is None else cell for cell in row.values()] for row in rows]
        data = csv_text(lines).encode("utf-8", "backslashreplace")
        begin(folder / METADATA, data, begun=begun)
        fresh = folder / f".{METADATA}{PARTIAL}"  # another name than that of the ledger
        with open_partial(fresh) as handle:
            handle.write(data)
        publish_file(fresh, folder / METADATA)

    def _rows(self, entries: Sequence[HiddenPhoto]) -> list[dict[str, Any]]:
        faces = self._faces.take([entry.photo for entry in entries])
        if self._options.how == "synthetic":
            faces = replace(faces, known=_of_synthetic(faces.known, entries))
        if faces.sources:
            new = {self._given.names[entry.photo]: entry.file for entry in entries}
            faces = replace(faces, sources=tuple(new.get(name, "") for name in faces.sources))
        rows = plain_rows(faces, [entry.file for entry in entries], [entry.sha256 for entry in entries])
        identities = faces.known.identity.tolist()
        for row, entry, identity in zip(rows, entries, identities, strict=True):
            if not all(map(is_plain_text, self.classes)):
                row.pop(CLASS, None)  # the names are in the record; see ``own_classes``
            if self._identities:
                row[IDENTITY_NAME] = self._identities[identity] if identity >= 0 else ""
            doubtful = sum(not face.sure for face in entry.faces)
            row |= dict(zip(OWN, (len(entry.faces), doubtful, _hidden_by(entry, self._options)), strict=True))
        return rows

    def _people(self) -> tuple[str, ...]:
        """Notes on what still says which person a picture shows."""
        known, notes = self._known, []
        if "names" not in self._options.drop:
            notes.append("names and folders of the pictures are kept: if they name people, use --drop names (drop=)")
        if (known.identity >= 0).any():
            notes.append("identities are kept and say which pictures show one person: use --drop identities")
        if known.columns:
            few = some(list(known.columns))
            notes.append(f"further columns are kept ({few}): if they describe people, use --drop columns")
        if self.classes:
            few = some(list(self.classes))
            notes.append(f"names of labels are kept ({few}): if they name people, use --drop labels")
        return tuple(notes)


def without(known: Annotations, options: DeidentifyOptions) -> Annotations:
    """Annotations without what is dropped, and without shapes that describe a face closely."""
    n = len(known.label)
    found = replace(known, points=None, masks=None)
    if "identities" in options.drop:
        found = replace(found, identity=np.full(n, -1, np.int64))
    if "labels" in options.drop:
        found = replace(found, label=np.full(n, -1, np.int64))
    if "columns" in options.drop:
        found = replace(found, columns={})
    return found


def _hidden_by(entry: HiddenPhoto, options: DeidentifyOptions) -> str:
    """What hides the faces of a picture: empty where nothing was hidden, blur where no synthetic face fitted."""
    if not entry.faces:
        return ""
    replaced = any(face.replaced for face in entry.faces)
    return "blur" if options.how == "synthetic" and not replaced else options.how


def _lost(known: Annotations, options: DeidentifyOptions) -> list[str]:
    lost = [name for name in ("points", "masks") if getattr(known, name) is not None]
    notes = [f"{' and '.join(lost)} of the photos are left out: they describe single faces"] if lost else []
    if options.how == "synthetic" and (known.attributes != 0).any():
        notes.append("attributes of synthetic faces are those that were kept or requested; their others are unknown")
    elif (known.attributes != 0).any():
        notes.append("attributes are kept, and describe the people in the photos")
    return notes


def _of_synthetic(known: Annotations, entries: Sequence[HiddenPhoto]) -> Annotations:
    """The attributes asked of the largest face, where it was replaced."""
    rows = known.attributes.copy()
    for k, entry in enumerate(entries):
        if entry.faces and entry.faces[0].replaced:
            rows[k] = 0
            for name, value in entry.faces[0].attributes:
                rows[k, ATTRIBUTES.index(name)] = value
    return replace(known, attributes=rows)
