"""Digests of what a run reads from a folder, so that a stopped run is continued only with the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from faceaug.data.containers import file_of
from faceaug.data.folder import FaceFolder


def stamp_pictures(given: FaceFolder, rows: Sequence[int]) -> tuple[int, str]:
    """(bytes of the pictures' files, digest of their names, sizes and times)."""
    digest = hashlib.sha256()
    seen: dict[str, int] = {}
    for row in rows:
        path = file_of(given.path(row))
        try:
            facts = path.stat()
        except OSError:  # reading it will say why
            continue
        seen[str(path)] = facts.st_size
        line = f"{given.names[row]}\0{facts.st_size}\0{facts.st_mtime_ns}\0"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return sum(seen.values()), digest.hexdigest()


def identity_of(given: FaceFolder, *, pictures: str) -> dict[str, Any]:
    """What a folder contributes to the identity of a run, as plain values.

    Args:
        given: the folder.
        pictures: digest of the pictures that the run reads, by ``stamp_pictures``.
    """
    return {
        "folder": str(given.root),
        "read_as": given.layout,
        "ground": list(given.ground),
        "pictures_sha256": pictures,
        "tables_sha256": digest_tables(given),
        "names_sha256": hashlib.sha256(json.dumps(given.names).encode()).hexdigest(),
    }


def digest_tables(given: FaceFolder) -> str:
    """Digest of all annotations of a folder, hex."""
    tables = hashlib.sha256(repr((given.classes, given.identities, dict(given.annotations.columns))).encode())
    for values in given.annotations.arrays().values():
        tables.update(values.tobytes())
    return tables.hexdigest()
