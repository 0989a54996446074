from __future__ import annotations

import csv
import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from faceaug.data.annotations import ATTRIBUTES
from faceaug.errors import ArgumentError, FaceAugError
from faceaug.synthesize import SyntheticFaceSource, selection
from faceaug.synthesize.classifier import AttributeClassifier
from faceaug.synthesize.config import ClassifierConfig
from faceaug.synthesize.selection import RANGE, Selection

SMILING = {"Smiling": 1}


class Brightness:
    """Sees a smile in bright faces, glasses in every face, and nobody bald."""

    attributes = ATTRIBUTES
    config = ClassifierConfig(
        name="bright", attributes=ATTRIBUTES, prevalence=(0.5,) * 40, balanced_accuracy=(0.9,) * 40, training={},
        sha256="b" * 64,
    )  # fmt: skip

    def probabilities(self, faces: Tensor) -> NDArray[np.float32]:
        found = np.zeros((len(faces), 40), np.float32)
        found[:, ATTRIBUTES.index("Smiling")] = faces.float().mean(dim=(1, 2, 3)).numpy() > 120
        found[:, ATTRIBUTES.index("Eyeglasses")] = 1
        return found


@pytest.fixture(autouse=True)
def bright(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "load_classifier", Brightness)


def smiles(faces: Tensor) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = Brightness().probabilities(faces)[:, ATTRIBUTES.index("Smiling")] > 0.5
    return found


def test_a_model_without_attributes_gives_the_faces_of_its_stream_that_have_them() -> None:
    plain = SyntheticFaceSource("dcgan-32", seed=3)
    source = SyntheticFaceSource("dcgan-32", seed=3, attributes=SMILING)
    faces = source.generate(100)
    assert smiles(faces).all()
    assert not smiles(plain.generate(100)).all()
    stream = plain.generate(256)
    expected = stream[torch.from_numpy(smiles(stream))]
    known = min(len(expected), 64)
    assert torch.equal(faces[:known], expected[:known])


def test_both_ways_to_ask_and_every_part_give_the_same_faces() -> None:
    source = SyntheticFaceSource("dcgan-32", seed=3, attributes=SMILING)
    faces = source.generate(130)
    again = SyntheticFaceSource("dcgan-32", seed=3)
    assert torch.equal(again.generate(10, attributes=SMILING, start=60), faces[60:70])
    assert torch.equal(source[129][0], faces[129])
    assert torch.equal(source.render(source.latents(64)), faces[:64])
    assert not torch.equal(again.generate(10), faces[:10])  # what was asked for once changes nothing for later
    rows = np.zeros((130, 40), np.int8)
    rows[:, ATTRIBUTES.index("Smiling")] = 1
    assert torch.equal(again.generate(130, attributes=rows), faces)


def test_faces_without_a_request_are_those_of_the_stream() -> None:
    rows = np.zeros((70, 40), np.int8)
    rows[::2, ATTRIBUTES.index("Smiling")] = 1
    source = SyntheticFaceSource("dcgan-32", seed=3)
    faces = source.generate(70, attributes=rows)
    assert torch.equal(faces[1::2], source.generate(70)[1::2])
    assert smiles(faces[::2]).all()


def test_blocks_are_chosen_from_stretches_that_do_not_overlap() -> None:
    source = SyntheticFaceSource("dcgan-32", seed=3, attributes=SMILING)
    faces = source.generate(192)
    assert len({face.numpy().tobytes() for face in faces}) == 192
    assert torch.equal(source.generate(64, start=128), faces[128:])
    plain = SyntheticFaceSource("dcgan-32", seed=3)
    start = 2 * RANGE
    beginning = plain.generate(256, start=start)
    assert torch.equal(faces[128], beginning[torch.from_numpy(smiles(beginning))][0])


def test_workers_choose_alike() -> None:
    source = SyntheticFaceSource("dcgan-32", n=130, seed=3, attributes=SMILING)
    batches = DataLoader(source, batch_size=40, num_workers=2)  # type: ignore[arg-type]
    assert torch.equal(torch.cat([faces for faces, _ in batches]), source.generate(130))
    assert torch.equal(pickle.loads(pickle.dumps(source)).generate(5), source.generate(5))


def test_the_cost_of_selection_is_counted() -> None:
    source = SyntheticFaceSource("dcgan-32", seed=3, attributes=SMILING | {"Eyeglasses": 1})
    assert source.selection == ()
    source.generate(64)
    (report,) = source.selection
    assert report.kept == 64
    assert report.looked_at > 64
    assert report.acceptance == 64 / report.looked_at
    assert report.passed == {"Smiling": 64, "Eyeglasses": report.looked_at}
    assert f"selected by the classifier: 64 of {report.looked_at:,} candidates" in report.line()
    assert report.to_json()["asked"] == {"Smiling": 1, "Eyeglasses": 1}
    assert source.attribute_rows(2)[:, ATTRIBUTES.index("Smiling")].tolist() == [1, 1]


def test_the_search_for_missing_attributes_ends_with_the_frequency_of_each() -> None:
    source = SyntheticFaceSource("dcgan-32", seed=3, attributes=SMILING | {"Bald": 1})
    with pytest.raises(FaceAugError, match=r"only 0 of 4,\d+ of its faces have the requested ones.*Bald"):
        source.generate(1)


def test_an_attribute_the_classifier_does_not_know_is_refused() -> None:
    class Narrow(Brightness):
        attributes = ("Smiling",)

    eye: AttributeClassifier = Narrow()  # type: ignore[assignment]
    with pytest.raises(ArgumentError, match="'Bald'.*classifier bright.*Smiling"):
        Selection(lambda n, start: torch.zeros(n), eye, {"Bald": 1}, model="dcgan-32")


def test_where_seconds_matter_attributes_can_be_refused_instead() -> None:
    with pytest.raises(ArgumentError, match="takes no attributes"):
        SyntheticFaceSource("dcgan-32", attributes=SMILING, choose=False)
    with pytest.raises(ArgumentError, match="takes no attributes"):
        SyntheticFaceSource("dcgan-32", choose=False).generate(1, attributes=SMILING)
    with pytest.raises(ArgumentError, match="takes no attributes"):
        SyntheticFaceSource("dcgan-32", choose=False).generate(1, attributes=np.ones((1, 40), np.int8))


def test_a_model_cut_in_another_way_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Brightness, "config", replace(Brightness.config, crop="square"))
    source = SyntheticFaceSource("dcgan-32", seed=3, attributes=SMILING)
    with pytest.warns(UserWarning, match="crop center178, the selecting classifier with square"):
        source.generate(1)


def test_files_record_the_classifier_and_the_cost_of_selection(tmp_path: Path) -> None:
    source = SyntheticFaceSource("dcgan-32", seed=3, attributes=SMILING)
    report = source.save(tmp_path / "out", 70)
    assert "selected by the classifier: 128 of" in report.summary()
    assert report.to_json()["selection"][0]["kept"] == 128  # whole blocks are looked for
    with (tmp_path / "out" / "metadata.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert {row["requested_Smiling"] for row in rows} == {"1"}
    run = json.loads((tmp_path / "out" / "dataset.json").read_bytes())["run"]
    assert (run["attributes"], run["classifier"], run["classifier_sha256"]) == (SMILING, "bright", "b" * 64)
    assert "selection" not in SyntheticFaceSource("dcgan-32").save(tmp_path / "plain", 3).to_json()
