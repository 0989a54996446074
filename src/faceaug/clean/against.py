"""Reference folders: known pictures that new ones are compared with, and that are only read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceaug.clean.duplicates import Picture
from faceaug.clean.index import Index, open_index, save_index
from faceaug.clean.reading import Contents, read_contents
from faceaug.clean.signatures import LOOKS
from faceaug.data.marks import INDEX
from faceaug.errors import ArgumentError, FaceAugError, RefusedError, counted, printable
from faceaug.executor import Crew
from faceaug.progress import SILENT, Progress
from faceaug.storage.files import existing_folder
from faceaug.storage.walk import File, list_folder


@dataclass(frozen=True, slots=True, eq=False)
class References:
    """The pictures of reference folders.

    Attributes:
        pictures: the readable ones, under their paths from the folder that is cleaned, such as "../known/1.jpg".
        looks: ``LOOKS`` (n,), a record for each.
        notes: remarks for the user.
    """

    pictures: tuple[Picture, ...] = ()
    looks: NDArray[np.void] = field(default_factory=lambda: np.zeros(0, LOOKS))
    notes: tuple[str, ...] = ()

    def joined_to(self, contents: Contents) -> Contents:
        """The contents of a folder with those of the references, for the search among both."""
        if not self.pictures or not len(contents.looks):
            return contents
        rows = range(len(contents.looks), len(contents.looks) + len(self.pictures))
        place = contents.place | {picture.file.name: row for picture, row in zip(self.pictures, rows, strict=True)}
        return replace(contents, looks=np.concatenate([contents.looks, self.looks]), place=place)


NONE = References()
_PHASE = "reading references"


def check_references(folder: Path, against: Sequence[Path | str]) -> tuple[Path, ...]:
    """The reference folders, resolved.

    Args:
        folder: the folder that is cleaned.
        against: the references.

    Raises:
        ArgumentError: one does not exist, was given twice, or shares pictures with the folder.
    """
    found: list[Path] = []
    own = folder.resolve()
    for given in against:
        place = existing_folder(given).resolve()
        if _overlap(place, own):
            raise ArgumentError(f"{printable(given)} and {printable(folder)} overlap; give two separate folders")
        if any(_overlap(place, other) for other in found):
            raise ArgumentError(f"{printable(given)}: was given twice, or overlaps another reference")
        found.append(place)
    return tuple(found)


def _overlap(one: Path, other: Path) -> bool:
    """Whether a folder is another one or lies in it, also by a path that only the file system knows to be the same."""
    pairs = ((one, (other, *other.parents)), (other, (one, *one.parents)))
    return any(os.path.samefile(folder, place) for folder, places in pairs for place in places)


def check_apart(path: Path, folders: Sequence[Path], *, what: str) -> None:
    """Refuse an output in a folder that is only read.

    Raises:
        ArgumentError: it lies there.
    """
    for folder in folders:
        if path.resolve().is_relative_to(folder.resolve()):
            raise ArgumentError(f"{printable(path)}: {what} cannot lie in {printable(folder)}")


def read_references(
    folders: Sequence[Path],
    *,
    root: Path,
    index: Path | None,
    keep: bool,
    crew: Crew,
    progress: Progress = SILENT,
) -> References:
    """Read reference folders, from their index where they have not changed since.

    Args:
        folders: see ``check_references``.
        root: the folder that is cleaned.
        index: file of the index; None for one beside each folder, ``NAME.faceaug-index``.
        keep: whether to write an index beside a folder; one that is there is used anyway.
        crew: gives executors, see ``open_crew``.
        progress: counts the pictures.

    Raises:
        ArgumentError: ``index`` is another file.
        RefusedError: a folder has no pictures.
    """
    shared = None if index is None else open_index(index, shared=True)
    parts: list[References] = []
    given = None if shared is None else shared[0]
    try:
        parts.extend(_read(folder, root, given, keep, crew, progress) for folder in folders)
    finally:
        if index is not None and shared is not None:
            save_index(index, shared[0])
    notes = (shared[1],) if shared and shared[1] else ()
    return References(
        tuple(picture for part in parts for picture in part.pictures),
        np.concatenate([part.looks for part in parts]) if parts else np.zeros(0, LOOKS),
        (*notes, *(note for part in parts for note in part.notes)),
    )


def stamp_references(folders: Sequence[Path]) -> str:
    """A digest of the names, sizes and times of the pictures in reference folders."""
    found = hashlib.sha256()
    for folder in folders:
        for file in list_folder(folder).pictures:
            found.update(f"{folder / file.name}\0{file.size}\0{file.mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return found.hexdigest()


def _read(folder: Path, root: Path, shared: Index | None, keep: bool, crew: Crew, progress: Progress) -> References:
    listing = list_folder(folder)
    if not listing.pictures:
        raise RefusedError(listing.no_pictures())
    notes: list[str] = []
    own = folder.with_name(folder.name + INDEX.ending)
    index, why, keep = (shared, "", False) if shared is not None else _own_index(own, keep=keep)
    index.enter(folder)
    try:
        contents = read_contents(
            folder, listing.pictures, looks=True, crew=crew, cache=index, progress=progress, phase=_PHASE
        )
    finally:
        if keep:
            notes += _kept(own, index)
    readable = [file for file in listing.pictures if contents.signatures[file.name].pixels]
    unread = len(listing.pictures) - len(readable)
    notes += [why] if why else []
    notes += [f"{counted(unread, 'picture')} of {printable(folder)} cannot be read"] if unread else []
    notes.insert(0, f"compared with {counted(len(readable), 'picture')} of {printable(folder)}")
    rows = [contents.place[file.name] for file in readable]
    return References(tuple(_pictures(_from(root, folder), readable, contents)), contents.looks[rows], tuple(notes))


def _from(root: Path, folder: Path) -> str:
    """The path of a folder from another one, absolute where there is none; it holds through a linked ``root``."""
    try:
        return Path(os.path.relpath(folder, root.resolve())).as_posix()
    except ValueError:  # another drive
        return folder.as_posix()


def _pictures(place: str, files: Sequence[File], contents: Contents) -> Iterator[Picture]:
    for file in files:
        name = f"{place}/{file.name}"
        here = File(name, file.device, file.inode, file.size, file.mtime_ns, changed_ns=file.changed_ns)
        yield Picture(here, name, contents.signatures[file.name], protected=True, reference=True)


def _own_index(path: Path, *, keep: bool) -> tuple[Index, str, bool]:
    """The index beside a folder, a note, and whether it can be kept there; nobody has named it, so it is no must."""
    try:
        return *open_index(path), keep
    except (FaceAugError, OSError) as error:
        return Index({}), _not_kept(error) if keep else "", False


def _not_kept(error: Exception) -> str:
    return f"no index was kept ({error}); --index FILE (index=) chooses another place"


def _kept(path: Path, index: Index) -> list[str]:
    """Write an index beside its folder; a note if that is not possible."""
    try:
        save_index(path, index)
    except (FaceAugError, OSError) as error:
        return [_not_kept(error)]
    return []
