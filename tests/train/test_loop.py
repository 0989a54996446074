from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin
from safetensors.torch import save as dump_safetensors

from faceaug.data.folder import FaceFolder
from faceaug.errors import ArgumentError, FaceAugError, Interrupted, RefusedError, WeightsError
from faceaug.progress.phases import Phase
from faceaug.synthesize import SyntheticFaceSource, load_model
from faceaug.train import TrainConfig, export_model, generator_step, train_gan
from faceaug.train.checkpoint import checkpoints, read_checkpoint
from faceaug.train.keeper import Keeper
from faceaug.train.session import Session

TINY: dict[str, Any] = {
    "z_size": 8, "g_conv_dim": 4, "d_conv_dim": 4, "batch": 8, "images": 64, "precision": "fp32", "crop": "square",
    "checkpoint_every": 32, "sample_every": 32, "monitor_every": 32, "log_every": 16, "average_half_life": 100,
}  # fmt: skip


def tiny(**changes: Any) -> TrainConfig:
    return TrainConfig(**(TINY | changes))


def newest(run: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(checkpoints(run)[-1]).tensors


def log(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "images_per_s"} for line in lines]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def finished(celeba_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("train") / "run"
    train_gan(celeba_folder, run, tiny())
    return run


def test_a_run_folder_holds_what_the_contract_says(finished: Path, celeba_folder: Path) -> None:
    names = {str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file()}
    assert names == {
        "config.json", "log.jsonl", "samples.png",
        "checkpoint-000000032/state.json", "checkpoint-000000032/state.safetensors",
        "checkpoint-000000064/state.json", "checkpoint-000000064/state.safetensors",
        "samples/000000032.png", "samples/000000064.png",
        "model/config.json", "model/model.safetensors", "model/README.md",
    }  # fmt: skip
    readings = [line for line in log(finished) if "d_loss" in line]
    assert [line["images"] for line in readings] == [16, 32, 48, 64]
    assert all(math.isfinite(line["d_loss"]) and math.isfinite(line["g_loss"]) for line in readings)
    assert [line["images"] for line in log(finished) if "proxy" in line] == [32, 64]
    document = json.loads((finished / "config.json").read_bytes())
    health = document.pop("health")
    (session,) = document.pop("sessions")
    assert (session["images"], session["conditions"]["device"]) == (0, "cpu")
    assert document == {"run": tiny().to_json() | {"init": None}, "finished": True}
    assert (health["images"], health["state"], health["alarms"]) == (64, "early", [])
    with Image.open(finished / "samples" / "000000064.png") as sheet:
        assert sheet.size == (16 * 65 - 1, 4 * 65 - 1)


def test_the_report_counts_and_the_callers_are_told(celeba_folder: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int, str]] = []
    report = train_gan(
        celeba_folder, tmp_path / "run", tiny(images=32), progress=lambda *state: seen.append(state)
    )  # fmt: skip
    assert (report.images, report.finished, report.faces, report.unreadable) == (32, True, 42, ())
    assert list(dict.fromkeys(s[0] for s in seen)) == ["reading", "preparing", "training", "saving"]
    assert [s for s in seen if s[0] == "reading"][-1] == ("reading", 42, 42, "pictures")
    assert [s for s in seen if s[0] == "saving"][-1] == ("saving", 3, 3, "parts")
    steps = [s[1:] for s in seen if s[0] == "training"]
    assert steps[0] == (0, 32, "images")
    assert [done for done, _, _ in steps] == sorted(done for done, _, _ in steps)
    assert steps[-1][:2] == (32, 32)
    assert json.loads(json.dumps(report.to_json()))["model"] == str(tmp_path / "run" / "model")
    assert re.fullmatch(r"D \d+\.\d\d  G \d+\.\d\d", steps[-1][2])


