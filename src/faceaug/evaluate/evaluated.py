"""The faces that an evaluation judges: those of a generator, or the pictures of a folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from faceaug.data.annotations import ALL, ORIGINS
from faceaug.data.crop import Crop, crop_box
from faceaug.data.folder import FaceFolder
from faceaug.data.image import picture_size
from faceaug.draws import permutation
from faceaug.errors import ArgumentError, ImageError, RefusedError, printable
from faceaug.evaluate.findings import FaceNames
from faceaug.evaluate.options import LEAST_FACES, EvaluationOptions
from faceaug.evaluate.real import Pixels, RealRows
from faceaug.progress import Progress
from faceaug.synthesize import SyntheticFaceSource
from faceaug.synthesize.render import BLOCK
from faceaug.synthesize.weights import default_model, find_model
from faceaug.train.faces import load_faces

Source: TypeAlias = SyntheticFaceSource | FaceFolder | str | Path | None
_MEASURED = 200  # pictures whose sizes are looked up to find the usual one


@dataclass(frozen=True, slots=True, eq=False)
class EvaluatedFaces:
    """The faces to judge, and where they come from.

    Attributes:
        name: name of the model or the folder.
        pixels: uint8 (n, 3, size, size).
        seed: seed of the faces, or of the draw of the pictures.
        source: their generator; None for a folder.
        folder: their folder; None for a generator.
        files: their names in the folder; empty for a generator.
        notes: remarks for the report.
        unreadable: a line for each unreadable picture.
    """

    name: str
    pixels: Pixels
    seed: int
    source: SyntheticFaceSource | None = None
    folder: Path | None = None
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


def open_source(source: Source, options: EvaluationOptions) -> SyntheticFaceSource | FaceFolder:
    """Open what is to be evaluated: a generator, or a folder of pictures where there is no model of that name.

    Raises:
        ArgumentError: it does not exist.
        RefusedError: a folder with neither a model nor pictures.
        WeightsError: the model is damaged.
    """
    if isinstance(source, SyntheticFaceSource | FaceFolder):
        return source
    if source is None or is_model(source):
        return _load_model(default_model() if source is None else source, options)
    if Path(source).exists():
        try:
            return FaceFolder(source)
        except RefusedError as error:
            raise RefusedError(f"{error}; nor is there a model (config.json and model.safetensors)") from error
    try:
        return _load_model(source, options)  # from the hub
    except ArgumentError as error:
        raise ArgumentError(f"{error}; nor is there a folder of pictures of this name") from error


def open_generator(source: Source, options: EvaluationOptions) -> SyntheticFaceSource:
    """Open a generator; see ``open_source``.

    Raises:
        ArgumentError: there is no such model, or it is a folder of pictures.
        WeightsError: the model is damaged.
    """
    opened = open_source(source, options)
    if isinstance(opened, FaceFolder):
        raise ArgumentError(
            f"{printable(opened.root)}: a folder of pictures; usefulness needs a generator, which makes the faces that "
            "it asks for"
        )
    return opened


def _load_model(model: str | Path, options: EvaluationOptions) -> SyntheticFaceSource:
    return SyntheticFaceSource.from_pretrained(
        model, download=options.download, n=options.n, seed=options.seed, device=options.device
    )


def generate_faces(source: SyntheticFaceSource, n: int, progress: Progress) -> EvaluatedFaces:
    """Generate the first ``n`` faces of a source."""
    size = source.config.size
    generated = np.empty((n, 3, size, size), np.uint8)
    with progress.phase("generating", n, "faces") as phase:
        for start in range(0, n, BLOCK):
            block = source.generate(min(BLOCK, n - start), start=start)
            generated[start : start + len(block)] = block.numpy()
            phase.advance(len(block))
    return EvaluatedFaces(source.config.name, generated, source.seed, source=source)


def read_faces(
    folder: FaceFolder, size: int, crop: Crop, options: EvaluationOptions, progress: Progress
) -> EvaluatedFaces:
    """Read at most ``n`` pictures of a folder, drawn at random, cropped and resized to squares of ``size`` pixels.

    Raises:
        RefusedError: too few pictures are readable.
    """
    n = options.n
    rows = np.arange(len(folder))
    notes = []
    if len(rows) > n:
        rows = np.sort(permutation(len(rows), options.seed, slot="evaluate/pictures")[:n])
        notes.append(f"{n:,} of {len(folder):,} pictures of {printable(folder.root)} were used, drawn at random")
    kinds = Counter(folder.annotations.origin[rows].tolist())
    if len(kinds) > 1:
        counts = ", ".join(f"{count:,} {ORIGINS[kind]}" for kind, count in sorted(kinds.items()))
        notes.append(f"the pictures of {printable(folder.root)} are of several origins: {counts}")
    pixels, used, problems = load_faces(folder, crop=crop, size=size, rows=rows, progress=progress)
    if len(pixels) < LEAST_FACES:
        raise RefusedError(
            f"{printable(folder.root)}: {len(pixels)} readable pictures, at least {LEAST_FACES} are needed; choose a "
            "larger folder"
        )
    return EvaluatedFaces(
        printable(folder.root.resolve().name),
        pixels,
        options.seed,
        folder=folder.root,
        files=tuple(printable(folder.names[row]) for row in used.tolist()),
        notes=tuple(notes),
        unreadable=tuple(problems),
    )


def usual_side(folder: FaceFolder, rows: Sequence[int], crop: Crop) -> int:
    """The most frequent side of the pictures' crops, pixels, from the headers of some of them.

    Raises:
        RefusedError: none of them can be read.
    """
    places = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _MEASURED)).astype(int)).tolist()
    found: Counter[int] = Counter()
    for place in places:
        try:
            found[min(crop_box(crop, *picture_size(folder.path(rows[place])))[2:])] += 1
        except ImageError:
            continue
    if not found:
        raise RefusedError(f"{printable(folder.root)}: none of the {len(places)} pictures looked at can be read")
    return found.most_common(1)[0][0]


def shared_pictures(folder: FaceFolder, other: FaceFolder) -> int:
    """The number of pictures of a folder that are also in another one, because one of them lies in the other."""
    roots = [faces.root.resolve() for faces in (folder, other)]
    if not (roots[0].is_relative_to(roots[1]) or roots[1].is_relative_to(roots[0])):
        return 0
    here, there = ({os.path.realpath(faces.path(k)) for k in range(len(faces))} for faces in (folder, other))
    return len(here & there)


def folder_names(folder: FaceFolder, other: FaceFolder, rows: RealRows) -> FaceNames:
    """What the faces of two folders are called: by the names of the folders, or their paths if the names are equal."""
    one, two = (printable(faces.root.resolve().name) for faces in (folder, other))
    if one == two:
        one, two = printable(folder.root), printable(other.root)
    if one == two:
        two += " (reference)"
    reference = "faces" if rows.partition == ALL else f"{rows.partition} faces"
    return FaceNames(f"faces of {one}", f"{reference} of {two}", f"{rows.against} faces of {two}")


def is_model(source: str | Path) -> bool:
    """Whether this is the name of a bundled model, or a model or run folder."""
    try:
        find_model(source)
    except ArgumentError:
        return False
    return True
