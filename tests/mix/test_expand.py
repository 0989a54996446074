from __future__ import annotations

import json
import pickle
import random
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from faceaug.augment import Compose, GaussianBlur, Rotate, default_recipe
from faceaug.data.annotations import attribute_index
from faceaug.data.crop import crop_face, crop_points
from faceaug.data.folder import FaceFolder
from faceaug.data.image import encode_png
from faceaug.errors import ArgumentError, FaceAugError, ImageError, RefusedError
from faceaug.mix import ExpandedDataset, expand_dataset
from faceaug.synthesize import SyntheticFaceSource
from tests.conftest import picture
from tests.mix.sources import Listed, as_float_tensor, celeba_like, digest, labelled_pil, pictures

TYPES = {
    "attributes": (torch.int8, (40,)), "identity": (torch.int64, ()), "label": (torch.int64, ()),
    "partition": (torch.int8, ()), "landmarks": (torch.float32, (5, 2)), "visible": (torch.bool, (5,)),
    "origin": (torch.int64, ()), "source": (torch.int64, ()), "weight": (torch.float32, ()),
    "index": (torch.int64, ()),
}  # fmt: skip


@pytest.fixture(scope="module")
def dataset(celeba_folder: Path) -> ExpandedDataset:
    return expand_dataset(celeba_folder, copies=1, synthetic=0.25, size=32, seed=5)


def test_real_augmented_and_synthetic_faces_follow_each_other(dataset: ExpandedDataset) -> None:
    assert dict(dataset.sizes()) == {
        "original": 60, "real": 42, "augmented": 42, "synthetic": 10, "total": 94,
    }  # fmt: skip
    assert [dataset[i][1]["origin"] for i in range(94)] == [0] * 42 + [1] * 42 + [2] * 10
    assert repr(dataset) == (
        "ExpandedDataset(60 original, 42 real, 42 augmented, 10 synthetic, 94 total; 32x32, seed 5)"
    )


def test_a_batch_is_uint8_pictures_and_a_dict_of_tensors(dataset: ExpandedDataset) -> None:
    images, target = next(iter(DataLoader(dataset, batch_size=len(dataset))))
    assert images.shape == (94, 3, 32, 32)
    assert images.dtype == torch.uint8
    assert {name: (value.dtype, tuple(value.shape[1:])) for name, value in target.items()} == TYPES
    assert target["index"].tolist() == list(range(94))


def test_a_real_item_is_the_picture_cut_as_the_model_was_trained(dataset: ExpandedDataset, celeba_folder: Path) -> None:
    folder = FaceFolder(celeba_folder)
    row = int(dataset.plan.rows[7])
    image, target = dataset[7]
    picture, known = folder[row]
    assert np.array_equal(image.numpy().transpose(1, 2, 0), crop_face(picture, "center178", (32, 32)))
    points = crop_points(known["landmarks"], "center178", (32, 32), shape=(48, 40))
    assert np.array_equal(target["landmarks"], points)
    assert target["visible"].all()
    assert target["source"] == row
    for name in ("identity", "label", "partition", "weight"):
        assert target[name] == known[name]


def test_an_augmented_item_names_the_picture_of_the_folder_it_was_made_from(
    dataset: ExpandedDataset, celeba_folder: Path
) -> None:
    folder = FaceFolder(celeba_folder)
    for i in (42, 60, 83):
        target = dataset[i][1]
        assert target["origin"] == 1
        assert target["source"] == dataset.plan.rows[i]
        assert folder.target(target["source"])["identity"] == target["identity"]


def test_a_synthetic_item_claims_nothing(dataset: ExpandedDataset) -> None:
    target = dataset[93][1]
    assert (target["source"], target["identity"], target["label"], target["partition"]) == (-1, -1, -1, 0)
    assert not target["attributes"].any()
    assert np.isnan(target["landmarks"]).all()
    assert not target["visible"].any()


