"""Embeddings of faces: numbers that are close for pictures of one person. They come from outside: an extra, or a file.

* dlib's network of 2017 (extra ``identities``), without its file of 68 landmarks, which must not be used commercially;
* any ONNX file that takes (1, 3, height, width) in -1..1, RGB, aligned as ArcFace does, and returns a vector.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.data.image import Colour, Image8, read_image
from faceaug.errors import ArgumentError, ImageError, WeightsError, printable
from faceaug.faces.aligned_face import own_finder
from faceaug.faces.templates import MEAN_FACE, Points, least_squares_similarity, place_face
from faceaug.faces.warp import cut_frame

Vector: TypeAlias = NDArray[np.float64]
Embed: TypeAlias = Callable[[Image8, Points], Vector]  # a picture and its landmarks (5, 2) -> a vector of length 1
INSTALL = "python -m pip install 'faceaug[identities]'"
DLIB = "dlib"
_DLIB_FILE = "dlib_face_recognition_resnet_model_v1.dat"
_CHIP = 150  # pixels of the picture that dlib's network takes
_EYES = ((0.22733, 0.22140), (0.75281, 0.22123))  # middles of its corners of the eyes, as shares of an unpadded chip
_ARCFACE = 112  # pixels, where an ONNX file does not say


@dataclass(frozen=True, slots=True)
class FaceJob:
    """What all pictures of a run have in common.

    Attributes:
        model: ``DLIB``, or the path of an ONNX file.
        ground: colour laid under transparent pixels.
    """

    model: str
    ground: Colour


def choose_model(file: Path | str | None) -> str | None:
    """The model to use: the file, or dlib's if it is installed; None if there is none.

    Raises:
        ArgumentError: the file does not exist, or onnxruntime is missing.
        WeightsError: the file is no model of faces.
    """
    if file is None:
        return DLIB if find_spec("dlib") and _dlib_weights() is not None else None
    if not Path(file).is_file():
        raise ArgumentError(f"{printable(file)}: no such file; expected an ONNX model that turns faces into vectors")
    open_embedding(str(file))
    return str(file)


@lru_cache(maxsize=1)
def open_embedding(model: str) -> Embed:
    """Open a model, once in each process.

    Args:
        model: see ``FaceJob``.

    Raises:
        ArgumentError: a package is missing.
        WeightsError: the file is no model of faces.
    """
    return _open_dlib() if model == DLIB else _open_onnx(Path(model))


def embed_photo(job: FaceJob, task: tuple[str, tuple[float, ...]]) -> Vector | None:
    """The embedding of the face in a picture: what a worker process does.

    Args:
        job: what all pictures have in common.
        task: path, and ten numbers, the landmarks; none to look for the face.

    Returns:
        A vector of length 1; None if the picture cannot be read, or shows no face.
    """
    path, known = task
    try:
        image = read_image(path, ground=job.ground)
    except ImageError:
        return None
    points = np.array(known).reshape(-1, 2) if known else _find(image)
    return None if points is None else open_embedding(job.model)(image, points)


def chip_points() -> Points:
    """Landmarks of the mean face in dlib's chip, whose eyes lie as in its get_face_chip_details, padded by 0.25."""
    left, right = ((np.array(eye) + 0.25) / 1.5 * _CHIP for eye in _EYES)
    scale = (right - left)[0] / (MEAN_FACE[1] - MEAN_FACE[0])[0]
    found: Points = (MEAN_FACE - MEAN_FACE[:2].mean(axis=0)) * scale + (left + right) / 2
    return found


def _find(image: Image8) -> Points | None:
    """Landmarks of the face that fills most of the middle of a picture; others stand beside the person it is about."""
    middle = np.array([image.shape[1], image.shape[0]]) / 2
    found = own_finder().find(image)
    if not found:
        return None
    nearest = min(found, key=lambda face: np.hypot(*(face.landmarks.mean(axis=0) - middle)) - face.eye_distance)
    return nearest.landmarks.astype(np.float64)


def _open_dlib() -> Embed:
    weights = _dlib_weights()
    try:
        import dlib
    except ImportError as error:
        raise ArgumentError(f"face embeddings need the extra packages of faceaug: {INSTALL} ({error})") from error
    if weights is None:
        raise ArgumentError(f"face embeddings need the extra packages of faceaug: {INSTALL} (no {_DLIB_FILE})")
    network = dlib.face_recognition_model_v1(str(weights))
    target = chip_points()

    def embed(image: Image8, points: Points) -> Vector:
        """The embedding of the face at these landmarks."""
        chip = cut_frame(image, least_squares_similarity(points, target), (_CHIP, _CHIP))
        return _unit(np.array(network.compute_face_descriptor(chip)))

    return embed


def _dlib_weights() -> Path | None:
    """The file of the network; its package is only looked at, as importing it needs setuptools."""
    spec = find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "models" / _DLIB_FILE
    return path if path.is_file() else None


def _open_onnx(path: Path) -> Embed:
    try:
        import onnxruntime
    except ImportError as error:
        raise ArgumentError("an ONNX file needs faceaug[onnx]: python -m pip install 'faceaug[onnx]'") from error
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a dozen errors without a common base
        raise WeightsError(f"{printable(path)}: onnxruntime cannot read it ({error})") from error
    size = _input_size(path, session)
    name = session.get_inputs()[0].name

    def embed(image: Image8, points: Points) -> Vector:
        """The embedding of the face at these landmarks."""
        chip = cut_frame(image, place_face("arcface", points, size=size), size)
        pixels = (chip.transpose(2, 0, 1)[None].astype(np.float32) - 127.5) / 127.5
        return _unit(np.asarray(session.run(None, {name: pixels})[0], np.float64).reshape(-1))

    if not np.isfinite(embed(np.full((*size[::-1], 3), 128, np.uint8), _expected(size))).all():
        raise WeightsError(f"{printable(path)}: does not turn a picture into finite numbers")
    return embed


def _expected(size: tuple[int, int]) -> Points:
    """Landmarks somewhere in a picture of this size, for a trial."""
    return np.asarray((MEAN_FACE - MEAN_FACE.mean(axis=0)) * 0.5 + np.array(size) / 2, np.float64)


def _input_size(path: Path, session: Any) -> tuple[int, int]:
    """(width, height) of the input."""
    inputs = session.get_inputs()
    shape: list[Any] = list(inputs[0].shape) if len(inputs) == 1 else []
    if len(shape) != 4 or shape[1] != 3 or inputs[0].type != "tensor(float)":
        raise WeightsError(
            f"{printable(path)}: expected one input of float32 (n, 3, height, width), such as ArcFace's; found "
            f"{[(one.name, one.type, one.shape) for one in inputs]}"
        )
    height, width = (side if isinstance(side, int) and side > 0 else _ARCFACE for side in shape[2:])
    return width, height


def _unit(vector: NDArray[np.float64]) -> Vector:
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector
