"""Items of Hugging Face datasets are read like rows of metadata."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from faceaug.data.annotations import select_rows
from faceaug.errors import ArgumentError, RefusedError
from faceaug.mix import real as real_module
from faceaug.mix.real import RealFaces
from tests.conftest import picture

MALE = 20
FACES = [Image.fromarray(picture(k, height=12, width=9)) for k in range(4)]


class Rows:
    """A map-style dataset of rows, without the names that Hugging Face's have."""

    def __init__(self, **columns: list[Any]) -> None:
        self._columns = {"image": list(FACES)} | columns

    def __len__(self) -> int:
        return len(FACES)

    def __getitem__(self, index: int, /) -> dict[str, Any]:
        return {name: cells[index] for name, cells in self._columns.items()}


@pytest.mark.parametrize(
    ("cells", "signs"),
    [
        ([True, False, None, True], [1, -1, 0, 1]), ([1, 0, 0, 1], [1, -1, -1, 1]), ([1, 0, -1, 1], [1, 0, -1, 1]),
        (["1", "-1", "", "1"], [1, -1, 0, 1]), (["yes", "no", "no", "yes"], [1, -1, -1, 1]),
        ([np.bool_(True), np.bool_(False), np.int64(1), None], [1, -1, 1, 0]),
    ],
)  # fmt: skip
def test_attributes_of_any_type_become_signs(cells: list[Any], signs: list[int]) -> None:
    assert RealFaces(Rows(Male=cells)).annotations.attributes[:, MALE].tolist() == signs


def test_truth_values_in_a_target_are_yes_and_no() -> None:
    pairs = [(FACES[0], {"Male": False}), (FACES[1], {"attributes": [True] * 20 + [False] * 20})]
    known = RealFaces(pairs).annotations  # type: ignore[arg-type]
    assert known.attributes[:, MALE].tolist() == [-1, -1]
    assert known.attributes[1, 0] == 1


@pytest.mark.parametrize("labels", [["b", "a", None, "b"], ["010", "001", None, "010"], ["true", "None", None, "true"]])
def test_labels_that_are_texts_are_classes(labels: list[str | None]) -> None:
    faces = RealFaces(Rows(label=labels))
    assert [faces.classes[k] if k >= 0 else None for k in faces.annotations.label.tolist()] == labels


def test_identities_landmarks_and_partitions_are_read() -> None:
    rows = Rows(
        celeb_id=[5, 6, None, 7], landmarks=[[[1, 2]] * 5] * 3 + [None], split=["train", "test", "validation", "train"],
        attributes=[[0, 1] * 20] * 4,
    )  # fmt: skip
    known = RealFaces(rows).annotations
    assert known.identity.tolist() == [5, 6, -1, 7]
    assert known.partition.tolist() == [0, 2, 1, 0]
    assert known.attributes[0, :2].tolist() == [-1, 1]
    assert known.landmarks[2].tolist() == [[1, 2]] * 5
    assert np.isnan(known.landmarks[3]).all()


def test_columns_that_are_not_carried_over_are_named() -> None:
    faces = RealFaces(Rows(age=[1, 2, 3, None], caption=["a", "b", "c", "d"], origin=["web"] * 4))
    assert faces.notes[0] == "3 further columns are not carried over (age, caption, origin_)"


def test_a_column_of_file_names_does_not_name_the_items() -> None:
    faces = RealFaces(Rows(file_name=["a.png", "b.png", "c.png", "a.png"], Male=[1, 0, 0, 1]))
    assert faces.annotations.attributes[:, MALE].tolist() == [1, -1, -1, 1]


def test_of_columns_without_a_meaning_the_bulk_is_not_kept() -> None:
    bulk = {
        "embedding": [np.zeros(512)] * 4, "tensor": [torch.zeros(8)] * 4, "words": [["a", "b"]] * 4,
        "raw": [b"bytes"] * 4, "mask": FACES, "caption": ["a face " * 100] * 4,
    }  # fmt: skip
    faces = RealFaces(Rows(age=[torch.tensor(7)] * 4, landmarks=[np.ones((5, 2))] * 4, **bulk))
    kept = faces.annotations.columns
    assert {name: cells[0] for name, cells in kept.items() if name != "caption"} == {
        "age": 7, "embedding": None, "raw": None, "tensor": None, "words": None,
    }  # fmt: skip
    assert len(kept["caption"][0]) < 100
    assert faces.notes[0] == "6 further columns are not carried over (age, caption, embedding and 3 more)"
    assert faces.annotations.landmarks[3].tolist() == [[1, 1]] * 5


def test_of_targets_in_pairs_what_has_no_meaning_is_not_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    collected: list[Any] = []
    real = real_module._from_targets
    monkeypatch.setattr(real_module, "_from_targets", lambda targets: (collected.extend(targets), real(targets))[1])
    target = {"label": 3, "mask": np.zeros((200, 200)), "Male": True, 7: [0] * 9}
    assert RealFaces([(FACES[0], target)]).annotations.label.tolist() == [3]  # type: ignore[arg-type]
    assert collected == [{"label": 3, "mask": "", "Male": True, 7: ""}]


def test_a_column_that_may_be_the_partition_is_a_question() -> None:
    with pytest.raises(RefusedError, match="the column usage .* may be the partition"):
        select_rows(RealFaces(Rows(usage=["train", "test", "train", "train"])).annotations)


def test_a_value_that_cannot_be_names_the_item() -> None:
    with pytest.raises(ArgumentError, match=r"faces: item 2: Male is 5; expected -1, 0 or 1"):
        RealFaces(Rows(Male=[1, 1, 5, 1]))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("form", [None, "torch", "numpy"])
def test_class_labels_keep_their_names_and_their_order(form: str | None) -> None:
    datasets = pytest.importorskip("datasets")
    names = ["true", "001", "None", "empty"]
    features = datasets.Features(
        {
            "image": datasets.Image(), "label": datasets.ClassLabel(names=names), "Male": datasets.Value("bool"),
            "gender": datasets.ClassLabel(names=["f", "m"]), "age": datasets.Value("int32"),
        }
    )  # fmt: skip
    columns = {"image": FACES, "label": [2, 0, 1, 2], "Male": [True, False, True, False], "gender": [0, 1, 1, 0],
               "age": [1, 2, 3, 4]}  # fmt: skip
    table = datasets.Dataset.from_dict(columns, features=features)
    faces = RealFaces(table if form is None else table.with_format(form))
    assert faces.classes == tuple(names)
    assert faces.annotations.label.tolist() == [2, 0, 1, 2]
    assert faces.annotations.attributes[:, MALE].tolist() == [1, -1, 1, -1]
    assert faces.annotations.columns["gender"] == ("f", "m", "m", "f")
    assert faces.annotations.columns["age"] == (1, 2, 3, 4)