def test_the_operations_of_an_item_replay_it(dataset: ExpandedDataset, celeba_folder: Path) -> None:
    item = dataset.item(50)
    picture = FaceFolder(celeba_folder).read(int(dataset.plan.rows[50]))
    made = default_recipe(picture.shape[:2]).render(picture, json.loads(item.operations))
    assert np.array_equal(crop_face(made, "center178", (32, 32)), item.image)
    assert dataset.item(0).operations == ""


def test_an_index_counts_from_the_end_and_ends(dataset: ExpandedDataset) -> None:
    assert digest(dataset, -1) == digest(dataset, len(dataset) - 1)
    for index in (len(dataset), -len(dataset) - 1):
        with pytest.raises(IndexError):
            dataset[index]


def test_a_new_epoch_draws_augmented_items_anew_and_no_others(celeba_folder: Path) -> None:
    dataset = expand_dataset(celeba_folder, synthetic=4, size=32, seed=5)
    before = [digest(dataset, i) for i in range(len(dataset))]
    dataset.set_epoch(1)
    after = [digest(dataset, i) for i in range(len(dataset))]
    assert before[:42] == after[:42]
    assert before[84:] == after[84:]
    assert sum(a[0] != b[0] for a, b in zip(before[42:84], after[42:84], strict=True)) >= 41
    dataset.set_epoch(0)
    assert [digest(dataset, i) for i in range(len(dataset))] == before


def test_another_seed_gives_other_copies_and_other_faces(dataset: ExpandedDataset, celeba_folder: Path) -> None:
    other = expand_dataset(celeba_folder, synthetic=0.25, size=32, seed=6)
    assert digest(other, 0) == digest(dataset, 0)
    assert digest(other, 50)[0] != digest(dataset, 50)[0]
    assert digest(other, 90)[0] != digest(dataset, 90)[0]


def loaded(dataset: ExpandedDataset, epochs: int = 2, **options: Any) -> list[bytes]:
    dataset.set_epoch(0)
    loader = DataLoader(dataset, batch_size=16, sampler=dataset.sampler(), **options)
    return [
        b"".join([images.numpy().tobytes(), *(value.numpy().tobytes() for value in target.values())])
        for _ in range(epochs)
        for images, target in loader
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"num_workers": 1},
        {"num_workers": 4},
        {"num_workers": 2, "persistent_workers": True},
        {"num_workers": 1, "multiprocessing_context": "spawn", "persistent_workers": True},
    ],
    ids=["1", "4", "2 persistent", "1 spawned"],
)
def test_workers_change_no_sample_in_any_epoch(dataset: ExpandedDataset, options: dict[str, Any]) -> None:
    assert loaded(dataset, **options) == loaded(dataset)


def test_the_second_epoch_differs_also_with_persistent_workers(dataset: ExpandedDataset) -> None:
    batches = loaded(dataset, num_workers=2, persistent_workers=True)
    half = len(batches) // 2
    assert batches[:half] != batches[half:]


def test_nothing_global_is_drawn_from_or_changed(celeba_folder: Path) -> None:
    state = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    dataset = expand_dataset(celeba_folder, synthetic=4, size=32, recipe=v2.RandomRotation(20), balance="Male")
    for i in (0, 45, len(dataset) - 1):
        dataset[i]
    list(dataset.sampler())
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == state
    first = dataset[45][0]
    torch.rand(3)
    assert torch.equal(dataset[45][0], first)


def test_it_can_be_pickled(dataset: ExpandedDataset) -> None:
    copy = pickle.loads(pickle.dumps(dataset))
    for i in (0, 50, 93):
        assert digest(copy, i) == digest(dataset, i)


def test_the_temporary_faces_go_with_the_dataset_and_not_with_its_copies_or_workers(celeba_folder: Path) -> None:
    dataset = expand_dataset(celeba_folder, synthetic=4, size=32)
    folder = dataset.synthetic.path.parent
    copy = pickle.loads(pickle.dumps(dataset))
    del copy
    loaded(dataset, epochs=1, num_workers=2)
    assert (folder / "faces.u8").is_file()
    del dataset
    assert not folder.exists()


