"""Replaces a face by a synthetic one: choose it, put it in place, match its colours, blend.

The region is blurred beyond recognition first, so that where both are mixed nothing of the face shows through.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import ATTRIBUTES
from faceaug.data.image import Image8, load_cv2
from faceaug.deidentify.region import Region
from faceaug.errors import ArgumentError
from faceaug.faces.align_options import FoundFace
from faceaug.faces.landmarks import read_landmarks
from faceaug.faces.onet import ONet
from faceaug.faces.templates import MEAN_FACE, Affine, Points, least_squares_similarity, move_points, place_face
from faceaug.faces.views import View
from faceaug.faces.warp import cut_frame
from faceaug.faces.weights import ONET, read_tensors
from faceaug.faces.yunet import Candidate

MODEL = "faces-64"
_SIDE = 64  # pixels of an aligned face for the classifier
_BLOCK = 64  # faces, which cost as much as one: the generator computes no fewer
_ORDINARY = 0.9  # truncation: rare faces have blots
_FEW = 12  # candidates whose landmarks are read
_LIKE = 0.9  # least score of a synthetic face, by O-Net
_ENOUGH = 1.0  # log odds above which an attribute is clear
_LEAST_EYES = 4.0  # pixels
_MISFIT = 0.3  # of the eye distance: mean distance of landmarks from a face's, from which they are not one's
_CORE = 0.75  # of the ellipse: where colours are compared
_MIXED = (0.78, 1.0)  # of the ellipse: the synthetic face ends between them
_CONTRAST = (0.75, 1.1)
_CHROMA = 0.7  # of the colours of a synthetic face about their mean
_LIT = 0.45  # of the ellipse: from here to its edge the light goes over to that of the photo
_MIRRORED = [1, 0, 2, 4, 3]
# Where YuNet sees the faces of the model: means over some.
_PLACE = Candidate(
    (16.4, 18.4, 45.8, 52.9),
    34.5,
    np.array([[24.6, 32.3], [38.1, 32.4], [31.3, 40.0], [25.1, 44.4], [37.7, 44.6]]),
    1.0,
)
_SALT = b"faceaug deidentify"


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticFace:
    """A synthetic face and its landmarks."""

    image: Image8
    points: Points


class Replacer:
    """Replaces faces by those of the bundled conditional model.

    A face depends on the seed, the photo's content and its place among the faces of the photo.

    Args:
        attributes: requested of every face.
        keep: attributes that are taken over from the face that is replaced.
        seed: seed of the synthetic faces.
    """

    def __init__(self, attributes: Mapping[str, int], keep: Sequence[str], seed: int) -> None:
        from faceaug.synthesize import SyntheticFaceSource
        from faceaug.synthesize.classifier import load_classifier

        self._asked = dict(attributes)
        self._keep = tuple(name for name in keep if name not in attributes)
        self._source = SyntheticFaceSource(MODEL, seed=seed, truncation=_ORDINARY)
        self._classifier = load_classifier()
        self._columns = {name: k for k, name in enumerate(self._classifier.attributes)}
        self._reader = ONet(read_tensors(ONET))

    def attributes_for(self, image: Image8, face: FoundFace, known: Sequence[int]) -> dict[str, int]:
        """The attributes that the synthetic face gets: requested, known from a table, or read from the face.

        Args:
            image: the photo.
            face: the face.
            known: 40 numbers of a table, 0 unknown; empty if there is none.
        """
        table = {name: known[ATTRIBUTES.index(name)] for name in self._keep} if known else {}
        read = self._read(image, face) if any(not table.get(name) for name in self._keep) else {}
        return self._asked | {name: table.get(name) or read[name] for name in self._keep}

    def replace(
        self, image: Image8, hidden: Image8, face: FoundFace, region: Region, number: int, wanted: Mapping[str, int]
    ) -> Image8 | None:
        """Replace a face.

        Args:
            image: uint8 (height, width, 3), the photo; it stays as it is.
            hidden: the photo with all its faces blurred beyond recognition; it stays as it is.
            face: the face.
            region: what is hidden of it.
            number: see ``number_of``.
            wanted: attributes of the synthetic face.

        Returns:
            The photo with a synthetic face; None if the landmarks are not those of a face.
        """
        points = np.asarray(face.landmarks, np.float64)
        if not is_plausible(points):
            return None
        candidate = self._best(points, number, wanted)
        return None if candidate is None else blended(image, hidden, region, candidate, points)

    def _read(self, image: Image8, face: FoundFace) -> dict[str, int]:
        size = (_SIDE, _SIDE)
        try:
            matrix = place_face("celeba-square", np.asarray(face.landmarks), size=size)
        except ArgumentError:
            return dict.fromkeys(self._keep, -1)
        pixels = cut_frame(image, matrix, size).transpose(2, 0, 1)[None]
        shares = self._classifier.probabilities(pixels)[0]
        return {name: 1 if shares[self._columns[name]] > 0.5 else -1 for name in self._keep}

    def _best(self, points: Points, number: int, wanted: Mapping[str, int]) -> SyntheticFace | None:
        """Of a block of faces with these attributes, one that shows them clearly and looks the same way."""
        block = self._source.generate(_BLOCK, attributes=dict(wanted), start=_BLOCK * number)
        logits = self._classifier.logits(block)
        signs = np.array([wanted[name] for name in wanted], np.float32)
        shown = logits[:, [self._columns[name] for name in wanted]] * signs
        clear = np.minimum(shown, _ENOUGH).min(axis=1) if len(wanted) else np.zeros(len(block), np.float32)
        faces = block.permute(0, 2, 3, 1).contiguous().numpy()
        rough = np.abs(np.diff(faces.astype(np.int16), axis=2)).mean(axis=(1, 2, 3))
        clear = np.where(rough <= np.median(rough), clear, -np.inf)  # some of the others have patches of noise
        order = np.argsort(-clear, kind="stable")[:_FEW].tolist()
        found = [one for k in order for one in self._both_ways(faces[k])]
        return min(found, key=lambda one: misfit(one.points, points), default=None)

    def _both_ways(self, image: Image8) -> list[SyntheticFace]:
        """A synthetic face and its mirror image, unless it does not look like a face."""
        points, score = read_landmarks(self._reader, View(image, np.eye(2, 3)), _PLACE)
        if score < _LIKE:
            return []
        mirrored = (points * [-1, 1] + [image.shape[1] - 1, 0])[_MIRRORED]
        return [SyntheticFace(image, points), SyntheticFace(np.ascontiguousarray(image[:, ::-1]), mirrored)]


def number_of(image: Image8, face: int) -> int:
    """The number of the block of synthetic faces for a face of a photo: it depends on the photo's pixels alone."""
    digest = hashlib.blake2b(image.tobytes() + str((image.shape, face)).encode(), digest_size=5, key=_SALT).digest()
    return int.from_bytes(digest, "little")