def test_a_resumed_run_begins_its_progress_where_it_stopped(celeba_folder: Path, tmp_path: Path) -> None:
    train_gan(celeba_folder, tmp_path / "run", tiny(images=32))
    seen: list[tuple[str, int, int, str]] = []
    train_gan(
        celeba_folder, tmp_path / "run", tiny(images=64), resume=True, progress=lambda *state: seen.append(state)
    )  # fmt: skip
    assert next(s for s in seen if s[0] == "training") == ("training", 32, 64, "images")


def test_the_model_is_loadable_and_is_the_average(finished: Path, tmp_path: Path) -> None:
    by_run, by_model = SyntheticFaceSource(finished), SyntheticFaceSource(finished / "model")
    assert by_run.config.crop == "square"
    assert by_run.config.name == "run"
    faces = by_run.generate(4)
    assert torch.equal(faces, by_model.generate(4))
    export_model(finished, tmp_path / "raw", weights="raw", name="mine", license="CC0-1.0", data="nobody's faces")
    raw = SyntheticFaceSource(tmp_path / "raw")
    assert (raw.config.name, raw.config.license) == ("mine", "CC0-1.0")
    assert not torch.equal(raw.generate(4), faces)


def test_a_picture_with_the_name_of_a_sample_stays_and_the_training_goes_on(
    celeba_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train_gan(celeba_folder, run, tiny(images=32))
    first = (run / "samples" / "000000032.png").read_bytes()
    with Image.open(run / "samples" / "000000032.png") as sheet:
        size = sheet.size  # of a sheet, but with a text of another program
    mine = {"samples/000000064.png": size, "samples.png": (64, 48), "samples/holiday.png": (20, 20)}
    text = PngImagePlugin.PngInfo()
    text.add_text("Software", "Another Editor")
    for name, size in mine.items():
        Image.new("RGB", size, "tan").save(run / name, pnginfo=text)
    before = {name: (run / name).read_bytes() for name in mine}
    with pytest.warns(UserWarning, match=r"is not a contact sheet of faceaug train.* of the run is left out") as told:
        report = train_gan(celeba_folder, run, tiny(), resume=True)
    assert {str(one.message).partition(":")[0].removeprefix(f"{run}/") for one in told} == {
        "samples/000000064.png", "samples.png",
    }  # fmt: skip
    assert report.finished
    assert {name: (run / name).read_bytes() for name in mine} == before
    assert (run / "samples" / "000000032.png").read_bytes() == first


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_stopped_and_resumed_run_is_the_same_run_to_the_bit(
    celeba_folder: Path, tmp_path: Path, precision: str
) -> None:
    config = tiny(precision=precision)
    train_gan(celeba_folder, tmp_path / "whole", config)
    train_gan(celeba_folder, tmp_path / "halves", tiny(precision=precision, images=32))
    report = train_gan(celeba_folder, tmp_path / "halves", config, resume=True)
    assert report.finished
    whole, halves = newest(tmp_path / "whole"), newest(tmp_path / "halves")
    parts = {name.split("/")[0] for name in whole}
    assert parts == {"generator", "discriminator", "average", "d_optimizer", "g_optimizer"}
    assert same(whole, halves)
    assert log(tmp_path / "whole") == log(tmp_path / "halves")
    for name in ("model/model.safetensors", "samples/000000064.png"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "halves" / name).read_bytes()


def stopped_at(images: int, config: TrainConfig, faces: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is killed outright after so many images."""
    step = Session.step

    def die(self: Session) -> bool:
        if self.images >= images:
            raise MemoryError
        return step(self)

    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(Session, "step", die)
        train_gan(faces, run, config)


@pytest.mark.parametrize("images", [0, 24, 56])
def test_a_killed_run_goes_on_from_its_checkpoint_to_the_same_end(
    celeba_folder: Path, tmp_path: Path, finished: Path, images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    stopped_at(images, tiny(), celeba_folder, run, monkeypatch)
    with (run / "log.jsonl").open("a") as handle:
        handle.write('{"images": 48, "d_lo')  # torn
    assert train_gan(celeba_folder, run, tiny()).finished  # the same command is enough
    assert same(newest(run), newest(finished))
    assert log(run) == log(finished)


def test_a_finished_run_is_not_overwritten_and_can_be_made_longer(
    finished: Path, celeba_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    with pytest.raises(RefusedError, match="holds a finished run: --resume with a larger --images continues it"):
        train_gan(celeba_folder, run, tiny())
    report = train_gan(celeba_folder, run, tiny(images=96), resume=True)
    assert (report.images, report.finished) == (96, True)
    assert json.loads((run / "config.json").read_bytes())["run"]["images"] == 96
    assert [path.name for path in checkpoints(run)] == ["checkpoint-000000064", "checkpoint-000000096"]


def test_stopped_before_the_first_step_it_can_be_resumed(celeba_folder: Path, tmp_path: Path, finished: Path) -> None:
    report = train_gan(celeba_folder, tmp_path / "run", tiny(), minutes=1e-9)
    assert (report.images, report.finished) == (0, False)
    assert len(SyntheticFaceSource(report.model).generate(1)) == 1
    train_gan(celeba_folder, tmp_path / "run", tiny(), resume=True)
    assert same(newest(tmp_path / "run"), newest(finished))


def test_minutes_save_and_return_unfinished(celeba_folder: Path, tmp_path: Path) -> None:
    report = train_gan(celeba_folder, tmp_path / "run", tiny(images=10**7, log_every=10**6), minutes=0.05)
    assert not report.finished
    assert report.images == read_checkpoint(checkpoints(report.run)[-1]).images > 0
    assert report.seconds < 60


def test_a_time_limit_includes_the_time_that_saving_takes(
    celeba_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = 3600.0

    def as_if(keeper: Keeper) -> None:
        keeper.saving = 2 * hours

    monkeypatch.setattr(Keeper, "estimate_saving", as_if)
    late = train_gan(celeba_folder, tmp_path / "late", tiny(), minutes=60, began=time.monotonic() - hours)
    assert (late.added, late.finished) == (0, False)
    assert late.seconds > hours
    early = train_gan(celeba_folder, tmp_path / "early", tiny(), minutes=120)  # half of the time is for training anyway
    assert early.finished


def test_another_config_is_refused_on_resume_and_told_what_it_was(finished: Path, celeba_folder: Path) -> None:
    before = (finished / "config.json").read_bytes()
    with pytest.raises(RefusedError, match=r"another config \(batch was 8, seed was 0\)"):
        train_gan(celeba_folder, finished, tiny(batch=16, seed=1), resume=True)
    assert (finished / "config.json").read_bytes() == before


def test_other_faces_are_refused_on_resume(finished: Path, celeba_folder: Path, tmp_path: Path) -> None:
    run, faces = tmp_path / "run", tmp_path / "faces"
    shutil.copytree(finished, run)
    shutil.copytree(celeba_folder, faces)
    (faces / "img_align_celeba" / "000001.png").unlink()
    tensors = newest(run)
    with pytest.raises(RefusedError, match="the faces are not those the run began with"):
        train_gan(faces, run, tiny(images=96), resume=True)
    assert same(newest(run), tensors)


def test_there_must_be_a_run_to_resume(celeba_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="no run to resume there"):
        train_gan(celeba_folder, tmp_path / "run", tiny(), resume=True)
    assert not (tmp_path / "run").exists()
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(FaceAugError, match="not a readable run file"):
        train_gan(celeba_folder, tmp_path, tiny(), resume=True)


def test_a_second_process_is_refused_while_one_trains(celeba_folder: Path, tmp_path: Path) -> None:
    refused: list[str] = []

    def meanwhile(*_: object) -> None:
        with pytest.raises(RefusedError) as found:
            train_gan(celeba_folder, tmp_path / "run", tiny(), resume=True)
        refused.append(str(found.value))

    report = train_gan(celeba_folder, tmp_path / "run", tiny(), progress=meanwhile)
    assert report.finished
    assert refused
    assert all(f"in use by process {os.getpid()} (faceaug train); wait for it to end" in line for line in refused)


def test_a_damaged_checkpoint_is_an_error_and_the_one_before_can_be_used(
    finished: Path, celeba_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    damaged = checkpoints(run)[-1]
    (damaged / "state.safetensors").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="remove checkpoint-000000064 to use the one before"):
        train_gan(celeba_folder, run, tiny(), resume=True)
    shutil.rmtree(damaged)
    train_gan(celeba_folder, run, tiny(), resume=True)
    assert same(newest(run), newest(finished))
    assert log(run) == log(finished)


@pytest.mark.parametrize(("out", "reason"), [("", "lies inside"), ("run", "lies inside")])
def test_nothing_is_written_into_the_folder_of_faces(celeba_folder: Path, out: str, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        train_gan(celeba_folder, celeba_folder / out, tiny())


def test_what_is_in_the_way_is_not_touched(celeba_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years")
    with pytest.raises(RefusedError, match="is not empty"):
        train_gan(celeba_folder, tmp_path, tiny())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_unreadable_pictures_are_reported_and_the_run_goes_on(celeba_folder: Path, tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    shutil.copytree(celeba_folder, faces)
    (faces / "img_align_celeba" / "000003.png").write_bytes(b"no picture")
    report = train_gan(faces, tmp_path / "run", tiny(images=8))
    assert report.faces == 41
    assert len(report.unreadable) == 1
    assert "000003.png" in report.unreadable[0]


def test_fewer_faces_than_a_batch_are_refused(celeba_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="9 faces are fewer than one batch of 16"):
        train_gan(celeba_folder, tmp_path / "run", tiny(batch=16), partition="val")
    assert not (tmp_path / "run").exists()


def test_init_starts_from_a_models_weights(finished: Path, celeba_folder: Path, tmp_path: Path) -> None:
    train_gan(celeba_folder, tmp_path / "run", tiny(), init=finished, minutes=1e-9)
    started = SyntheticFaceSource(tmp_path / "run").generate(2)
    fresh = tmp_path / "fresh"
    train_gan(celeba_folder, fresh, tiny(), minutes=1e-9)
    wanted, other = SyntheticFaceSource(finished).generate(2), SyntheticFaceSource(fresh).generate(2)
    assert (started.int() - wanted.int()).abs().max() <= 1  # by way of fp16
    assert (other.int() - wanted.int()).abs().max() > 2
    assert train_gan(celeba_folder, tmp_path / "run", tiny(), resume=True).finished


def of(run: Path, *parts: str) -> dict[str, torch.Tensor]:
    return {name: t for name, t in newest(run).items() if name.startswith(tuple(f"{part}/" for part in parts))}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(t, other[name]) for name, t in one.items())


def test_init_of_a_run_folder_takes_its_discriminator_and_its_optimizers_along(
    finished: Path, celeba_folder: Path, tmp_path: Path
) -> None:
    train_gan(celeba_folder, tmp_path / "run", tiny(seed=5), init=finished, minutes=1e-9)
    wanted = of(finished, "discriminator", "d_optimizer", "g_optimizer")
    assert {name.split("/")[0] for name in wanted} == {"discriminator", "d_optimizer", "g_optimizer"}
    assert equal(of(tmp_path / "run", "discriminator", "d_optimizer", "g_optimizer"), wanted)


def test_init_of_a_run_folder_leaves_the_moments_of_another_optimizer_behind(
    finished: Path, celeba_folder: Path, tmp_path: Path
) -> None:
    config = tiny(optimizer="rmsprop")
    train_gan(celeba_folder, tmp_path / "run", config, init=finished, minutes=1e-9)
    assert not of(tmp_path / "run", "d_optimizer", "g_optimizer")
    assert equal(of(tmp_path / "run", "discriminator"), of(finished, "discriminator"))
    assert train_gan(celeba_folder, tmp_path / "run", config, init=finished, resume=True).finished


def test_a_model_says_which_other_it_began_from(finished: Path, celeba_folder: Path, tmp_path: Path) -> None:
    assert "began_from" not in load_model(finished).config.training
    start = shutil.copytree(finished, tmp_path / "start")
    train_gan(celeba_folder, tmp_path / "run", tiny(), init=start, minutes=1e-9)
    told = export_model(tmp_path / "run", tmp_path / "first").training["began_from"]
    assert told == f"{load_model(start).config.name}, {load_model(start).config.training['images_shown']} images shown"
    train_gan(celeba_folder, tmp_path / "further", tiny(), init=tmp_path / "run", minutes=1e-9)
    further = export_model(tmp_path / "further", tmp_path / "third").training["began_from"]
    assert further.startswith("run")
    assert further.endswith(f", which began from {told}")
    shutil.rmtree(start)
    assert export_model(tmp_path / "run", tmp_path / "second").training["began_from"] == "start"


def test_a_discriminator_of_another_shape_begins_anew(finished: Path, celeba_folder: Path, tmp_path: Path) -> None:
    config = tiny(d_contrast=True)
    train_gan(celeba_folder, tmp_path / "run", config, init=finished, minutes=1e-9)
    train_gan(celeba_folder, tmp_path / "fresh", config, minutes=1e-9)
    assert equal(of(tmp_path / "run", "discriminator", "d_optimizer"), of(tmp_path / "fresh", "discriminator"))


def test_init_of_another_width_is_refused(celeba_folder: Path, tmp_path: Path) -> None:
    expected = "init dcgan-32: its layers have other sizes than this config's; expected z_size=100, g_conv_dim=64 "
    with pytest.raises(ArgumentError, match=re.escape(expected)):
        train_gan(celeba_folder, tmp_path / "run", tiny(), init="dcgan-32")


def poison(monkeypatch: pytest.MonkeyPatch, bad: set[int]) -> None:
    """Make the generator's loss NaN in some of its calls, counted from 1."""
    real, calls = generator_step.generator_loss, 0

    def poisoned(*arguments: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        loss: torch.Tensor = real(*arguments)
        return loss * (math.nan if calls in bad else 1)

    monkeypatch.setattr(generator_step, "generator_loss", poisoned)


def test_a_loss_that_is_no_number_is_skipped(
    celeba_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, {2, 3})
    assert train_gan(celeba_folder, tmp_path / "run", tiny(log_every=8)).finished
    assert [line.get("skipped", 0) for line in log(tmp_path / "run") if "d_loss" in line][:5] == [0, 1, 2, 0, 0]
    assert all(torch.isfinite(value).all() for value in newest(tmp_path / "run").values())


@pytest.mark.parametrize(("first", "back_to"), [(6, 32), (2, 0)])
def test_after_too_many_the_run_goes_back_to_a_healthy_checkpoint_at_half_the_rate(
    celeba_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int, back_to: int
) -> None:
    poison(monkeypatch, {first, first + 1})
    run = tmp_path / "run"
    with pytest.warns(UserWarning, match=rf"back to {back_to}, at half the rate"):
        assert train_gan(celeba_folder, run, tiny(skips=2)).finished
    saved = read_checkpoint(checkpoints(run)[-1])
    assert saved.numbers["guard"] == {"skipped": 0, "rollbacks": 1}
    assert all(torch.isfinite(value).all() for value in saved.tensors.values())
    events = [line for line in log(run) if line.get("event") == "rollback"]
    assert [(line["images"], line["rate_share"]) for line in events] == [(back_to, 0.5)]
    shown = [line["images"] for line in log(run) if "d_loss" in line]
    assert shown == sorted(set(shown))


def test_a_run_that_was_killed_after_going_back_is_still_the_same_run(
    celeba_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(skips=2)
    with monkeypatch.context() as patch:
        poison(patch, {6, 7})
        with pytest.warns(UserWarning, match="back to 32"):
            train_gan(celeba_folder, tmp_path / "whole", config)
    with monkeypatch.context() as patch:
        poison(patch, {6, 7})
        patch.setattr(Keeper, "attend", die_at_48(Keeper.attend))
        with pytest.raises(MemoryError), pytest.warns(UserWarning, match="back to 32"):
            train_gan(celeba_folder, tmp_path / "killed", config)
    train_gan(celeba_folder, tmp_path / "killed", config)
    assert same(newest(tmp_path / "whole"), newest(tmp_path / "killed"))


def die_at_48(attend: Any) -> Any:
    def attending(keeper: Keeper, phase: Phase) -> None:
        if keeper.session.images == 48 and keeper.session.guard.rollbacks:
            raise MemoryError
        attend(keeper, phase)

    return attending


def test_a_run_that_cannot_be_healed_stops_with_the_reason_and_keeps_its_checkpoint(
    celeba_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, set(range(6, 1000)))
    with (
        pytest.warns(UserWarning, match="at half the rate"),
        pytest.raises(FaceAugError, match=r"not finite in 2 steps in a row at 48 images, after 2 returns.*--init"),
    ):
        train_gan(celeba_folder, tmp_path / "run", tiny(skips=2, rollbacks=2))
    assert [path.name for path in checkpoints(tmp_path / "run")] == ["checkpoint-000000032"]
    assert all(torch.isfinite(value).all() for value in newest(tmp_path / "run").values())
    assert len(SyntheticFaceSource(tmp_path / "run").generate(1)) == 1


def test_a_run_of_the_first_release_goes_on_to_the_bit(finished: Path, celeba_folder: Path, tmp_path: Path) -> None:
    """Its config.json and checkpoints, as 0.1.0 wrote them."""
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    shutil.rmtree(checkpoints(run)[-1])
    document = json.loads((run / "config.json").read_bytes())
    old = [
        "size", "crop", "z_size", "g_conv_dim", "d_conv_dim", "images", "batch", "learning_rate", "beta1", "beta2",
        "flip", "average_half_life", "average_rampup", "precision", "seed", "checkpoint_every", "sample_every",
        "log_every", "init",
    ]  # fmt: skip
    (run / "config.json").write_text(json.dumps({"run": {key: document["run"][key] for key in old}, "finished": False}))
    folder = checkpoints(run)[-1]
    tensors = {
        name.replace("_optimizer/", "_adam/"): tensor for name, tensor in read_checkpoint(folder).tensors.items()
    }
    data = dump_safetensors(tensors)
    state = json.loads((folder / "state.json").read_bytes())
    del state["numbers"]
    (folder / "state.safetensors").write_bytes(data)
    (folder / "state.json").write_text(json.dumps(state | {"sha256": hashlib.sha256(data).hexdigest()}))
    train_gan(celeba_folder, run, tiny(monitor_every=50_000))
    assert same(newest(run), newest(finished))


def test_a_run_of_a_newer_release_is_refused_with_the_reason(
    finished: Path, celeba_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    document = json.loads((run / "config.json").read_bytes())
    document["run"]["telepathy"] = True
    (run / "config.json").write_text(json.dumps(document))
    with pytest.raises(RefusedError, match="'telepathy' is unknown; a newer faceaug may know it"):
        export_model(run, tmp_path / "model")


def test_a_finished_run_still_says_how_many_faces_it_saw(finished: Path, tmp_path: Path) -> None:
    assert not (finished / "faces.json").exists()
    assert export_model(finished, tmp_path / "model").training["faces"] == 42


def test_a_run_without_average_keeps_and_exports_the_weights_as_they_are(celeba_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_gan(celeba_folder, run, tiny(average_half_life=0, images=32))
    assert SyntheticFaceSource(run).config.training["weights"] == "raw"
    export_model(run, tmp_path / "raw", weights="raw", name="run")
    assert (run / "model" / "model.safetensors").read_bytes() == (tmp_path / "raw" / "model.safetensors").read_bytes()


def test_larger_faces_are_trained_and_generated(celeba_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_gan(celeba_folder, run, tiny(size=64, g_conv_dim=2, d_conv_dim=2, images=16, d_norm="none", r1=0.1))
    assert SyntheticFaceSource(run).generate(3).shape == (3, 3, 64, 64)
    assert "64x64" in (run / "model" / "README.md").read_text()


def test_the_film_shows_the_sheets_in_order(finished: Path) -> None:
    with Image.open(finished / "samples.png") as film:
        assert getattr(film, "n_frames", 1) == 2
        film.seek(1)
        last = np.asarray(film.convert("RGB"))
    with Image.open(finished / "samples" / "000000064.png") as sheet:
        assert np.array_equal(last, np.asarray(sheet))


def test_tensorboard_without_its_extra_says_what_to_install(
    celeba_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ArgumentError, match=r"pip install 'faceaug\[tensorboard\]'"):
        train_gan(celeba_folder, tmp_path / "run", tiny(images=8), tensorboard=True)


def test_tensorboard_gets_what_the_log_gets(celeba_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    train_gan(celeba_folder, tmp_path / "run", tiny(images=16), tensorboard=True)
    assert list((tmp_path / "run" / "tensorboard").glob("events.out.tfevents.*"))


def test_a_run_without_any_checkpoint_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="no checkpoint in it yet"):
        export_model(tmp_path, tmp_path / "model")


def test_the_partition_decides_which_faces_are_seen(celeba_folder: Path, tmp_path: Path) -> None:
    assert train_gan(celeba_folder, tmp_path / "val", tiny(images=8), partition="val").faces == 9
    assert train_gan(FaceFolder(celeba_folder), tmp_path / "all", tiny(images=8), partition="all").faces == 60


def test_nothing_global_is_drawn_from_or_changed(celeba_folder: Path, tmp_path: Path) -> None:
    state = (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist())
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    train_gan(celeba_folder, tmp_path / "run", tiny(images=8))
    assert (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()) == state
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_the_run_can_be_resumed(
    celeba_folder: Path, tmp_path: Path, finished: Path, number: signal.Signals
) -> None:
    def stop(phase: str, done: int, *_: object) -> None:
        if (phase, done) == ("training", 16):
            signal.raise_signal(number)

    with pytest.raises(Interrupted, match=rf"stopped by {number.name} at 16 of 64 images; everything is saved"):
        train_gan(celeba_folder, tmp_path / "run", tiny(), progress=stop)
    train_gan(celeba_folder, tmp_path / "run", tiny(), resume=True)
    assert same(newest(tmp_path / "run"), newest(finished))
    assert log(tmp_path / "run") == log(finished)


def test_a_process_that_is_terminated_saves_exits_130_and_goes_on(celeba_folder: Path, tmp_path: Path) -> None:
    run, config = tmp_path / "run", tiny(images=10**7, log_every=8)
    program = (
        "import sys; from faceaug.train import config, export; from faceaug.cli import main\n"
        f"config.PRESETS['tiny'] = config.TrainConfig(**{config.to_json()!r})\n"
        "export._STATISTICS_BATCHES = 2\n"
        "main()"
    )
    command = [
        sys.executable,
        "-c",
        program,
        "train",
        str(celeba_folder),
        "--out",
        str(run),
        "--preset",
        "tiny",
        "--json",
    ]
    # As many threads as this process, which goes on with the run: other bits would be a warning.
    environment = os.environ | {"PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and not ((run / "log.jsonl").is_file() and (run / "log.jsonl").stat().st_size):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stderr.splitlines()[-1].startswith("faceaug: stopped by SIGTERM")
    assert stderr.count("faceaug:") == 1
    assert json.loads(stdout)["exit_code"] == 130
    images = read_checkpoint(checkpoints(run)[-1]).images
    assert images > 0
    more = train_gan(celeba_folder, run, tiny(images=images + 16, log_every=8), resume=True)
    assert (more.images, more.finished) == (images + 16, True)


def test_real_faces_are_learnt_from(celeba64: Path, tmp_path: Path) -> None:
    folder = FaceFolder(celeba64)
    report = train_gan(folder, tmp_path / "run", tiny(images=64, batch=32, crop="center178"), partition="val")
    assert report.finished
    assert report.unreadable == ()


def test_a_session_that_ends_before_its_first_step_says_so(celeba_folder: Path, tmp_path: Path) -> None:
    report = train_gan(celeba_folder, tmp_path / "run", tiny(), minutes=1e-9)
    assert (report.added, report.images, report.finished) == (0, 0, False)
    text = report.summary()
    assert text.startswith("nothing was added: the limit of 1e-09 minutes ended before the first step")
    assert "the model is untrained" in text
    assert "--resume with more --minutes continues it" in text
    assert report.to_json()["added"] == 0


def test_a_run_that_is_at_its_images_already_says_so(finished: Path, celeba_folder: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    report = train_gan(celeba_folder, run, tiny(), resume=True, minutes=5)
    assert (report.added, report.finished) == (0, True)
    assert (
        "has been shown all of its 64 images already. --resume with a larger --images continues it" in report.summary()
    )


def test_a_session_counts_what_it_added(celeba_folder: Path, tmp_path: Path) -> None:
    first = train_gan(celeba_folder, tmp_path / "run", tiny(images=32))
    assert (first.added, first.summary().startswith("32 images of 42 faces shown, finished.")) == (32, True)
    more = train_gan(celeba_folder, tmp_path / "run", tiny(images=64), resume=True)
    assert more.added == 32
    assert more.summary().startswith(
        "64 images of 42 faces shown, finished. 32 of them were shown in this session. Model:"
    )
    assert more.notes[1:] == FaceFolder(celeba_folder).notes  # the first one is of the watch


DIVERGING: dict[str, Any] = {"learning_rate": 0.99, "optimizer": "rmsprop", "d_norm": "none", "loss": "hinge"}


def test_a_short_run_that_died_says_so_everywhere(celeba_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.warns(UserWarning, match=r"at 256 images the generator is dead"):
        report = train_gan(celeba_folder, run, tiny(**DIVERGING, images=256, monitor_every=50_000))
    assert (report.finished, report.health, len(report.alarms)) == (True, "dead", 1)
    assert f"warning: {report.alarms[0]}" in report.summary()
    assert report.to_json()["health"] == "dead"
    assert [line["alarms"] for line in log(run) if "alarms" in line] == [list(report.alarms)]
    assert json.loads((run / "config.json").read_bytes())["health"]["state"] == "dead"
    assert load_model(run).config.training["warning"] == report.alarms[0]  # its weights may be beyond half precision
    assert f"| warning | {report.alarms[0]} |" in (run / "model" / "README.md").read_text()
    again = train_gan(celeba_folder, run, tiny(**DIVERGING, images=256, monitor_every=50_000), resume=True)
    assert (again.added, again.alarms) == (0, report.alarms)


def test_a_run_that_is_too_short_to_judge_says_that_instead(celeba_folder: Path, tmp_path: Path) -> None:
    report = train_gan(celeba_folder, tmp_path / "run", tiny(images=8, monitor_every=50_000))
    assert (report.health, report.alarms) == ("early", ())
    assert any("this says little before 20,000 images" in note for note in report.notes)
    assert "diversity" in load_model(tmp_path / "run").config.training


def test_a_session_without_a_step_is_not_judged(celeba_folder: Path, tmp_path: Path) -> None:
    report = train_gan(celeba_folder, tmp_path / "run", tiny(), minutes=1e-9)
    assert (report.images, report.health, report.notes) == (0, None, ())