def test_the_temporary_faces_go_when_the_program_ends(celeba_folder: Path, tmp_path: Path) -> None:
    program = f"""
        import os, sys
        from faceaug import expand_dataset
        dataset = expand_dataset({str(celeba_folder)!r}, synthetic=4, size=32)
        assert len(os.listdir({str(tmp_path)!r})) == 1
        if os.fork() == 0:
            sys.exit()   # a fork that ends in the ordinary way
        os.wait()
        assert len(os.listdir({str(tmp_path)!r})) == 1
        dataset[len(dataset) - 1]
    """
    environment = {"TMPDIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_copies_and_counts_are_as_asked(celeba_folder: Path) -> None:
    assert len(expand_dataset(celeba_folder, copies=3, synthetic=0)) == 4 * 42
    assert len(expand_dataset(celeba_folder, copies=0, synthetic=7, size=32)) == 42 + 7
    assert len(expand_dataset(celeba_folder, copies=0, synthetic=1.0, size=32)) == 84
    assert len(expand_dataset(celeba_folder, copies=np.int64(1), synthetic=np.int64(2), size=32)) == 86  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"copies": -1}, "copies -1: expected a whole number"),
        ({"copies": 1.5}, "copies 1.5: expected a whole number"),
        ({"synthetic": -0.1}, "synthetic -0.1: expected a share such as 0.25 or a count"),
        ({"synthetic": True}, "synthetic True"),
        ({"synthetic": float("nan")}, "synthetic nan"),
        ({"balance": "Glasses"}, "unknown attribute 'Glasses'; the attributes are 5_o_Clock"),
        ({"balance": {"Male": 2}}, "balance Male=2"),
        ({"partition": "training"}, "partition 'training': expected one of train, val, test, all"),
        ({"source": "dcgan-99"}, "model dcgan-99: neither a bundled model"),
        ({"size": 0}, "size 0: expected a side in pixels"),
        ({"size": (32, 32, 3)}, "expected a side in pixels, or \\(width, height\\)"),
        ({"size": "64"}, "size '64': expected a side"),
        ({"size": True}, "size True: expected a side"),
        ({"crop": "tight"}, "crop 'tight': expected one of center178"),
        ({"seed": -1}, "seed -1: expected an integer"),
        ({"recipe": "no-such.toml"}, "no-such.toml: the recipe cannot be read"),
        ({"recipe": Rotate}, r"write Rotate\(\.\.\.\) with parentheses"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(celeba_folder: Path, options: dict[str, Any], expected: str) -> None:
    with pytest.raises(ArgumentError, match=expected):
        expand_dataset(celeba_folder, **options)


def test_no_such_folder_and_an_empty_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no such folder"):
        expand_dataset(tmp_path / "missing")
    with pytest.raises(RefusedError, match="no pictures in it"):
        expand_dataset(tmp_path)


class TestPartitions:
    def test_train_rows_are_the_default_where_a_table_has_any(self, celeba_folder: Path) -> None:
        dataset = expand_dataset(celeba_folder, synthetic=0)
        assert {dataset[i][1]["partition"] for i in range(len(dataset))} == {0}

    def test_all_rows_are_taken_with_a_warning_where_no_table_says(self) -> None:
        with pytest.warns(UserWarning, match="no table marks training pictures") as caught:
            dataset = expand_dataset(labelled_pil(), synthetic=0)
        assert len(dataset) == 12
        assert caught[0].filename == __file__

    @pytest.mark.parametrize(("partition", "rows"), [("val", 9), ("test", 9), (1, 9), (2, 9)])
    def test_synthetic_faces_never_enter_validation_or_test_rows(
        self, celeba_folder: Path, partition: str | int, rows: int
    ) -> None:
        with pytest.warns(UserWarning, match="synthetic faces never enter validation or test rows") as caught:
            dataset = expand_dataset(celeba_folder, partition=partition, copies=0, synthetic=0.25, size=32)
        assert len(dataset) == rows
        assert dataset.plan.synthetic == 0
        assert caught[0].filename == __file__

    def test_all_is_taken_when_it_is_said_and_without_a_warning(self, celeba_folder: Path) -> None:
        dataset = expand_dataset(celeba_folder, partition="all", copies=0, synthetic=3, size=32)
        assert dict(dataset.sizes())["total"] == 63
        assert dataset[62][1]["partition"] == 0

    def test_a_partition_without_rows_is_refused(self) -> None:
        with pytest.raises(RefusedError, match="no real picture is in partition test"):
            expand_dataset(labelled_pil(), partition="test", synthetic=0)


class TestSizes:
    def test_without_synthetic_faces_pictures_of_one_size_stay_as_they_are(self, celeba_folder: Path) -> None:
        dataset = expand_dataset(celeba_folder, synthetic=0)
        assert dataset.frame == type(dataset.frame)("none", (40, 48))
        assert np.array_equal(dataset[0][0].permute(1, 2, 0), FaceFolder(celeba_folder).read(0))
        assert repr(dataset).endswith("; 40x48, seed 0)")

    def test_another_shape_is_fitted_in_and_padded(self, celeba_folder: Path) -> None:
        dataset = expand_dataset(celeba_folder, synthetic=0, size=24)
        image = dataset[0][0]
        assert (dataset.frame.crop, image.shape) == ("none", (3, 24, 24))
        assert not image[:, :, :2].any()  # 20x24 in the middle of 24x24
        assert not image[:, :, 22:].any()
        whole = crop_face(FaceFolder(celeba_folder).read(0), "none", (20, 24))
        assert np.array_equal(image[:, :, 2:22].permute(1, 2, 0), whole)

    def test_a_pair_is_width_and_height_and_a_crop_cuts(self, celeba_folder: Path) -> None:
        assert expand_dataset(celeba_folder, synthetic=0, size=(20, 24))[0][0].shape == (3, 24, 20)
        square = expand_dataset(celeba_folder, synthetic=0, size=24, crop="square")
        assert np.array_equal(
            square[0][0].permute(1, 2, 0), crop_face(FaceFolder(celeba_folder).read(0), "square", (24, 24))
        )
        assert expand_dataset(celeba_folder, synthetic=0, crop="center140").frame.size == (31, 31)

    def test_synthetic_faces_are_sized_with_the_real_ones(self, celeba_folder: Path) -> None:
        dataset = expand_dataset(celeba_folder, synthetic=3, size=48)
        assert {dataset[i][0].shape for i in (0, 50, 86)} == {(3, 48, 48)}
        assert (dataset.frame.crop, dataset.model) == ("center178", "faces-64")

    def test_without_a_size_synthetic_faces_are_as_large_as_the_real_ones_once_cut(self, celeba_folder: Path) -> None:
        dataset = expand_dataset(celeba_folder, synthetic=3)
        assert (dataset.frame.size, dataset.model) == ((40, 40), "faces-64")
        assert np.array_equal(dataset[0][0].permute(1, 2, 0), FaceFolder(celeba_folder).read(0)[4:44])

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            (
                {"source": "dcgan-32"},
                r"faces of dcgan-32 have 32x32 pixels, and the pictures 40x40 .* size=32 \(--size",
            ),
            ({"source": "dcgan-32", "synthetic": None}, "faces of dcgan-32 have 32x32 pixels"),
            ({"source": "dcgan-32", "size": 33}, "faces of dcgan-32 have 32x32 pixels, and the pictures 33x33"),
            (
                {"size": 65},
                r"have 64x64 pixels \(faces-64\), but 65 were requested. Set size=64 \(--size 64\)",
            ),
            ({"size": (40, 48)}, "pictures of 40x48 pixels cannot be mixed with generated .* square: set size=48"),
            ({"crop": "none"}, r"crop='square' \(--crop square\)"),
            ({"size": 65, "only_synthetic": True, "copies": 0}, "65 were requested"),
        ],
    )
    def test_synthetic_faces_asked_for_and_too_small_are_an_error(
        self, celeba_folder: Path, options: dict[str, Any], expected: str
    ) -> None:
        arguments: dict[str, Any] = {"synthetic": 3} | options
        with pytest.raises(ArgumentError, match=expected):
            expand_dataset(celeba_folder, **arguments)

    def test_a_size_of_ones_own_is_never_enlarged_to_for_faces_of_nobody(self, celeba_folder: Path) -> None:
        alone = expand_dataset(celeba_folder, synthetic=3, copies=0, only_synthetic=True)
        assert (alone.model, alone.frame.size) == ("faces-64", (64, 64))

    def test_black_edges_of_real_faces_alone_are_warned_of(self, celeba_folder: Path) -> None:
        with pytest.warns(UserWarning, match="the edges tell them apart") as caught:
            expand_dataset(celeba_folder, synthetic=3, size=32, crop="none")
        assert caught[0].filename == __file__


