"""A cleaned copy: the pictures that stay, under their repaired names, with matching tables. The folder is only read."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeAlias

from faceaug.clean.scene import Originals
from faceaug.clean.tables import filter_metadata, filter_table, pictures_of_rows, rows_in_step
from faceaug.data.annotations import match_names
from faceaug.data.folder import CELEBA_PICTURES, FaceFolder
from faceaug.data.layouts.leftovers import CLEANED
from faceaug.errors import ArgumentError, FaceAugError, RefusedError, counted, printable, some
from faceaug.presentation import Fact, Presentation
from faceaug.progress import SILENT, Progress
from faceaug.storage.durable import GroupSync
from faceaug.storage.files import check_free_space, copy_file, explained, remove_output
from faceaug.storage.identity import digest_of, same_time
from faceaug.storage.locks import claimed_output
from faceaug.storage.moves import Move
from faceaug.storage.unfinished import is_taken, write_again
from faceaug.storage.walk import File, Listing, list_folder

LinkKind: TypeAlias = Literal["copy", "hard"]
LINKS: tuple[LinkKind, ...] = ("copy", "hard")
MARKER = CLEANED
_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EACCES)
_CHANGED = ("file changed while it was copied", "files changed while they were copied")
_GROUP = 4096  # files per sync
_MARGIN = 16 << 20  # bytes reserved for tables, reports and folders


@dataclass(frozen=True, slots=True, eq=False)
class CopyPlan:
    """The contents of a cleaned copy. Paths are relative, with "/".

    Attributes:
        files: path in the copy -> source file.
        tables: path in the copy -> content.
        rows_left: table -> number of rows left out of the copy.
        notes: remarks for the user, a line each.
        apart: pictures in the copy that the layout does not list as faces.
    """

    files: Mapping[str, File]
    tables: Mapping[str, bytes]
    rows_left: Mapping[str, int]
    notes: tuple[str, ...]
    apart: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, repr=False)
class CopyReport(Presentation):
    """The result of writing a cleaned copy.

    Attributes:
        out: the folder.
        pictures: number of pictures in it.
        others: number of other files, copied unchanged.
        earlier: number of files that an interrupted run had already written.
        rows_left: table -> number of rows left out of the copy.
        notes: remarks for the user, a line each.
    """

    out: str
    pictures: int
    others: int
    earlier: int
    rows_left: Mapping[str, int]
    notes: tuple[str, ...]

    def facts(self) -> list[Fact]:
        """See ``Presentation``."""
        return [
            ("folder", self.out),
            ("pictures", self.pictures),
            ("other files", self.others),
            ("made by an earlier run", self.earlier),
            ("rows left out", sum(self.rows_left.values())),
            ("notes", len(self.notes)),
        ]


def check_link(link: str) -> None:
    """Raise ArgumentError for an unknown value of ``link``."""
    if link not in LINKS:
        raise ArgumentError(f"link {link!r}: expected one of {', '.join(LINKS)}")


def plan_copy(listing: Listing, originals: Originals, moves: Iterable[Move]) -> CopyPlan:
    """Decide the contents of a cleaned copy. Writes nothing, and reads no table.

    Args:
        listing: the folder.
        originals: its tables.
        moves: the moves of cleaning it in place.
    """
    own = {table.path.resolve() for table, _ in originals.tables}
    outside = bool(own) and not any(path.is_relative_to(listing.root.resolve()) for path in own)
    below = f"{CELEBA_PICTURES}/" if outside else ""  # the folder is img_align_celeba itself; its tables are above it
    files, notes = _plan_files(listing, moves, below=below, written=own, apart={*originals.metadata, MARKER})
    written, left, more = _plan_tables(listing.root, originals, files)
    return CopyPlan(
        files,
        written | _plan_metadata(listing, originals, files, left, below=below),
        left,
        (*notes, *more, *_other_files(files)),
        listing.apart,
    )


def _plan_files(
    listing: Listing, moves: Iterable[Move], *, below: str, written: Collection[Path], apart: Collection[str]
) -> tuple[dict[str, File], list[str]]:
    """The files to copy by their path in the copy, and notes on those left out."""
    new: dict[str, str | None] = {move.source.name: move.target for move in moves}
    files: dict[str, File] = {}
    notes: list[str] = []
    for file in listing.files:
        name = new.get(file.name, file.name)
        if (listing.root / file.name).resolve() in written or file.name in apart or name is None:
            continue
        if PurePosixPath(name).name == f"{CELEBA_PICTURES}.zip":
            notes.append(f"{printable(name)} was not copied: it holds the pictures before cleaning")
        elif not os.access(listing.root / file.name, os.R_OK):
            notes.append(f"{printable(name)} was not copied: no permission to read it")
        else:
            files[f"{below}{name}"] = file
    return files, notes


def build_copy(
    listing: Listing,
    plan: CopyPlan,
    out: Path,
    *,
    link: LinkKind = "copy",
    arguments: Mapping[str, Any] | None = None,
    progress: Progress = SILENT,
    on_built: Callable[[CopyReport], None] = lambda _: None,
) -> CopyReport:
    """Write a cleaned copy. ``on_built`` has to call ``faceaug.storage.files.finish_output`` to mark it complete.

    An interrupted run is continued: files already there with the same bytes are kept. On return, everything is synced
    to disk.

    Args:
        listing: the folder; it is only read.
        plan: see ``plan_copy``.
        out: a new or empty folder outside it.
        link: "copy" (as reflinks where the file system supports them), or "hard" for hard links: they take no space,
            but writing to a picture in the copy changes the original.
        arguments: arguments of the command; an interrupted run is continued only with the same ones.
        on_built: called with the report while the folder is still locked.
        progress: counts the files.

    Raises:
        ArgumentError: ``link`` is neither.
        RefusedError: nothing was written: ``out`` lies in the folder, holds something else, is being filled by another
            process or cannot be written; too little space; hard links are not possible there; the file system cannot
            hold a name, or treats two names as one.
        FaceAugError: pictures changed since they were read; run again.
    """
    check_link(link)
    root = listing.root
    identity = {"command": "clean", "folder": str(root.resolve()), "link": link} | dict(arguments or {})
    if link == "hard" and _device(out) != root.stat().st_dev:
        raise RefusedError(f"{printable(out)} is on another disk than {printable(root)}: use --link copy")
    placed = [*plan.files, *plan.tables, MARKER]
    claim = claimed_output(out, inside=root, marker=MARKER, identity=identity, purpose="clean", names=placed)
    with claim as continued:
        if continued:
            _refuse_strangers(out, plan)
        elif link == "copy":
            check_free_space(out, sum(file.size for file in plan.files.values()) + _MARGIN)
        with explained(out):
            earlier, changed = _write_files(root, plan, out, link, progress)
            if changed:
                names = some(changed)
                raise FaceAugError(f"{printable(root)}: {counted(len(changed), *_CHANGED)} ({names}); run again")
            for name, content in plan.tables.items():
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                write_again(out / name, content, durable=True)
        _check(out, plan)
        pictures = sum(file.is_picture for file in plan.files.values())
        report = CopyReport(str(out), pictures, len(plan.files) - pictures, earlier, plan.rows_left, plan.notes)
        on_built(report)
    return report


def _device(out: Path) -> int:
    """The device of a folder that may not exist yet."""
    place = out.absolute()
    while not place.exists():
        place = place.parent
    return place.stat().st_dev


def _plan_tables(
    root: Path, originals: Originals, files: Mapping[str, File]
) -> tuple[dict[str, bytes], dict[str, int], tuple[str, ...]]:
    """Content and number of omitted rows of each table, by its path in the copy."""
    tables = [table for table, _ in originals.tables]
    pictures = {PurePosixPath(name).name: k for k, name in enumerate(files) if files[name].is_picture}
    found = [(table.names, match_names(table.names, pictures)[0].tolist()) for table in tables]
    present = {name for names, rows in found for name, row in zip(names, rows, strict=True) if row >= 0}
    rows = rows_in_step(tables, present)
    places = {table.path: _place(root, table.path) for table in tables}
    written = {places[table.path]: filter_table(table, text, rows.kept[table.path]) for table, text in originals.tables}
    left = {places[table.path]: len(table.names) - len(rows.kept[table.path]) for table in tables}
    return written, left, rows.notes


def _place(root: Path, table: Path) -> str:
    real = root.resolve()
    inside = table.resolve()
    return inside.relative_to(real).as_posix() if inside.is_relative_to(real) else table.name


def _plan_metadata(
    listing: Listing, originals: Originals, files: Mapping[str, File], left: dict[str, int], *, below: str
) -> dict[str, bytes]:
    """The tables that name pictures by their path, with the names that the pictures have in the copy."""
    written: dict[str, bytes] = {}
    now = {file.name: name.removeprefix(below) for name, file in files.items()}
    for table, (source, names) in originals.metadata.items():
        folder = table[: table.rfind("/") + 1]
        here = {name: path for file in listing.pictures if (name := _below(folder, path := file.name))}
        new = {name: _below(folder, now[path]) for name, path in here.items() if path in now}
        renames = {name: repaired for name, repaired in new.items() if name != repaired}
        rows = pictures_of_rows(names, here, renames=renames)
        kept = [name in new for name in rows]
        left[table] = kept.count(False)
        changed = {k: f"{below}{new[name]}" for k, name in enumerate(rows) if name in (new if below else renames)}
        written[table] = filter_metadata(Path(table), source, kept, changed)
    return written


def _below(folder: str, name: str) -> str:
    """A path relative to a folder, which ends with "/" unless it is empty; empty if it lies elsewhere."""
    return name.removeprefix(folder) if name.startswith(folder) else ""


def _other_files(files: Mapping[str, File]) -> tuple[str, ...]:
    others = [name for name, file in files.items() if not file.is_picture]
    return (f"{len(others):,} other files were copied unchanged ({some(others)})",) if others else ()


def _refuse_strangers(out: Path, plan: CopyPlan) -> None:
    """Refuse to continue a copy that holds files outside the plan: the folder may have changed in between."""
    expected = plan.files.keys() | plan.tables.keys() | {MARKER}
    strange = [file.name for file in list_folder(out).files if file.name not in expected]
    if strange:
        raise RefusedError(
            f"{printable(out)} holds files that do not belong to this copy ({some(strange)}): the original changed "
            "since the run was stopped, or you put them there. Remove the folder, or choose another"
        )


def _write_files(root: Path, plan: CopyPlan, out: Path, link: LinkKind, progress: Progress) -> tuple[int, list[str]]:
    earlier = 0
    changed: list[str] = []
    made: set[Path] = set()
    waiting: list[Path] = []
    phase = progress.phase("copying" if link == "copy" else "linking", len(plan.files), "files")
    with GroupSync(out) as group, phase as shown:
        for name, file in shown.over(plan.files.items()):
            target = out / name
            if target.parent not in made:
                target.parent.mkdir(parents=True, exist_ok=True)
                made.add(target.parent)
            facts = _unchanged(root / file.name, file)
            if facts is None:
                changed.append(file.name)
                continue
            if _is_there(target, root / file.name, facts, link):
                earlier += 1
            else:
                _check_free(target, root / file.name)
                _write_file(root / file.name, target, facts, link)
                if _unchanged(root / file.name, file) is None:
                    changed.append(file.name)
                    remove_output(target)
                    continue
            waiting.append(target)
            if len(waiting) == _GROUP:
                group.sync(waiting)
                waiting.clear()
        if not changed:
            group.sync(waiting)
    return earlier, changed


def _check_free(target: Path, source: Path) -> None:
    """Refuse a name that a file has which is not the copy of this one."""
    if is_taken(target, source):
        raise RefusedError(
            f"{printable(target)}: no copy of {printable(source)}, which changed since the run was stopped, or you put "
            "it there; move it elsewhere, then run again"
        )


def _write_file(source: Path, target: Path, facts: os.stat_result, link: LinkKind) -> None:
    if link == "copy":
        copy_file(source, target, facts=facts)
        return
    remove_output(target)  # left by an interrupted run from an original that has been replaced since
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.EMLINK:  # the file has reached the limit of links (65,000 on ext4)
            copy_file(source, target, facts=facts)
        elif error.errno in _NO_LINKS:
            raise RefusedError(
                f"{printable(target.parent)}: cannot create hard links to {printable(source)} there "
                f"({error.strerror}); use --link copy, with another or an emptied folder"
            ) from error
        else:
            raise


def _unchanged(path: Path, file: File) -> os.stat_result | None:
    """The stat of a file if it is as listed. Inodes are not compared: some file systems change them at any time."""
    try:
        facts = path.lstat()
    except OSError:
        return None
    same = (facts.st_size, facts.st_mtime_ns) == (file.size, file.mtime_ns)
    return facts if same and stat.S_ISREG(facts.st_mode) else None


def _is_there(target: Path, source: Path, facts: os.stat_result, link: LinkKind) -> bool:
    """Whether an earlier run wrote a file. Bytes are compared: a power cut may leave the right size, wrong content."""
    try:
        found = target.lstat()
    except OSError:
        return False
    if link == "hard" and found.st_ino == facts.st_ino:
        return True
    if link == "hard" and facts.st_nlink < 2:
        return False
    same = found.st_size == facts.st_size and same_time(found.st_mtime_ns, facts.st_mtime_ns)
    return same and stat.S_ISREG(found.st_mode) and digest_of(target) == digest_of(source)


def _check(out: Path, plan: CopyPlan) -> None:
    """Open the copy as a user will: every picture is there, and every row has its picture."""
    if not any(file.is_picture for file in plan.files.values()):
        return
    faces = FaceFolder(out)
    expected = {name for name, file in plan.files.items() if file.is_picture} - plan.apart
    missing = sorted(expected - set(faces.names))
    tables = tuple(f"{PurePosixPath(name).name}: " for name in plan.tables)
    says = " row has no picture", " rows have no picture"
    odd = [note for note in faces.notes if any(map(note.__contains__, says)) and note.startswith(tables)]
    if missing or odd:
        raise FaceAugError(f"{printable(out)}: the copy is not complete ({some(missing or odd)}); run again")
