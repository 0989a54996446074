"""FaceFinder: a photo -> its faces."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import numpy as np

from faceaug.data.image import Image8
from faceaug.errors import ArgumentError
from faceaug.faces.face import Face
from faceaug.faces.onet import ONet
from faceaug.faces.search import Search
from faceaug.faces.views import glance_scale, levels
from faceaug.faces.weights import ONET, read_tensors
from faceaug.faces.yunet import YuNet

MIN_FACE = 24  # pixels
THRESHOLD = 0.5
_SEEN = 18  # pixels: faces of this size in a view are found


class _Networks(threading.local):
    """Networks of a thread, made at their first use; OpenCV's detector cannot be shared by threads."""

    yunet: YuNet | None = None
    onet: ONet | None = None


class FaceFinder:
    """Finds faces in photos, whichever way they are turned.

    The same photo gives the same faces in every process and thread. A finder can be pickled.

    Args:
        min_face: size of the smallest faces, pixels of the longer side of the box; smaller ones are left out. Large
            photos take longer the smaller it is.
        threshold: least score of a face in a photo where another is beyond doubt, 0..1; a face without such company
            needs a higher one.
        thorough: look at every photo in all quarter turns, and as a whole in the eighths between, whatever was found
            before, so that a lying face next to an upright one is found too; and take every face to which YuNet gives
            the threshold and O-Net 0.6 of it, whether it has company or not. It takes about ten times as long and finds
            more that is no face: for hiding faces, where a missed one is worse.

    Raises:
        ArgumentError: ``min_face`` is below 8 or ``threshold`` outside 0.1..1.

    Example:
        >>> import numpy as np
        >>> from faceaug import FaceFinder, SyntheticFaceSource
        >>> photo = np.full((300, 400, 3), 128, np.uint8)
        >>> photo[100:164, 200:264] = SyntheticFaceSource("faces-64", seed=0).generate(1)[0].permute(1, 2, 0).numpy()
        >>> [face] = FaceFinder().find(photo)
        >>> round(face.eye_distance) in range(11, 17)
        True
    """

    def __init__(self, *, min_face: int = MIN_FACE, threshold: float = THRESHOLD, thorough: bool = False) -> None:
        if min_face < 8:
            raise ArgumentError(f"min_face={min_face}: expected 8 pixels or more")
        if not 0.1 <= threshold <= 1:
            raise ArgumentError(f"threshold={threshold}: expected 0.1..1")
        self.min_face = min_face
        self.threshold = threshold
        self.thorough = thorough
        self._networks = _Networks()

    def __reduce__(self) -> tuple[Callable[[], FaceFinder], tuple[()]]:
        made = partial(FaceFinder, min_face=self.min_face, threshold=self.threshold, thorough=self.thorough)
        return made, ()

    def __repr__(self) -> str:
        thorough = ", thorough=True" if self.thorough else ""
        return f"FaceFinder(min_face={self.min_face}, threshold={self.threshold}{thorough})"

    def find(self, image: Image8) -> tuple[Face, ...]:
        """Find the faces of a photo.

        Args:
            image: uint8 (height, width, 3), RGB, as ``faceaug.data.image`` decodes it.

        Returns:
            Faces, the largest first, by the area of the box within the photo.

        Raises:
            ArgumentError: another type or shape. OpenCV would find no face in numbers of 0..1, and fewer in grey.
        """
        check_photo(image)
        size, needed = image.shape[1::-1], _SEEN / self.min_face
        scales, glance = levels(*size, needed=needed), glance_scale(*size, needed=needed)
        networks = self._detector(), self._reader()
        search = Search(
            *networks, image, scales=scales, glance=glance, threshold=self.threshold, thorough=self.thorough
        )
        found = search.run()
        faces = [Face(one.candidate.box, one.landmarks.astype(np.float32), one.candidate.score) for one in found]
        large = [face for face in faces if face.size >= self.min_face]
        return tuple(sorted(large, key=lambda face: (-_area(face, image), face.box)))

    def _detector(self) -> YuNet:
        """The detector of this thread."""
        if self._networks.yunet is None:
            self._networks.yunet = YuNet(self.threshold)
        return self._networks.yunet

    def _reader(self) -> ONet:
        """The network of this thread that reads landmarks."""
        if self._networks.onet is None:
            self._networks.onet = ONet(read_tensors(ONET))
        return self._networks.onet


def check_photo(image: Image8) -> None:
    """ArgumentError unless this is a uint8 array (height, width, 3) with pixels."""
    kind = getattr(image, "dtype", type(image).__name__)
    shape: tuple[int, ...] = getattr(image, "shape", ())
    if not isinstance(image, np.ndarray) or kind != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ArgumentError(
            f"image: {kind} {shape}: expected a uint8 array (height, width, 3), RGB, 0..255; "
            "faceaug.data.image.read_image reads a file as one, from_pillow converts a PIL image"
        )


def _area(face: Face, image: Image8) -> float:
    """Area of a face's box within the photo, pixels."""
    x0, y0, x1, y1 = face.box
    height, width = image.shape[:2]
    across: float = min(x1, width - 0.5) - max(x0, -0.5)
    down: float = min(y1, height - 0.5) - max(y0, -0.5)
    return max(across, 0.0) * max(down, 0.0)
