"""Whether a cluster can work on a folder: what each of its machines sees of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from faceaug.cluster.nodes import OPTIONAL, Versions, versions_here
from faceaug.errors import FaceAugError, counted, printable
from faceaug.storage.files import existing_folder
from faceaug.storage.walk import list_folder

_SAMPLE = 8  # pictures whose contents are compared, spread over the folder


@dataclass(frozen=True, slots=True)
class Sight:
    """What a machine sees of a folder.

    Attributes:
        pictures: number of pictures; -1 if there is no such folder.
        digests: (name, SHA-256) of some; "" for one that cannot be read.
        versions: of the libraries that decide results.
        processors: number of processors.
        free: bytes of memory that are free; -1 if unknown.
    """

    pictures: int
    digests: tuple[tuple[str, str], ...]
    versions: Versions
    processors: int
    free: int


@dataclass(frozen=True, slots=True)
class NodeCheck:
    """A node of a cluster compared with this machine.

    Attributes:
        node: its name.
        sight: what it sees; None if it does not answer.
        faults: what differs, in words; empty if it can work on the folder.
    """

    node: str
    sight: Sight | None
    faults: tuple[str, ...]

    def line(self) -> str:
        """The node as a line of text."""
        if self.sight is None:
            return f"{self.node}: {'; '.join(self.faults)}"
        versions = ", ".join(f"{name} {version}" for name, version in self.sight.versions)
        free = "memory unknown" if self.sight.free < 0 else f"{self.sight.free / 1e9:.1f} GB free"
        found = "; ".join(self.faults) or f"ok, {counted(self.sight.pictures, 'picture')}"
        return f"{self.node}: {found}\n  {versions}; {counted(self.sight.processors, 'processor')}, {free}"

    def to_json(self) -> dict[str, Any]:
        """The node as JSON data."""
        sight = self.sight
        facts: dict[str, Any] = {"node": self.node, "ok": not self.faults, "faults": list(self.faults)}
        if sight is not None:
            facts |= {"pictures": sight.pictures, "versions": dict(sight.versions)}
            facts |= {"processors": sight.processors, "free_bytes": sight.free}
        return facts


class Everywhere(Protocol):
    """An engine that can run a function once on every node; see ``RayEngine``."""

    def everywhere(self, function: Any, task: Any) -> Iterator[tuple[str, Any]]:
        """(id of the node, result or FaceAugError)."""

    def name(self, node: str) -> str:
        """Name of a node."""


def check_folder(engine: Everywhere, folder: Path | str) -> list[NodeCheck]:
    """Compare what each node sees of a folder with what this machine sees.

    Args:
        engine: of the cluster.
        folder: its path, the same on every machine.

    Raises:
        ArgumentError: this machine has no such folder.
    """
    root = existing_folder(folder).resolve()
    names = [file.name for file in list_folder(root).pictures]
    step = max(1, len(names) // _SAMPLE)
    task = (str(root), tuple(names[::step][:_SAMPLE]))
    here = look_at(task)
    checks = []
    for node, found in engine.everywhere(look_at, task):
        if isinstance(found, FaceAugError):
            checks.append(NodeCheck(engine.name(node), None, (str(found),)))
        else:
            checks.append(NodeCheck(engine.name(node), found, tuple(_faults(found, here, root))))
    return checks


def look_at(task: tuple[str, tuple[str, ...]]) -> Sight:
    """Look at a folder: (its path, names of the pictures whose contents count)."""
    root, names = Path(task[0]), task[1]
    try:
        pictures = len(list_folder(root).pictures)
    except FaceAugError:
        pictures = -1
    digests = tuple((name, _digest(root / name)) for name in names)
    return Sight(pictures, digests, versions_here(), os.cpu_count() or 1, _free_memory())


def _faults(found: Sight, here: Sight, root: Path) -> Iterator[str]:
    if found.pictures < 0:
        yield f"does not see {printable(root)}; mount it there under the same path"
    elif found.pictures != here.pictures:
        yield f"sees {counted(found.pictures, 'picture')} in {printable(root)}, this machine {here.pictures:,}"
    pairs = zip(found.digests, here.digests, strict=True)
    other = [name for (name, its), (_, own) in pairs if its != own]
    if other and found.pictures >= 0:
        yield f"{printable(other[0])} has another content there, or cannot be read"
    own = dict(here.versions)
    for name, version in found.versions:
        if version != own[name]:
            only = ", which matters where faces are generated" if name == OPTIONAL else ""
            yield f"{name} {version} there, {own[name]} here{only}"


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _free_memory() -> int:
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):  # not Linux
        return -1