def is_plausible(points: Points) -> bool:
    """Whether five points may be those of a face that is seen from the front or half from the side."""
    eyes = float(np.linalg.norm(points[1] - points[0]))
    return bool(np.isfinite(points).all()) and eyes >= _LEAST_EYES and misfit(MEAN_FACE, points) <= _MISFIT


def misfit(source: Points, target: Points) -> float:
    """Mean distance of points from others after the best similarity, as a share of the eye distance."""
    apart = move_points(least_squares_similarity(source, target), source) - target
    eyes = max(float(np.linalg.norm(target[1] - target[0])), 1e-6)
    return float(np.linalg.norm(apart, axis=1).mean()) / eyes


def blended(image: Image8, base: Image8, region: Region, candidate: SyntheticFace, points: Points) -> Image8:
    """Put a synthetic face into a photo, its landmarks on ``points``.

    Args:
        image: the photo; of it only the contrast of the face is used.
        base: the photo with the face hidden.
        region: what is hidden.
        candidate: the synthetic face.
        points: landmarks in the photo.
    """
    square = region.bounds(image.shape)
    if not base[square].size:
        return base
    rows, columns = square
    matrix: Affine = least_squares_similarity(candidate.points, points)
    matrix[:, 2] -= (columns.start, rows.start)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    distance = region.distances(square)
    patch = cut_frame(candidate.image, matrix, size)
    face = _matched(patch, base[square], _contrast(image[square], distance), distance)
    near, far = _MIXED
    share = _smooth((far - distance) / (far - near))[:, :, None]
    result = base.copy()
    mixed = base[square] + share * (face - base[square])
    result[square] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    return result


def _contrast(part: Image8, distance: NDArray[np.float32]) -> float:
    """Standard deviation of the lightness of the photo in the core of an ellipse, 0..100."""
    core = distance < _CORE
    lab = load_cv2().cvtColor(part.astype(np.float32) / 255, load_cv2().COLOR_RGB2LAB)
    return float(lab[core][:, 0].std()) if core.any() else 0.0


def _matched(patch: Image8, base: Image8, given: float, distance: NDArray[np.float32]) -> NDArray[np.float32]:
    """A synthetic face in the colours of the photo: their mean in its core, and the photo's light at its edge."""
    cv2 = load_cv2()
    core = distance < _CORE
    if not core.any():
        return patch.astype(np.float32)
    lab, goal = (cv2.cvtColor(p.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for p in (patch, base))
    mean, wanted = lab[core].mean(axis=0), goal[core].mean(axis=0)
    contrast = float(np.clip(given / max(float(lab[core][:, 0].std()), 1e-3), *_CONTRAST))
    lab = (lab - mean) * np.array([contrast, _CHROMA, _CHROMA], np.float32) + wanted
    sigma = max(2.0, 0.12 * max(distance.shape))
    light = cv2.GaussianBlur(goal - lab, (0, 0), sigma)
    edge = _smooth((distance - _LIT) / (1 - _LIT))[:, :, None]
    rgb = cv2.cvtColor((lab + edge * light).astype(np.float32), cv2.COLOR_LAB2RGB)
    found: NDArray[np.float32] = np.clip(rgb, 0, 1) * np.float32(255)
    return found


def _smooth(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """0 below 0, 1 above 1, smooth between."""
    t = np.clip(x, 0, 1)
    found: NDArray[np.float32] = t * t * (3 - 2 * t)
    return found
