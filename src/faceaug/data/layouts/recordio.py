"""InsightFace's training sets (MS1M, Glint360K, CASIA): ``train.rec``, ``train.idx`` and ``property``. Read-only.

Source: ``recognition/arcface_torch/dataset.py`` in github.com/deepinsight/insightface; ``faceaug.data.containers``
describes the file format. ``property`` has ``identities,height,width``. The labels are identity numbers without names.
"""

from __future__ import annotations

from faceaug.data.annotations import unknown
from faceaug.data.containers import kind_of, open_container
from faceaug.data.layouts.place import Place
from faceaug.data.layouts.reading import Evidence, Reading
from faceaug.errors import ArgumentError, printable, some


def find(place: Place) -> Evidence | None:
    """Detect RecordIO by a .rec file that contains the pictures."""
    found = _records(place)
    return Evidence("recordio", some(found), strong=True) if found else None


def read(place: Place) -> Reading:
    """Read the identity from the record of each picture."""
    if not _records(place):
        raise ArgumentError(f"{printable(place.root)}: layout='recordio', but there is no .rec file")
    known = unknown(len(place.pictures))
    labels = {
        folder: open_container(place.file(folder)).labels
        for folder in place.folders
        if kind_of(folder or place.own_name)
    }
    parts = [name.rpartition("/") for name in place.pictures]
    known.identity[:] = [labels[folder].get(last, -1) if folder in labels else -1 for folder, _, last in parts]
    used = frozenset(name for name in place.others if name.endswith((".idx", "property", ".lst")))
    return Reading(place.pictures, known, used=used)


def _records(place: Place) -> list[str]:
    if kind_of(place.own_name) == "rec" and place.root.is_file():
        return [place.own_name]
    return sorted(folder for folder in place.folders if folder and kind_of(folder) == "rec")
