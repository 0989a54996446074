"""The signatures of reference pictures in one file, so that new pictures are compared with known ones in seconds.

Columns in the format of safetensors, with a digest over them: names, stamps, digests and looks of all pictures. What
it says can be computed again: a damaged index, and one of another version, is built anew.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from faceaug.clean.cache import Cache, version_of_signatures
from faceaug.clean.signatures import LOOKS, Signature
from faceaug.data.marks import INDEX, INDEX_MARK
from faceaug.errors import RefusedError, printable
from faceaug.storage.outputs import check_output, write_output
from faceaug.storage.walk import File

_FORMAT = "1"
_FACTS = np.dtype([("size", "<i8"), ("mtime", "<i8"), ("changed", "<i8"), ("folder", "<u8"), ("jpeg", "u1")])


class Index(Cache):
    """Signatures by name and stamp. Open it with ``open_index``.

    Unlike the cache of a folder it does not know the inode of a file, which network disks and copies change.

    Args:
        columns: see ``open_index``; empty for a new one.
        shared: whether it may hold pictures of further folders, which stay in it.
    """

    def __init__(self, columns: Mapping[str, NDArray[Any]], *, shared: bool = False) -> None:
        super().__init__(None)
        self._shared = shared
        self._folder = 0
        self._read: set[int] = set()
        self._columns = columns
        self._rows = _by_name(columns) if columns else {}
        self._used: list[tuple[bytes, int, int]] = []  # name, row, folder
        self._new: list[tuple[File, int, Signature]] = []

    def enter(self, folder: Path) -> None:
        """Say whose pictures are asked for from now on."""
        self._folder = int.from_bytes(hashlib.blake2b(os.fsencode(folder), digest_size=8).digest(), "little")
        self._read.add(self._folder)

    def signatures(self, files: Sequence[File]) -> Iterator[tuple[File, Signature]]:
        """The known signatures of files that have not changed since."""
        if not self._rows:
            return
        facts = self._columns["facts"]
        for file in files:
            name = os.fsencode(file.name)
            stamp = (file.size, file.mtime_ns, file.changed_ns)
            rows = [row for row in self._rows.get(name, ()) if facts[row].item()[:3] == stamp]
            # Of two folders with pictures of one name, size and time, each has its own; a folder that was moved takes
            # what is unmistakable.
            rows = [row for row in rows if facts[row]["folder"] == self._folder] or rows
            if rows and len({self._columns["content"][row].tobytes() for row in rows}) == 1:
                self._used.append((name, rows[0], self._folder))
                yield file, self._signature(rows[0])

    def add(self, file: File, signature: Signature) -> None:
        """Keep the signature of a readable file; others are read again."""
        if signature.pixels and signature.looks:
            self._new.append((file, self._folder, signature))

    @property
    def is_new(self) -> bool:
        """Whether something was added."""
        return bool(self._new)

    def to_bytes(self) -> bytes:
        """The content of the file: what was used, and what is new."""
        kept = list(self._used)
        if self._shared:  # what other folders have stays
            folders = self._columns["facts"]["folder"].tolist() if self._rows else []
            kept += [
                (name, row, folders[row])
                for name, rows in self._rows.items()
                for row in rows
                if folders[row] not in self._read
            ]
        rows = np.array([row for _, row, _ in kept], np.int64)
        names = [*(name for name, _, _ in kept), *(os.fsencode(file.name) for file, _, _ in self._new)]
        facts = np.array(
            [(file.size, file.mtime_ns, file.changed_ns, folder, one.jpeg) for file, folder, one in self._new], _FACTS
        )
        signatures = [signature for _, _, signature in self._new]
        fresh = {
            "facts": _bytes_of(facts, _FACTS.itemsize),
            "content": _digests(signature.content for signature in signatures),
            "pixels": _digests(signature.pixels for signature in signatures),
            "looks": _bytes_of(np.frombuffer(b"".join(one.looks for one in signatures), np.uint8), LOOKS.itemsize),
        }
        if len(rows):
            before = self._columns["facts"][rows].copy()
            before["folder"] = [folder for _, _, folder in kept]
            old = {name: self._columns[name][rows] for name in ("content", "pixels", "looks")} | {"facts": before}
            fresh = {name: np.concatenate([_bytes_of(old[name], new.shape[1]), new]) for name, new in fresh.items()}
        columns = dict(fresh)
        columns["ends"] = np.cumsum([len(name) for name in names], dtype=np.int64)
        columns["names"] = np.frombuffer(b"".join(names), np.uint8)
        # One key: safetensors writes several in any order.
        return save(columns, {INDEX_MARK: f"{_FORMAT} {version_of_signatures()} blake2b {_digest(columns)}"})

    def _signature(self, row: int) -> Signature:
        columns = self._columns
        return Signature(
            columns["content"][row].tobytes().hex(),
            columns["pixels"][row].tobytes().hex(),
            bool(columns["facts"][row]["jpeg"]),
            "",
            columns["looks"][row].tobytes(),
        )


def open_index(path: Path, *, shared: bool = False) -> tuple[Index, str]:
    """Open an index, and say why an existing one is built anew; empty if it is not.

    Args:
        path: the file; missing for a new one.
        shared: see ``Index``.

    Raises:
        ArgumentError: another ending, or a file that is no index lies there.
        RefusedError: it cannot be read.
    """
    check_output(path, (INDEX,))
    if not path.exists():
        return Index({}, shared=shared), ""
    try:
        columns = _read(path)
    except OSError as error:
        raise RefusedError(f"{printable(path)}: cannot be read ({error.strerror or error})") from error
    except (SafetensorError, KeyError, ValueError) as error:
        return Index({}, shared=shared), f"{printable(path)}: built anew ({error})"
    return Index(columns, shared=shared), ""


def save_index(path: Path, index: Index) -> None:
    """Write an index durably, if something in it is new.

    Raises:
        FaceAugError: it cannot be written.
    """
    if index.is_new:
        write_output(path, index.to_bytes(), (INDEX,))


def _read(path: Path) -> dict[str, NDArray[Any]]:
    """The columns of an index; ValueError if it is damaged or of another version."""
    with safe_open(path, framework="numpy") as opened:
        about = opened.metadata() or {}
        columns = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
    version, _, digest = about.get(INDEX_MARK, "").partition(" blake2b ")
    if version != f"{_FORMAT} {version_of_signatures()}":
        raise ValueError("it is of another version")
    if digest != _digest(columns):
        raise ValueError("it is damaged")
    return columns | {"facts": columns["facts"].view(_FACTS).reshape(-1)}


def _by_name(columns: Mapping[str, NDArray[Any]]) -> dict[bytes, list[int]]:
    names, ends = columns["names"].tobytes(), columns["ends"].tolist()
    found: dict[bytes, list[int]] = {}
    for row, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        found.setdefault(names[start:end], []).append(row)
    return found


def _bytes_of(rows: NDArray[Any], width: int) -> NDArray[np.uint8]:
    return np.frombuffer(np.ascontiguousarray(rows).tobytes(), np.uint8).reshape(-1, width)


def _digests(digests: Iterator[str]) -> NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex("".join(digests)), np.uint8).reshape(-1, 16)


def _digest(columns: Mapping[str, NDArray[Any]]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for name in sorted(columns):
        found.update(f"{name} {columns[name].shape} {columns[name].dtype}".encode())
        found.update(np.ascontiguousarray(columns[name]).data)
    return found.hexdigest()
