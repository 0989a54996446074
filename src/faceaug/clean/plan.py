"""From a survey to a plan: the moves and the report. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from faceaug.clean.against import NONE, read_references
from faceaug.clean.cache import Cache
from faceaug.clean.conflicts import Proposal, propose
from faceaug.clean.decided import must_stay, obey
from faceaug.clean.decisions import Decisions
from faceaug.clean.duplicates import Duplicate, hard_links, label_conflict
from faceaug.clean.faults import FaceChecking
from faceaug.clean.lost import surviving
from faceaug.clean.names import Rename
from faceaug.clean.policy import CleanPolicy
from faceaug.clean.report import CleanReport, Conflict, SetAside
from faceaug.clean.resemble import groups_of, leaks_of, look_alikes
from faceaug.clean.scene import Scene
from faceaug.clean.signatures import Signature
from faceaug.clean.survey import Leaving, Survey, survey, with_faces
from faceaug.clean.tables import same_stem
from faceaug.data.annotations import match_names
from faceaug.data.people import people_in_partitions, shared_people_note
from faceaug.errors import counted, some
from faceaug.executor import Executor, notes_of, open_crew
from faceaug.progress import SILENT, Progress
from faceaug.storage.moves import History, Move
from faceaug.storage.walk import File, last_part

_SHOWS = {
    "mirrored": "is the mirror image of",
    "overlay": "shows, but for something laid over it, the same photo as",
    "same photo": "shows the same photo as",
}
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


def decide(
    scene: Scene,
    policy: CleanPolicy,
    *,
    history: History,
    workers: int | None,
    progress: Progress = SILENT,
    cache: Cache | None = None,
    against: Sequence[Path] = (),
    index: Path | None = None,
    keep_index: bool = False,
    checking: FaceChecking | None = None,
    decisions: Decisions | None = None,
    executor: Executor | None = None,
) -> Decision:
    """Decide the moves. The result depends neither on the order of files nor on the number of workers.

    Args:
        scene: the folder.
        policy: the user's choices.
        history: earlier runs; the numbers of files that they set aside stay reserved.
        workers: see ``open_crew``.
        progress: reports the phases.
        cache: signatures and comparisons of earlier runs.
        against: reference folders, see ``check_references``.
        index: see ``read_references``.
        keep_index: likewise.
        checking: what is done about the faces of the pictures that stay; None does not look at them.
        decisions: what a person decided about the groups; None for the proposals.
        executor: see ``open_crew``; its notes go into the report.

    Raises:
        RefusedError: the decisions do not fit.
    """
    cache = cache or Cache(None)
    earlier = len(notes_of(executor))
    with open_crew(workers, executor=executor) as opened:
        crew = opened if executor is None else surviving(opened, faces=checking is not None)
        known = NONE
        if against:
            known = read_references(
                against, root=scene.listing.root, index=index, keep=keep_index, crew=crew, progress=progress
            )
        found = survey(scene, policy, history.set_aside(), known, crew, progress, cache)
        if checking is not None:
            found = with_faces(found, policy, checking, crew, progress, cache)
    if decisions is not None:
        found = obey(found, decisions, history)
    moves = tuple(_moves(found))
    report = _report(found)
    report = replace(report, notes=report.notes + notes_of(executor, earlier), decided=decisions)
    return Decision(moves, report, _sample(found, moves))


def _report(found: Survey) -> CleanReport:
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
        notes=found.references.notes
        + scene.notes
        + names.notes
        + tuple(_lost_rows(scene, found.renames))
        + _profile_notes(found.contents.signatures)
        + scene.listing.link_notes()
        + links
        + _people_note(found, gone)
        + alike.near.notes
        + found.notes,
        groups=groups_of(leaving.duplicates, partial(must_stay, scene)),
        histogram=alike.near.histogram,
        thresholds=alike.near.thresholds,
        mirrored=look_alikes(alike, gone, "mirrored"),
        bursts=look_alikes(alike, gone, "burst"),
        partial=look_alikes(alike, gone, "overlay") + look_alikes(alike, gone, "crop"),
        leaks=leaks_of(leaving.duplicates, alike),
        hashes=found.contents.hashes(scene.listing.root),
        checks=found.checks,
    )


def _lost_rows(scene: Scene, renames: Sequence[Rename]) -> Iterator[str]:
    """Notes on rows that name a picture by its former name; in a copy, rows follow their pictures."""
    for table, pictures in scene.followed.items() if not scene.copying else ():
        lost = [entry.old for entry in renames if entry.old in pictures and not same_stem(entry.old, entry.new)]
        if lost:
            rows = counted(len(lost), "row names its picture", "rows name their pictures")
            yield f"{table}: {rows} by the name before the repair ({some(lost)}); write the table again after cleaning"


def _people_note(found: Survey, gone: frozenset[str]) -> tuple[str, ...]:
    """A note on people with pictures in two partitions, of those that stay."""
    staying = np.array([file.name not in gone for file in found.scene.listing.pictures])
    return shared_people_note(people_in_partitions(found.annotations, found.scene.identities, staying=staying))


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


def _sample(found: Survey, moves: Sequence[Move]) -> tuple[File, ...]:
    """Some of the files that keep their names, with their digests."""
    leaving = {move.source.name for move in moves}
    staying = [file for file in found.scene.listing.pictures if file.name not in leaving]
    sample = staying[:: max(1, len(staying) // _KNOWN)]
    return tuple(_with_digest(file, found.contents.signatures) for file in sample)


def _link_note(links: int) -> tuple[str, ...]:
    return (f"{links} further names (hard links) of files that are also listed under another name",) if links else ()


def _conflicts(found: Survey) -> Iterator[Conflict]:
    place = {file.name: i for i, file in enumerate(found.scene.listing.pictures)}
    for duplicate in found.leaving.duplicates:
        if duplicate.keeper.reference:
            continue
        copy, keeper = duplicate.copy.file.name, duplicate.keeper.file.name
        says = label_conflict(found.annotations, place[copy], place[keeper])
        classes = copy.split("/", 1)[0], keeper.split("/", 1)[0]
        if found.scene.layout == "classes" and classes[0] != classes[1]:
            says = f"class {classes[0]} and {classes[1]}"
        if says:
            yield Conflict(copy, duplicate.keeper.name, says)


def _proposals(found: Survey) -> list[Proposal]:
    """The fields on which the members of each group disagree, with the majority value."""
    files = found.scene.listing.pictures
    place = {file.name: i for i, file in enumerate(files)}
    new = {rename.old: rename.new for rename in found.renames}
    groups: dict[int, list[int]] = {}
    for duplicate in found.leaving.duplicates:
        if duplicate.keeper.reference:
            continue
        keeper = place[duplicate.keeper.file.name]
        groups.setdefault(keeper, [keeper]).append(place[duplicate.copy.file.name])
    return propose(found.annotations, groups.values(), [new.get(file.name, file.name) for file in files])


def _set_aside(leaving: Leaving) -> tuple[SetAside, ...]:
    unreadable = [SetAside(file.name, "unreadable", problem) for file, problem in leaving.damaged]
    copies = [SetAside(d.copy.file.name, d.tier, _reason(d), d.keeper.name) for d in leaving.duplicates]
    faulty = [SetAside(file.name, picture.faults[0], picture.reason) for file, picture in leaving.faulty]
    return (*unreadable, *copies, *faulty)


def _reason(duplicate: Duplicate) -> str:
    if duplicate.chosen is not None:
        return f"is in the group of {duplicate.keeper.name}, which you chose to stay"
    if duplicate.likeness is None:
        return f"has the {duplicate.tier} as {duplicate.keeper.name}"
    evidence = duplicate.likeness.evidence
    what = _SHOWS[duplicate.tier]
    proof = f"detail agrees to {evidence.detail:.3f}, {duplicate.likeness.distance} of 64 hash bits differ"
    return f"{what} {duplicate.keeper.name} ({proof})"


def _rows_without_file(found: Survey, gone: frozenset[str]) -> dict[str, int]:
    new = {rename.old: rename.new for rename in found.renames}
    staying = [new.get(file.name, file.name) for file in found.scene.listing.pictures if file.name not in gone]
    present = {last_part(name): k for k, name in enumerate(staying)}
    return {table.path.name: int((match_names(table.names, present)[0] < 0).sum()) for table in found.scene.tables}


def _with_digest(file: File, signatures: dict[str, Signature]) -> File:
    return replace(file, digest=signatures[file.name].content)


def _moves(found: Survey) -> Iterator[Move]:
    signatures = found.contents.signatures
    faulty = {file.name for file, _ in found.leaving.faulty}
    for file, problem in found.leaving.damaged:
        yield Move(_with_digest(file, signatures), None, problem)
    for duplicate in found.leaving.duplicates:
        copy, keeper = _with_digest(duplicate.copy.file, signatures), duplicate.keeper
        # A keeper that is itself set aside for a fault need not be there any more.
        kept = None if keeper.file.name in faulty else replace(keeper.file, digest=keeper.signature.content)
        yield Move(copy, None, duplicate.tier, kept)
    for file, picture in found.leaving.faulty:
        yield Move(_with_digest(file, signatures), None, picture.faults[0])
    files = {file.name: file for file in found.scene.listing.pictures}
    for rename in found.renames:
        yield Move(_with_digest(files[rename.old], signatures), rename.new, "repaired name")
