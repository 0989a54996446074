"""Reads every picture once, in worker processes, or from the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.clean.cache import Cache
from faceaug.clean.hashes import NO_HASHES, Hashes
from faceaug.clean.signatures import LOOKS, Signature, read_exact_signature, read_signature
from faceaug.executor import Crew
from faceaug.data.folder import File

Progress: TypeAlias = Callable[[int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """What is in the files of a folder.

    Attributes:
        signatures: name -> what is in it, in the order of the files, without looks.
        looks: ``LOOKS`` (n,), one record per file, zeros for those without pixels; (0,) where they were not asked for.
        place: name -> row of ``looks``.
    """

    signatures: dict[str, Signature]
    looks: NDArray[np.void]
    place: dict[str, int]

    def hashes(self) -> Hashes:
        """The hashes of all readable pictures; none where looks were not asked for."""
        if not len(self.looks):
            return NO_HASHES
        places = {name: self.place[name] for name, signature in self.signatures.items() if signature.pixels}
        return Hashes(places, self.looks["whole"].copy(), self.looks["fine"].copy())


def read_contents(
    root: Path,
    files: Sequence[File],
    *,
    looks: bool,
    crew: Crew,
    cache: Cache,
    on_progress: Progress | None = None,
) -> Contents:
    """Read all pictures of a folder.

    Args:
        root: the folder.
        files: its pictures.
        looks: whether near duplicates are looked for.
        crew: gives executors, see ``open_crew``.
        cache: what earlier runs read; what is read now is added.
        on_progress: called with the number of pictures read so far.
    """
    place = {file.name: row for row, file in enumerate(files)}
    table = np.zeros(len(files) if looks else 0, LOOKS)
    found: dict[str, Signature] = {}

    def keep(file: File, signature: Signature) -> None:
        if looks and signature.looks:
            table[place[file.name]] = np.frombuffer(signature.looks, LOOKS)[0]
        found[file.name] = signature.without_looks()
        if on_progress and (len(found) % 64 == 0 or len(found) == len(files)):
            on_progress(len(found))

    for file, signature in cache.signatures(files):
        if not looks or signature.problem or len(signature.looks) == LOOKS.itemsize:
            keep(file, signature)
    missing = [file for file in files if file.name not in found]
    function = read_signature if looks else read_exact_signature
    results = crew(len(missing)).map(function, (f"{root}/{file.name}" for file in missing))
    for file, signature in zip(missing, results, strict=True):
        cache.add(file, signature)
        keep(file, signature)
    cache.flush()
    return Contents({file.name: found[file.name] for file in files}, table, place)
