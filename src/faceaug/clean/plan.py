"""From a scene to a plan: find the folder's faults, decide the moves. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from faceaug.clean.cache import Cache
from faceaug.clean.conflicts import Proposal, propose
from faceaug.clean.duplicates import Duplicate, Picture, find_duplicates, hard_links, label_conflict
from faceaug.clean.evidence import Names, find_names
from faceaug.clean.names import Rename
from faceaug.clean.policy import CleanPolicy
from faceaug.clean.reading import Contents, read_contents
from faceaug.clean.report import CleanReport, Conflict, SetAside
from faceaug.clean.resemble import Resemblance, find_resemblance, groups_of, leaks_of, look_alikes
from faceaug.clean.scene import Scene
from faceaug.clean.signatures import Signature, is_damaged, same_content
from faceaug.clean.tables import same_stem
from faceaug.data.annotations import Annotations, match_names, unknown
from faceaug.data.folder import table_names
from faceaug.data.layouts.celeba import join_editions
from faceaug.errors import counted, printable, some
from faceaug.executor import Crew, open_crew
from faceaug.progress import SILENT, Progress
from faceaug.storage.moves import Move
from faceaug.storage.walk import File, last_part

_KNOWN = 32  # files kept to recognise the folder of a state


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


@dataclass(frozen=True, slots=True, eq=False)
class _Leaving:
    """The files to set aside, and the files that stay in spite of a fault.

    Attributes:
        duplicates: the duplicates to set aside.
        damaged: (file, problem) of the damaged files to set aside.
        staying: (name, reason) of faulty files that stay.
    """

    duplicates: tuple[Duplicate, ...]
    damaged: tuple[tuple[File, str], ...]
    staying: tuple[tuple[str, str], ...]

    def names(self) -> frozenset[str]:
        """Names of the files to set aside."""
        copies = {duplicate.copy.file.name for duplicate in self.duplicates}
        return frozenset(copies | {file.name for file, _ in self.damaged})


@dataclass(frozen=True, slots=True, eq=False)
class _Survey:
    """What was found in a folder.

    Attributes:
        scene: the folder.
        contents: the contents of its files.
        names: the name repairs.
        annotations: annotations of all pictures, in their order, joined under the repaired names.
        alike: the readable pictures, and the near duplicates among them.
        leaving: the files to set aside.
        renames: the repairs of names of files that stay.
    """

    scene: Scene
    contents: Contents
    names: Names
    annotations: Annotations
    alike: Resemblance
    leaving: _Leaving
    renames: tuple[Rename, ...]


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
        survey = _survey(scene, policy, set_aside, crew, progress, cache or Cache(None))
    moves = tuple(_moves(survey))
    return Decision(moves, _report(survey), _sample(survey, moves))


def _survey(
    scene: Scene,
    policy: CleanPolicy,
    set_aside: Sequence[str],
    crew: Crew,
    progress: Progress,
    cache: Cache,
) -> _Survey:
    files = scene.listing.pictures
    root = scene.listing.root
    protected = policy.protected(root, [file.name for file in files])
    contents = read_contents(root, files, looks=policy.near, crew=crew, cache=cache, progress=progress)
    signatures = contents.signatures
    earlier = [name for name in set_aside if name not in signatures]
    names = _names(scene, signatures, earlier, repair=policy.repair_names)
    pictures, annotations = _pictures(scene, signatures, names, protected)
    alike = find_resemblance(
        root, pictures, contents, mirrored=policy.mirrored, crew=crew, cache=cache, progress=progress
    )
    leaving = _leaving(scene, signatures, protected, find_duplicates(alike.pictures, alike.links))
    gone = leaving.names()
    renames = tuple(rename for rename in names.renames if rename.old not in gone)
    return _Survey(scene, contents, names, annotations, alike, leaving, renames)


def _report(found: _Survey) -> CleanReport:
    scene = found.scene
    names = found.names
    alike = found.alike
    leaving = found.leaving
    gone = leaving.names()
    aside = _set_aside(leaving)
    original = len(scene.listing.pictures)
    links = _link_note(hard_links(alike.pictures))
    return CleanReport(
        folder=scene.folder,
        run=None,
        dry_run=False,
        original=original,
        cleaned=original - len(aside),
        renames=found.renames,
        set_aside=aside,
        unclear=tuple(entry for entry in names.unclear if entry.name not in gone),
        conflicts=tuple(_conflicts(found)),
        left=tuple(sorted([*scene.listing.skipped, *leaving.staying])),
        rows_without_file=_rows_without_file(found, gone),
        proposals=tuple(_proposals(found)),
        notes=scene.notes
        + names.notes
        + tuple(_lost_rows(scene, found.renames))
        + _profile_notes(found.contents.signatures)
        + scene.listing.link_notes()
        + links
        + alike.near.notes,
        groups=groups_of(leaving.duplicates),
        histogram=alike.near.histogram,
        thresholds=alike.near.thresholds,
        mirrored=look_alikes(alike, gone, "mirrored"),
        bursts=look_alikes(alike, gone, "burst"),
        leaks=leaks_of(leaving.duplicates, alike),
        hashes=found.contents.hashes(),
    )


def _lost_rows(scene: Scene, renames: Sequence[Rename]) -> Iterator[str]:
    """Notes on rows that name a picture by its former name; in a copy, rows follow their pictures."""
    for table, pictures in scene.followed.items() if not scene.copying else ():
        lost = [entry.old for entry in renames if entry.old in pictures and not same_stem(entry.old, entry.new)]
        if lost:
            rows = counted(len(lost), "row names its picture", "rows name their pictures")
            yield f"{table}: {rows} by the name before the repair ({some(lost)}); write the table again after cleaning"


def _profile_notes(signatures: Mapping[str, Signature]) -> tuple[str, ...]:
    """Notes on pictures whose ICC profile does not change their colours, though it is not sRGB."""
    odd: dict[str, list[str]] = {}
    for name, signature in signatures.items():
        if signature.profile:
            odd.setdefault(signature.profile, []).append(name)
    have = "picture has", "pictures have"
    return tuple(
        f"{counted(len(names), *have)} an ICC profile that is {fault} and ignored ({some(names)})"
        for fault, names in sorted(odd.items())
    )


def _sample(found: _Survey, moves: Sequence[Move]) -> tuple[File, ...]:
    """Some of the files that keep their names, with their digests."""
    leaving = {move.source.name for move in moves}
    staying = [file for file in found.scene.listing.pictures if file.name not in leaving]
    sample = staying[:: max(1, len(staying) // _KNOWN)]
    return tuple(_with_digest(file, found.contents.signatures) for file in sample)


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
    repairs: Names,
    protected: frozenset[str],
) -> tuple[list[Picture], Annotations]:
    """The readable pictures under their repaired names, and the annotations of all pictures in listing order."""
    files = scene.listing.pictures
    new = {rename.old: rename.new for rename in repairs.renames}
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
            known=plain[i] in repairs.known,
        )
        for i, (file, name, key) in enumerate(zip(files, names, keys, strict=True))
        if not signatures[file.name].problem
    ]
    return pictures, annotations


def _leaving(
    scene: Scene, signatures: dict[str, Signature], protected: frozenset[str], duplicates: list[Duplicate]
) -> _Leaving:
    proven, left = _proven(scene, duplicates)
    damaged, more = _damaged(scene, signatures, protected)
    return _Leaving(tuple(proven), tuple(damaged), (*left, *more))


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


def _conflicts(found: _Survey) -> Iterator[Conflict]:
    place = {file.name: i for i, file in enumerate(found.scene.listing.pictures)}
    for duplicate in found.leaving.duplicates:
        copy, keeper = duplicate.copy.file.name, duplicate.keeper.file.name
        says = label_conflict(found.annotations, place[copy], place[keeper])
        classes = copy.split("/", 1)[0], keeper.split("/", 1)[0]
        if found.scene.layout == "classes" and classes[0] != classes[1]:
            says = f"class {classes[0]} and {classes[1]}"
        if says:
            yield Conflict(copy, duplicate.keeper.name, says)


def _proposals(found: _Survey) -> list[Proposal]:
    """The fields on which the members of each group disagree, with the majority value."""
    files = found.scene.listing.pictures
    place = {file.name: i for i, file in enumerate(files)}
    new = {rename.old: rename.new for rename in found.renames}
    groups: dict[int, list[int]] = {}
    for duplicate in found.leaving.duplicates:
        keeper = place[duplicate.keeper.file.name]
        groups.setdefault(keeper, [keeper]).append(place[duplicate.copy.file.name])
    return propose(found.annotations, groups.values(), [new.get(file.name, file.name) for file in files])


def _set_aside(leaving: _Leaving) -> tuple[SetAside, ...]:
    unreadable = [SetAside(file.name, "unreadable", problem) for file, problem in leaving.damaged]
    copies = [SetAside(d.copy.file.name, d.tier, _reason(d), d.keeper.name) for d in leaving.duplicates]
    return (*unreadable, *copies)


def _reason(duplicate: Duplicate) -> str:
    if duplicate.likeness is None:
        return f"has the {duplicate.tier} as {duplicate.keeper.name}"
    evidence = duplicate.likeness.evidence
    what = "is the mirror image of" if duplicate.tier == "mirrored" else "shows the same photo as"
    proof = f"detail agrees to {evidence.detail:.3f}, {duplicate.likeness.distance} of 64 hash bits differ"
    return f"{what} {duplicate.keeper.name} ({proof})"


def _rows_without_file(found: _Survey, gone: frozenset[str]) -> dict[str, int]:
    new = {rename.old: rename.new for rename in found.renames}
    staying = [new.get(file.name, file.name) for file in found.scene.listing.pictures if file.name not in gone]
    present = {last_part(name): k for k, name in enumerate(staying)}
    return {table.path.name: int((match_names(table.names, present)[0] < 0).sum()) for table in found.scene.tables}


def _with_digest(file: File, signatures: dict[str, Signature]) -> File:
    return replace(file, digest=signatures[file.name].content)


def _moves(found: _Survey) -> Iterator[Move]:
    signatures = found.contents.signatures
    for file, problem in found.leaving.damaged:
        yield Move(_with_digest(file, signatures), None, problem)
    for duplicate in found.leaving.duplicates:
        copy, keeper = duplicate.copy.file, duplicate.keeper.file
        yield Move(_with_digest(copy, signatures), None, duplicate.tier, _with_digest(keeper, signatures))
    files = {file.name: file for file in found.scene.listing.pictures}
    for rename in found.renames:
        yield Move(_with_digest(files[rename.old], signatures), rename.new, "repaired name")
