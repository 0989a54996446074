"""What an evaluation found, as data: figures with their names and controls, memorisation, pictures."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from faceaug.data.image import Image8
from faceaug.evaluate.agreement import AttributeCheck
from faceaug.evaluate.copies import CopySearch
from faceaug.evaluate.kernel import KernelDistance

GENERATED, UNSEEN, TRAINING = "generated faces", "unseen real faces", "training faces"


@dataclass(frozen=True, slots=True)
class Figures:
    """One set of faces compared with another.

    Attributes:
        of: which faces: generated ones, or real ones as a control.
        n: how many.
        against: which reference.
        reference_n: how many.
        control: whether both are real: what the figure of a perfect generator would be about.
        frechet: Frechet distance; 0 is alike.
        kernel: kernel distance; 0 is alike, may be a little below.
        precision: share of the faces that lie among the reference, 0 to 1.
        recall: share of the reference that lies among the faces, 0 to 1.
        density: how deep among the reference the faces lie; 1 for faces of the same kind.
        coverage: share of the reference that has one of the faces near, 0 to 1.
    """

    of: str
    n: int
    against: str
    reference_n: int
    control: bool
    frechet: float
    kernel: KernelDistance
    precision: float
    recall: float
    density: float
    coverage: float


@dataclass(frozen=True, slots=True)
class Subject:
    """What was evaluated, and by what.

    Attributes:
        model: name.
        sha256: of its weights.
        seed: of its faces, and of what was drawn here.
        n: generated faces.
        size: height and width of a face, pixels.
        crop: how the real pictures were cut.
        folder: where they lie.
        partition: the rows the model may have learnt from.
        against: the rows it has not seen; "" if there are none.
        extractor: name and input size.
        dimension: of its features.
        frechet_name: what the Frechet distance is called on them.
        kernel_name: what the kernel distance is called on them.
    """

    model: str
    sha256: str
    seed: int
    n: int
    size: int
    crop: str
    folder: str
    partition: str
    against: str
    extractor: str
    dimension: int
    frechet_name: str
    kernel_name: str

    def figure(self, figures: Figures) -> str:
        """The name of a figure: nothing that changes its value is left out."""
        return (
            f"{self.extractor}, crop {self.crop}, {self.size} px, {figures.n} {figures.of} against "
            f"{figures.reference_n} {figures.against}"
        )


@dataclass(frozen=True, slots=True)
class Memorisation:
    """Whether generated faces are nearer to the training faces than new faces are.

    Distances are those between features. Where there are no unseen faces, their numbers are None.

    Attributes:
        distance: median distance of a generated face to its nearest training face.
        unseen_distance: the same of unseen real faces, the control.
        closer: share of the generated faces that are closer to a training face than all but 1 % of the unseen faces
            are: 0.01 is expected of new faces.
        authenticity: share of the generated faces that are farther from their nearest training face than that one is
            from its own nearest (Alaa et al. 2022, "How faithful is your synthetic data?").
        unseen_authenticity: the same of unseen real faces, the control.
        search: for copies.
        copies: (number of the generated face, name of the training picture, mirrored).
    """

    distance: float
    unseen_distance: float | None
    closer: float | None
    authenticity: float
    unseen_authenticity: float | None
    search: CopySearch
    copies: tuple[tuple[int, str, bool], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """What the page shows.

    Attributes:
        random: up to 100 generated faces, drawn, not chosen.
        worst: the 16 with the lowest realism, the lowest first.
        closest: (generated face, its nearest training face, distance), the closest first.
        unseen_closest: the same of unseen real faces.
        copies: (generated face, the training face it copies), at most 16.
        distances: of all generated faces to their nearest training face.
        unseen_distances: of unseen real faces; empty if there are none.
    """

    random: tuple[Image8, ...]
    worst: tuple[Image8, ...]
    closest: tuple[tuple[Image8, Image8, float], ...]
    unseen_closest: tuple[tuple[Image8, Image8, float], ...]
    copies: tuple[tuple[Image8, Image8], ...]
    distances: NDArray[np.float64]
    unseen_distances: NDArray[np.float64]


@dataclass(frozen=True, slots=True, repr=False)
class Findings:
    """What ``evaluate_source`` found.

    Attributes:
        subject: what was evaluated, and by what.
        figures: generated faces first, then their controls; against the training faces, then against the unseen. Empty
            where only memorisation was looked at.
        memorisation: see there.
        attributes: what the bundled classifier sees, and whether the model does as it is asked; None where only
            memorisation was looked at.
        notes: what to keep in mind when reading the figures.
        unreadable: a line for each picture that was left out.
        pictures: what the page shows; it holds real faces.
    """

    subject: Subject
    figures: tuple[Figures, ...]
    memorisation: Memorisation
    notes: tuple[str, ...]
    unreadable: tuple[str, ...]
    pictures: Pictures = field(repr=False, compare=False)
    attributes: AttributeCheck | None = None

    def heading(self) -> tuple[str, ...]:
        """The head of the table of figures."""
        s = self.subject
        ends = ("precision", "recall", "density", "coverage")
        return ("faces", "against", s.frechet_name, f"{s.kernel_name} x 1000", *ends)

    def cells(self, f: Figures) -> tuple[str, ...]:
        """A row of the table of figures."""
        kernel = f"{1000 * f.kernel.mean:.2f} +- {1000 * f.kernel.std:.2f}"
        shares = (f"{value:.3f}" for value in (f.precision, f.recall, f.density, f.coverage))
        return (
            f"{'control: ' * f.control}{f.n:,} {f.of}",
            f"{f.reference_n:,} {f.against}",
            f"{f.frechet:.2f}",
            kernel,
            *shares,
        )

    def memorisation_lines(self) -> list[str]:
        """What was found about copies, as sentences."""
        m, control = self.memorisation, self.memorisation.unseen_distance is not None
        beside = f" (unseen real faces: {m.unseen_distance:.3f})" if control else ""
        also = f" (unseen real faces: {m.unseen_authenticity:.1%})" if control else ""
        lines = [
            f"median distance to the nearest training face: {m.distance:.3f}{beside}",
            f"authenticity: {m.authenticity:.1%}{also}",
        ]
        if m.closer is not None:
            lines.append(f"closer to a training face than 99 % of the unseen faces are: {m.closer:.1%} (expected: 1 %)")
        among = f"; of unseen real faces: {m.search.unseen_copies}" if control else ""
        lines.append(
            f"copies of training faces: {len(m.copies)} of {self.subject.n:,}{among} "
            f"({m.search.candidates:,} pairs look alike at a glance, {m.search.compared:,} compared pixel by pixel)"
        )
        return lines
