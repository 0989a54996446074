"""Labels of a saved dataset, as FaceFolder, Hugging Face datasets and torchvision read them."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from faceaug.data.folder import FaceFolder
from faceaug.data.image import encode_png, read_image
from faceaug.mix import expand_dataset
from faceaug.synthesize import SyntheticFaceSource
from tests.conftest import picture
from tests.data.layouts.made import put

datasets = pytest.importorskip("datasets")
# It leaves its files open, which warn when they go.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)
NAMES = {
    "numbers with zeros": ("001", "002", "010"),
    "long numbers": ("0000045", "0000099"),
    "numbers": ("1", "10", "2"),
    "words of nothing": ("NA", "None", "nan", "null"),
    "truths": ("False", "no", "true"),
    "ordinary": ("ann", "ben"),
    "mixed": ("001", "None", "ann", "true"),
}


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def class_folders(root: Path, names: tuple[str, ...]) -> dict[bytes, str]:
    """A picture for each class, two for the first; returns the class by pixels."""
    found = {}
    for k, name in enumerate((*names, names[0])):
        put(root, f"{name}/{k}.png", data=encode_png(picture(k, height=16, width=16)))
        found[picture(k, height=16, width=16).tobytes()] = name
    return found


def save(source: Any, out: Path, **options: Any) -> None:
    expand_dataset(source, copies=0, synthetic=0, partition="all").save(out, workers=1, progress=False, **options)


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_names_and_numbers_of_classes_are_the_same_everywhere(names: tuple[str, ...], tmp_path: Path) -> None:
    class_of = class_folders(tmp_path / "in", names)
    source = FaceFolder(tmp_path / "in", "classes")
    assert source.classes == names
    save(source, tmp_path / "out")
    ours = FaceFolder(tmp_path / "out")
    assert ours.classes == names
    for k in range(len(ours)):
        assert names[ours.target(k)["label"]] == class_of[ours.read(k).tobytes()]
    theirs = ImageFolder(str(tmp_path / "out"))
    assert tuple(theirs.classes) == names
    for image, label in theirs:
        assert names[label] == class_of[np.asarray(image).tobytes()]
    table = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))[
        "train"
    ]
    for row in table:
        name = class_of[np.asarray(row["image"]).tobytes()]
        assert names[row["label"]] == name
        assert row.get("class", name) == name
    del table, row
    gc.collect()


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_shards_keep_the_names(names: tuple[str, ...], tmp_path: Path) -> None:
    class_of = class_folders(tmp_path / "in", names)
    save(FaceFolder(tmp_path / "in", "classes"), tmp_path / "out", format="webdataset")
    ours = FaceFolder(tmp_path / "out")
    assert ours.classes == names
    assert [names[k] for k in ours.annotations.label] == [class_of[ours.read(k).tobytes()] for k in range(len(ours))]
    table = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train"]
    for row in table:
        name = class_of[np.asarray(row["png"]).tobytes()]
        assert (row["json"]["class"], names[row["json"]["label"]]) == (name, name)
    del table, row
    gc.collect()


def test_classes_keep_their_order_and_those_without_a_picture(tmp_path: Path) -> None:
    names = ["zoe", "ann", "nobody", "None"]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
    pixels = [Image.fromarray(picture(k, height=16, width=16)) for k in range(3)]
    given = datasets.Dataset.from_dict({"image": pixels, "label": [0, 3, 1]}, features=features)
    save(given, tmp_path / "out")
    folder = FaceFolder(tmp_path / "out")
    assert folder.classes == tuple(names)
    label_of = {folder.read(k).tobytes(): int(folder.annotations.label[k]) for k in range(3)}
    assert [label_of[picture(k, height=16, width=16).tobytes()] for k in range(3)] == [0, 3, 1]
    with pytest.raises(FileNotFoundError, match="nobody"):  # and so no label is moved in silence
        ImageFolder(str(tmp_path / "out"))
    theirs = ImageFolder(str(tmp_path / "out"), allow_empty=True)
    for image, label in theirs:
        assert theirs.classes[label] == names[label_of[np.asarray(image).tobytes()]]


@pytest.mark.parametrize("first", range(6))
def test_every_key_of_a_synthetic_shard_has_one_type(first: int, tmp_path: Path) -> None:
    """``datasets`` infers the types of all shards from their first five samples."""
    rows = np.zeros((8, 40), np.int8)
    rows[first:, 15] = 1

    class Told(SyntheticFaceSource):
        def target(self, index: int) -> dict[str, Any]:
            return super().target(index) | {"attributes": rows[index]}

    Told("dcgan-32", n=8, seed=1).save(tmp_path / "out", format="webdataset", progress=False)
    table = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train"]
    read = [json.loads(text) if (text := row["attributes"]) else {} for row in table["json"]]
    assert [facts.get("Eyeglasses", 0) for facts in read] == rows[:, 15].tolist()
    folder = FaceFolder(tmp_path / "out")
    assert folder.annotations.attributes[:, 15].tolist() == rows[:, 15].tolist()
    assert folder.annotations.origin.tolist() == [2] * 8
    assert set(folder.annotations.columns) == {"model_sha256"}
    del table
    gc.collect()


def test_shards_and_files_of_synthetic_faces_say_the_same(tmp_path: Path) -> None:
    source = SyntheticFaceSource("dcgan-32", n=3, seed=1)
    source.save(tmp_path / "files", progress=False)
    source.save(tmp_path / "shards", format="webdataset", progress=False)
    files, shards = FaceFolder(tmp_path / "files"), FaceFolder(tmp_path / "shards")
    assert np.array_equal(files.read(2), shards.read(2))
    for name in ("origin", "label", "identity", "partition", "weight"):
        assert np.array_equal(getattr(files.annotations, name), getattr(shards.annotations, name)), name
    assert np.array_equal(read_image(tmp_path / "shards" / "000000.tar" / "000000001.png"), files.read(1))
