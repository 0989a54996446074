from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from faceaug.errors import ArgumentError, RefusedError
from faceaug.data.folder import FaceFolder
from faceaug.synthesize.weights import load_model
from faceaug.data.tables import ATTRIBUTES
from faceaug.train import TrainConfig, preset, train_gan
from faceaug.train.attributes import (
    Requests,
    answer_weights,
    attribute_loss,
    draw_requests,
    draw_rows,
    drop_some,
    sample_rows,
    toggleable,
    typical_rows,
    with_attributes,
)
from faceaug.train.checkpoint import checkpoints, read_checkpoint
from faceaug.train.faces import map_faces

TINY: dict[str, Any] = {
    "architecture": "film-subpixel", "z_size": 8, "g_conv_dim": 4, "d_conv_dim": 4, "batch": 8, "images": 64,
    "precision": "fp32", "crop": "square", "checkpoint_every": 32, "sample_every": 32, "monitor_every": 32,
    "log_every": 16, "average_half_life": 100, "minibatch_stddev": True,
}  # fmt: skip
TABLE = np.where(np.random.default_rng(0).random((500, 40)) < 0.3, 1, -1).astype(np.int8)


def tiny(**changes: Any) -> TrainConfig:
    return TrainConfig(**(TINY | changes))


def test_rows_are_dropped_wholly_in_part_or_not_at_all_and_never_changed() -> None:
    rows = np.repeat(TABLE, 20, axis=0)
    found = drop_some(rows, tiny(drop_all=0.1, drop_some=0.3), np.random.default_rng(1))
    assert found.dtype == np.int8
    assert ((found == rows) | (found == 0)).all()
    kept = (found != 0).mean(axis=1)
    assert abs((kept == 1).mean() - 0.6) < 0.03
    assert abs((kept == 0).mean() - 0.1) < 0.03
    assert abs(kept[(kept > 0) & (kept < 1)].mean() - 0.5) < 0.05
    assert (drop_some(rows, tiny(drop_all=0, drop_some=0), np.random.default_rng(1)) == rows).all()


def drawn(step: int = 0, **changes: Any) -> Requests:
    config = tiny(**changes)
    return draw_requests(draw_rows(TABLE, config, step), config, np.random.default_rng(step), columns=toggleable(TABLE))


def test_requests_are_real_rows_of_which_some_have_one_attribute_toggled() -> None:
    requests = drawn(batch=400, toggle=0.5, drop_all=0.0, drop_some=0.0)
    rows = {row.tobytes() for row in TABLE}
    assert set(requests.toggled.sum(axis=1).tolist()) == {0, 1}
    assert abs(requests.toggled.sum(axis=1).mean() - 0.5) < 0.1
    for asked, toggled in zip(requests.asked, requests.toggled, strict=True):
        assert np.where(toggled, -asked, asked).astype(np.int8).tobytes() in rows


def test_of_a_face_with_a_toggled_attribute_the_discriminator_is_told_nothing() -> None:
    requests = drawn(batch=400, toggle=0.5)
    some = requests.toggled.any(axis=1)
    assert not requests.judged[some].any()
    assert (requests.judged[~some] == requests.asked[~some]).all()


def test_rows_of_the_generator_depend_on_seed_and_step_alone() -> None:
    first = draw_rows(TABLE, tiny(), 5)
    assert (first == draw_rows(TABLE, tiny(), 5)).all()
    assert (first != draw_rows(TABLE, tiny(), 6)).any()
    assert (first != draw_rows(TABLE, tiny(seed=1), 5)).any()


def test_an_attribute_that_was_not_asked_for_can_be_toggled_either_way() -> None:
    requests = drawn(batch=400, toggle=1.0, drop_all=1.0)
    assert (np.abs(requests.asked).sum(axis=1) == 1).all()
    assert not requests.judged.any()
    assert abs(requests.asked.sum(axis=1).mean()) < 0.2


def test_an_attribute_that_all_faces_share_is_never_toggled() -> None:
    table = np.ones((50, 40), np.int8)
    table[:10, 7] = -1
    assert toggleable(table).tolist() == [7]
    config = tiny(batch=100, toggle=1.0)
    nothing = draw_requests(table, config, np.random.default_rng(0), columns=toggleable(table[20:]))
    assert not nothing.toggled.any()


