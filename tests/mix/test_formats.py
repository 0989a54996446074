from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch.utils.data import DataLoader, Subset, random_split

from faceaug.data.folder import FaceFolder
from faceaug.data.image import decode, encode_png
from faceaug.draws import stream
from faceaug.errors import ArgumentError
from faceaug.mix import expand_dataset, replay_row
from faceaug.synthesize import SyntheticFaceSource
from tests.conftest import picture
from tests.mix.test_save import content


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    for name, count in (("rose", 4), ("tulip", 2)):
        (tmp_path / "flowers" / name).mkdir(parents=True)
        for k in range(count):
            data = encode_png(picture(k + 10 * count, height=40, width=40))
            (tmp_path / "flowers" / name / f"{k}.png").write_bytes(data)
    return tmp_path / "flowers"


@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_processes_writes_the_same_folder(celeba_folder: Path, tmp_path: Path, workers: int) -> None:
    dataset = expand_dataset(celeba_folder, synthetic=9, size=32, balance="Eyeglasses", partition="all", seed=3)
    dataset.save(tmp_path / "one", workers=1)
    written: dict[str, int] = {}
    dataset.save(
        tmp_path / "more", workers=workers,
        progress=lambda phase, done, _, unit: written.update({unit: done} if phase == "writing" else {}),
    )  # fmt: skip
    assert content(tmp_path / "one") == content(tmp_path / "more")
    assert written == {"pictures": len(dataset) - 9, "synthetic faces": 9}


def test_files_hold_what_the_dataset_gives(celeba_folder: Path, tmp_path: Path) -> None:
    dataset = expand_dataset(celeba_folder, copies=2, synthetic=5, size=32, eager=False)
    folder = FaceFolder(dataset.save(tmp_path / "out").out)
    for i in range(len(dataset)):
        assert np.array_equal(folder.read(i), dataset[i][0].permute(1, 2, 0)), i


