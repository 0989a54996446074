from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from torch.utils.data import Subset, TensorDataset

from faceaug.data.folder import FaceFolder
from faceaug.data.image import encode_png
from faceaug.errors import ArgumentError, RefusedError
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
        (IMAGE.astype(np.float32), r"item 3: expected a float picture in 0\.\.1, found values in .*\.\.2"),
        (as_float_tensor(IMAGE) * 2 - 1, r"item 3: expected a float picture in 0\.\.1, found values in -"),
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
    for item, found in ((SMALL[0, 0], "ndarray"), ("a.jpg", "str"), ((SMALL, 1, 2), "tuple")):
        with pytest.raises(
            ArgumentError, match=rf"item 0: expected \(image, label or target\) or a picture, found {found}"
        ):
            RealFaces(Listed([item]))  # type: ignore[list-item]
    with pytest.raises(ArgumentError, match="found dict without 'image', with img, label"):
        RealFaces([{"img": SMALL, "label": 1}])  # type: ignore[list-item]


@pytest.mark.parametrize(
    "faces",
    [
        [Image.fromarray(image) for image in pictures(3)],
        pictures(3),
        np.stack(pictures(3)),
        torch.from_numpy(np.stack(pictures(3)).transpose(0, 3, 1, 2).copy()),
        TensorDataset(torch.from_numpy(np.stack(pictures(3)).transpose(0, 3, 1, 2).copy())),
    ],
    ids=["PIL", "arrays", "one array", "one tensor", "a TensorDataset"],
)
def test_pictures_alone_are_faces_of_which_nothing_is_known(faces: Any) -> None:
    real = RealFaces(faces)
    assert len(real) == 3
    assert np.array_equal(real.read(2), pictures(3)[2])
    assert real.size(2) == (40, 40)
    assert real.annotations.label.tolist() == [-1] * 3


@pytest.mark.parametrize("shape", [(40, 40, 3), (40, 40), (2, 3, 40, 40, 3)])
def test_an_array_that_is_no_stack_of_pictures_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ArgumentError, match=r"expected pictures \(n, height, width, 3\)"):
        RealFaces(np.zeros(shape, np.uint8))


def test_several_splits_are_named_and_one_is_to_be_given() -> None:
    splits = {"train": labelled_pil(), "test": labelled_pil()}
    with pytest.raises(ArgumentError, match=r"a dict of several datasets \(train, test\); .* faces\['train'\]"):
        RealFaces(splits)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_a_hugging_face_dataset_dict_is_answered_with_its_splits() -> None:
    datasets = pytest.importorskip("datasets")
    splits = datasets.DatasetDict({"validation": datasets.Dataset.from_dict({"label": [1]})})
    with pytest.raises(
        ArgumentError, match=r"a DatasetDict of several datasets \(validation\); .* faces\['validation'\]"
    ):
        RealFaces(splits)


def test_a_subset_of_a_face_folder_keeps_what_is_known(celeba_folder: Path) -> None:
    folder = FaceFolder(celeba_folder)
    known = RealFaces(Subset(folder, [3, 5])).annotations  # type: ignore[arg-type]
    assert np.array_equal(known.attributes, folder.annotations.attributes[[3, 5]])
    assert np.array_equal(known.landmarks, folder.annotations.landmarks[[3, 5]])


def test_sizes_are_those_of_the_pictures_as_they_are_seen(tmp_path: Path) -> None:
    for k, (width, height) in enumerate([(20, 30), (30, 20), (8, 8), (20, 30)]):
        (tmp_path / f"{k}.png").write_bytes(encode_png(np.zeros((height, width, 3), np.uint8)))
    (tmp_path / "z.png").write_bytes(b"no picture")
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    for name in ("t.jpg", "t.png", "t.webp"):
        Image.new("RGB", (50, 30)).save(tmp_path / name, exif=turned)
    real = RealFaces(tmp_path)
    found = {real.name(row): real.size(row) for row in range(len(real))}
    assert found["0.png"] == (20, 30)
    assert found["z.png"] is None
    assert {found[name] for name in ("t.jpg", "t.png", "t.webp")} == {(30, 50)}
    assert all(found[real.name(row)] == real.read(row).shape[1::-1] for row in range(len(real) - 1))
    assert real.distinct_sizes(range(4)) == [(20, 30), (30, 20)]
    assert real.distinct_sizes(range(4), "square", most=9) == [(20, 20), (8, 8)]
    assert real.mean_area([0, 2]) == 332


def test_a_folder_of_unreadable_pictures_has_no_size(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(RefusedError, match="none of its pictures can be read"):
        RealFaces(tmp_path).distinct_sizes([0])


def test_a_further_column_of_a_folder_is_not_said_to_be_kept(tmp_path: Path) -> None:
    for k in range(3):
        (tmp_path / f"{k}.png").write_bytes(encode_png(np.full((8, 8, 3), k, np.uint8)))
    (tmp_path / "metadata.csv").write_text("file_name,age\n0.png,1\n1.png,2\n2.png,3\n")
    assert [note for note in FaceFolder(tmp_path).notes if "age" in note] == ["1 further column is kept as it is (age)"]
    assert [note for note in RealFaces(tmp_path).notes if "age" in note] == [
        "1 further column is not carried over (age)"
    ]
