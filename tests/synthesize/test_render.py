from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from faceaug.errors import ArgumentError
from faceaug.synthesize import SyntheticFaceSource, build_network, load_model, render
from faceaug.synthesize.render import (
    BLOCK,
    Renderer,
    RenderPrecision,
    between,
    fold_batch_norm,
    to_uint8,
    truncate,
)


def test_folding_batch_norm_changes_nothing_but_rounding() -> None:
    generator = load_model("dcgan-32").generator
    folded = fold_batch_norm(generator)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    z = SyntheticFaceSource("dcgan-32", seed=5).latents(16)
    with torch.inference_mode():
        torch.testing.assert_close(folded(z), generator(z), rtol=1e-4, atol=1e-5)
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in generator.modules())


@pytest.mark.parametrize("size", [64, 128])
def test_larger_generators_are_folded_and_rendered_too(size: int) -> None:
    _, generator = build_network(2, 2, 10, size=size)
    faces = Renderer(generator.eval(), "bf16", torch.device("cpu")).block(torch.zeros(3, 10))
    assert faces.shape == (3, 3, size, size)


def test_half_precision_faces_are_the_same_faces_to_a_few_grey_levels() -> None:
    exact, fast = SyntheticFaceSource("dcgan-32", seed=3), SyntheticFaceSource("dcgan-32", seed=3, precision="bf16")
    difference = (exact.generate(70).int() - fast.generate(70).int()).abs()
    assert difference.float().mean() < 2
    assert difference.max() < 40
    assert torch.equal(
        fast.generate(70)[65:], SyntheticFaceSource("dcgan-32", seed=3, precision="bf16").generate(5, start=65)
    )


def test_folded_rendering_shows_the_faces_of_the_network_to_a_grey_level() -> None:
    source = SyntheticFaceSource("dcgan-32", seed=3)
    z = source.latents(BLOCK)
    with torch.inference_mode():
        plain = to_uint8(load_model("dcgan-32").generator(z))
    difference = (source.render(z).int() - plain.int()).abs()
    assert difference.max() <= 1
    assert difference.float().mean() < 1e-3


def test_without_bfloat16_arithmetic_faces_are_rendered_in_float32_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(render, "has_bfloat16", lambda device: False)
    source = SyntheticFaceSource("dcgan-32", seed=3, precision="bf16")
    assert source.precision == "fp32"
    assert torch.equal(source.generate(3), SyntheticFaceSource("dcgan-32", seed=3).generate(3))
    assert [record.getMessage() for record in caplog.records] == [
        "precision bf16: cpu has no bfloat16 arithmetic; float32 is used, which is faster here"
    ]


