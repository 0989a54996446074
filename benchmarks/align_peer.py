"""One face detector as a process: a picture's name per line comes in, a line of JSON goes out.

    python benchmarks/align_peer.py faceaug|facenet-pytorch|autocrop|dlib

``align.py`` starts one for each library, each with the Python that has it installed, and asks them in turn.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, TypeAlias

import cv2
import numpy as np

Faces: TypeAlias = list[dict[str, Any]]
Detect: TypeAlias = Callable[[Any], Faces]


def faceaug() -> tuple[Detect, str]:
    """Ours, with its defaults."""
    from faceaug import FaceFinder

    finder = FaceFinder()
    return lambda rgb: [_face(face.box, face.landmarks, face.score) for face in finder.find(rgb)], version("faceaug")


def facenet() -> tuple[Detect, str]:
    """MTCNN, with its defaults, all faces."""
    import torch
    from facenet_pytorch import MTCNN

    torch.set_num_threads(1)
    network = MTCNN(keep_all=True, device="cpu")

    def detect(rgb: Any) -> Faces:
        boxes, scores, points = network.detect(rgb, landmarks=True)
        if boxes is None:
            return []
        return [_face(*face) for face in zip(boxes, points, scores, strict=True)]

    return detect, version("facenet-pytorch")


def autocrop() -> tuple[Detect, str]:
    """YuNet as autocrop calls it, on the whole photo."""
    from autocrop.yunet import YuNetDetector

    network = YuNetDetector()

    def detect(rgb: Any) -> Faces:
        rows = network.detect(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), details=True)
        return [_face((x, y, x + w, y + h), np.reshape(rest[:10], (5, 2)), rest[10]) for x, y, w, h, *rest in rows]

    return detect, version("autocrop")


def dlib() -> tuple[Detect, str]:
    """HOG, the picture enlarged once, and the 68 points; eyes are means of six points."""
    import dlib as library
    import face_recognition_models

    find = library.get_frontal_face_detector()
    mark = library.shape_predictor(face_recognition_models.pose_predictor_model_location())

    def detect(rgb: Any) -> Faces:
        boxes, scores, _ = find.run(rgb, 1, 0.0)
        found = []
        for box, score in zip(boxes, scores, strict=True):
            points = np.array([(point.x, point.y) for point in mark(rgb, box).parts()], np.float64)
            five = [points[36:42].mean(axis=0), points[42:48].mean(axis=0), points[30], points[48], points[54]]
            found.append(_face((box.left(), box.top(), box.right(), box.bottom()), five, score))
        return found

    return detect, version("dlib-bin")


def _face(box: Any, points: Any, score: float) -> dict[str, Any]:
    return {
        "box": np.asarray(box, np.float64).tolist(),
        "points": np.asarray(points, np.float64).tolist(),
        "score": float(score),
    }


LIBRARIES = {"faceaug": faceaug, "facenet-pytorch": facenet, "autocrop": autocrop, "dlib": dlib}


def main(name: str) -> None:
    """Answer until the lines end."""
    cv2.setNumThreads(1)
    detect, release = LIBRARIES[name]()
    print(json.dumps({"version": release, "opencv": cv2.__version__}), flush=True)
    for line in sys.stdin:
        rgb = cv2.cvtColor(cv2.imread(line.rstrip("\n")), cv2.COLOR_BGR2RGB)
        begin, wall = time.process_time(), time.perf_counter()
        faces = detect(rgb)
        spent = {"cpu_ms": (time.process_time() - begin) * 1e3, "ms": (time.perf_counter() - wall) * 1e3}
        print(json.dumps({"faces": faces} | spent), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