def sized(*sizes: tuple[int, int], partition: int = 0) -> Listed:
    """Pictures of these sizes, width and height."""
    items = [picture(k, height=h, width=w) for k, (w, h) in enumerate(sizes)]
    return Listed([(image, {"partition": partition}) for image in items])


class TestDefaultFaces:
    """synthetic=None: faces only where a bundled model's are large enough."""

    @pytest.mark.parametrize(
        ("sizes", "options", "why"),
        [
            ([(64, 64)] * 8, {}, ""),
            ([(30, 30)] * 8, {}, ""),
            ([(90, 120), (120, 90), (64, 64), (64, 64)] * 2, {"size": 64}, ""),
            ([(65, 65)] * 8, {}, "the pictures have 65x65 pixels, and the largest faces of a bundled model 64x64"),
            ([(64, 64)] * 8, {"size": 65}, "pictures of 65x65 pixels were requested, and the largest"),
            ([(48, 60)] * 8, {}, r"not square \(48x60\) as generated faces are \(--size 60"),
            ([(60, 60)] * 8, {"size": (48, 60)}, "not square"),
        ],
    )
    def test_a_quarter_is_added_where_they_fit(
        self, sizes: list[tuple[int, int]], options: dict[str, Any], why: str
    ) -> None:
        dataset = expand_dataset(sized(*sizes), **options)
        assert dataset.plan.synthetic == (0 if why else 2)
        assert dataset.model == ("" if why else "faces-64")
        assert re.search(why, dataset.no_synthetic) if why else dataset.no_synthetic == ""
        assert dataset.frame.crop == ("none" if why else "center178")

    def test_of_different_sizes_each_keeps_its_own_and_the_loader_is_told(self, tmp_path: Path) -> None:
        sizes = [(60, 80), (80, 60), (50, 50)]
        with pytest.warns(UserWarning, match=r"60x80, 80x60, 50x50\), and each keeps .* size=224") as caught:
            dataset = expand_dataset(sized(*sizes), eager=True)
        assert caught[0].filename == __file__
        assert [tuple(dataset[i][0].shape[:0:-1]) for i in range(6)] == sizes * 2
        assert "different sizes" in dataset.no_synthetic
        report = dataset.save(tmp_path / "out")
        folder = FaceFolder(tmp_path / "out")
        assert [folder.read(i).shape[1::-1] for i in range(6)] == sizes * 2
        assert "every picture keeps its own size\n" in report.summary()
        assert "no synthetic faces: the pictures have different sizes" in report.summary()

    def test_who_brings_a_transform_or_only_saves_is_not_warned(self) -> None:
        faces = sized((60, 80), (80, 60))
        dataset = expand_dataset(faces, transform=v2.Resize((32, 32)))
        assert next(iter(DataLoader(dataset, batch_size=4)))[0].shape == (4, 3, 32, 32)
        expand_dataset(faces, eager=False)

    def test_class_folders_get_no_faces_without_a_class(self) -> None:
        faces = sized((40, 40), (40, 40))
        faces.classes = ["rose", "tulip"]  # type: ignore[attr-defined]
        for k, item in enumerate(faces.items):
            item[1]["label"] = k
        assert "belong to none" in expand_dataset(faces).no_synthetic

    def test_validation_rows_are_framed_like_the_training_rows_and_get_none(self) -> None:
        held_out = expand_dataset(sized(*[(90, 120)] * 4, partition=1), partition="val", size=64)
        taught = expand_dataset(sized(*[(90, 120)] * 4), size=64)
        assert held_out.frame == taught.frame
        assert (held_out.plan.synthetic, taught.plan.synthetic) == (0, 1)
        assert "never enter validation" in held_out.no_synthetic

    def test_balance_changes_neither_size_nor_crop(self, celeba_folder: Path) -> None:
        plain, balanced = (expand_dataset(celeba_folder, balance=wanted) for wanted in (None, "Male"))
        assert plain.frame == balanced.frame
        assert plain.frame.size == (40, 48)
        assert balanced.plan.synthetic == 0
        assert "not square" in balanced.no_synthetic


