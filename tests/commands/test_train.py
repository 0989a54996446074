from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from faceaug.cli import cli
from faceaug.errors import ArgumentError, RefusedError
from faceaug.train import TrainConfig, classifier as module
from faceaug.train.classifier import choose_classifier
from faceaug.train.classifier_session import ClassifierTraining
from faceaug.train.record import open_run

LIMITS = ("--images", "99", "--minutes", "5")


def train(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["train", *arguments], catch_exceptions=False)


def test_classifier_trains_one_with_the_settings_given(celeba_folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    seen: list[Any] = []

    def stop(*arguments: Any, **options: Any) -> None:
        seen.append((arguments, options))
        raise RefusedError("seen enough")

    monkeypatch.setattr(module, "train_classifier", stop)
    with pytest.raises(RefusedError, match="seen enough"):
        train(str(celeba_folder), "--out", str(tmp_path / "run"), "--classifier", *["--set", "dropout=0.3"], *LIMITS)
    (arguments, options) = seen[0]
    assert arguments == (celeba_folder, tmp_path / "run", ClassifierTraining(dropout=0.3, images=99))
    assert (options["resume"], options["minutes"], options["began"] > 0) == (False, 5, True)


@pytest.mark.parametrize("option", [("--preset", "dcgan-32"), ("--init", "dcgan-32"), ("--size", "64")])
def test_an_option_of_generators_is_refused_for_a_classifier(option: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=f"{option[0]}: does not apply to --classifier"):
        train(str(tmp_path), "--out", str(tmp_path / "run"), "--classifier", *option)


def test_several_processes_are_refused_for_a_classifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ArgumentError, match="trains in one process; start it without torchrun"):
        train(str(tmp_path), "--out", str(tmp_path / "run"), "--classifier")


def test_a_classifier_is_resumed_with_what_it_began_with(celeba_folder: Path, tmp_path: Path) -> None:
    from faceaug.data.folder import FaceFolder

    folder = FaceFolder(celeba_folder)
    open_run(tmp_path / "reader", folder, ClassifierTraining(dropout=0.1), resume=False, init=None)
    assert choose_classifier(resume=tmp_path / "reader", images=7) == ClassifierTraining(dropout=0.1, images=7)
    open_run(tmp_path / "faces", folder, TrainConfig(), resume=False, init=None)
    with pytest.raises(RefusedError, match="trains a generator; resume it without --classifier"):
        choose_classifier(resume=tmp_path / "faces")
    with pytest.raises(ArgumentError, match="unknown field 'speed'; the fields are crop, images"):
        choose_classifier(speed=1)
