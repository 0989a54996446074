from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Subset

from faceaug.errors import ArgumentError, RefusedError
from faceaug.data.folder import FaceFolder
from faceaug.data.image import encode_png
from faceaug.mix.real import RealFaces, to_image8
from tests.mix.sources import Listed, as_float_tensor, celeba_like, labelled_pil, pictures

IMAGE = pictures(1)[0]
SMALL = np.full((4, 6, 3), 7, np.uint8)


@pytest.mark.parametrize(
    "given",
    [
        Image.fromarray(IMAGE),
        IMAGE,
        torch.from_numpy(IMAGE.transpose(2, 0, 1).copy()),
        as_float_tensor(IMAGE),
        as_float_tensor(IMAGE).double(),
        as_float_tensor(IMAGE).numpy().transpose(1, 2, 0),
    ],
    ids=["PIL", "array", "uint8 tensor", "float tensor", "double tensor", "float array"],
)
def test_a_picture_of_any_usual_type_is_the_same_picture(given: Any) -> None:
    assert np.array_equal(to_image8(given, 0), IMAGE)


@pytest.mark.parametrize(
    "given",
    [
        Image.fromarray(IMAGE[..., 0]),
        IMAGE[..., 0],
        IMAGE[..., :1],
        torch.from_numpy(IMAGE[..., 0].copy())[None],
        torch.from_numpy(IMAGE[..., 0].copy()),
    ],
    ids=["PIL", "array", "array with channel", "tensor with channel", "tensor"],
)
def test_grey_pictures_are_repeated(given: Any) -> None:
    assert np.array_equal(to_image8(given, 0), IMAGE[..., :1].repeat(3, axis=2))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (IMAGE.astype(np.int32), r"item 3: the picture is ndarray int32 \(40, 40, 3\); expected PIL"),
        (IMAGE.astype(np.float32), r"item 3: a float picture should be in 0\.\.1, this one is in .*\.\.2"),
        (as_float_tensor(IMAGE) * 2 - 1, r"item 3: a float picture should be in 0\.\.1, this one is in -"),
        (
            torch.zeros(2, 40, 40, dtype=torch.uint8),
            r"item 3: the picture is Tensor torch.uint8 torch.Size\(\[2, 40, 40\]\)",
        ),
        (torch.zeros(3, 4, 4, dtype=torch.int64), "item 3: the picture is Tensor torch.int64"),
        ("face.jpg", "item 3: the picture is str"),
        (None, "item 3: the picture is NoneType"),
    ],
)
def test_anything_else_is_refused_with_the_item_and_what_was_expected(given: Any, expected: str) -> None:
    with pytest.raises(ArgumentError, match=expected):
        to_image8(given, 3)


def test_a_label_becomes_the_label() -> None:
    assert RealFaces(labelled_pil()).annotations.label.tolist() == [0, 1, 2, 0, 1, 2]
    tensors = Listed([(SMALL, torch.tensor(5)), (SMALL, np.int64(4))])
    assert RealFaces(tensors).annotations.label.tolist() == [5, 4]


def test_no_target_at_all_is_allowed() -> None:
    assert RealFaces(Listed([(SMALL, None)])).annotations.label.tolist() == [-1]


def test_attributes_of_0_and_1_become_signs() -> None:
    known = RealFaces(celeba_like()).annotations.attributes
    assert known[0].tolist() == [-1, 1] * 20
    assert known[1].tolist() == [1, -1] * 20


def test_attributes_of_signs_stay_and_0_stays_unknown() -> None:
    rows = [[1] * 39 + [0], [-1] * 40]
    known = RealFaces(Listed([(SMALL, row) for row in rows])).annotations.attributes
    assert known.tolist() == rows


def test_several_targets_of_torchvision_are_told_apart_by_their_shape() -> None:
    landmarks = torch.arange(10)
    target = (torch.ones(40, dtype=torch.int64), torch.tensor(2880), torch.tensor([1, 2, 3, 4]), landmarks)
    known = RealFaces(Listed([(SMALL, target)])).annotations
    assert known.attributes[0].tolist() == [1] * 40
    assert known.identity[0] == 2880
    assert known.landmarks[0].ravel().tolist() == list(range(10))
    assert known.label[0] == -1


def test_a_dict_is_read_by_its_keys() -> None:
    target = {
        "attributes": [0] * 39 + [-1], "identity": 7, "label": torch.tensor(3), "partition": np.int8(2), "weight": 0.5,
        "landmarks": [[1, 2]] * 5, "more": "is left alone",
    }  # fmt: skip
    known = RealFaces(Listed([(SMALL, target)])).annotations
    assert known.attributes[0].tolist() == [0] * 39 + [-1]
    assert (known.identity[0], known.label[0], known.partition[0], known.weight[0]) == (7, 3, 2, 0.5)
    assert known.landmarks[0].tolist() == [[1, 2]] * 5


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("cat", "item 1: the target is a str; expected a label, 40 attributes or a dict"),
        ([1, 2, 3], "item 1: the target is a list; expected"),
        ([[1], [2, 3]], "item 1: the target is a list; expected"),
        ({"attributes": [1] * 39}, "item 1: attributes cannot be"),
        ({"attributes": [5] * 40}, "item 1: attributes cannot be .*; expected -1 to 1"),
        ({"landmarks": [1, 2]}, "item 1: landmarks cannot be"),
        ({"label": "cat"}, "item 1: label cannot be 'cat'"),
        ({"partition": 9}, "item 1: partition cannot be 9; expected -1 to 2"),
        ({"weight": -1.0}, "item 1: weight cannot be -1.0"),
    ],
)
def test_a_target_that_cannot_be_meant_is_refused_with_its_item(target: Any, expected: str) -> None:
    with pytest.raises(ArgumentError, match=expected):
        RealFaces(Listed([(SMALL, 0), (SMALL, target)]))


def test_what_is_no_dataset_is_refused() -> None:
    with pytest.raises(ArgumentError, match="int is neither a path, a FaceFolder nor a map-style dataset"):
        RealFaces(3)  # type: ignore[arg-type]
    with pytest.raises(RefusedError, match="the dataset is empty"):
        RealFaces(Listed([]))
    with pytest.raises(ArgumentError, match=r"item 0: expected \(image, label or target\), found ndarray"):
        RealFaces(Listed([SMALL]))  # type: ignore[list-item]


def test_a_subset_of_a_face_folder_keeps_what_is_known(celeba_folder: Path) -> None:
    folder = FaceFolder(celeba_folder)
    known = RealFaces(Subset(folder, [3, 5])).annotations  # type: ignore[arg-type]
    assert np.array_equal(known.attributes, folder.annotations.attributes[[3, 5]])
    assert np.array_equal(known.landmarks, folder.annotations.landmarks[[3, 5]])


def test_the_most_common_size_is_found_without_the_unreadable_ones(tmp_path: Path) -> None:
    sizes = [(30, 20)] * 3 + [(20, 30)] * 2 + [(8, 8)]
    for k, size in enumerate(sizes):
        (tmp_path / f"{k}.png").write_bytes(encode_png(np.zeros((*size, 3), np.uint8)))
    (tmp_path / "z.png").write_bytes(b"no picture")
    assert RealFaces(tmp_path).common_size() == (30, 20)
    assert RealFaces(labelled_pil()).common_size() == (40, 40)


def test_a_folder_of_unreadable_pictures_has_no_size(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(RefusedError, match="none of its pictures can be read"):
        RealFaces(tmp_path).common_size()
