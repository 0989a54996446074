from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from faceaug.draws import stream
from faceaug.errors import ArgumentError, FaceAugError, WeightsError
from faceaug.evaluate import Extractor, describe, open_extractor

FACES = stream(0, slot="tests/features").integers(0, 256, (7, 3, 16, 16), np.uint8)


class Pooling(nn.Module):
    """Means of a 4x4 grid; notes how it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[bool, torch.dtype, float]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append((self.training, x.dtype, float(x.max())))
        return nn.functional.adaptive_avg_pool2d(x, 4).flatten(1)


def test_a_torch_module_sees_pixels_of_0_to_1_and_is_given_back_as_it_was() -> None:
    module = Pooling().train()
    eye = open_extractor(module)
    found = describe(eye, FACES)
    assert (found.shape, found.dtype, eye.label) == ((7, 48), np.float32, "Pooling")
    assert module.seen == [(False, torch.float32, float(FACES.max()) / 255)]
    assert module.training


def test_features_stay_float32_under_autocast() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    expected = describe(open_extractor(module), FACES)
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(describe(open_extractor(module), FACES), expected)


def test_faces_are_resized_and_scaled_as_the_extractor_says_and_maps_are_averaged() -> None:
    seen: list[Tensor] = []

    def network(x: Tensor) -> Tensor:
        seen.append(x)
        return x

    found = describe(Extractor("mine", network, side=8, mean=127.0, std=128.0), FACES)
    assert seen[0].shape == (7, 3, 8, 8)
    np.testing.assert_allclose(found, (FACES.mean((2, 3)) - 127) / 128, atol=1e-5)
    assert Extractor("mine", network, side=8).label == "mine at 8 px"


def test_a_network_that_makes_something_else_is_refused() -> None:
    with pytest.raises(FaceAugError, match=r"extractor flat: made \(7, 768, 1\) of 7 faces"):
        describe(Extractor("flat", lambda x: x.flatten(1)[..., None]), FACES)
    with pytest.raises(FaceAugError, match="not finite"):
        describe(Extractor("broken", lambda x: x.flatten(1) / 0), FACES)


def test_only_inception_gives_its_name_to_figures() -> None:
    eye = open_extractor(Pooling())
    assert (eye.frechet_name, eye.kernel_name) == ("Frechet distance", "kernel distance")
    assert Extractor("inception", torch.nn.Identity(), is_inception=True).frechet_name == "FID"


def test_efficientnet_makes_the_same_features_of_a_face_whatever_lies_beside_it() -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    eye = open_extractor("efficientnet-lite0")
    found = describe(eye, FACES)
    assert (eye.label, found.shape) == ("efficientnet-lite0 at 128 px", (7, 1280))
    np.testing.assert_array_equal(describe(eye, FACES), found)
    np.testing.assert_allclose(describe(eye, FACES[3:4])[0], found[3], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "module"), [("efficientnet-lite0", "efficientnet_lite_pytorch"), ("inception", "torch_fidelity")]
)
def test_a_missing_package_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch, name: str, module: str) -> None:
    for loaded in [m for m in sys.modules if m.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ArgumentError, match=rf"extractor {name}: not installed; .*faceaug\[metrics\]"):
        open_extractor(name)


def test_unknown_names_and_weights_for_what_has_its_own_are_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(
        ArgumentError, match="unknown extractor 'vgg'; the extractors are efficientnet-lite0, inception"
    ):
        open_extractor("vgg")
    with pytest.raises(ArgumentError, match="come with its package"):
        open_extractor("efficientnet-lite0", weights=tmp_path / "w.pth")


class TestInception:
    @pytest.fixture(autouse=True)
    def hub(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        pytest.importorskip("torch_fidelity")
        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    def test_it_is_never_fetched_unasked(self) -> None:
        with pytest.raises(ArgumentError, match=r"inception: its weights .* are not here; give the file"):
            open_extractor("inception")

    def test_it_takes_a_local_file_and_agrees_with_its_package(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        from torch_fidelity import feature_extractor_inceptionv3 as theirs

        class Random(theirs.FeatureExtractorInceptionV3):  # the architecture without the real weights
            def load_state_dict(self, state_dict: object, *_: object, **__: object) -> None:
                return None

        torch.save({}, tmp_path / "empty.pth")
        network = Random("random", ["2048"], str(tmp_path / "empty.pth"))
        torch.save(network.state_dict(), tmp_path / "weights.pth")
        eye = open_extractor("inception", weights=tmp_path / "weights.pth")
        assert (eye.label, eye.frechet_name, eye.kernel_name) == ("inception", "FID", "KID")
        expected = network(torch.from_numpy(FACES))[0].numpy()
        np.testing.assert_allclose(describe(eye, FACES), expected, rtol=1e-3, atol=1e-5)

    def test_a_file_that_holds_code_or_another_network_is_refused(self, tmp_path: Path) -> None:
        torch.save({"run": Path}, tmp_path / "code.pth")
        with pytest.raises(WeightsError, match=r"code\.pth: not a plain state dict"):
            open_extractor("inception", weights=tmp_path / "code.pth")
        torch.save({"a": torch.ones(1)}, tmp_path / "other.pth")
        with pytest.raises(FaceAugError, match=r"other\.pth"):
            open_extractor("inception", weights=tmp_path / "other.pth")
