from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from faceaug.errors import FaceAugError, WeightsError
from faceaug.train import checkpoint as module
from faceaug.train.checkpoint import (
    Checkpoint,
    checkpoints,
    optimizer_tensors,
    part,
    read_checkpoint,
    restore_optimizer,
    write_checkpoint,
)


def made(images: int) -> Checkpoint:
    return Checkpoint(
        images // 8, images, "faces", {"a/x": torch.arange(6.0).reshape(2, 3) + images, "b/y": torch.tensor(3)}
    )


def test_a_checkpoint_is_read_back_as_it_was(tmp_path: Path) -> None:
    found = read_checkpoint(write_checkpoint(tmp_path, made(16)))
    assert (found.step, found.images, found.faces) == (2, 16, "faces")
    assert torch.equal(found.tensors["a/x"], made(16).tensors["a/x"])
    assert part(found.tensors, "b") == {"y": torch.tensor(3)}


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    for images in (8, 16, 24, 1_000_000_000, 999_999_999):
        write_checkpoint(tmp_path, made(images))
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-999999999", "checkpoint-1000000000"]


def test_what_is_half_written_is_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_checkpoint(tmp_path, made(8))

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for name in ("write_json", "publish_folder"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(module, name, stop)
            write_checkpoint(tmp_path, made(16))
        assert [read_checkpoint(path).images for path in checkpoints(tmp_path)] == [8]
    write_checkpoint(tmp_path, made(16))
    assert [read_checkpoint(path).images for path in checkpoints(tmp_path)] == [8, 16]
    assert not list(tmp_path.glob("*.partial"))


def test_damage_is_found_and_the_cure_is_named(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path, made(8))
    tensors, state = folder / "state.safetensors", folder / "state.json"
    good = tensors.read_bytes(), state.read_bytes()
    for damaged in (good[0][:-1], good[0][:-1] + bytes([good[0][-1] ^ 1]), b""):
        tensors.write_bytes(damaged)
        with pytest.raises(WeightsError, match="damaged; remove checkpoint-000000008 to use the one before"):
            read_checkpoint(folder)
    tensors.write_bytes(good[0])
    for damaged in (b"", b"[]", b"{}", b"\xff", json.dumps({"step": 1}).encode()):
        state.write_bytes(damaged)
        with pytest.raises(WeightsError, match="not a readable checkpoint .* remove it to use the one before"):
            read_checkpoint(folder)
    state.write_bytes(good[1])
    tensors.unlink()
    with pytest.raises(WeightsError, match="not a readable checkpoint"):
        read_checkpoint(folder)


def test_a_missing_part_is_named() -> None:
    with pytest.raises(FaceAugError, match="the checkpoint has no generator"):
        part(made(8).tensors, "generator")


@pytest.mark.parametrize("steps", [0, 3])
def test_an_optimizer_goes_on_as_if_nothing_had_happened(steps: int) -> None:
    def network() -> tuple[nn.Module, torch.optim.Adam]:
        model = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        model.load_state_dict({"weight": torch.linspace(-1, 1, 108).reshape(4, 3, 3, 3), "bias": torch.zeros(4)})
        return model, torch.optim.Adam(model.parameters(), lr=0.01, fused=True)

    def train(model: nn.Module, adam: torch.optim.Adam, first: int, last: int) -> None:
        for k in range(first, last):
            adam.zero_grad(set_to_none=True)
            model(torch.linspace(0, k + 1, 75).reshape(1, 3, 5, 5)).square().sum().backward()
            adam.step()

    straight, adam = network()
    train(straight, adam, 0, steps)
    stopped, other = network()
    stopped.load_state_dict(straight.state_dict())
    restore_optimizer(other, {k: v.contiguous().clone() for k, v in optimizer_tensors(adam, "adam").items()}, "adam")
    train(straight, adam, steps, steps + 3)
    train(stopped, other, steps, steps + 3)
    for a, b in zip(straight.parameters(), stopped.parameters(), strict=True):
        assert torch.equal(a, b)