class TestLandmarksAndSizes:
    def test_landmarks_outside_the_cut_are_not_visible(self) -> None:
        points = [[0, 20], [39, 20], [20, 20], [20, 1], [20, 60]]
        faces = Listed([(np.zeros((64, 40, 3), np.uint8), {"landmarks": points, "partition": 0})])
        target = expand_dataset(faces, copies=0, synthetic=0, size=40, crop="square")[0][1]
        assert target["visible"].tolist() == [True, True, True, False, False]


class TestBalance:
    def test_copies_have_the_share_and_no_real_row_is_dropped(self, celeba_folder: Path) -> None:
        dataset = expand_dataset(celeba_folder, synthetic=0, balance={"Eyeglasses": 0.4}, seed=1)
        values = dataset.real.annotations.attributes[dataset.plan.rows, attribute_index("Eyeglasses")]
        assert (values[42:] > 0).mean() == pytest.approx(0.4, abs=0.01)
        assert np.array_equal(dataset.plan.rows[:42], np.flatnonzero(dataset.real.annotations.partition == 0))
        assert dataset.plan.kinds == (42, 42, 0)

    def test_the_weight_of_every_item_makes_the_share_over_a_pass(self, celeba_folder: Path) -> None:
        dataset = expand_dataset(celeba_folder, synthetic=5, balance={"Eyeglasses": 0.4}, synthetic_weight=0.5)
        targets = [target for _, target in dataset]
        weights = np.array([target["weight"] for target in targets])
        assert weights.dtype == np.float32
        assert np.array_equal(weights, dataset.weights)
        signs = np.array([target["attributes"][attribute_index("Eyeglasses")] for target in targets])
        share = weights[signs > 0].sum(dtype=float) / weights[signs != 0].sum(dtype=float)
        assert share == pytest.approx(0.4, abs=1e-6)
        assert dataset.shares[0].after == pytest.approx(share)
        assert weights[-5:] == pytest.approx(0.5, abs=1e-6)
        with pytest.raises(ValueError, match="read-only"):
            dataset.weights[0] = 2

    def test_several_at_once_and_bare_names(self, celeba_folder: Path) -> None:
        dataset = expand_dataset(celeba_folder, synthetic=0, partition="all", balance=["Eyeglasses", "Male"])
        assert [share.among[1] for share in dataset.shares] == pytest.approx([0.5, 0.5], abs=0.02)
        assert [share.after for share in dataset.shares] == pytest.approx([0.5, 0.5], abs=1e-6)

    def test_a_folder_without_the_table_is_told(self) -> None:
        with pytest.raises(ArgumentError, match="no picture has a value for it; is its table in the folder"):
            expand_dataset(labelled_pil(), synthetic=0, balance="Male", partition="all")


