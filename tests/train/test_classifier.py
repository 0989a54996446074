from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from faceaug.data.folder import FaceFolder
from faceaug.data.image import encode_png
from faceaug.draws import stream
from faceaug.errors import ArgumentError, Interrupted, RefusedError
from faceaug.synthesize.classifier import load_classifier
from faceaug.train import classifier_session as lessons
from faceaug.train.classifier import measure, train_classifier, unseen_rows
from faceaug.train.classifier_session import ClassifierTraining, Labelled, hold_back, learnable
from tests.conftest import write_celeba

SMALL = ClassifierTraining(images=64, batch=16, checkpoint_every=32, log_every=16, precision="fp32")
FEW = 160


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 pictures; those of the men are red."""
    draws = stream(0, slot="tests/classifier")
    shown = []
    for k in range(FEW):
        picture = draws.integers(0, 120, (64, 64, 3)).astype(np.uint8)
        picture[..., 0] += 120 * (k % 3 == 0)
        shown.append(picture)
    return write_celeba(tmp_path_factory.mktemp("classified"), shown)


def state(run: Path) -> dict[str, torch.Tensor]:
    from faceaug.train.checkpoint import checkpoints, read_checkpoint

    return read_checkpoint(checkpoints(run)[-1]).tensors


def test_it_learns_what_there_is_to_see_and_says_how_well(folder: Path, tmp_path: Path) -> None:
    lines: list[tuple[str, int, int, str]] = []
    report = train_classifier(
        folder, tmp_path / "run", replace(SMALL, images=800), data="pictures", license="mine",
        progress=lambda *state: lines.append(state),
    )  # fmt: skip
    assert report.finished
    assert report.metrics is not None
    assert report.metrics["sizes"]["64"]["area_under_curve"]["Male"] > 0.95
    assert report.metrics["n"] == FEW * 3 // 20
    assert report.metrics["partition"] == "val"
    assert report.faces + report.held_back == FEW * 7 // 10
    assert lines[-1] == ("reading", 24, 24, "pictures")  # the unseen faces
    assert ("training", 0, 800, "faces") in lines
    phase, done, total, words = [line for line in lines if line[0] == "training"][-1]
    assert (phase, done, total) == ("training", 800, 800)
    assert words.startswith("loss 0.")
    classifier = load_classifier(tmp_path / "run")
    assert classifier.attributes == report.attributes
    assert "Eyeglasses" not in classifier.attributes  # too few have them
    assert classifier.config.license == "mine"
    assert json.loads((tmp_path / "run" / "model" / "metrics.json").read_text()) == report.metrics
    assert "On 24 faces of the val partition" in (tmp_path / "run" / "model" / "README.md").read_text()


def test_a_run_that_was_stopped_goes_on_to_the_bit(folder: Path, tmp_path: Path) -> None:
    train_classifier(folder, tmp_path / "whole", SMALL)
    stopped = train_classifier(folder, tmp_path / "cut", SMALL, minutes=1e-9)
    assert stopped.added == 0
    assert "nothing was added" in stopped.summary()
    assert not stopped.finished
    assert stopped.model is None
    train_classifier(folder, tmp_path / "cut", SMALL, resume=True)
    whole, cut = state(tmp_path / "whole"), state(tmp_path / "cut")
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_a_signal_saves_first(folder: Path, tmp_path: Path) -> None:
    def stop(phase: str, done: int, *_: object) -> None:
        if (phase, done) == ("training", 16):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted, match=r"SIGTERM at 16 of 64 faces"):
        train_classifier(folder, tmp_path / "run", SMALL, progress=stop)
    report = train_classifier(folder, tmp_path / "run", SMALL, resume=True)
    assert report.finished


def test_other_faces_than_the_run_began_with_are_refused(folder: Path, tmp_path: Path) -> None:
    train_classifier(folder, tmp_path / "run", SMALL, minutes=1e-9)
    with pytest.raises(RefusedError, match="not those the run began with"):
        train_classifier(folder, tmp_path / "run", SMALL, resume=True, partition="all")


def test_a_folder_without_attributes_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "a.png").write_bytes(encode_png(np.zeros((64, 64, 3), np.uint8)))
    with pytest.raises(RefusedError, match="needs a table of attributes"):
        train_classifier(tmp_path / "flat", tmp_path / "run", SMALL)
    assert not (tmp_path / "run").exists()


def test_without_unseen_faces_there_are_no_figures(folder: Path, tmp_path: Path) -> None:
    report = train_classifier(folder, tmp_path / "run", SMALL, partition="all")
    assert report.metrics is None
    assert "It was not measured on unseen faces." in (tmp_path / "run" / "model" / "README.md").read_text()


def test_the_faces_of_a_person_are_held_back_together() -> None:
    identity = np.repeat(np.arange(300), 3)
    held = hold_back(identity, 0.1, seed=0)
    assert 0.08 <= held.mean() <= 0.1
    assert all(len(set(held[identity == person])) == 1 for person in range(300))
    assert not np.array_equal(held, hold_back(identity, 0.1, seed=1))
    strangers = hold_back(np.full(100, -1), 0.1, seed=0)
    assert strangers.sum() == 10


def test_an_attribute_that_nearly_all_or_nobody_has_is_not_learnt() -> None:
    labels = np.ones((100, 3), np.int8)
    labels[:19, 0] = -1
    labels[:20, 1] = -1
    labels[20:40, 2] = 0
    assert learnable(labels).tolist() == [1]


def test_figures_leave_out_what_is_missing_on_one_side(folder: Path, tmp_path: Path) -> None:
    report = train_classifier(folder, tmp_path / "run", SMALL)
    classifier = load_classifier(tmp_path / "run")
    labels = np.ones((4, len(report.attributes)), np.int8)
    labels[:2, 3] = -1
    found = measure(classifier, Labelled(np.zeros((4, 3, 64, 64), np.uint8), labels, np.arange(4)))
    assert list(found["prevalence"]) == [report.attributes[3]]
    assert found["sizes"]["32"]["balanced_accuracy"][report.attributes[3]] == 0.5


def test_unseen_rows_are_never_rows_that_were_learnt_from(folder: Path) -> None:
    faces = FaceFolder(folder)
    partition = faces.annotations.partition
    assert set(partition[unseen_rows(faces, np.flatnonzero(partition == 0))]) == {1}
    assert set(partition[unseen_rows(faces, np.flatnonzero(partition == 1))]) == {2}
    assert not len(unseen_rows(faces, np.arange(len(faces))))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("crop", "face"), ("precision", "fp8"), ("images", 0), ("batch", 1), ("learning_rate", 1.0), ("warmup", 0.0),
        ("dropout", 1.0), ("seed", -1), ("held_back", 0.0),
    ],
)  # fmt: skip
def test_numbers_out_of_range_are_refused(field: str, value: object) -> None:
    with pytest.raises(ArgumentError, match=field):
        replace(SMALL, **{field: value})


def test_unknown_labels_teach_nothing(folder: Path) -> None:
    pixels = np.zeros((40, 3, 64, 64), np.uint8)
    labels = np.zeros((40, 2), np.int8)
    labels[:20, 0], labels[20:, 0] = 1, -1
    faces = Labelled(pixels, labels, np.arange(40))
    session = lessons.ClassifierSession(SMALL, faces, faces, torch.device("cpu"))
    before = session.network.fc.bias[1].item()
    session.step()
    assert session.network.fc.bias[1].item() == before
    assert session.network.fc.bias[0].item() != before