def test_torch_without_mkldnn_has_no_bfloat16_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Apple silicon, where the operators of MKLDNN are missing, too."""
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace())
    assert not render.has_bfloat16(torch.device("cpu"))
    assert SyntheticFaceSource("dcgan-32", precision="bf16").precision == "fp32"


def test_drawing_latents_builds_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "fold_batch_norm", lambda generator: pytest.fail("built"))
    assert SyntheticFaceSource("dcgan-32", seed=3).latents(2).shape == (2, 100)


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ArgumentError, match="precision 'fp8': expected one of fp32, bf16"):
        SyntheticFaceSource(precision="fp8")  # type: ignore[arg-type]


def test_a_face_does_not_depend_on_its_company_in_the_block() -> None:
    source = SyntheticFaceSource("dcgan-32", seed=3)
    z = source.latents(BLOCK + 7)
    whole = source.render(z)
    assert torch.equal(whole[5:6], source.render(z[5:6]))
    assert torch.equal(whole[BLOCK:], source.render(z[BLOCK:]))
    assert torch.equal(whole, source.generate(BLOCK + 7))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_smaller_passes_make_the_same_faces(precision: RenderPrecision) -> None:
    z = SyntheticFaceSource("dcgan-32", seed=3).latents(BLOCK)
    whole = Renderer(load_model("dcgan-32").generator, precision, torch.device("cpu"))
    parts = Renderer(load_model("dcgan-32").generator, precision, torch.device("cpu"))
    sizes = parts.allow_parts(SyntheticFaceSource("dcgan-32", seed=8).latents(BLOCK))
    assert sizes[-1] in {32, BLOCK}
    expected = whole.block(z)
    for count in (1, 7, 8, 9, 24, 31, 33, 64):
        assert torch.equal(parts.block(z[:count]), expected[:count])
        assert torch.equal(parts.block(z[-count:]), expected[-count:])


def test_passes_that_would_change_a_bit_are_not_used() -> None:
    class Odd(torch.nn.Module):
        """Rounds in another way in passes below 24, as libraries may."""

        def __init__(self) -> None:
            super().__init__()
            self.z_size = 12
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return (z[:, :12] * (1 + 1e-7 * (len(z) < 24))).view(-1, 3, 2, 2)

    renderer = Renderer(Odd(), "fp32", torch.device("cpu"))  # type: ignore[arg-type]
    assert renderer.allow_parts(torch.rand(BLOCK, 12)) == (24, 32)


def test_latents_of_another_length_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"shape \(2, 7\): expected \(n, 100\)"):
        SyntheticFaceSource("dcgan-32").render(torch.zeros(2, 7))


def test_truncation_keeps_the_order_and_stays_within_the_limit() -> None:
    z = torch.linspace(-6, 6, 1001)[:, None]
    for limit in (0.5, 1.0, 2.0):
        cut = truncate(z, limit, "normal")
        assert cut.abs().max() <= limit
        assert bool((cut.diff(dim=0) >= 0).all())
        assert cut[500].item() == pytest.approx(0, abs=1e-6)
    torch.testing.assert_close(truncate(z[400:600], 8.0, "normal"), z[400:600], rtol=1e-4, atol=1e-5)


def test_truncated_normal_numbers_are_distributed_as_such() -> None:
    cut = truncate(SyntheticFaceSource("dcgan-32", seed=1).latents(200), 1.0, "normal")
    assert cut.std().item() == pytest.approx(0.5396, abs=0.01)  # of N(0, 1) cut off at 1


def test_truncation_scales_uniform_numbers_and_refuses_nonsense() -> None:
    z = torch.linspace(-1, 1, 5)[:, None]
    assert torch.equal(truncate(z, 0.5, "uniform"), z / 2)
    for limit in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ArgumentError, match="truncation"):
            SyntheticFaceSource("dcgan-32", truncation=limit)


def test_truncated_faces_are_less_diverse() -> None:
    spread = [
        SyntheticFaceSource("dcgan-32", seed=1, truncation=t).generate(64).float().std(dim=0).mean()
        for t in (None, 0.5)
    ]
    assert spread[1] < 0.8 * spread[0]


@pytest.mark.parametrize("latent", ["normal", "uniform"])
def test_the_way_between_two_vectors_begins_and_ends_at_them(latent: str) -> None:
    a, b = SyntheticFaceSource("dcgan-32", seed=2).latents(2)
    way = between(a, b, 7, latent)
    assert way.shape == (7, 100)
    assert torch.equal(way[0], a)
    assert torch.equal(way[-1], b)


def test_normal_vectors_keep_their_length_on_the_way() -> None:
    a, b = SyntheticFaceSource("dcgan-32", seed=2).latents(2)
    lengths = between(a, b, 9, "normal").norm(dim=1)
    assert lengths.min() > 0.98 * min(a.norm(), b.norm())
    assert torch.equal(between(a, a, 3, "normal"), a.repeat(3, 1))


def test_interpolation_ends_are_the_faces_themselves() -> None:
    source = SyntheticFaceSource("dcgan-32", seed=4)
    way = source.interpolate(3, 200, 5)
    assert way.shape == (5, 3, 32, 32)
    assert torch.equal(way[0], source.generate(1, start=3)[0])
    assert torch.equal(way[-1], source.generate(1, start=200)[0])
    with pytest.raises(ArgumentError, match="2 steps or more"):
        source.interpolate(0, 1, 1)
