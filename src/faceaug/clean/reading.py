"""Reads every picture once, in worker processes, or from the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.clean.cache import Cache
from faceaug.clean.signatures import LOOKS, Signature, read_exact_signature, read_signature
from faceaug.executor import Executor, SerialExecutor, open_executor
from faceaug.folder import File

Progress: TypeAlias = Callable[[int], None]
_FEW = 400  # pictures that are read sooner than worker processes have started


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


def read_contents(
    root: Path,
    files: Sequence[File],
    *,
    looks: bool,
    workers: int | None,
    cache: Cache,
    on_progress: Progress | None = None,
) -> Contents:
    """Read all pictures of a folder.

    Args:
        root: the folder.
        files: its pictures.
        looks: whether near duplicates are looked for.
        workers: see ``open_executor``.
        cache: what earlier runs read; what is read now is added.
        on_progress: called with the number of pictures read so far.
    """
    place = {file.name: row for row, file in enumerate(files)}
    table = np.zeros(len(files) if looks else 0, LOOKS)
    found: dict[str, Signature] = {}

    def keep(file: File, signature: Signature) -> None:
        if looks and signature.looks:
            table[place[file.name]] = np.frombuffer(signature.looks, LOOKS)[0]
        found[file.name] = replace(signature, looks=b"")
        if on_progress and (len(found) % 64 == 0 or len(found) == len(files)):
            on_progress(len(found))

    for file, signature in cache.signatures(files):
        if not looks or signature.problem or len(signature.looks) == LOOKS.itemsize:
            keep(file, signature)
    missing = [file for file in files if file.name not in found]
    function = read_signature if looks else read_exact_signature
    with few_executor(len(missing), workers) as executor:
        results = executor.map(function, (str(root / file.name) for file in missing))
        for file, signature in zip(missing, results, strict=True):
            cache.add(file, signature)
            keep(file, signature)
    cache.flush()
    return Contents({file.name: found[file.name] for file in files}, table, place)


@contextmanager
def few_executor(tasks: int, workers: int | None) -> Iterator[Executor]:
    """An executor; in this process if the tasks are done sooner than worker processes have started."""
    if tasks == 0 or (workers is None and tasks <= _FEW):
        yield SerialExecutor()
        return
    with open_executor(workers) as executor:
        yield executor