class TestRecipes:
    def test_ours_torchvisions_and_a_file_are_used(self, celeba_folder: Path, tmp_path: Path) -> None:
        toml = tmp_path / "recipe.toml"
        toml.write_text('[[transform]]\nname = "GaussianBlur"\nsigma = [2.0, 2.0]\n')
        blurred = expand_dataset(celeba_folder, synthetic=0, recipe=GaussianBlur((2.0, 2.0)))[50][0]
        for recipe in (Compose([GaussianBlur((2.0, 2.0))]), toml, str(toml)):
            assert torch.equal(expand_dataset(celeba_folder, synthetic=0, recipe=recipe)[50][0], blurred)
        flipped = expand_dataset(celeba_folder, synthetic=0, recipe=v2.RandomHorizontalFlip(1.0))
        same = [i for i in range(42) if flipped[i][1]["source"] == flipped[50][1]["source"]]
        assert len(same) == 1
        assert torch.equal(flipped[50][0], flipped[same[0]][0].flip(2))

    def test_landmarks_follow_the_recipe_and_the_cut(self, celeba_folder: Path) -> None:
        dataset = expand_dataset(celeba_folder, synthetic=3, size=32, recipe=v2.RandomHorizontalFlip(1.0))
        before, after = (dataset[i][1]["landmarks"] for i in (8, 50))
        mirrored = before[[1, 0, 2, 4, 3]] * [-1, 1] + [31, 0]
        assert after == pytest.approx(mirrored, abs=1e-4)

    def test_one_that_makes_no_uint8_picture_is_refused(self, celeba_folder: Path) -> None:
        dataset = expand_dataset(celeba_folder, synthetic=0, recipe=v2.ToDtype(torch.float32, scale=True))
        with pytest.raises(ArgumentError, match=r"leave conversions .* to transform="):
            dataset[50]