def test_an_unusable_out_is_refused_before_a_face_is_made(
    celeba_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").write_text("mine")
    monkeypatch.setattr(SyntheticFaceSource, "generate", None)
    dataset = expand_dataset(celeba_folder, synthetic=5, size=32, eager=False)
    with pytest.raises(Exception, match="is a file"):
        dataset.save(tmp_path / "out")


def test_shards_hold_every_item_with_what_is_known_of_it(celeba_folder: Path, tmp_path: Path) -> None:
    dataset = expand_dataset(celeba_folder, synthetic=5, size=32)
    report = dataset.save(tmp_path / "out", format="webdataset")
    assert report.files == 2
    assert not (report.out / "metadata.csv").exists()
    found = {}
    for shard in sorted(report.out.glob("*.tar")):
        with tarfile.open(shard) as tar:
            for member in tar:
                handle = tar.extractfile(member)
                assert handle is not None
                found[member.name] = handle.read()
    assert len(found) == 2 * len(dataset)
    for i in (0, 50, 88):
        image, target = dataset[i]
        assert np.array_equal(decode(found[f"{i:09d}.png"]), image.permute(1, 2, 0))
        known = json.loads(found[f"{i:09d}.json"])
        assert (known["origin"], known["synthetic"]) == (target["origin"], target["origin"] == 2)
        assert known["identity"] == target["identity"]
        attributes = json.loads(known["attributes"] or "{}")
        assert attributes.get("Male", 0) == target["attributes"][20]


class TestClassFolders:
    @pytest.mark.filterwarnings("ignore:no table marks")
    def test_torchvision_reads_the_classes(self, classes: Path, tmp_path: Path) -> None:
        report = expand_dataset(classes, copies=2, synthetic=0).save(tmp_path / "out")
        found = torchvision.datasets.ImageFolder(report.out)
        assert found.classes == ["rose", "tulip"]
        assert sorted(found.targets) == [0] * 12 + [1] * 6
        folder = FaceFolder(report.out)
        assert folder.classes == ("rose", "tulip")
        assert all(folder.classes[folder.target(i)["label"]] == folder.names[i].split("/")[0] for i in range(18))

    @pytest.mark.filterwarnings("ignore:no table marks")
    def test_a_model_for_each_class_gives_its_label(self, classes: Path, tmp_path: Path) -> None:
        models = {"tulip": SyntheticFaceSource("dcgan-32", seed=1), "rose": SyntheticFaceSource("dcgan-32", seed=2)}
        dataset = expand_dataset(classes, copies=0, synthetic=6, size=32, source=models)
        assert dataset.synthetic.labels.tolist() == [0, 0, 0, 0, 1, 1]
        found = torchvision.datasets.ImageFolder(dataset.save(tmp_path / "out").out)
        assert [found.targets.count(label) for label in (0, 1)] == [8, 4]
        again = replay_row(tmp_path / "out", 11, source=models["tulip"])
        assert again.same

    def test_a_face_without_a_class_makes_no_class_of_its_own(self, classes: Path, tmp_path: Path) -> None:
        with pytest.warns(UserWarning, match=r"have classes \(rose, tulip\), and those of one model belong to none"):
            dataset = expand_dataset(classes, copies=0, synthetic=3, size=32, partition="all")
        out = dataset.save(tmp_path / "out").out
        assert torchvision.datasets.ImageFolder(out).classes == ["rose", "tulip"]
        assert len(list(out.glob("*.png"))) == 3
        folder = FaceFolder(out)
        assert (folder.annotations.label[folder.annotations.origin == 2] == -1).all()
        assert len(folder) == 9

    def test_the_classes_of_other_datasets_keep_their_names(self, classes: Path, tmp_path: Path) -> None:
        flowers = torchvision.datasets.ImageFolder(classes)
        models = {"tulip": SyntheticFaceSource("dcgan-32", seed=1)}
        dataset = expand_dataset(
            Subset(flowers, range(6)), copies=0, synthetic=2, size=32, source=models, partition="all"
        )
        assert dataset.synthetic.labels.tolist() == [1, 1]
        folder = FaceFolder(dataset.save(tmp_path / "out").out)
        assert [folder.classes[label] for label in folder.annotations.label] == ["rose"] * 4 + ["tulip"] * 4
        assert torchvision.datasets.ImageFolder(tmp_path / "out").targets == [0] * 4 + [1] * 4

    def test_an_unknown_class_is_named(self, classes: Path) -> None:
        with pytest.raises(ArgumentError, match=r"no class daisy .* its classes are rose, tulip"):
            expand_dataset(classes, partition="all", source={"daisy": "dcgan-32"})


class TestReplay:
    def test_every_kind_of_row_is_made_again(self, celeba_folder: Path, tmp_path: Path) -> None:
        report = expand_dataset(celeba_folder, synthetic=4, size=32, recipe="strong", seed=8).save(
            tmp_path / "out", format="jpg"
        )
        for row in (0, 30, 45, 83, 84, 87):
            made = replay_row(report.out, row)
            assert made.same
            assert made.data == (report.out / made.name).read_bytes()

    @pytest.mark.filterwarnings("ignore:no attribute classifier")
    def test_a_face_that_was_asked_for_attributes_is_made_again(
        self, celeba_folder: Path, tmp_path: Path, conditional_model: Path
    ) -> None:
        source = SyntheticFaceSource(conditional_model, seed=5, strength=1.5)
        dataset = expand_dataset(celeba_folder, synthetic=6, size=32, balance="Eyeglasses", source=source, filter=False)
        assert (dataset.synthetic.attributes[:, 15] > 0).sum() == 3
        dataset.save(tmp_path / "out")
        for row in range(len(dataset) - 6, len(dataset)):
            assert replay_row(tmp_path / "out", row, source=conditional_model).same

    def test_a_folder_that_moved_is_asked_for(self, classes: Path, tmp_path: Path) -> None:
        report = expand_dataset(classes, partition="all", synthetic=0).save(tmp_path / "out")
        classes.rename(tmp_path / "elsewhere")
        with pytest.raises(ArgumentError, match="give the folder it lies in now"):
            replay_row(report.out, 1)
        assert replay_row(report.out, 1, faces=tmp_path / "elsewhere").same

    @pytest.mark.parametrize(
        ("row", "expected"), [(99, "has rows 0 to"), ("nobody.png", "give a number or a file_name")]
    )
    def test_no_such_row(self, celeba_folder: Path, tmp_path: Path, row: int | str, expected: str) -> None:
        report = expand_dataset(celeba_folder, copies=0, synthetic=0).save(tmp_path / "out")
        with pytest.raises(ArgumentError, match=expected):
            replay_row(report.out, row)


class TestOnlySynthetic:
    def test_no_real_face_is_in_it(self, celeba_folder: Path) -> None:
        dataset = expand_dataset(celeba_folder, copies=0, synthetic=30, size=32, only_synthetic=True)
        assert len(dataset) == 30
        assert {dataset[i][1]["origin"] for i in range(30)} == {2}

    def test_copies_or_no_faces_contradict_it(self, celeba_folder: Path) -> None:
        with pytest.raises(ArgumentError, match="copies 1: only synthetic faces were requested"):
            expand_dataset(celeba_folder, only_synthetic=True)
        with pytest.raises(ArgumentError, match="nothing would be left"):
            expand_dataset(celeba_folder, copies=0, synthetic=0, only_synthetic=True)


def test_weights_of_synthetic_faces_are_as_asked(celeba_folder: Path) -> None:
    dataset = expand_dataset(celeba_folder, copies=0, synthetic=2, size=32, synthetic_weight=0.25)
    assert [float(dataset[i][1]["weight"]) for i in (0, 42)] == [1.0, 0.25]
    with pytest.raises(ArgumentError, match="synthetic_weight -1"):
        expand_dataset(celeba_folder, synthetic_weight=-1)


def test_subsets_and_random_splits_load(celeba_folder: Path) -> None:
    dataset = expand_dataset(celeba_folder, synthetic=4, size=32, eager=False)
    dataset.make_faces()
    parts = [Subset(dataset, [0, 50, 87]), *random_split(dataset, [0.5, 0.5], torch.Generator().manual_seed(1))]
    for part in parts:
        images, targets = next(iter(DataLoader(part, batch_size=3, num_workers=1)))
        for image, index in zip(images, targets["index"].tolist(), strict=True):
            assert torch.equal(image, dataset[index][0])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_hugging_face_datasets_with_a_transform_are_expanded(
    celeba_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    datasets = pytest.importorskip("datasets")
    faces = [np.asarray(picture(k, height=40, width=40)) for k in range(6)]
    columns = {
        "image": [face.tolist() for face in faces],
        "label": [0, 1] * 3,
        "Male": [1, -1, 0] * 2,
        "note": ["x"] * 6,
    }
    table = datasets.Dataset.from_dict(columns)

    def as_pair(rows: dict[str, list[object]]) -> dict[str, list[object]]:
        return rows | {"image": [np.asarray(face, np.uint8) for face in rows["image"]]}

    dataset = expand_dataset(table.with_transform(as_pair), partition="all", synthetic=0)
    assert [dataset[i][1]["label"] for i in range(6)] == [0, 1] * 3
    assert [int(dataset[i][1]["attributes"][20]) for i in range(6)] == [1, -1, 0] * 2
    assert np.array_equal(dataset[4][0].permute(1, 2, 0), faces[4])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills a group of processes")
def test_a_killed_run_goes_on_to_the_same_bytes(celeba_folder: Path, tmp_path: Path) -> None:
    words = ["--synthetic", "6", "--size", "32", "--copies", "3", "--partition", "all", "--workers", "2", "-q"]
    expand_dataset(celeba_folder, synthetic=6, size=32, copies=3, partition="all", eager=False).save(tmp_path / "whole")

    def start(wait: Callable[[subprocess.Popen[bytes]], None]) -> None:
        command = [
            sys.executable,
            "-m",
            "faceaug",
            "expand",
            str(celeba_folder),
            "--out",
            str(tmp_path / "out"),
            *words,
        ]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        process = subprocess.Popen(command, start_new_session=True, env=environment, stderr=subprocess.DEVNULL)
        wait(process)

    def kill_when(files: int) -> Callable[[subprocess.Popen[bytes]], None]:
        def wait(process: subprocess.Popen[bytes]) -> None:
            while process.poll() is None and len(list(tmp_path.glob("out/*.png"))) < files:
                pass
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

        return wait

    for files in stream(5, slot="tests/kill").integers(1, 240, 3).tolist():
        start(kill_when(files))
    start(lambda process: process.wait() and None)
    assert content(tmp_path / "out") == content(tmp_path / "whole")
