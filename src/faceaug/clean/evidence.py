"""Evidence for the right name of a file: the archive the folder was unpacked from, and modification times.

A ZIP archive lists the size and CRC-32 of every file without being unpacked. A picture with the size and checksum of
one entry gets that entry's name: this is certain enough to rename (a checksum matches by chance once in 4,000 million,
and the size must match too). Modification times are only shown to the user as a hint.
"""

from __future__ import annotations

import zipfile
import zlib
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from faceaug.clean.names import Rename, Unclear, is_well_formed, known_names, repair_names
from faceaug.data.folder import CELEBA_PICTURES
from faceaug.data.image import read_bytes
from faceaug.errors import ImageError, counted, printable, some
from faceaug.storage.walk import SUFFIXES, File, Listing

_ANOTHER_FORMAT = (
    "file named .jpg is in another format; it keeps its name",
    "files named .jpg are in another format; they keep their names",
)
_SAMPLE = 50  # pictures checked first: if the archive has none of them, it is of another version (size, encoding)
_NEIGHBOURS = 3  # on each side, in order of modification time


@dataclass(frozen=True, slots=True, eq=False)
class Archive:
    """The pictures listed in a ZIP archive.

    Attributes:
        path: the archive.
        names: file names in it, without folders.
        contents: (size in bytes, CRC-32) -> the names of the entries that have them.
    """

    path: Path
    names: frozenset[str]
    contents: Mapping[tuple[int, int], frozenset[str]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The archive entries that match the files of a folder.

    Attributes:
        names: path below the folder -> the names of the entries with its content; files without a match are left out.
        notes: remarks for the user, a line each.
    """

    names: Mapping[str, frozenset[str]]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Names:
    """The name repairs of a folder.

    Attributes:
        known: the names that its pictures should have, without folders; see ``known_names``.
        renames: the repairs.
        unclear: damaged names that are not repaired, with hints.
        notes: remarks for the user, a line each.
    """

    known: frozenset[str]
    renames: tuple[Rename, ...] = ()
    unclear: tuple[Unclear, ...] = ()
    notes: tuple[str, ...] = ()


def find_names(
    listing: Listing,
    tables: Sequence[Sequence[str]],
    *,
    earlier: Collection[str] = (),
    unreadable: Collection[str] = (),
    no_jpeg: Collection[str] = (),
    contents: Mapping[str, str] | None = None,
    repair: bool = True,
) -> Names:
    """Decide which names of a CelebA or flat folder are repaired, using all evidence. Changes nothing.

    Args:
        listing: the folder.
        tables: the row names of each table.
        earlier: former paths of files set aside by earlier runs; their numbers stay reserved.
        unreadable: files that are no pictures; not renamed.
        no_jpeg: pictures in a format other than JPEG, which the right name would misstate; not renamed.
        contents: path -> digest.
        repair: whether to repair names at all.
    """
    pictures = [file.name for file in listing.pictures]
    path = find_archive(listing.root) if repair else None
    archive = read_archive(path) if path else None
    found = compare_with_archive(listing.root, listing.pictures, archive)
    of_archive = archive.names if archive and found.names else ()
    known = known_names(tables, [*pictures, *earlier], archive=of_archive)
    if not repair:
        return Names(known)
    fitting = {name: names & known for name, names in found.names.items() if names & known}
    held = {*earlier, *unreadable, *no_jpeg}
    renames, unclear = repair_names(pictures, known, held=held, contents=contents, evidence=fitting)
    odd = [name for name in no_jpeg if PurePosixPath(name).name in known and name.lower().endswith((".jpg", ".jpeg"))]
    notes = found.notes
    if odd:
        notes += (f"{counted(len(odd), *_ANOTHER_FORMAT)} ({some(odd)})",)
    return Names(known, tuple(renames), tuple(add_hints(unclear, listing.pictures)), notes)


def find_archive(root: Path) -> Path | None:
    """``img_align_celeba.zip`` in a folder or next to it."""
    folder = root.resolve()
    for place in (folder, folder.parent):
        path = place / f"{CELEBA_PICTURES}.zip"
        if path.is_file():
            return path
    return None


def read_archive(path: Path) -> Archive | None:
    """Read the directory of an archive; None if it is no ZIP archive, is truncated or has no pictures."""
    contents: dict[tuple[int, int], set[str]] = defaultdict(set)
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                name = PurePosixPath(entry.filename)
                junk = name.name.startswith(".") or "__MACOSX" in name.parts
                if not entry.is_dir() and not junk and name.suffix.lower() in SUFFIXES:
                    contents[entry.file_size, entry.CRC].add(name.name)
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError):
        return None
    names = frozenset(name for group in contents.values() for name in group)
    return Archive(path, names, {key: frozenset(group) for key, group in contents.items()}) if names else None


def compare_with_archive(root: Path, files: Sequence[File], archive: Archive | None) -> Evidence:
    """Find each picture of a folder in an archive by size and checksum. Reads only files whose size matches.

    Args:
        root: the folder.
        files: its pictures.
        archive: see ``read_archive``.
    """
    if archive is None or not files:
        return Evidence({})
    sizes = {size for size, _ in archive.contents}
    step = max(1, len(files) // _SAMPLE)
    if not any(_entries(root, file, archive, sizes) for file in files[::step]):
        why = "has none of these pictures (different size or encoding), so names cannot be checked against it"
        return Evidence({}, (f"{printable(archive.path.name)} {why}",))
    found = {file.name: _entries(root, file, archive, sizes) for file in files}
    differ = [name for name, names in found.items() if not names and PurePosixPath(name).name in archive.names]
    notes: tuple[str, ...] = ()
    if differ:
        unlike = counted(len(differ), "picture differs", "pictures differ")
        notes = (f"{unlike} from {archive.path.name} (changed or damaged): {some(differ)}",)
    return Evidence({name: names for name, names in found.items() if names}, notes)


def add_hints(unclear: Iterable[Unclear], files: Iterable[File]) -> list[Unclear]:
    """Add a hint where exactly one candidate lies between its neighbours in order of modification time.

    Archives are unpacked in order of names, so modification times often follow the numbers.

    Args:
        unclear: damaged names; those with a hint or fewer than two candidates are returned unchanged.
        files: the pictures of the folder.
    """
    entries = list(unclear)
    if not any(len(entry.candidates) > 1 for entry in entries):
        return entries
    by_name = {file.name: file for file in files}
    clocks: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for file in by_name.values():
        if is_well_formed(file.name):
            folder, _, name = file.name.rpartition("/")
            clocks[folder].append((file.mtime_ns, name))
    for clock in clocks.values():
        clock.sort()
    return [_with_hint(entry, by_name.get(entry.name), clocks) for entry in entries]


def _entries(root: Path, file: File, archive: Archive, sizes: set[int]) -> frozenset[str]:
    if file.size not in sizes:
        return frozenset()
    try:
        data = read_bytes(root / file.name)
    except ImageError:
        return frozenset()
    return archive.contents.get((len(data), zlib.crc32(data)), frozenset())


def _with_hint(entry: Unclear, file: File | None, clocks: Mapping[str, list[tuple[int, str]]]) -> Unclear:
    if file is None or entry.hint or len(entry.candidates) < 2:
        return entry
    clock = clocks.get(file.name.rpartition("/")[0], [])
    left = bisect_left(clock, (file.mtime_ns, ""))
    right = bisect_right(clock, (file.mtime_ns, "\U0010ffff"))
    around = clock[max(0, left - _NEIGHBOURS) : left] + clock[right : right + _NEIGHBOURS]
    names = [name for _, name in around]
    if left != right or left < _NEIGHBOURS or len(names) < 2 * _NEIGHBOURS or names != sorted(names):
        return entry
    before, after = names[_NEIGHBOURS - 1 : _NEIGHBOURS + 1]
    between = [name for name in entry.candidates if before < PurePosixPath(name).name < after]
    if len(between) != 1:
        return entry
    return replace(entry, hint=f"{between[0]}: by modification time it lies between {before} and {after}")