def test_rare_answers_weigh_more_up_to_four_and_unknown_ones_nothing() -> None:
    table = np.full((1000, 40), -1, np.int8)
    table[:10, 0], table[:500, 1], table[:1, 2], table[:, 3] = 1, 1, 1, 0
    no, yes = answer_weights(table).numpy()
    assert yes[0] == 4.0
    assert no[1] == yes[1] == 1.0
    assert yes[2] == 4.0
    assert no[0] == pytest.approx((0.5 / 0.99) ** 0.5)
    weights = torch.ones(2, 40)
    logits, wanted = torch.zeros(2, 40), torch.zeros(2, 40)
    assert attribute_loss(logits, wanted, weights) == 0
    wanted[0, :20] = 1
    assert attribute_loss(logits, wanted, weights).item() == pytest.approx(math.log(2) / 4)
    instead = torch.where(torch.arange(40) < 1, 5.0, 0.0).expand(2, 40) * wanted  # one of the twenty weighs five
    rare = weights * 3
    assert attribute_loss(logits, wanted, rare, instead).item() == pytest.approx(math.log(2) * (19 * 3 + 5) / 80)
    assert attribute_loss(logits + 9, wanted, weights) < 1e-3 < attribute_loss(logits - 9, wanted, weights)


def test_typical_rows_and_samples_are_real_rows() -> None:
    rows = {row.tobytes() for row in TABLE}
    chosen = typical_rows(TABLE, 0)
    assert chosen.shape == (500, 40)
    assert {row.tobytes() for row in chosen} <= rows
    assert {row.astype(np.int8).tobytes() for row in sample_rows(chosen, 9, 0).numpy()} <= rows


def test_attributes_follow_the_readable_faces_and_belong_to_the_fingerprint(
    celeba_folder: Path, tmp_path: Path
) -> None:
    folder = FaceFolder(celeba_folder)
    rows = np.arange(3, 30)
    for _ in range(2):  # decoded, then opened
        faces = map_faces(folder, tmp_path, crop="square", size=32, rows=rows)
        known = with_attributes(faces, folder)
        assert known.attributes is not None
        assert (known.attributes == folder.annotations.attributes[faces.rows]).all()
        assert known.fingerprint != faces.fingerprint
        assert len(known.attributes) == len(known.pixels)


def test_a_folder_without_attributes_is_refused_and_leaves_nothing(tmp_path: Path, celeba_folder: Path) -> None:
    with pytest.raises(RefusedError, match="no attribute of any face is known"):
        flat = tmp_path / "flat"
        flat.mkdir()
        for path in sorted(celeba_folder.rglob("*.png"))[:20]:
            (flat / path.name).write_bytes(path.read_bytes())
        train_gan(flat, tmp_path / "run", tiny())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_stopped_and_resumed_conditional_run_is_the_same_run_to_the_bit(
    celeba_folder: Path, tmp_path: Path, precision: str
) -> None:
    extras = {
        "precision": precision, "augment": "translation", "augment_target": 0.1, "augment_images": 100, "r1": 0.1,
        "penalty_every": 2, "teacher": 1.0,
    }  # fmt: skip
    train_gan(celeba_folder, tmp_path / "whole", tiny(**extras))
    train_gan(celeba_folder, tmp_path / "halves", tiny(**extras, images=32))
    train_gan(celeba_folder, tmp_path / "halves", tiny(**extras), resume=True)
    whole, halves = (read_checkpoint(checkpoints(tmp_path / name)[-1]) for name in ("whole", "halves"))
    assert whole.tensors.keys() == halves.tensors.keys()
    assert all(torch.equal(whole.tensors[name], halves.tensors[name]) for name in whole.tensors)
    assert whole.numbers == halves.numbers
    logs = [(tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("whole", "halves")]
    readings = [[json.loads(line) for line in lines] for lines in logs]
    for a, b in zip(*readings, strict=True):
        assert {k: v for k, v in a.items() if k != "images_per_s"} == {
            k: v for k, v in b.items() if k != "images_per_s"
        }
    assert any({"named", "obeyed", "toggled"} <= line.keys() for line in readings[0])


def test_the_model_of_a_conditional_run_obeys_attributes(celeba_folder: Path, tmp_path: Path) -> None:
    train_gan(celeba_folder, tmp_path / "run", tiny(images=32))
    model = load_model(tmp_path / "run")
    assert (model.config.architecture, model.config.attributes) == ("film-subpixel", ATTRIBUTES)
    z = torch.zeros(1, 8)
    with torch.inference_mode():
        yes, no = (model.generator(z, torch.full((1, 40), value)) for value in (1.0, -1.0))
    assert not torch.equal(yes, no)


@pytest.mark.parametrize("loss", ["hinge", "relativistic"])
def test_every_loss_and_norm_trains_a_conditional_run(celeba_folder: Path, tmp_path: Path, loss: Any) -> None:
    changes = {"loss": loss, "d_norm": "spectral" if loss == "hinge" else "none", "r1": 0.1, "r2": 0.1}
    report = train_gan(celeba_folder, tmp_path / "run", tiny(**changes, images=16))
    assert report.finished


def test_numbers_out_of_range_are_refused() -> None:
    for name, value in (("toggle", 1.5), ("drop_all", -0.1), ("aux_d", -1), ("architecture", "transformer")):
        with pytest.raises(ArgumentError, match=name):
            preset("faces-64", **{name: value})
