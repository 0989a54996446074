"""Check the faces of a folder: measure every picture in worker processes or from the cache, then judge them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faceaug.clean.cache import Cache
from faceaug.clean.face_limits import Limits, doubts, figures_of, find_faults, find_limits
from faceaug.clean.face_looks import FACE_LOOKS, VERSION, Looks, read_face_look
from faceaug.clean.faults import FaceChecking, FaceChecks, Fault, FaultyPicture, Limit
from faceaug.errors import counted, some
from faceaug.executor import Crew
from faceaug.faces.weights import PINNED
from faceaug.progress import SILENT, Progress

_OWNER = f"faces {VERSION}, {FACE_LOOKS.itemsize}, {', '.join(digest[:8] for digest in PINNED.values())}"
_COST = 20  # finding faces takes as long as reading so many small pictures
# What was measured, and the form of its number.
_WORDS: dict[Fault, tuple[str, str]] = {
    "low-information": ("the grey levels hold {} bits", ".1f"),
    "no-face": ("no face was found", ""),
    "upside-down": ("the face is turned by {}\N{DEGREE SIGN}", ".0f"),
    "sideways": ("the face is turned by {}\N{DEGREE SIGN}", ".0f"),
    "tiny": ("the eyes are {} pixels apart", ".1f"),
    "cut-off": ("{} of the face lies outside the picture", ".0%"),
    "blurred": ("fine detail {}", ".2f"),
    "dark": ("the bright parts have grey level {} of 255", ".0f"),
    "bright": ("{} of it is white", ".0%"),
    "washed-out": ("{} grey levels between dark and bright parts", ".0f"),
    "odd-size": ("{width}x{height} pixels", ""),
    "odd-shape": ("{width}x{height} pixels", ""),
}
_FIXED: tuple[Fault, ...] = ("upside-down", "sideways")  # what is expected goes without saying
_BATCH = 200  # looks per write; after a kill, at most this many are measured again


@dataclass(frozen=True, slots=True)
class CheckedFaces:
    """The checks of a folder and what a user should know about them.

    Attributes:
        checks: what was found; pictures under the names they were given.
        notes: remarks, a line each.
    """

    checks: FaceChecks
    notes: tuple[str, ...] = ()


def check_faces(
    root: Path,
    contents: Mapping[str, str],
    checking: FaceChecking,
    *,
    crew: Crew,
    cache: Cache,
    progress: Progress = SILENT,
) -> CheckedFaces:
    """Check the faces of pictures.

    Args:
        root: the folder.
        contents: name of each picture -> digest of its bytes.
        checking: what the user asked for.
        crew: gives executors, see ``open_crew``.
        cache: looks of earlier runs, by digest; new ones are added.
        progress: counts the pictures.
    """
    looks = _measure(root, contents, crew, cache, progress)
    names = [name for name in contents if looks[name]]
    table = np.frombuffer(b"".join(looks[name] for name in names), FACE_LOOKS)
    limits, calibrated = find_limits(table)
    unread = [name for name in contents if not looks[name]]
    note = f"{counted(len(unread), 'picture')} changed before the checks of faces ({some(unread)})"
    checks = FaceChecks(
        pictures=len(names),
        faces=int((table["faces"] > 0).sum()),
        calibrated=calibrated,
        limits=tuple(limits.values()),
        faulty=tuple(_judge(names, table, limits)),
        set_aside=checking.set_aside,
    )
    return CheckedFaces(checks, (note,) if unread else ())


def choose_faulty(
    checks: FaceChecks, *, protected: Collection[str], required: Iterable[str]
) -> tuple[dict[str, FaultyPicture], tuple[tuple[str, str], ...]]:
    """Choose the pictures to set aside.

    Args:
        checks: what was found, and for which faults pictures leave.
        protected: pictures that are never set aside.
        required: pictures that the metadata names.

    Returns:
        Name -> picture with only the faults for which it leaves; (name, reason) of those that stay in spite of one.
    """
    found = {one.name: one for one in (picture.only(checks.set_aside) for picture in checks.faulty) if one.faults}
    held = dict.fromkeys(required, "it stays because the metadata names it") | dict.fromkeys(protected, "protected")
    staying = tuple((name, f"{one.reason}; {held[name]}") for name, one in found.items() if name in held)
    return {name: one for name, one in found.items() if name not in held}, staying


def _measure(root: Path, contents: Mapping[str, str], crew: Crew, cache: Cache, progress: Progress) -> dict[str, bytes]:
    """The look of every picture, in the order given; empty if it cannot be read."""
    known = {digest: look for digest, look in cache.arrays(_OWNER).items() if len(look) == FACE_LOOKS.itemsize}
    missing: dict[str, str] = {}
    for name, digest in contents.items():
        if digest not in known:
            missing.setdefault(digest, name)
    results = crew(_COST * len(missing)).map(read_face_look, (f"{root}/{name}" for name in missing.values()))
    total = len(set(contents.values()))
    waiting: dict[str, bytes] = {}
    unread: set[str] = set()
    with progress.phase("finding faces", total, "pictures", start=total - len(missing)) as phase:
        for digest, (read, look) in phase.over(zip(missing, results, strict=True)):
            if read != digest:  # gone or changed since it was listed; its look must not be kept under this digest
                unread.add(digest)
                continue
            known[digest] = waiting[digest] = look
            if len(waiting) >= _BATCH:
                cache.set_arrays(_OWNER, waiting)
                waiting = {}
    cache.set_arrays(_OWNER, waiting)
    return {name: b"" if digest in unread else known[digest] for name, digest in contents.items()}


def _judge(names: Sequence[str], looks: Looks, limits: Limits) -> Iterable[FaultyPicture]:
    found = find_faults(looks, limits)
    close = doubts(looks, limits)
    for k, name in enumerate(names):
        faults = tuple(fault for fault, which in found.items() if which[k])
        if not faults:
            continue
        figures = figures_of(looks[k])
        why = tuple(_words(fault, looks[k], figures.get(fault, 0.0), limits.get(fault)) for fault in faults)
        doubt = min(float(close[fault][k]) if fault in close else 0.0 for fault in faults)
        yield FaultyPicture(name, faults, why, round(doubt, 4))


def _words(fault: Fault, look: np.void, figure: float, limit: Limit | None) -> str:
    """What was measured, in words."""
    if fault == "several-faces":
        return f"{look['faces']} faces, {look['alike']} of similar size"
    if fault == "blurred" and not look["faces"]:
        return f"the whole picture has no fine detail ({figure:.2f})"
    if fault == "tiny" and not look["faces"]:
        return f"{look['width']}x{look['height']} pixels are too few for a face"
    template, form = _WORDS[fault]
    measured = template.format(f"{figure:{form}}", width=look["width"], height=look["height"])
    if limit is None or not form or fault in _FIXED:
        return measured
    word, border = ("least", limit.least) if limit.least is not None else ("most", limit.most)
    return f"{measured}, at {word} {border:{form}} expected"
