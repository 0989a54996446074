"""From a scene to a survey: what is in a folder, and which of its pictures should leave. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from faceaug.clean.against import NONE, References
from faceaug.clean.cache import Cache
from faceaug.clean.duplicates import Duplicate, Picture, find_duplicates
from faceaug.clean.evidence import Names, find_names
from faceaug.clean.faults import FaceChecking, FaceChecks, FaultyPicture
from faceaug.clean.names import Rename
from faceaug.clean.policy import CleanPolicy
from faceaug.clean.reading import Contents, read_contents
from faceaug.clean.resemble import Resemblance, find_resemblance
from faceaug.clean.scene import Scene
from faceaug.clean.settling import settle
from faceaug.clean.signatures import Signature, is_damaged, same_content
from faceaug.data.annotations import Annotations, unknown
from faceaug.data.folder import table_names
from faceaug.data.layouts.celeba import join_editions
from faceaug.errors import printable
from faceaug.executor import Crew
from faceaug.progress import Progress
from faceaug.storage.walk import File


@dataclass(frozen=True, slots=True, eq=False)
class Leaving:
    """The files to set aside, and the files that stay in spite of a fault.

    Attributes:
        duplicates: the duplicates to set aside.
        damaged: (file, problem) of the damaged files to set aside.
        staying: (name, reason) of faulty files that stay.
        faulty: pictures to set aside for faults of their faces, each with these faults only.
    """

    duplicates: tuple[Duplicate, ...]
    damaged: tuple[tuple[File, str], ...]
    staying: tuple[tuple[str, str], ...]
    faulty: tuple[tuple[File, FaultyPicture], ...] = ()

    def names(self) -> frozenset[str]:
        """Names of the files to set aside."""
        copies = {duplicate.copy.file.name for duplicate in self.duplicates}
        return frozenset(copies | {file.name for file, _ in (*self.damaged, *self.faulty)})


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """What was found in a folder.

    Attributes:
        scene: the folder.
        contents: the contents of its files.
        names: the name repairs.
        annotations: annotations of all pictures, in their order, joined under the repaired names.
        alike: the readable pictures, and the near duplicates among them.
        leaving: the files to set aside.
        renames: the repairs of names of files that stay.
        references: the pictures of other folders that they were compared with.
        checks: what the checks of faces found; None if nobody asked for them.
        notes: remarks of these checks.
    """

    scene: Scene
    contents: Contents
    names: Names
    annotations: Annotations
    alike: Resemblance
    leaving: Leaving
    renames: tuple[Rename, ...]
    references: References = NONE
    checks: FaceChecks | None = None
    notes: tuple[str, ...] = ()


def survey(
    scene: Scene,
    policy: CleanPolicy,
    set_aside: Sequence[str],
    references: References,
    crew: Crew,
    progress: Progress,
    cache: Cache,
) -> Survey:
    """Read a folder and find what should leave.

    Args:
        scene: the folder.
        policy: the user's choices.
        set_aside: see ``decide``.
        references: pictures of other folders to compare with.
        crew: gives executors, see ``open_crew``.
        progress: reports the phases.
        cache: signatures and comparisons of earlier runs.
    """
    files = scene.listing.pictures
    root = scene.listing.root
    protected = policy.protected(root, [file.name for file in files])
    looks = policy.near or bool(references.pictures)  # references have looks, and may have no digests of pixels
    contents = read_contents(root, files, looks=looks, crew=crew, cache=cache, progress=progress)
    if looks:
        contents, references = settle(root, files, contents, references, crew, cache, progress)
    if not policy.near:
        contents = replace(contents, looks=contents.looks[:0])
    signatures = contents.signatures
    earlier = [name for name in set_aside if name not in signatures]
    names = _names(scene, signatures, earlier, repair=policy.repair_names)
    pictures, annotations = _pictures(scene, signatures, names, protected)
    alike = find_resemblance(
        root,
        [*pictures, *references.pictures],
        references.joined_to(contents),
        mirrored=policy.mirrored,
        crew=crew,
        cache=cache,
        progress=progress,
    )
    leaving = _leaving(scene, signatures, protected, find_duplicates(alike.pictures, alike.links))
    gone = leaving.names()
    renames = tuple(rename for rename in names.renames if rename.old not in gone)
    return Survey(scene, contents, names, annotations, alike, leaving, renames, references)


def with_faces(
    found: Survey, policy: CleanPolicy, checking: FaceChecking, crew: Crew, progress: Progress, cache: Cache
) -> Survey:
    """The survey with the checks of the faces in the pictures that would stay.

    A picture with a fault is no reason for another one to leave, unless their pixels are the same.
    """
    from faceaug.clean.face_checks import check_faces, choose_faulty  # the finder is loaded only on request

    scene, signatures, leaving = found.scene, found.contents.signatures, found.leaving
    protected = policy.protected(scene.listing.root, [file.name for file in scene.listing.pictures])
    passed_over: set[str] = set()
    while True:
        gone = leaving.names()
        contents = {name: one.content for name, one in signatures.items() if one.pixels and name not in gone}
        checked = check_faces(scene.listing.root, contents, checking, crew=crew, cache=cache, progress=progress)
        chosen, held = choose_faulty(checked.checks, protected=protected, required=filter(scene.must_stay, contents))
        kept_for = {d.keeper.file.name for d in leaving.duplicates if d.likeness is not None}
        more = (kept_for & chosen.keys()) - passed_over
        if not more:
            break
        passed_over |= more
        left = [p for p in found.alike.pictures if p.reference or p.file.name not in passed_over]
        leaving = _leaving(scene, signatures, protected, find_duplicates(left, found.alike.links))
    files = {file.name: file for file in scene.listing.pictures}
    leaving = replace(
        leaving,
        duplicates=tuple(d.without_repair() if d.keeper.file.name in chosen else d for d in leaving.duplicates),
        staying=(*leaving.staying, *held),
        faulty=tuple((files[name], picture) for name, picture in chosen.items()),
    )
    renames = tuple(one for one in found.names.renames if one.old not in gone and one.old not in chosen)
    checks = checked.checks.renamed({rename.old: rename.new for rename in renames})
    return replace(found, leaving=leaving, renames=renames, checks=checks, notes=checked.notes)


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
        if scene.partition is not None:
            annotations = replace(annotations, partition=scene.partition)
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
) -> Leaving:
    proven, left = _proven(scene, duplicates)
    damaged, more = _damaged(scene, signatures, protected)
    return Leaving(tuple(proven), tuple(damaged), (*left, *more))


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
