"""Signatures and comparisons of earlier runs, so that a second run is fast and a killed one continues.

One SQLite file in the state folder. Everything in it can be computed again: if it cannot be used (full disk, other
version, damage), the run continues without it. Every entry has a checksum, because a power cut may leave a database
that opens and holds wrong values; such entries are computed again.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from faceaug.clean.signatures import LOOKS, VERSION, Signature
from faceaug.clean.verify import PairEvidence
from faceaug.data.image import load_cv2
from faceaug.storage.files import remove_output
from faceaug.storage.walk import File

_FORMAT = 2  # 1 had no checksums
_SEAL = 8  # bytes of a checksum
_BATCH = 2_000  # files per write; after a kill, at most this many are read again
_TABLES = """
create table if not exists facts (name text primary key, value) without rowid;
create table if not exists arrays (owner text, name text, data blob, primary key (owner, name)) without rowid;
create table if not exists files (name blob primary key, stamp text, content blob, pixels blob,
    jpeg int, problem text, looks blob, profile text) without rowid;
create table if not exists pairs (one blob, other blob, mirrored int, evidence blob, primary key (one, other, mirrored))
    without rowid;
"""


class Cache:
    """Signatures by file and comparisons by pair. Open it with ``open_cache``."""

    def __init__(self, database: sqlite3.Connection | None, *, write: bool = True) -> None:
        self._database = database
        self._writes = write
        self._waiting: list[tuple[object, ...]] = []

    def signatures(self, files: Sequence[File]) -> Iterator[tuple[File, Signature]]:
        """The cached signatures of the files that have not changed since."""
        wanted = {os.fsencode(file.name): file for file in files}
        for name, stamp, content, pixels, jpeg, *rest in self._query("select * from files"):
            file = wanted.get(name)
            if file is not None and stamp == f"{_stamp(file)} {_checksum(content, pixels, jpeg, *rest)}":
                yield file, Signature(content.hex(), pixels.hex(), bool(jpeg), *rest)

    def add(self, file: File, signature: Signature) -> None:
        """Store the signature of one file, in batches. A file that could not be read is not stored and is retried."""
        if self._database is None or not self._writes or not signature.content:
            return
        digests = (bytes.fromhex(signature.content), bytes.fromhex(signature.pixels))
        facts = (*digests, int(signature.jpeg), signature.problem, signature.looks, signature.profile)
        self._waiting.append((os.fsencode(file.name), f"{_stamp(file)} {_checksum(*facts)}", *facts))
        if len(self._waiting) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write the pending signatures."""
        rows, self._waiting = self._waiting, []
        self._write("insert or replace into files values (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def evidence(self) -> dict[tuple[str, str, bool], PairEvidence | None]:
        """All comparisons: (pixel digest, pixel digest, mirrored) -> evidence; None for unrelated pictures."""
        found: dict[tuple[str, str, bool], PairEvidence | None] = {}
        for one, other, mirrored, sealed in self._query("select one, other, mirrored, evidence from pairs"):
            blob = _unsealed(sealed, one, other, mirrored)
            if blob is not None:
                found[one.hex(), other.hex(), bool(mirrored)] = _evidence(blob) if blob else None
        return found

    def add_evidence(self, found: Iterable[tuple[tuple[str, str, bool], PairEvidence | None]]) -> None:
        """Store comparisons."""
        rows = []
        for (one, other, mirrored), evidence in found:
            key = (bytes.fromhex(one), bytes.fromhex(other), int(mirrored))
            rows.append((*key, _sealed(_blob(evidence) if evidence else b"", *key)))
        self._write("insert or replace into pairs values (?, ?, ?, ?)", rows)

    def fact(self, name: str, default: float) -> float:
        """The number stored under a name."""
        for (sealed,) in self._query("select value from facts where name = ?", name):
            value = _unsealed(sealed, name)
            return default if value is None else float(np.frombuffer(value, "<f8")[0])
        return default

    def set_fact(self, name: str, value: float) -> None:
        """Store a number."""
        self._write(
            "insert or replace into facts values (?, ?)", [(name, _sealed(np.array(value, "<f8").tobytes(), name))]
        )

    def arrays(self, owner: str) -> dict[str, bytes]:
        """All arrays stored for an owner, by name."""
        rows = self._query("select name, data from arrays where owner = ?", owner)
        found = {name: _unsealed(sealed, owner, name) for name, sealed in rows}
        return {name: data for name, data in found.items() if data is not None}

    def set_arrays(self, owner: str, arrays: Mapping[str, bytes]) -> None:
        """Store arrays under their names, in one transaction."""
        rows = [(owner, name, _sealed(data, owner, name)) for name, data in arrays.items()]
        self._write("insert or replace into arrays values (?, ?, ?)", rows)

    def _query(self, words: str, *values: object) -> Iterator[Any]:
        if self._database is None:
            return
        try:
            yield from self._database.execute(words, values)
        except sqlite3.Error:  # a damaged page may lie anywhere
            self._database = None

    def _write(self, words: str, rows: Sequence[tuple[object, ...]]) -> None:
        if self._database is None or not self._writes or not rows:
            return
        try:
            with self._database:
                self._database.executemany(words, rows)
        except sqlite3.Error:  # read-only, full or damaged: continue without a cache
            self._database = None


@contextmanager
def open_cache(path: Path | None, *, write: bool) -> Iterator[Cache]:
    """Open the cache; an empty one that stores nothing if there is no usable file.

    Args:
        path: the file, in an existing folder; None for no cache.
        write: create a missing file, and replace one that is damaged or of another version.
    """
    database = _opened(path, write=write) if path is not None else None
    cache = Cache(database, write=write)
    try:
        yield cache
    finally:
        cache.flush()
        if database is not None:
            with suppress(sqlite3.Error):
                database.close()


def _opened(path: Path, *, write: bool) -> sqlite3.Connection | None:
    if path.is_symlink() or (not write and not path.is_file()):  # SQLite would write to what a link leads to
        return None
    database = _connected(path, write=write)
    if database is None and write:
        with suppress(OSError):
            remove_output(path)
            remove_output(path.with_name(path.name + "-journal"))
            database = _connected(path, write=True)
    return database


def _connected(path: Path, *, write: bool) -> sqlite3.Connection | None:
    """A database of this version, or None."""
    try:
        mode = "rwc" if write else "ro"
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=1)
    except (sqlite3.Error, ValueError):
        return None
    try:
        database.execute("pragma synchronous = off")  # a cache torn by a power cut is detected and rebuilt
        if write:
            database.executescript(_TABLES)
        version = database.execute("select value from facts where name = 'version'").fetchone()
        if version is None and write:
            with database:
                database.execute("insert into facts values ('version', ?)", (version_of_signatures(),))
        elif version != (version_of_signatures(),):
            database.close()
            return None
        return database
    except sqlite3.Error:
        database.close()
        return None


