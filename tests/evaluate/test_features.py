from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from faceaug.draws import stream
from faceaug.errors import ArgumentError, FaceAugError, WeightsError
from faceaug.evaluate import Extractor, describe, open_extractor
from faceaug.evaluate.features import unvaried

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


class Mixed(nn.Module):
    """A network of which a part is frozen, as in fine-tuning; ``train`` would thaw it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.5))
        self.head = nn.Sequential(nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.body.eval()

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.head(self.body(x))
        return made


class Wrapped:
    """A callable with a network in it that is no torch module itself."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def __call__(self, x: Tensor) -> Tensor:
        made: Tensor = self.network(x)
        return made


def state(network: nn.Module) -> list[object]:
    return [
        [module.training for module in network.modules()],
        [value.tolist() for value in network.state_dict().values()],
        [p.requires_grad for p in network.parameters()],
    ]


@pytest.mark.parametrize("outer", [True, False])
def test_every_module_of_a_network_has_its_own_mode_again(outer: bool) -> None:
    network = Mixed()
    network.training = outer
    before = state(network)
    ways = (network, network.forward, partial(network), lambda x: network(x)[:, :2], Wrapped(network))
    for way in ways:
        describe(Extractor("mixed", way), FACES)
        assert state(network) == before
    assert before[0] == [outer, False, False, False, True, True, True, True]


def test_a_network_that_fails_has_its_modes_again_too() -> None:
    network = nn.Sequential(Mixed(), nn.Linear(5, 2))
    before = state(network)
    with pytest.raises(FaceAugError, match=r"Sequential: failed on float32 \(7, 3, 16, 16\) with RuntimeError"):
        describe(open_extractor(network), FACES)
    assert state(network) == before


def test_a_network_that_keeps_a_tensor_of_a_call_can_be_trained_afterwards() -> None:
    class Keeping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))
            self.grid: Tensor | None = None

        def forward(self, x: Tensor) -> Tensor:
            if self.grid is None:
                self.grid = torch.ones(16, 16)
            return (x * self.grid * self.scale).mean((2, 3))

    network = Keeping()
    describe(open_extractor(network), FACES)
    network(torch.rand(2, 3, 16, 16)).sum().backward()
    assert network.scale.grad is not None


def pooled(x: Tensor) -> Tensor:
    return x.mean((2, 3))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            nn.Conv2d(3, 2, 3).double(),
            r"failed on .*float64, and faces are float32: convert it with \.float\(\)",
        ),
        (nn.Conv2d(3, 2, 3).half(), "failed on .*are float16, and faces are float32"),
        (lambda x: (pooled(x),), r"returned a tuple; .*Extractor\(name, lambda x: network\(x\)\[0\]\)"),
        (lambda x: {"features": pooled(x)}, "returned a dict"),
        (lambda _: None, "returned a NoneType"),
        (lambda x: pooled(x).numpy(), "returned a ndarray"),
        (lambda x: pooled(x).argmax(1, keepdim=True), "made torch.int64 numbers; expected floating-point features"),
        (lambda x: pooled(x) > 0.5, "made torch.bool numbers"),
        (lambda x: pooled(x).to(torch.complex64), "made torch.complex64 numbers"),
        (lambda x: pooled(x)[:, 0], r"made \(7,\) of 7 faces"),
        (lambda x: pooled(x)[:0], r"made \(0, 3\) of 7 faces"),
        (lambda x: pooled(x)[:, :0], r"made \(7, 0\) of 7 faces"),
        (lambda x: x["image"], "failed on .* with IndexError"),
        (lambda x: nn.Linear(9, 2)(pooled(x)), "failed on .* with RuntimeError"),
        (None, "failed on .* with TypeError"),
    ],
)
def test_a_network_of_another_type_precision_or_shape_is_named_with_what_was_expected(
    network: Any, message: str
) -> None:
    with pytest.raises(FaceAugError, match=f"^extractor odd: {message}"):
        describe(Extractor("odd", network), FACES)


def test_features_of_double_precision_become_float32() -> None:
    found = describe(Extractor("wide", lambda x: pooled(x).double()), FACES)
    assert found.dtype == np.float32


def test_batches_must_have_the_same_features() -> None:
    faces = np.zeros((130, 3, 8, 8), np.uint8)
    with pytest.raises(FaceAugError, match="made 100 and 30 features for two batches"):
        describe(Extractor("gram", lambda x: x.flatten(1) @ x.flatten(1).T), faces)


@pytest.mark.parametrize("faces", [FACES.astype("f4"), FACES[0], FACES.transpose(0, 2, 3, 1), FACES[:0]])
def test_only_faces_are_described(faces: np.ndarray[Any, Any]) -> None:
    with pytest.raises(ArgumentError, match=r"expected uint8 \(n, 3, H, W\) with at least one face"):
        describe(open_extractor(Pooling()), faces)


def test_an_extractor_needs_a_side_in_pixels() -> None:
    for side in (0, -3, 2.5):
        with pytest.raises(ArgumentError, match=f"extractor mine: side {side}"):
            Extractor("mine", pooled, side=side)  # type: ignore[arg-type]


def test_features_that_differ_by_rounding_only_count_as_the_same() -> None:
    one = np.array([[1, 0, 5, -3], [1, 0, 5.00001, -3], [1, 0, 5, 2]], np.float32)
    assert unvaried([one]).tolist() == [True, True, True, False]
    assert unvaried([one, one + np.float32([0, 1, 0, 0])]).tolist() == [True, False, True, False]


def test_a_figure_can_say_how_its_extractor_resizes() -> None:
    assert Extractor("mine", pooled).resizing == ""
    assert Extractor("mine", pooled, side=8).resizing == "bilinear to 8 px"
    inception = Extractor("inception", pooled, is_inception=True)
    assert (inception.resizing, inception.input_side) == ("bilinear to 299 px as in TensorFlow 1", 299)


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