class TestFilter:
    def test_blank_and_repeated_faces_are_replaced(self, celeba_folder: Path) -> None:
        source = Faulty("dcgan-32", seed=4)
        dataset = expand_dataset(celeba_folder, synthetic=10, size=32, source=source)
        assert {name: n for name, n in dataset.rejected.items() if n} == {"flat": 2, "repeat": 1}
        keys = [dataset.synthetic_key(i) for i in range(84, 94)]
        assert keys == [0, 1, 3, 4, 6, 8, 9, 10, 11, 12]
        for key, i in zip(keys, range(84, 94), strict=True):
            assert torch.equal(dataset[i][0], source.generate(1, start=key)[0])

    def test_it_can_be_turned_off(self, celeba_folder: Path) -> None:
        dataset = expand_dataset(celeba_folder, synthetic=10, size=32, source=Faulty("dcgan-32", seed=4), filter=False)
        assert dataset.rejected == {}
        assert [dataset.synthetic_key(i) for i in range(84, 94)] == list(range(10))

    def test_a_collapsed_model_is_named(self, celeba_folder: Path) -> None:
        with pytest.raises(FaceAugError, match=r"dcgan-32: only 1 of .* faces are usable .* it has collapsed"):
            expand_dataset(celeba_folder, synthetic=5, size=32, source=Collapsed("dcgan-32", seed=4))


class Faulty(SyntheticFaceSource):
    """Face 2 and 5 are blank, face 7 is face 1."""

    def generate(self, n: int, attributes: Any = None, start: int = 0) -> torch.Tensor:
        faces = super().generate(n, start=start)
        for k in (2, 5):
            if start <= k < start + n:
                faces[k - start] = 90
        if start <= 1 and start + n > 7:
            faces[7 - start] = faces[1 - start]
        return faces


class Collapsed(SyntheticFaceSource):
    def generate(self, n: int, attributes: Any = None, start: int = 0) -> torch.Tensor:
        return super().generate(1).expand(n, -1, -1, -1)


