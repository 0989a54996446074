"""Records that faceaug leaves in the folders it writes: what was done, the names of the labels, the layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from faceaug.data.layouts.place import Place
from faceaug.errors import AnnotationError

CONVERTED = "convert.json"  # the record of a conversion
ALIGNED = "align.json"  # the record of an alignment
DEIDENTIFIED = "deidentify.json"  # the record of hidden faces
OWN_DOCUMENTS = ("dataset.json", CONVERTED, ALIGNED, DEIDENTIFIED)  # what a run was
OWN_FILES = (*OWN_DOCUMENTS, "report.html", "README.md")  # next to the metadata in folders that faceaug wrote


def own_files(place: Place) -> list[str]:
    """The files that faceaug wrote next to the pictures. StyleGAN's dataset.json is not one of them."""
    return [name for name in OWN_FILES if name in place.tables.get(name, ())] if _own_document(place) else []


def own_classes(place: Place) -> tuple[str, ...]:
    """The names of the labels in a folder that faceaug wrote, in label order, including labels without pictures."""
    found = _own_document(place).get("classes")
    return tuple(found) if isinstance(found, list) and all(isinstance(name, str) for name in found) else ()


def converted_layout(place: Place) -> str:
    """The layout in which ``faceaug convert`` wrote a folder; empty for other folders."""
    found = _own_document(place)
    layout = found.get("layout")
    return layout if found.get("finished") is True and isinstance(layout, str) else ""


def _own_document(place: Place) -> dict[str, Any]:
    for name in OWN_DOCUMENTS:
        if name in place.tables.get(name, ()):
            found = _run_document(place, place.file(name))
            if found:
                return found
    return {}


def _run_document(place: Place, path: Path) -> dict[str, Any]:
    """The content of a record; empty for another file of that name."""
    try:
        found = place.json(path)
    except (AnnotationError, ValueError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("run"), dict) else {}
