from __future__ import annotations

import copy
import io
import json
import tarfile
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from faceaug.data.folder import FaceFolder
from faceaug.errors import AnnotationError, FaceAugError
from tests.data.layouts.made import PNG, put, write

FACE = {
    "id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 0, "keypoints": [1, 2, 2] * 5,
    "face_box": [1, 1, 2, 2], "face_kpts": [3.5, 4.5, 1] * 68,
}  # fmt: skip
COCO = {
    "images": [{"id": 1, "file_name": "1.png", "width": 8, "height": 10}],
    "annotations": [FACE],
    "categories": [{"id": 1, "name": "face", "keypoints": ["left_eye", "right_eye", "nose", "a", "b"]}],
}
FFHQ = {
    "1": {
        "category": "training",
        "image": {"pixel_size": [8, 10], "face_landmarks": [[1, 2]] * 68},
        "in_the_wild": {"pixel_size": [8, 10], "face_rect": [1, 2, 3, 4], "face_landmarks": [[1, 2]] * 68},
    }
}
ROW = {
    "file_name": "1.png", "label": "a", "partition": "train", "identity": 3, "Male": True, "attributes": [1] * 40,
    "landmarks": [[1, 2]] * 5, "box_x": 1, "box_y": 2, "box_width": 3, "box_height": 4, "weight": 1,
    "mask_file_name": "m", "split": "test", "origin": "real",
}  # fmt: skip
RECORD = {"run": {"command": "convert"}, "finished": True, "classes": ["a"], "layout": "imagefolder"}
DOCUMENTS: dict[str, Any] = {
    "annotations/instances_train.json": COCO,
    "ffhq-dataset-v2.json": FFHQ,
    "metadata.jsonl": ROW,
    "dataset.json": {"labels": [["1.png", 0], ["2.png", [0.5, 1]]]},
    "convert.json": RECORD,
}
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([2**31, 2**63, -(2**63) - 1, 10**400]),
    st.floats(), st.text(max_size=3), st.sampled_from(["1.png", "../1.png", "/1.png", "", "\0", "true"]),
    st.just([]), st.just({}), st.just([[]]), st.just([1, 2, 3]), st.just({"a": 1}), st.just([None]),
)  # fmt: skip


@st.composite
def changed(draw: st.DrawFn, document: Any) -> Any:
    """A document with one or two odd values in it, anywhere."""
    found = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 2))):
        found = _change(draw, found)
    return found


def _change(draw: st.DrawFn, value: Any) -> Any:
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 4)) == 0:
        return copy.deepcopy(draw(ODD))  # the lists in it are changed in place
    key = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
    if draw(st.integers(0, 9)) == 0:
        del value[key]
    else:
        value[key] = _change(draw, value[key])
    return value


def _opens(root: Path) -> None:
    with suppress(FaceAugError):
        faces = FaceFolder(root)
        for k in range(len(faces)):
            faces.target(k)


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_the_documents_below_are_read_as_they_are(name: str, tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png")
    document = {key: cell for key, cell in ROW.items() if key != "mask_file_name"} if name == "metadata.jsonl" else None
    write(tmp_path, name, json.dumps(document or DOCUMENTS[name]))
    assert len(FaceFolder(tmp_path)) == 2


FAR = 1e300  # a number in JSON, and no position in float32
FAR_AWAY: dict[str, Any] = {
    "coco's box": ("annotations/instances_train.json", COCO | {"annotations": [FACE | {"face_box": [1, 1, FAR, 2]}]}),
    "coco's points": ("annotations/instances_train.json", COCO | {"annotations": [FACE | {"face_kpts": [FAR] * 204}]}),
    "ffhq's points": ("ffhq-dataset-v2.json", {"1": {"image": FFHQ["1"]["image"] | {"face_landmarks": [[FAR, 1]]}}}),
    "ffhq's size": ("ffhq-dataset-v2.json", {"1": {"image": FFHQ["1"]["image"] | {"pixel_size": [FAR, 1]}}}),
}


@pytest.mark.parametrize("case", sorted(FAR_AWAY))
def test_a_position_that_lies_in_no_picture_is_named(case: str, tmp_path: Path) -> None:
    put(tmp_path, "1.png", "00001.png")
    name, document = FAR_AWAY[case]
    write(tmp_path, name, json.dumps(document))
    with pytest.raises(AnnotationError, match=r"1e\+300 is not a position in a picture"):
        FaceFolder(tmp_path)


def test_a_point_far_beside_the_picture_is_no_line_of_yolo(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png", "3.png")
    for name in ("2.txt", "3.txt"):
        write(tmp_path, name, "0 0.5 0.5 0.2 0.2\n")
    write(tmp_path, "1.txt", f"0 0.5 0.5 0.2 0.2 {FAR}" + " 0.5" * 9 + "\n")
    with pytest.raises(AnnotationError, match="line 1: expected a class"):
        FaceFolder(tmp_path)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), name=st.sampled_from(sorted(DOCUMENTS)))
def test_an_odd_value_anywhere_makes_nothing_but_the_drawn_errors(data: st.DataObject, name: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = put(Path(place), "1.png", "2.png")
        write(root, name, json.dumps(data.draw(changed(DOCUMENTS[name]))))
        _opens(root)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(sample=changed(ROW), number=st.one_of(st.none(), st.text(max_size=4)))
def test_an_odd_sample_of_a_shard_makes_nothing_but_the_drawn_errors(sample: Any, number: str | None) -> None:
    members = {"a/1.png": PNG, "a/1.json": json.dumps(sample).encode()}
    if number is not None:
        members["a/1.cls"] = number.encode("utf-8", "surrogatepass")
    with tempfile.TemporaryDirectory() as place:
        with tarfile.open(Path(place, "x.tar"), "w") as shard:
            for name, data in members.items():
                facts = tarfile.TarInfo(name)
                facts.size = len(data)
                shard.addfile(facts, io.BytesIO(data))
        _opens(Path(place))


TEXTS: dict[str, Callable[[str], str]] = {
    "fairface_label_train.csv": lambda cell: f"file,age,gender,race,service_test\n1.png,{cell},Male,White,True\n",
    "list_patition_label.txt": lambda cell: f"train_00001.png {cell}\n",
    "metadata.csv": lambda cell: f"file_name,label,identity,Male,lefteye_x\n1.png,{cell},{cell},{cell},{cell}\n",
    "1.txt": lambda cell: f"0 0.5 0.5 0.2 {cell}\n",
    "list_bbox_celeba.txt": lambda cell: f"1\nimage_id x_1 y_1 width height\n1.png 1 2 3 {cell}\n",
}


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(sorted(TEXTS)),
    cell=st.one_of(st.text(max_size=6), st.floats().map(str), st.integers().map(str)),
)
def test_an_odd_cell_makes_nothing_but_the_drawn_errors(name: str, cell: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = put(Path(place), "1.png", "train_00001.png")
        (root / name).write_bytes(TEXTS[name](cell).encode("utf-8", "surrogatepass"))
        _opens(root)