def test_the_users_transforms_come_last(celeba_folder: Path) -> None:
    dataset = expand_dataset(
        celeba_folder,
        synthetic=2,
        size=32,
        transform=v2.ToDtype(torch.float32, scale=True),
        target_transform=lambda t: t["origin"],
    )
    for i, origin in ((0, 0), (50, 1), (85, 2)):
        image, target = dataset[i]
        assert image.dtype == torch.float32
        assert 0 <= image.min() <= image.max() <= 1
        assert target == origin


@pytest.mark.filterwarnings("ignore:no table marks")
@pytest.mark.parametrize("faces", [labelled_pil(), celeba_like()], ids=["labels", "40 attributes"])
def test_any_map_style_dataset_is_expanded(faces: Listed) -> None:
    dataset = expand_dataset(faces, synthetic=0.5, size=32, seed=2)
    assert dict(dataset.sizes())["total"] == 15
    images, target = next(iter(DataLoader(dataset, batch_size=15)))
    assert images.shape == (15, 3, 32, 32)
    assert {name: (v.dtype, tuple(v.shape[1:])) for name, v in target.items()} == TYPES
    labels = [given if isinstance(given, int) else -1 for _, given in faces.items]
    assert target["label"][:6].tolist() == labels


@pytest.mark.filterwarnings("ignore:no table marks")
def test_float_tensors_and_arrays_give_the_same_samples() -> None:
    arrays = Listed([(image, 0) for image in pictures(4)])
    tensors = Listed([(as_float_tensor(image), 0) for image in pictures(4)])
    a, b = (expand_dataset(faces, synthetic=0, seed=2) for faces in (arrays, tensors))
    assert [digest(a, i) for i in range(8)] == [digest(b, i) for i in range(8)]


@pytest.mark.filterwarnings("ignore:no table marks")
def test_class_folders_and_flat_folders_are_expanded(tmp_path: Path) -> None:
    for k, image in enumerate(pictures(4)):
        for path in (tmp_path / "classes" / f"c{k % 2}" / f"{k}.png", tmp_path / "flat" / f"{k}.png"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_png(image))
    classes = expand_dataset(tmp_path / "classes", synthetic=0)
    assert [classes[i][1]["label"] for i in range(8)] == [0, 0, 1, 1] * 2
    flat = expand_dataset(FaceFolder(tmp_path / "flat"), synthetic=0)
    assert [flat[i][1]["label"] for i in range(8)] == [-1] * 8


def test_an_unreadable_picture_is_named_when_its_item_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode_png(pictures(1)[0]))
    (tmp_path / "b.png").write_bytes(b"no picture")
    dataset = expand_dataset(tmp_path, synthetic=0, partition="all")
    with pytest.raises(ImageError, match="b.png"):
        dataset[1]


def test_real_faces_are_expanded(celeba64: Path) -> None:
    dataset = expand_dataset(celeba64, synthetic=64, balance="Eyeglasses", seed=1)
    assert dataset.shares[0].after == pytest.approx(0.5, abs=1e-6)
    assert dataset.shares[0].among[1:] == (0.5, 0.5)
    images, target = next(iter(DataLoader(dataset, batch_size=64, sampler=dataset.sampler(balanced=True))))
    assert images.shape == (64, 3, 64, 64)  # faces-64 is asked for the glasses
    assert set(target["partition"].tolist()) == {0}


def test_real_photos_keep_their_landmarks_on_the_face(celeba200: Path) -> None:
    dataset = expand_dataset(celeba200, synthetic=4, size=64, partition="all")
    target = dataset[len(FaceFolder(celeba200))][1]
    assert target["origin"] == 1
    known = ~np.isnan(target["landmarks"]).any(axis=1)
    assert np.array_equal(
        target["visible"], known & (target["landmarks"] >= -0.5).all(1) & (target["landmarks"] <= 63.5).all(1)
    )
