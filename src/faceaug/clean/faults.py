"""Faults of pictures of faces: their names, what each means, and what a folder's checks found. Data only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

from faceaug.errors import ArgumentError, printable

# A picture that is set aside for several of them counts under the first.
Fault: TypeAlias = Literal[
    "low-information",
    "no-face",
    "several-faces",
    "upside-down",
    "sideways",
    "tiny",
    "cut-off",
    "blurred",
    "dark",
    "bright",
    "washed-out",
    "odd-size",
    "odd-shape",
]
FAULTS: tuple[Fault, ...] = get_args(Fault)
MEANING: dict[Fault, str] = {
    "low-information": "hardly anything to see: blank, or nearly one colour",
    "no-face": "no face was found",
    "several-faces": "another face, at least half as large as the largest",
    "upside-down": "the face stands on its head",
    "sideways": "the face lies on its side",
    "tiny": "the face has too few pixels",
    "cut-off": "part of the face lies outside the picture",
    "blurred": "the face has no fine detail for its size",
    "dark": "underexposed: even the bright parts of the face are dark",
    "bright": "overexposed: large parts of the face are white",
    "washed-out": "low contrast: neither dark nor bright parts in the face",
    "odd-size": "much larger or smaller than the other pictures",
    "odd-shape": "much wider or narrower than the other pictures",
}


@dataclass(frozen=True, slots=True)
class FaceChecking:
    """That faces are checked, and what is done about it.

    Attributes:
        set_aside: faults for which pictures are set aside; all others are only reported.
    """

    set_aside: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class FaultyPicture:
    """A picture with faults.

    Attributes:
        name: path below the folder: the former one if it was set aside, otherwise after name repair.
        faults: its faults, in the order of ``FAULTS``.
        why: what was measured, a text for each fault.
        doubt: how close the clearest fault is to its limit, 0 (beyond doubt) to 1.
    """

    name: str
    faults: tuple[Fault, ...]
    why: tuple[str, ...]
    doubt: float = 0.0

    @property
    def reason(self) -> str:
        """The faults with what was measured, as one text."""
        return "; ".join(f"{fault}: {why}" for fault, why in zip(self.faults, self.why, strict=True))

    def only(self, faults: Collection[Fault]) -> FaultyPicture:
        """The same picture with only those of its faults."""
        pairs = [(fault, why) for fault, why in zip(self.faults, self.why, strict=True) if fault in faults]
        return replace(self, faults=tuple(fault for fault, _ in pairs), why=tuple(why for _, why in pairs))


@dataclass(frozen=True, slots=True)
class Limit:
    """Where a fault begins.

    Attributes:
        fault: the fault.
        figure: what is measured, in words.
        least: values below it are faulty; None if low values are not.
        most: values above it are faulty; None if high values are not.
        usual: median of the folder's good pictures; None if it played no part.
    """

    fault: Fault
    figure: str
    least: float | None = None
    most: float | None = None
    usual: float | None = None


@dataclass(frozen=True, slots=True)
class FaceChecks:
    """What the checks of a folder's faces found.

    Attributes:
        pictures: number of pictures checked: all that are readable and no duplicates.
        faces: number of those with a face.
        calibrated: whether the limits come from this folder; otherwise it has too few good pictures, and the absolute
            limits apply.
        limits: where each fault begins.
        faulty: the pictures with faults, by name.
        set_aside: the faults for which pictures were to be set aside.
    """

    pictures: int
    faces: int
    calibrated: bool
    limits: tuple[Limit, ...] = ()
    faulty: tuple[FaultyPicture, ...] = ()
    set_aside: tuple[Fault, ...] = ()

    def counts(self) -> dict[Fault, int]:
        """Fault -> number of pictures that have it, without the zeros."""
        found = [fault for picture in self.faulty for fault in picture.faults]
        return {fault: found.count(fault) for fault in FAULTS if fault in found}

    def renamed(self, new: Mapping[str, str]) -> FaceChecks:
        """The same with pictures under other names (old -> new)."""
        return replace(self, faulty=tuple(replace(one, name=new.get(one.name, one.name)) for one in self.faulty))


def read_faults(names: Iterable[str]) -> tuple[Fault, ...]:
    """Faults by name, each once, in the order of ``FAULTS``.

    Raises:
        ArgumentError: there is no such fault, or one string was given instead of several.
    """
    if isinstance(names, str):
        raise ArgumentError(f"set_aside {names!r}: expected a tuple of faults, like ('blurred', 'no-face')")
    wanted = set(names)
    for name in sorted(map(str, wanted - set(FAULTS))):
        raise ArgumentError(f"fault {printable(name)!r}: expected one of {', '.join(sorted(FAULTS))}")
    return tuple(fault for fault in FAULTS if fault in wanted)
