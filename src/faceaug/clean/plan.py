"""From a listing to a plan: read the folder, find its faults, decide the moves. Changes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from faceaug.clean.cache import Cache
from faceaug.clean.conflicts import Proposal, propose
from faceaug.clean.duplicates import Duplicate, Picture, find_duplicates, hard_links, label_conflict
from faceaug.clean.evidence import Names, find_names
from faceaug.clean.names import Rename
from faceaug.clean.policy import CleanPolicy
from faceaug.clean.reading import read_contents
from faceaug.clean.report import CleanReport, Conflict, SetAside
from faceaug.clean.resemble import find_resemblance, groups_of, leaks_of, look_alikes
from faceaug.clean.signatures import Signature, is_damaged, same_content
from faceaug.data.annotations import Annotations, Table, match_names, read_table, unknown
from faceaug.data.folder import Layout, table_names, table_paths
from faceaug.data.layouts import Choice, Place, Reading, choose_layout, read_layout
from faceaug.data.layouts.celeba import join_editions
from faceaug.data.metadata_files import METADATA_NAMES, read_metadata
from faceaug.errors import AnnotationError, FaceAugError, RefusedError, printable
from faceaug.executor import Crew, open_crew
from faceaug.progress import SILENT, Progress
from faceaug.storage.moves import Move
from faceaug.storage.walk import File, Listing, last_part, list_folder

_TABLES = (".txt", ".csv", ".jsonl", ".parquet")
_KNOWN = 32  # files kept to recognise the folder of a state


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A folder before cleaning.

    Attributes:
        folder: the folder as the caller spelled it.
        listing: its files.
        layout: see ``faceaug.data.folder``.
        tables: its CelebA tables.
        named: pictures that have a row in imagefolder metadata. These are never set aside: with a row for a missing
            file, ``FaceFolder`` would not read the folder and ``datasets`` would stop at that row.
        annotations: annotations of the pictures, in their order; None if they are joined after name repair, or if
            there are none.
        classes: names of the labels in ``annotations``.
        notes: remarks about the folder.
        copying: whether a cleaned copy is written, with its own metadata, instead of moving files.
    """

    folder: str
    listing: Listing
    layout: Layout
    tables: tuple[Table, ...]
    named: frozenset[str]
    annotations: Annotations | None
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    copying: bool = False

    def must_stay(self, name: str) -> bool:
        """Whether the metadata requires a picture."""
        return name in self.named and not self.copying


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """The plan for a folder.

    Attributes:
        plan: the moves.
        report: the report as if all moves had been made.
        known: a sample of the files that stay, with their digests.
    """

    plan: tuple[Move, ...]
    report: CleanReport
    known: tuple[File, ...] = ()


