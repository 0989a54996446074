"""Read every picture once, in worker processes or from the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceaug.clean.cache import Cache
from faceaug.clean.report_hashes import NO_HASHES, Hashes
from faceaug.clean.signatures import LOOKS, Signature, read_exact_signature, read_signature
from faceaug.executor import Crew
from faceaug.progress import SILENT, Progress
from faceaug.storage.walk import File


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """The contents of the files in a folder.

    Attributes:
        signatures: name -> signature without looks, in the order of the files.
        looks: ``LOOKS`` (n,), one record per file, zeros for files without pixels; (0,) if not computed.
        place: name -> row of ``looks``.
    """

    signatures: dict[str, Signature]
    looks: NDArray[np.void]
    place: dict[str, int]

    def hashes(self, root: Path) -> Hashes:
        """The hashes of all readable pictures of the folder; empty if looks were not computed."""
        if not len(self.looks):
            return NO_HASHES
        return Hashes(root, {name: one.content for name, one in self.signatures.items() if one.pixels})


def read_contents(
    root: Path,
    files: Sequence[File],
    *,
    looks: bool,
    crew: Crew,
    cache: Cache,
    progress: Progress = SILENT,
    phase: str = "reading",
) -> Contents:
    """Read all pictures of a folder.

    Args:
        root: the folder.
        files: its pictures.
        looks: whether to compute looks, which the search for near duplicates needs.
        crew: gives executors, see ``open_crew``.
        cache: signatures of earlier runs; new ones are added.
        progress: counts the pictures.
        phase: name of the phase.
    """
    place = {file.name: row for row, file in enumerate(files)}
    table = np.zeros(len(files) if looks else 0, LOOKS)
    found: dict[str, Signature] = {}

    def keep(file: File, signature: Signature) -> None:
        """Record a signature, and its looks apart from it."""
        if looks and signature.looks:
            table[place[file.name]] = np.frombuffer(signature.looks, LOOKS)[0]
        found[file.name] = signature.without_looks()

    for file, signature in cache.signatures(files):
        if signature.problem or (len(signature.looks) == LOOKS.itemsize if looks else signature.settled):
            keep(file, signature)
    missing = [file for file in files if file.name not in found]
    function = read_signature if looks else read_exact_signature
    results = crew(len(missing), native=True).map(function, (f"{root}/{file.name}" for file in missing))
    with progress.phase(phase, len(files), "pictures", start=len(found)) as shown:
        for file, signature in shown.over(zip(missing, results, strict=True)):
            cache.add(file, signature)
            keep(file, signature)
    cache.flush()
    return Contents({file.name: found[file.name] for file in files}, table, place)
