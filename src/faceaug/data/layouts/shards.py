"""WebDataset shards: tar files in which members with the same name before the first dot form a sample.

Source: webdataset 1.0.2 (``webdataset/tariterators.py``, ``base_plus_ext``) and ``datasets`` 5.2
(``packaged_modules/webdataset``). ``7.png`` and ``7.json`` are one sample; ``.json`` has any fields, ``.cls`` a number,
``.txt`` a caption. Of several pictures in a sample (``7.jpg``, ``7.depth.png``) the face is the one whose name has the
fewest dots. faceaug's own shards have the columns of ``metadata.csv`` in JSON, with objects for attributes and
requested attributes, and a list for landmarks.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from faceaug.data.containers import kind_of
from faceaug.data.layouts.levels import find_levels
from faceaug.data.layouts.place import Place
from faceaug.data.layouts.reading import Evidence, Reading
from faceaug.data.layouts.records import own_classes, own_files
from faceaug.data.limits import Limits
from faceaug.data.loose_columns import plain_columns
from faceaug.data.metadata import BOXES, OWN_COLUMNS, further_columns, join_rows
from faceaug.data.tables import read_text
from faceaug.errors import AnnotationError, ArgumentError, counted, printable, some
from faceaug.storage.schema import parse_json

_FACTS = (".json", ".cls", ".txt")
_MOST_FACTS = Limits().max_bytes  # of one sample, as for a picture


def find(place: Place) -> Evidence | None:
    """Detect tar files with annotation members of the same names as the pictures."""
    shards = _shards(place)
    if shards and any(PurePosixPath(name).suffix.lower() in _FACTS for name in place.others[:1000]):
        return Evidence("webdataset", some(shards), strong=True)
    return None


def read(place: Place) -> Reading:
    """Read the fields of each sample; the partition comes from them or else from the names of the shards."""
    if not _shards(place):
        raise ArgumentError(f"{printable(place.root)}: layout='webdataset', but there is no tar file")
    samples: dict[str, str] = {}
    twins = []
    for name in sorted(place.pictures, key=lambda name: name.rpartition("/")[2].count(".")):
        first = samples.setdefault(_key(name), name)
        twins += [name] if first != name else []
    rows: dict[str, dict[str, Any]] = {}
    used: set[str] = set()
    for name in place.others:
        ending = PurePosixPath(name).suffix.lower()
        picture = samples.get(_key(name))
        if picture is not None and ending in _FACTS:
            used.add(name)
            _add(place.file(name), rows.setdefault(picture, {"file_name": picture}), _facts(place, name, ending))
    names = tuple(sorted(samples.values()))
    facts, people = plain_columns(list(rows.values()))
    known, notes, classes = join_rows(place.root, facts, list(names), classes=own_classes(place))
    levels = find_levels(place)
    by_shard = [levels.part[name.rpartition("/")[0]] for name in names]
    missing = known.partition == -1
    known.partition[missing] = [part for part, empty in zip(by_shard, missing.tolist(), strict=True) if empty]
    if twins:
        them = counted(
            len(twins), "further picture of a sample is not read", "further pictures of samples are not read"
        )
        notes.append(f"{them} ({some(twins)})")
    notes += further_columns(known.columns)
    used |= set(own_files(place))
    return Reading(names, replace(known), classes, people, tuple(notes), frozenset(used))


def _shards(place: Place) -> list[str]:
    if kind_of(place.own_name) == "tar" and place.root.is_file():
        return [place.own_name]
    folders = {folder.split("/")[k] for folder in place.folders for k in range(folder.count("/") + 1) if folder}
    return sorted(name for name in folders if kind_of(name) == "tar")


def _key(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0]


def _add(path: Path, row: dict[str, Any], facts: dict[str, Any]) -> None:
    labels = {str(found["label"]) for found in (row, facts) if "label" in found}
    if len(labels) > 1:
        raise AnnotationError(
            f"{printable(path)}: {printable(row['file_name'])} has two labels ({some(sorted(labels))}); keep one"
        )
    row |= facts


def _facts(place: Place, name: str, ending: str) -> dict[str, Any]:
    text = read_text(place.file(name), limit=_MOST_FACTS)  # not kept: there is one for each picture
    if ending == ".txt":
        return {"text": text}
    if ending == ".cls":
        return {"label": text.strip()}
    try:
        found = parse_json(text)
    except ValueError as error:
        raise AnnotationError(f"{printable(place.file(name))}: not readable JSON ({error})") from error
    if not isinstance(found, dict):
        return {"json": found}
    return _flat(found)


def _flat(found: dict[str, Any]) -> dict[str, Any]:
    """Flatten faceaug's JSON fields to the columns of ``metadata.csv``."""
    facts = {key: value for key, value in found.items() if value is not None and key != "file_name"}
    ours = {"origin", "weight", "attributes", "landmarks"} <= found.keys()
    facts |= {name: _unpacked(facts[name]) for name in ("attributes", "landmarks") if name in facts}
    if ours:
        facts = {name: fact for name, fact in facts.items() if name not in {"attributes", "landmarks"} or fact != ""}
        if isinstance(facts.get("attributes"), dict):  # faceaug writes 0 for unknown, others for no
            facts["attributes"] = {name: sign for name, sign in facts["attributes"].items() if sign != 0}
    if isinstance(facts.get("origin"), int):
        facts["origin"] = ("real", "augmented", "synthetic")[min(2, max(0, facts["origin"]))]
    if facts.get("class") and not isinstance(facts.get("label"), int):
        facts["label"] = facts.pop("class")
    if ours:
        facts |= _ours(facts)
        if facts.get("class") == "":
            del facts["class"]
        for name in (*OWN_COLUMNS, "source", "requested", "synthetic", "box", "further"):
            facts.pop(name, None)
    return facts


def _ours(facts: dict[str, Any]) -> dict[str, Any]:
    """Box and further columns, which faceaug writes as JSON texts."""
    box, further = _unpacked(facts.get("box")), _unpacked(facts.get("further"))
    found = dict(further) if isinstance(further, dict) else {}
    if isinstance(box, list) and len(box) == len(BOXES):
        found |= {name: side for name, side in zip(BOXES, box, strict=True) if side is not None}
    return found


def _unpacked(fact: Any) -> Any:
    """Decode a field that is a JSON string; return others unchanged."""
    if not isinstance(fact, str) or fact[:1] not in {"{", "["}:
        return fact
    try:
        return parse_json(fact)
    except ValueError:
        return fact