def look(path: Path | str) -> Scene:
    """List a folder and read its tables.

    Raises:
        ArgumentError: the folder does not exist.
        RefusedError: the folder has no pictures.
        AnnotationError: a table contradicts itself.
        FaceAugError: the disk cannot be read.
    """
    try:
        return _look(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        place = path if error.filename is None else os.fsdecode(error.filename)
        raise FaceAugError(f"{printable(place)}: cannot be read ({reason}); nothing was changed") from error


def _look(path: Path | str) -> Scene:
    listing = list_folder(path)
    if not listing.pictures:
        raise RefusedError(f"{listing.no_pictures()}. Nothing was changed")
    for name, problem in listing.skipped:  # without its rows nobody knows what they would have said of the pictures
        if name.endswith(_TABLES) and problem.startswith("cannot be"):
            raise FaceAugError(f"{printable(listing.root / name)}: {problem}; nothing was changed")
    place = Place.of(listing)
    choice, reading = _read(place)
    layout = choice.layout
    listing = replace(listing, apart=frozenset(place.pictures) - frozenset(reading.names))
    tables = tuple(read_table(table) for table in table_paths(listing.root, place)) if layout == "celeba" else ()
    named = frozenset(_rows_of_metadata(listing)) if layout == "imagefolder" else frozenset()
    annotations = None if layout in {"celeba", "classes", "flat"} else reading.known
    return Scene(str(path), listing, layout, tables, named, annotations, reading.classes, reading.notes)


def _read(place: Place) -> tuple[Choice, Reading]:
    """Read the layout; fall back to a flat one if its tables are faulty and cleaning does not need them."""
    try:
        return read_layout(place)
    except AnnotationError as error:
        if choose_layout(place).layout in {"celeba", "imagefolder"}:
            raise
        choice, reading = read_layout(place, "flat")
        return choice, replace(reading, notes=(f"cleaned without labels: {error}", *reading.notes))


def decide(
    scene: Scene,
    policy: CleanPolicy,
    *,
    set_aside: Sequence[str],
    workers: int | None,
    progress: Progress = SILENT,
    cache: Cache | None = None,
) -> Decision:
    """Decide the moves. The result depends neither on the order of files nor on the number of workers.

    Args:
        scene: the folder.
        policy: the user's choices.
        set_aside: former paths of files set aside by earlier runs; their numbers stay reserved.
        workers: see ``open_crew``.
        progress: reports the phases.
        cache: signatures and comparisons of earlier runs.
    """
    with open_crew(workers) as crew:
        return _decide(scene, policy, set_aside, crew, progress, cache or Cache(None))


def _decide(
    scene: Scene,
    policy: CleanPolicy,
    set_aside: Sequence[str],
    crew: Crew,
    progress: Progress,
    cache: Cache,
) -> Decision:
    files = scene.listing.pictures
    root = scene.listing.root
    protected = policy.protected(root, [file.name for file in files])
    contents = read_contents(root, files, looks=policy.near, crew=crew, cache=cache, progress=progress)
    signatures = contents.signatures
    earlier = [name for name in set_aside if name not in signatures]
    names = _names(scene, signatures, earlier, repair=policy.repair_names)
    renames = list(names.renames)
    pictures, annotations = _pictures(scene, signatures, renames, protected, names.known)
    found = find_resemblance(
        root, pictures, contents, mirrored=policy.mirrored, crew=crew, cache=cache, progress=progress
    )
    duplicates, left = _proven(scene, find_duplicates(found.pictures, found.links))
    damaged, more = _damaged(scene, signatures, protected)
    gone = {duplicate.copy.file.name for duplicate in duplicates} | {file.name for file, _ in damaged}
    kept = [rename for rename in renames if rename.old not in gone]
    conflicts = _conflicts(scene, annotations, duplicates)
    aside = _set_aside(duplicates, damaged)
    links = hard_links(pictures)
    report = CleanReport(
        folder=scene.folder,
        run=None,
        dry_run=False,
        original=len(files),
        cleaned=len(files) - len(aside),
        renames=tuple(kept),
        set_aside=tuple(aside),
        unclear=tuple(entry for entry in names.unclear if entry.name not in gone),
        conflicts=tuple(conflicts),
        left=tuple(sorted([*scene.listing.skipped, *left, *more])),
        rows_without_file=_rows_without_file(scene, kept, gone),
        proposals=tuple(_proposals(scene, annotations, duplicates, kept)),
        notes=scene.notes + names.notes + scene.listing.link_notes() + _link_note(links) + found.near.notes,
        groups=groups_of(duplicates),
        histogram=found.near.histogram,
        thresholds=found.near.thresholds,
        mirrored=look_alikes(found, gone, "mirrored"),
        bursts=look_alikes(found, gone, "burst"),
        leaks=leaks_of(duplicates, found),
        hashes=contents.hashes(),
    )
    moves = tuple(_moves(signatures, files, kept, duplicates, damaged))
    leaving = {move.source.name for move in moves}
    staying = [file for file in files if file.name not in leaving]
    sample = staying[:: max(1, len(staying) // _KNOWN)]
    return Decision(moves, report, tuple(_with_digest(file, signatures) for file in sample))


def _rows_of_metadata(listing: Listing) -> Iterator[str]:
    for file in listing.files:
        path = PurePosixPath(file.name)
        if path.name in METADATA_NAMES:
            yield from (str(path.parent / row["file_name"]) for row in read_metadata(listing.root / file.name))


def _names(scene: Scene, signatures: dict[str, Signature], earlier: Sequence[str], *, repair: bool) -> Names:
    return find_names(
        scene.listing,
        [table.names for table in scene.tables],
        earlier=earlier,
        unreadable=[name for name, signature in signatures.items() if signature.problem],
        no_jpeg=[name for name, signature in signatures.items() if not signature.problem and not signature.jpeg],
        contents={name: signature.content for name, signature in signatures.items() if signature.content},
        repair=repair and scene.layout in {"celeba", "flat"},
    )


def _link_note(links: int) -> tuple[str, ...]:
    return (f"{links} further names (hard links) of files that are also listed under another name",) if links else ()


def _pictures(
    scene: Scene,
    signatures: dict[str, Signature],
    renames: list[Rename],
    protected: frozenset[str],
    known: frozenset[str],
) -> tuple[list[Picture], Annotations]:
    """The readable pictures under their repaired names, and the annotations of all pictures in listing order."""
    files = scene.listing.pictures
    new = {rename.old: rename.new for rename in renames}
    names = [new.get(file.name, file.name) for file in files]
    plain = table_names(names)
    annotations = scene.annotations
    if annotations is None:
        annotations = join_editions(scene.tables, names)[0] if scene.tables else unknown(len(files))
    table_rows = [frozenset(table.names) for table in scene.tables] or [scene.named]
    keys = plain if scene.tables else names
    pictures = [
        Picture(
            file,
            name,
            signatures[file.name],
            protected=file.name in protected,
            partition=int(annotations.partition[i]),
            rows=sum(key in rows for rows in table_rows),
            known=plain[i] in known,
        )
        for i, (file, name, key) in enumerate(zip(files, names, keys, strict=True))
        if not signatures[file.name].problem
    ]
    return pictures, annotations


def _proven(scene: Scene, duplicates: list[Duplicate]) -> tuple[list[Duplicate], list[tuple[str, str]]]:
    """The duplicates that are confirmed by a direct comparison and not required by metadata; and the others."""
    proven: list[Duplicate] = []
    left: list[tuple[str, str]] = []
    root = scene.listing.root
    for duplicate in duplicates:
        name, keeper = duplicate.copy.file.name, duplicate.keeper.file.name
        if scene.must_stay(name):
            left.append((name, f"is the same picture as {printable(keeper)}; it stays because the metadata names it"))
        elif duplicate.likeness is not None or same_content(
            root / name, root / keeper, pixels=not duplicate.same_bytes
        ):
            proven.append(duplicate)
        else:
            left.append((name, "changed during the run"))
    return proven, left


def _damaged(
    scene: Scene, signatures: dict[str, Signature], protected: frozenset[str]
) -> tuple[list[tuple[File, str]], list[tuple[str, str]]]:
    """Damaged files to set aside, and unreadable files that stay."""
    damaged: list[tuple[File, str]] = []
    left: list[tuple[str, str]] = []
    for file in scene.listing.pictures:
        signature = signatures[file.name]
        if not signature.problem:
            continue
        if file.name in protected:
            left.append((file.name, f"{signature.problem}; protected"))
        elif scene.must_stay(file.name):
            left.append((file.name, f"{signature.problem}; it stays because the metadata names it"))
        elif signature.damaged and is_damaged(scene.listing.root / file.name):
            damaged.append((file, signature.problem))
        else:
            left.append((file.name, signature.problem))
    return damaged, left


def _conflicts(scene: Scene, annotations: Annotations, duplicates: list[Duplicate]) -> list[Conflict]:
    place = {file.name: i for i, file in enumerate(scene.listing.pictures)}
    found = []
    for duplicate in duplicates:
        copy, keeper = duplicate.copy.file.name, duplicate.keeper.file.name
        says = label_conflict(annotations, place[copy], place[keeper])
        classes = copy.split("/", 1)[0], keeper.split("/", 1)[0]
        if scene.layout == "classes" and classes[0] != classes[1]:
            says = f"class {classes[0]} and {classes[1]}"
        if says:
            found.append(Conflict(copy, duplicate.keeper.name, says))
    return found


def _proposals(
    scene: Scene, annotations: Annotations, duplicates: list[Duplicate], kept: list[Rename]
) -> list[Proposal]:
    """The fields on which the members of each group disagree, with the majority value."""
    files = scene.listing.pictures
    place = {file.name: i for i, file in enumerate(files)}
    new = {rename.old: rename.new for rename in kept}
    groups: dict[int, list[int]] = {}
    for duplicate in duplicates:
        keeper = place[duplicate.keeper.file.name]
        groups.setdefault(keeper, [keeper]).append(place[duplicate.copy.file.name])
    return propose(annotations, groups.values(), [new.get(file.name, file.name) for file in files])


def _set_aside(duplicates: list[Duplicate], damaged: list[tuple[File, str]]) -> list[SetAside]:
    aside = [SetAside(file.name, "unreadable", problem) for file, problem in damaged]
    aside += [SetAside(d.copy.file.name, d.tier, _reason(d), d.keeper.name) for d in duplicates]
    return aside


def _reason(duplicate: Duplicate) -> str:
    if duplicate.likeness is None:
        return f"has the {duplicate.tier} as {duplicate.keeper.name}"
    evidence = duplicate.likeness.evidence
    what = "is the mirror image of" if duplicate.tier == "mirrored" else "shows the same photo as"
    proof = f"detail agrees to {evidence.detail:.3f}, {duplicate.likeness.distance} of 64 hash bits differ"
    return f"{what} {duplicate.keeper.name} ({proof})"


def _rows_without_file(scene: Scene, renames: list[Rename], gone: set[str]) -> dict[str, int]:
    new = {rename.old: rename.new for rename in renames}
    staying = [new.get(file.name, file.name) for file in scene.listing.pictures if file.name not in gone]
    present = {last_part(name): k for k, name in enumerate(staying)}
    return {table.path.name: int((match_names(table.names, present)[0] < 0).sum()) for table in scene.tables}


def _with_digest(file: File, signatures: dict[str, Signature]) -> File:
    return replace(file, digest=signatures[file.name].content)


def _moves(
    signatures: dict[str, Signature],
    files: Sequence[File],
    renames: list[Rename],
    duplicates: list[Duplicate],
    damaged: list[tuple[File, str]],
) -> Iterator[Move]:
    seen = {file.name: file for file in files}

    def read(file: File) -> File:
        return _with_digest(file, signatures)

    for file, problem in damaged:
        yield Move(read(file), None, problem)
    for duplicate in duplicates:
        yield Move(read(duplicate.copy.file), None, duplicate.tier, read(duplicate.keeper.file))
    for rename in renames:
        yield Move(read(seen[rename.old]), rename.new, "repaired name")
