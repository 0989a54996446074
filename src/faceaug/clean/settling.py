"""Find the pictures that might have the pixels of another one, and decode them: all others need no digest of pixels.

Two JPEGs with the same pixels have the same luma, and so the same look. That of a picture in another format comes from
its colours, which differ a little from the luma that a JPEG stores; its hash is nearly the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceaug.clean.against import References
from faceaug.clean.cache import Cache
from faceaug.clean.reading import Contents
from faceaug.clean.search import TooManyPairs, near_pairs_between
from faceaug.clean.signatures import Signature, read_exact_signature
from faceaug.executor import Crew
from faceaug.progress import SILENT, Progress
from faceaug.storage.walk import File

_ROUNDED = 6  # bits by which the hash of a JPEG's luma may differ from that of its decoded colours


def settle(
    root: Path,
    files: Sequence[File],
    contents: Contents,
    references: References,
    crew: Crew,
    cache: Cache,
    progress: Progress = SILENT,
) -> tuple[Contents, References]:
    """The contents with the digests of all pixels that two pictures might share.

    Args:
        root: the folder.
        files: its pictures.
        contents: what was read of them, with looks.
        references: pictures of other folders.
        crew: gives executors, see ``open_crew``.
        cache: gets the new signatures.
        progress: counts the pictures.
    """
    own = [(file, contents.signatures[file.name]) for file in files]
    every = own + [(picture.file, picture.signature) for picture in references.pictures]
    looks = np.concatenate([contents.looks, references.looks]) if references.pictures else contents.looks
    chosen = _suspects([signature for _, signature in every], looks)
    if not chosen:
        return contents, references
    read = crew(len(chosen), native=True).map(read_exact_signature, (f"{root}/{every[at][0].name}" for at in chosen))
    found: dict[int, Signature] = {}
    with progress.phase("decoding what looks alike", len(chosen), "pictures") as shown:
        for at, signature in shown.over(zip(chosen, read, strict=True)):
            if signature.content == every[at][1].content:  # else it has just changed, which is noticed later
                found[at] = signature
                if at < len(own):
                    cache.add(every[at][0], replace(signature, looks=looks[at].tobytes() if signature.pixels else b""))
    cache.flush()
    signatures = contents.signatures | {every[at][0].name: found[at] for at in found if at < len(own)}
    pictures = tuple(
        replace(picture, signature=found.get(at, picture.signature))
        for at, picture in enumerate(references.pictures, start=len(own))
    )
    return replace(contents, signatures=signatures), replace(references, pictures=pictures)


def _suspects(signatures: Sequence[Signature], looks: NDArray[np.void]) -> list[int]:
    """Places of the pictures without a digest of their pixels whose look is that of another file, ascending."""
    readable = np.array([bool(signature.pixels) for signature in signatures], bool)
    pending = np.array([not signature.settled for signature in signatures], bool)
    if not pending.any():
        return []
    sizes = looks["height"].astype(np.uint64) << np.uint64(32) | looks["width"]
    suspect = pending & _has_twin(signatures, looks, sizes, readable)
    known, open_ = np.flatnonzero(readable & ~pending), np.flatnonzero(pending & ~suspect)
    known = known[np.isin(sizes[known], sizes[open_])]
    open_ = open_[np.isin(sizes[open_], sizes[known])]
    if len(known) and len(open_):
        try:
            pairs = near_pairs_between(looks["whole"][known], looks["whole"][open_], _ROUNDED)
            same = sizes[known][pairs.first] == sizes[open_][pairs.second]
            suspect[open_[pairs.second[same]]] = True
        except TooManyPairs:
            suspect[open_] = True
    return np.flatnonzero(suspect).tolist()


def _has_twin(
    signatures: Sequence[Signature],
    looks: NDArray[np.void],
    sizes: NDArray[np.uint64],
    readable: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Whether another file has the same look: bool (n,)."""
    found = np.zeros(len(signatures), np.bool_)
    places = np.flatnonzero(readable)
    keys = np.stack([looks["whole"][places], looks["middle"][places], sizes[places]], axis=1)
    order = np.lexsort(keys.T)
    keys, places = keys[order], places[order]
    starts = np.flatnonzero(np.append(True, (keys[1:] != keys[:-1]).any(axis=1)))
    ends = np.append(starts[1:], len(places))
    for start, end in zip(starts[ends - starts > 1].tolist(), ends[ends - starts > 1].tolist(), strict=True):
        alike = places[start:end]
        if len({signatures[at].content for at in alike.tolist()}) > 1:
            found[alike] = True
    return found