def version_of_signatures() -> str:
    """The version of the signatures, with the versions of the decoder and the filters they depend on."""
    return f"{_FORMAT} {VERSION} {LOOKS.itemsize} {load_cv2().__version__} {PIL.__version__} {np.dtype('<f8').itemsize}"


def _stamp(file: File) -> str:
    """What differs for a changed file. Programs that edit pictures may restore the first time, but not the second."""
    return f"{file.size} {file.mtime_ns} {file.changed_ns} {file.inode}"


def _checksum(*values: object) -> str:
    found = hashlib.blake2b(digest_size=8)
    for value in values:
        data = value if isinstance(value, bytes) else repr(value).encode("utf-8", "backslashreplace")
        found.update(b"%d %s " % (len(data), type(value).__name__.encode()) + data)
    return found.hexdigest()


def _sealed(data: bytes, *key: object) -> bytes:
    """The bytes of an entry with a checksum over them and their key."""
    return data + bytes.fromhex(_checksum(data, *key))


def _unsealed(sealed: object, *key: object) -> bytes | None:
    """The bytes of an entry; None if it is damaged."""
    if not isinstance(sealed, bytes) or len(sealed) < _SEAL:
        return None
    data = sealed[:-_SEAL]
    return data if sealed == _sealed(data, *key) else None


def _blob(evidence: PairEvidence) -> bytes:
    return np.array(astuple(evidence), "<f8").tobytes()


def _evidence(blob: bytes) -> PairEvidence:
    scores = np.frombuffer(blob, "<f8").tolist()
    named: dict[str, Any] = {
        field.name: int(score) if isinstance(field.default, int) else score
        for field, score in zip(fields(PairEvidence), scores, strict=True)
    }
    return PairEvidence(**named)
