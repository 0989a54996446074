"""Hidden faces: whether all are, how much else changes, and who an embedding takes them for. Prints one JSON line.

    PYTHONPATH=src python benchmarks/deidentify.py hidden TRUTH
    PYTHONPATH=src python benchmarks/deidentify.py identity CELEBA200 --n 300
    PYTHONPATH=src python benchmarks/deidentify.py attributes CELEBA200 --n 300 [--judge JUDGE]

``TRUTH`` is a folder of sets, see ``align_truth.py``; ``CELEBA200`` a folder of photos with identities and attributes.
``identity`` needs ``pip install dlib-bin face_recognition_models``: dlib's embedding, whose own threshold is a distance
of 0.6. ``--sheet OUT.png`` writes a contact sheet; it shows people and is not to be published.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from align_truth import Box, Photo, load
from judge import load_judge
from machine import facts
from numpy.typing import NDArray

from faceaug.data.annotations import attribute_index
from faceaug.data.folder import FaceFolder
from faceaug.data.image import Image8, encode_png
from faceaug.deidentify.hidden_photo import hide_all
from faceaug.deidentify.options import DOUBTFUL, HOW, KEEP, SMALLEST, SURE, DeidentifyOptions, How
from faceaug.deidentify.region import Region
from faceaug.draws import permutation
from faceaug.faces.aligned_face import own_finder
from faceaug.faces.templates import least_squares_similarity, place_face
from faceaug.faces.warp import cut_frame
from faceaug.labels.embeddings import chip_points
from faceaug.synthesize.classifier import load_classifier

SETS = (
    "wider-val",
    "wider-5pt",
    "dlib-faces",
    "lfpw5",
    "menpo",
    "mtfl-lfw_5590",
    "celeba200-points",
    "celeba64-points",
)
LEAST = 40  # pixels
INNER, COVERED = 0.8, 0.8  # a face is hidden if this share of this part of the ellipse in its box has changed
FACE = 2.4  # size of a face over the distance of its eyes
CHIP = 150  # pixels of the picture that dlib's network takes
SAME = 0.6  # distance of dlib's embeddings below which two faces are one person's, as its author says


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["hidden", "identity", "attributes"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--n", type=int, default=300, help="photos at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--judge", type=Path, help="folder of benchmarks/judge.py; without it, the bundled classifier")
    parser.add_argument("--with", dest="hows", choices=HOW, action="append", help="ways of the part identity")
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    if options.part == "hidden":
        found = hidden(options.folder, options.n)
    elif options.part == "identity":
        found = identity(FaceFolder(options.folder), options.n, options.seed, options.hows or HOW, options.sheet)
    else:
        found = attributes(FaceFolder(options.folder), options.n, options.seed, options.judge)
    about = {"figure": f"hidden faces: {options.part}", "seed": options.seed, "n": options.n}
    print(json.dumps(about | {"found": found} | facts("faceaug", "opencv-python", "numpy")))


def hidden(truth: Path, n: int) -> dict[str, Any]:
    """The share of faces of 40 px and more that are hidden, and of pixels outside all boxes that changed."""
    options = DeidentifyOptions(how="fill")
    sets: dict[str, Any] = {}
    faces = gone = outside = changed = 0
    for name in SETS:
        photos = [photo for photo in load(truth, name)[:n] if photo.faces]
        counts = np.array([_count(photo, options) for photo in photos])
        total = counts[:, :4].sum(axis=0).tolist()
        sets[name] = {"photos": len(photos), "faces": total[0], "hidden": total[1], "not_sure": int(counts[:, 4].sum())}
        if total[2]:
            sets[name]["outside_changed"] = round(total[3] / total[2], 4)
        print(name, sets[name], file=sys.stderr, flush=True)
        faces, gone, outside, changed = (a + b for a, b in zip((faces, gone, outside, changed), total, strict=True))
    return {
        "threshold": DOUBTFUL, "sure": SURE, "min_face": SMALLEST, "faces_of_40px": faces, "hidden": gone,
        "share": round(gone / faces, 4), "outside_changed": round(changed / outside, 4), "sets": sets,
    }  # fmt: skip


def _count(photo: Photo, options: DeidentifyOptions) -> tuple[int, int, int, int, int]:
    """Of a photo: faces, hidden ones, pixels outside boxes, changed ones, faces that are not sure."""
    result, found = hide_all(photo.image, options)
    change = (result != photo.image).any(axis=2)
    # fill leaves pixels that were grey already; they count as hidden
    change |= (result == 128).all(axis=2)
    boxes = [face.box for face in photo.faces if face.box is not None]
    within = [(face, _hides(change, face.box, face.points)) for face in photo.faces]
    large = [is_hidden for face, is_hidden in within if _size(face.box, face.points) >= LEAST]
    if len(boxes) < len(photo.faces):
        return len(large), sum(large), 0, 0, sum(not face.sure for face in found)
    free = np.ones(change.shape, bool)
    for x0, y0, x1, y1 in boxes:
        free[max(round(y0), 0) : max(round(y1) + 1, 0), max(round(x0), 0) : max(round(x1) + 1, 0)] = False
    return len(large), sum(large), int(free.sum()), int((free & change).sum()), sum(not face.sure for face in found)


def _size(box: Box | None, points: NDArray[np.float64] | None) -> float:
    if box is not None:
        return max(box[2] - box[0], box[3] - box[1])
    return 0.0 if points is None else FACE * float(np.linalg.norm(points[1] - points[0]))


def _hides(change: NDArray[np.bool_], box: Box | None, points: NDArray[np.float64] | None) -> bool:
    if box is not None:
        x0, y0, x1, y1 = box
        ellipse = Region((x0 + x1) / 2, (y0 + y1) / 2, max(x1 - x0, 1) / 2, max(y1 - y0, 1) / 2, 0)
        square = ellipse.bounds(change.shape)
        inner = ellipse.distances(square) <= INNER
        return bool(inner.any()) and float(change[square][inner].mean()) >= COVERED
    places = np.rint(np.asarray(points)).astype(int)
    inside = [(x, y) for x, y in places.tolist() if 0 <= y < change.shape[0] and 0 <= x < change.shape[1]]
    return all(change[y, x] for x, y in inside)


def _photos(given: FaceFolder, n: int, seed: int) -> list[tuple[int, Image8, NDArray[np.float64]]]:
    """Photos in which one face is found without doubt, and its landmarks."""
    chosen = []
    for row in permutation(len(given), seed).tolist():
        if len(chosen) == n:
            break
        image = given.read(row)
        found = own_finder().find(image)
        if len(found) == 1 and found[0].score >= SURE:
            chosen.append((row, image, found[0].landmarks.astype(np.float64)))
    return chosen


def identity(given: FaceFolder, n: int, seed: int, hows: Sequence[How], sheet: Path | None) -> dict[str, Any]:
    """How often an embedding says that a hidden face is the one it was; controls: pairs of one person, and of two."""
    embed = _embedding()
    photos = _photos(given, n, seed)
    before = np.stack([embed(image, points) for _, image, points in photos])
    people = given.annotations.identity[[row for row, _, _ in photos]]
    found: dict[str, Any] = {
        "photos": len(photos),
        "threshold": SAME,
        "controls": _controls(given, photos, before, people, embed),
    }
    print("controls", found["controls"], file=sys.stderr, flush=True)
    rows = []
    for how in hows:
        results = [hide_all(image, DeidentifyOptions(how=how, seed=seed))[0] for _, image, _ in photos]
        # The landmarks are those of the original: somebody who attacks may have them.
        after = np.stack([embed(image, points) for image, (_, _, points) in zip(results, photos, strict=True)])
        distance = np.linalg.norm(before - after, axis=1)
        found[how] = {
            "same_person": round(float((distance < SAME).mean()), 4), "nearest": round(float(distance.min()), 3),
            "median": round(float(np.median(distance)), 3), "first_of_all": round(_rank_one(before, after), 4),
        }  # fmt: skip
        print(how, found[how], file=sys.stderr, flush=True)
        rows.append((results, np.argsort(distance)))
    if sheet is not None:
        _write_sheet(sheet, [image for _, image, _ in photos], rows)
    return found


def _controls(given: FaceFolder, photos: Any, before: Any, people: Any, embed: Any) -> dict[str, Any]:
    """What the embedding says of two photos of one person, of two persons, and of two who share the kept attributes."""
    pairs = np.linalg.norm(before[:, None] - before[None], axis=2)
    apart = np.triu(people[:, None] != people[None], 1)
    rows = given.annotations.attributes[[row for row, _, _ in photos]]
    columns = [attribute_index(name) for name in KEEP]
    alike = apart & (rows[:, None, columns] == rows[None][:, :, columns]).all(axis=2)
    same = []
    chosen = {row for row, _, _ in photos}
    by_person: dict[int, list[int]] = {}
    for row, person in enumerate(given.annotations.identity.tolist()):
        by_person.setdefault(person, []).append(row)
    for k in range(len(photos)):
        for row in by_person[int(people[k])]:
            if row in chosen or people[k] < 0:
                continue
            image = given.read(row)
            found = own_finder().find(image)
            if found and found[0].score >= SURE:
                same.append(float(np.linalg.norm(before[k] - embed(image, found[0].landmarks.astype(np.float64)))))
                break
    return {
        "same_identity": {"pairs": len(same), "same_person": round(float((np.array(same) < SAME).mean()), 4)},
        "other_identity": {"pairs": int(apart.sum()), "same_person": round(float((pairs[apart] < SAME).mean()), 4)},
        "other_with_kept_attributes": {
            "pairs": int(alike.sum()), "same_person": round(float((pairs[alike] < SAME).mean()), 4),
        },
    }  # fmt: skip


def _rank_one(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """The share of hidden faces whose nearest original of all is their own; chance is one over their number."""
    distance = np.linalg.norm(after[:, None] - before[None], axis=2)
    return float((distance.argmin(axis=1) == np.arange(len(after))).mean())


def _embedding() -> Any:
    """Photo and landmarks -> 128 numbers, by dlib's network of 2017."""
    import dlib

    spec = find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install dlib-bin face_recognition_models")
    weights = Path(spec.origin).parent / "models" / "dlib_face_recognition_resnet_model_v1.dat"
    network = dlib.face_recognition_model_v1(str(weights))

    def embed(image: Image8, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """The embedding of the face at these landmarks."""
        chip = cut_frame(image, least_squares_similarity(points, chip_points()), (CHIP, CHIP))
        return np.array(network.compute_face_descriptor(chip))

    return embed


def _write_sheet(path: Path, originals: list[Image8], rows: list[tuple[list[Image8], NDArray[np.int64]]]) -> None:
    """For each way the eight hidden faces that are nearest to their originals, below these."""
    lines = []
    for results, order in rows:
        for images in (originals, results):
            small = [cv2.resize(images[k], (180, 220), interpolation=cv2.INTER_AREA) for k in order[:8]]
            lines += [np.hstack(small)]
    path.write_bytes(encode_png(np.vstack(lines)))


def attributes(given: FaceFolder, n: int, seed: int, judge: Path | None) -> dict[str, Any]:
    """The share of synthetic faces in which a judge sees the attributes that were asked for."""
    names = load_classifier().attributes
    see = _classifier() if judge is None else load_judge(judge)
    photos = _photos(given, n, seed)
    options = DeidentifyOptions(how="synthetic", seed=seed)
    rows: dict[str, list[bool]] = {name: [] for name in KEEP}
    real: dict[str, list[bool]] = {name: [] for name in KEEP}
    replaced = 0
    for row, image, points in photos:
        known = given.annotations.attributes[row].tolist()
        result, found = hide_all(image, options, known=known)
        if not any(face.replaced for face in found):
            continue
        replaced += 1
        asked = dict(found[0].attributes)
        for picture, answers in ((result, rows), (image, real)):
            face = cut_frame(picture, place_face("celeba-square", points, size=(64, 64)), (64, 64))
            seen = see(face.transpose(2, 0, 1)[None])[0]
            for name in KEEP:
                answers[name].append(bool(seen[names.index(name)]) == (asked[name] == 1))
    means = {name: round(float(np.mean(values)), 4) for name, values in rows.items()}
    return {
        "judge": "attributes-64, which also chose the faces" if judge is None else "benchmarks/judge.py",
        "photos": len(photos), "replaced": replaced, "agreement": round(float(np.mean(list(means.values()))), 4),
        "by_attribute": means, "real_faces": {name: round(float(np.mean(v)), 4) for name, v in real.items()},
    }  # fmt: skip


def _classifier() -> Any:
    classifier = load_classifier()
    return lambda faces: classifier.probabilities(faces) > 0.5


if __name__ == "__main__":
    main()
