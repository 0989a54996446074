"""The findings of an evaluation as data: figures with their names and controls, memorisation, pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceaug.data.image import Image8
from faceaug.evaluate.agreement import AttributeCheck
from faceaug.evaluate.copies import CopySearch
from faceaug.evaluate.kernel import KernelDistance

GENERATED, UNSEEN, TRAINING = "generated faces", "unseen real faces", "training faces"
RESIZING = "areas averaged down, cubic up"  # of ``faceaug.data.crop``


@dataclass(frozen=True, slots=True)
class Figures:
    """Comparison of one set of faces with a reference set.

    Attributes:
        of: kind of the faces: generated, or real as a control.
        n: number of faces.
        against: kind of the reference faces.
        reference_n: number of reference faces.
        control: whether both sets are real; the figures then show about what a perfect generator would reach.
        frechet: Frechet distance; 0 for equal sets.
        kernel: kernel distance; 0 for equal sets, possibly slightly negative.
        precision: share of the faces that lie among the reference, 0 to 1.
        recall: share of the reference that lies among the faces, 0 to 1.
        density: how densely the reference surrounds the faces; 1 for faces of the same kind.
        coverage: share of the reference faces that have one of the faces nearby, 0 to 1.
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
class FaceNames:
    """What a report calls the three kinds of faces, in the plural.

    Attributes:
        evaluated: the evaluated faces.
        reference: the faces that they are compared with.
        control: further real faces, which show what is reachable.
    """

    evaluated: str = GENERATED
    reference: str = TRAINING
    control: str = UNSEEN

    @property
    def one(self) -> str:
        """One of the reference faces: "training face"."""
        return self.reference.replace("faces", "face", 1)


@dataclass(frozen=True, slots=True)
class Subject:
    """What was evaluated, the real faces and the extractor.

    Attributes:
        model: name of the model, or of the folder of the evaluated faces.
        sha256: SHA-256 of the model's weights; "" for a folder.
        seed: seed of the faces and of the evaluation's draws.
        n: number of evaluated faces.
        size: height and width of a face, pixels.
        crop: crop of the real pictures.
        folder: folder of the real pictures.
        partition: rows the model may have been trained on.
        against: unseen rows; "" if there are none.
        extractor: name and input size of the extractor.
        dimension: number of features.
        frechet_name: name of the Frechet distance on these features.
        kernel_name: name of the kernel distance on these features.
        extractor_resizing: how faces get the size of the extractor's input; "" if they keep theirs.
        constant: number of features that are the same for all faces.
        source: folder of the evaluated faces; "" for a model.
        names: what the kinds of faces are called.
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
    extractor_resizing: str = ""
    constant: int = 0
    source: str = ""
    names: FaceNames = FaceNames()

    def figure(self, figures: Figures) -> str:
        """Name of a figure, including everything that changes its value: extractor, resizing, numbers, reference."""
        extractor = f"{self.extractor} ({self.extractor_resizing})" if self.extractor_resizing else self.extractor
        rows = self.against if figures.against == self.names.control else self.partition
        return (
            f"{extractor}, crop {self.crop}, {self.size} px ({RESIZING}), {figures.n} {figures.of} against "
            f"{figures.reference_n} {figures.against} ({Path(self.folder).name}, rows {rows})"
        )


@dataclass(frozen=True, slots=True)
class Memorisation:
    """Whether generated faces are closer to the training faces than new faces are.

    Distances are between features. Values for unseen faces are None if there are none.

    Attributes:
        distance: median distance of a generated face to its nearest training face.
        unseen_distance: the same for unseen real faces, the control.
        closer: share of the generated faces that are closer to a training face than 99 % of the unseen faces are; 0.01
            is expected for new faces.
        authenticity: share of the generated faces that are farther from their nearest training face than that face is
            from its own nearest neighbour (Alaa et al. 2022, "How faithful is your synthetic data?").
        unseen_authenticity: the same for unseen real faces, the control.
        search: result of the search for copies.
        copies: (index of the generated face, name of the training picture, mirrored).
        files: name of the picture that is a copy, for each of ``copies``; empty if the faces were generated.
    """

    distance: float
    unseen_distance: float | None
    closer: float | None
    authenticity: float
    unseen_authenticity: float | None
    search: CopySearch
    copies: tuple[tuple[int, str, bool], ...]
    files: tuple[str, ...] = ()

    def named_copies(self) -> list[tuple[str, str, bool]]:
        """The copies as (name of the face, name of the reference picture, mirrored)."""
        names = self.files or tuple(f"face {k}" for k, _, _ in self.copies)
        return [(name, other, mirrored) for name, (_, other, mirrored) in zip(names, self.copies, strict=True)]


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """The pictures and distances on the page.

    Attributes:
        random: up to 100 randomly drawn generated faces.
        worst: the 16 faces with the lowest realism, the lowest first.
        closest: (generated face, its nearest training face, distance), the closest first.
        unseen_closest: the same for unseen real faces.
        copies: (generated face, the training face it copies), at most 16.
        distances: distances of all generated faces to their nearest training face.
        unseen_distances: the same for unseen real faces; empty if there are none.
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
    """The findings of ``evaluate_source``.

    Attributes:
        subject: the evaluated model, the real faces and the extractor.
        figures: generated faces first, then their controls; against the training faces, then against the unseen. Empty
            if only memorisation was tested.
        memorisation: see ``Memorisation``.
        attributes: attributes seen by the bundled classifier, and agreement with requests; None if only memorisation
            was tested.
        notes: remarks on the figures.
        unreadable: a line for each unreadable picture.
        pictures: pictures on the page, which include real faces.
    """

    subject: Subject
    figures: tuple[Figures, ...]
    memorisation: Memorisation
    notes: tuple[str, ...]
    unreadable: tuple[str, ...]
    pictures: Pictures = field(repr=False, compare=False)
    attributes: AttributeCheck | None = None

    def heading(self) -> tuple[str, ...]:
        """Header of the table of figures."""
        s = self.subject
        ends = ("precision", "recall", "density", "coverage")
        return ("faces", "against", s.frechet_name, f"{s.kernel_name} x 1000", *ends)

    def cells(self, f: Figures) -> tuple[str, ...]:
        """Row of the table of figures."""
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
        """The findings on memorisation, as sentences."""
        m = self.memorisation
        names = self.subject.names
        control = m.unseen_distance is not None
        unseen_distance = f" ({names.control}: {m.unseen_distance:.3f})" if control else ""
        unseen_authenticity = f" ({names.control}: {m.unseen_authenticity:.1%})" if control else ""
        lines = [
            f"median distance to the nearest {names.one}: {m.distance:.3f}{unseen_distance}",
            f"authenticity: {m.authenticity:.1%}{unseen_authenticity}",
        ]
        if m.closer is not None:
            lines.append(
                f"closer to a {names.one} than 99 % of the {names.control} are: {m.closer:.1%} (expected: 1 %)"
            )
        among = f"; of {names.control}: {m.search.unseen_copies}" if control else ""
        lines.append(
            f"copies of {names.reference}: {len(m.copies)} of {self.subject.n:,}{among} "
            f"({m.search.candidates:,} candidate pairs by hash, {m.search.compared:,} compared pixel by pixel)"
        )
        return lines
