"""Checks how the faces of a folder that is said to be aligned are framed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.data.crop import Size, words_of
from faceaug.data.folder import FaceFolder
from faceaug.data.image import Colour, Image8, load_cv2, read_image
from faceaug.errors import ArgumentError, ImageError, RefusedError, counted, printable
from faceaug.executor import open_executor
from faceaug.faces.align_options import Finder
from faceaug.faces.aligned_face import own_finder
from faceaug.faces.framing import SQUEEZED, Framing, compare_templates, measure_squeeze
from faceaug.faces.templates import template_size
from faceaug.presentation import Fact, Presentation, argument
from faceaug.progress import Show, open_progress

SAMPLE = 200  # pictures looked at
_FEWEST = 5  # faces from which a framing is computed
_LOOSE = 0.3  # scatter of the eyes, of their distance, from which a set is not aligned
_SUSPECT = SQUEEZED  # logarithm of the squeeze from which it is measured again: this doubles small errors
_SETTLED = 0.01  # logarithm of its change below which it is known
_AGAIN = 3  # at most
_CHUNK = 8  # pictures per message to a worker
_FEW = 40  # pictures that are done before worker processes would have started
_Seen: TypeAlias = "tuple[Size, NDArray[np.float32]] | None"  # of a picture: its size, and landmarks of its face


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class AlignmentCheck(Presentation):
    """How the faces of a set are framed; the result of ``check_alignment``.

    Attributes:
        folder: the folder; None for pictures in memory.
        pictures: number of pictures looked at.
        faces: number of those with a face.
        size: the most common (width, height) of these, pixels.
        landmarks: float32 (5, 2), the typical landmarks as shares of width and height.
        scatter: typical distance of a face's eyes from those of the typical face, as a share of their distance.
        squeeze: width over height of the faces against their true shape: above 1 they are too wide.
        framings: every template, the best explanation first.

    Example:
        >>> from faceaug import SyntheticFaceSource
        >>> from faceaug.faces import check_alignment
        >>> _ = SyntheticFaceSource("faces-64", seed=0).save("faces", 20)
        >>> check = check_alignment("faces")
        >>> check.size
        (64, 64)
    """

    folder: Path | None
    pictures: int
    faces: int
    size: Size
    landmarks: NDArray[np.float32]
    scatter: float
    squeeze: float
    framings: tuple[Framing, ...]

    @property
    def aligned(self) -> bool:
        """Whether the faces lie in the same place in every picture."""
        return self.scatter < _LOOSE

    @property
    def squeezed(self) -> bool:
        """Whether the pictures have lost their shape."""
        return bool(abs(np.log(self.squeeze)) > SQUEEZED)

    @property
    def template(self) -> str | None:
        """The template that explains the set; None if none does. Loose crops of CelebA are no ``celeba-square``."""
        best = self.framings[0]
        if not (self.aligned and best.explains):
            return None
        return "celeba" if best.template == "celeba-square" and best.loose else best.template

    def facts(self) -> list[Fact]:
        """See ``Presentation``."""
        best = self.framings[0]
        return [
            ("folder", self.folder),
            ("faces", f"{self.faces:,} in {self.pictures:,} pictures, {words_of(self.size)}"),
            ("template", self.template or "none"),
            ("scatter", self.scatter),
            ("squeeze", self.squeeze),
            ("scale", best.scale),
            ("shift", f"{best.right:+.1%} right, {best.down:+.1%} down"),
        ]

    def to_json(self) -> dict[str, Any]:
        """The result as plain values."""
        return {
            "folder": None if self.folder is None else str(self.folder),
            "pictures": self.pictures,
            "faces": self.faces,
            "size": words_of(self.size),
            "template": self.template,
            "aligned": self.aligned,
            "squeezed": self.squeezed,
            "squeeze": round(self.squeeze, 4),
            "scatter": round(self.scatter, 4),
            "landmarks": np.round(self.landmarks, 4).tolist(),
            "templates": [framing.to_json() for framing in self.framings],
        }

    def summary(self, *, verbose: bool = False) -> str:
        """The result as text: the template, the framing, and what to do; ``verbose`` adds the typical landmarks."""
        found = f"{counted(self.faces, 'face')} in {counted(self.pictures, 'picture')} of {words_of(self.size)}"
        head = "template        distance  scale   right    down  spread"
        rows = [
            f"{_name(framing):<14}  {framing.distance:>7.0%}  {framing.scale:>5.2f}  {framing.right:>+6.1%}  "
            f"{framing.down:>+6.1%}  {framing.spread:>5.1%}"
            for framing in self.framings
        ]
        places = " ".join(f"({x:.3f}, {y:.3f})" for x, y in self.landmarks.tolist())
        more = [f"typical landmarks, as shares of width and height: {places}"] if verbose else []
        lines = [f"  {line}" for line in (head, *rows)]
        return "\n".join([f"{found}: {self.verdict()}", *lines, *more, *self.advice()])

    def verdict(self) -> str:
        """The framing in words."""
        if not self.aligned:
            return f"not aligned: eyes lie {self.scatter:.0%} of their distance apart from one picture to the next"
        shape = "true in shape"
        if self.squeezed:
            way = "wide for their height" if self.squeeze > 1 else "tall for their width"
            shape = f"squeezed: faces are {max(self.squeeze, 1 / self.squeeze):.2f} times too {way}"
        best = self.framings[0]
        if not best.explains:
            return f"aligned by none of the templates; {shape}"
        width, height = template_size(best.template)
        whole = abs(np.log(width / height * self.size[1] / self.size[0])) > SQUEEZED and not best.cut
        how = f"the whole {width}x{height} squeezed into {words_of(self.size)}" if self.squeezed and whole else ""
        loose = "loosely cropped" if best.loose else ""
        return ", ".join(filter(None, [f"aligned like {self.template}", loose, shape, how]))

    def advice(self) -> list[str]:
        """What to do about it."""
        place = "FOLDER" if self.folder is None else argument(self.folder)
        if not self.aligned:
            return [f"faceaug align {place} --out OUT aligns them"]
        if self.squeezed:
            return ["resize the pictures to their true shape, or begin again with the original ones"]
        return []


def check_alignment(
    folder: Path | str | FaceFolder,
    *,
    sample: int = SAMPLE,
    workers: int | None = None,
    finder: Finder | None = None,
    progress: Show = None,
) -> AlignmentCheck:
    """Tell how far the faces of a folder are from each template, and how they are framed.

    Args:
        folder: a folder, archive or ``FaceFolder`` of faces said to be aligned, one in each picture.
        sample: pictures to look at, spread evenly over the folder.
        workers: processes; by default one per processor, or none for a few pictures.
        finder: what finds the faces; None for ``faceaug.faces.FaceFinder()``.
        progress: see ``faceaug.progress.open_progress``.

    Raises:
        ArgumentError: there is no such folder, or ``sample`` is not positive.
        RefusedError: too few of the pictures show a face.

    Example:
        >>> from faceaug import SyntheticFaceSource
        >>> from faceaug.faces import check_alignment
        >>> _ = SyntheticFaceSource("faces-64", seed=0).save("faces", 20)
        >>> check_alignment("faces").aligned
        True
    """
    if sample < 1:
        raise ArgumentError(f"sample={sample}: expected 1 or more")
    given = folder if isinstance(folder, FaceFolder) else FaceFolder(folder)
    rows = np.unique(np.linspace(0, len(given) - 1, min(sample, len(given))).astype(int)).tolist()
    workers = 1 if workers is None and len(rows) <= _FEW else workers
    shown = open_progress(progress)
    with open_executor(workers, chunk=_CHUNK) as executor:

        def look(squeeze: float) -> list[_Seen]:
            """Find the faces of all pictures, stretched to undo a squeeze."""
            at = partial(_look_at, given.ground, finder, squeeze)
            with shown.phase("checking", len(rows), "pictures") as phase:
                return list(phase.over(executor.map(at, (str(given.path(row)) for row in rows))))

        return _check(look, given.root)


def check_pictures(images: Sequence[Image8], *, finder: Finder | None = None) -> AlignmentCheck:
    """The same for pictures in memory, such as those of a model.

    Args:
        images: uint8 (height, width, 3), RGB, one face in each.
        finder: see ``check_alignment``.

    Raises:
        RefusedError: too few of the pictures show a face.

    Example:
        >>> from faceaug import SyntheticFaceSource
        >>> from faceaug.faces import check_pictures
        >>> faces = SyntheticFaceSource("faces-64", seed=0).generate(20).permute(0, 2, 3, 1).numpy()
        >>> check_pictures(list(faces)).size
        (64, 64)
    """
    used = own_finder() if finder is None else finder
    return _check(lambda squeeze: [_largest(used, image, squeeze) for image in images], None)


def _look_at(ground: Colour, finder: Finder | None, squeeze: float, path: str) -> _Seen:
    try:
        image = read_image(path, ground=ground)
    except ImageError:
        return None
    return _largest(own_finder() if finder is None else finder, image, squeeze)


def _largest(finder: Finder, image: Image8, squeeze: float) -> _Seen:
    """Size of a picture and landmarks of its largest face, found after undoing a squeeze; None without a face."""
    size = (image.shape[1], image.shape[0])
    if squeeze != 1:
        wide, high = (1.0, squeeze) if squeeze > 1 else (1 / squeeze, 1.0)
        image = load_cv2().resize(image, (round(size[0] * wide), round(size[1] * high)))
    found = finder.find(image)
    if not found:
        return None
    back = np.array(size) / (image.shape[1], image.shape[0])
    return size, ((found[0].landmarks + 0.5) * back - 0.5).astype(np.float32)


def _check(look: Callable[[float], list[_Seen]], folder: Path | None) -> AlignmentCheck:
    """Measure what ``look`` finds in pictures that it stretches by a factor.

    Landmarks of squeezed faces are drawn towards a true shape (1.16 was read for 1.22), so squeezed pictures are looked
    at again with the squeeze undone.
    """
    found = look(1.0)
    squeeze = measure_squeeze(_points(found, folder))
    for _ in range(_AGAIN):
        if abs(np.log(squeeze)) < _SUSPECT:
            break
        before = squeeze
        found = look(squeeze)
        squeeze = measure_squeeze(_points(found, folder))
        if abs(np.log(squeeze / before)) < _SETTLED:
            break
    return _measure(found, folder, squeeze)


def _points(found: Sequence[_Seen], folder: Path | None) -> NDArray[np.float64]:
    known = [points for _, points in filter(None, found)]
    if len(known) < _FEWEST:
        place = "the pictures" if folder is None else printable(folder)
        raise RefusedError(f"{place}: a face was found in {len(known)} of {len(found)}; a check needs {_FEWEST}")
    return np.stack(known).astype(np.float64)


def _measure(found: Sequence[_Seen], folder: Path | None, squeeze: float) -> AlignmentCheck:
    every = [size for size, _ in filter(None, found)]
    points, sizes = _points(found, folder), np.array(every)
    usual = np.array(Counter(every).most_common(1)[0][0])
    shares = (points + 0.5) / sizes[:, None]
    typical = np.median(shares, axis=0)
    away = np.hypot(*np.moveaxis((shares[:, :2] - typical[:2]) * usual, -1, 0)).mean(axis=1)
    return AlignmentCheck(
        folder=folder,
        pictures=len(found),
        faces=len(points),
        size=(int(usual[0]), int(usual[1])),
        landmarks=typical.astype(np.float32),
        scatter=float(np.median(away) / np.hypot(*((typical[1] - typical[0]) * usual))),
        squeeze=squeeze,
        framings=compare_templates(points, sizes, squeeze),
    )


def _name(framing: Framing) -> str:
    return f"{framing.template}, cut" if framing.cut else framing.template
