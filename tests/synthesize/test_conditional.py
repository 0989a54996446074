from __future__ import annotations

import pytest
import torch

from faceaug.errors import ArgumentError
from faceaug.synthesize.conditional import FilmGenerator, build_conditional, enlarge


def test_enlarging_makes_four_channels_four_neighbours() -> None:
    x = torch.arange(2 * 8 * 3 * 3, dtype=torch.float32).reshape(2, 8, 3, 3)
    found = enlarge(x)
    assert found.shape == (2, 2, 6, 6)
    for down in (0, 1):
        for right in (0, 1):
            first = 4 * down + 2 * right
            assert torch.equal(found[:, :, down::2, right::2], x[:, first : first + 2])


@pytest.mark.parametrize("size", [32, 64, 128, 256])
def test_both_networks_have_the_shapes_their_text_says(size: int) -> None:
    discriminator, generator = build_conditional(4, 16, 5, size=size, minibatch_stddev=True)
    attributes = torch.ones(4, 40)
    faces = generator(torch.randn(4, 5), attributes)
    assert faces.shape == (4, 3, size, size)
    assert faces.abs().max() <= 1
    logits, names = discriminator(faces, attributes)
    assert (logits.shape, names.shape) == ((4, 1), (4, 40))


def test_the_bundled_size_has_at_most_ten_million_weights() -> None:
    with torch.device("meta"):
        generator = FilmGenerator(128, 64, 64)
    assert sum(p.numel() for p in generator.parameters()) < 10e6


def test_attributes_change_the_face_and_dont_care_adds_nothing() -> None:
    _, generator = build_conditional(4, 8, 5, size=32)
    generator.eval()
    z = torch.randn(1, 5)
    asked = torch.zeros(1, 40)
    plain = generator(z, asked)
    assert torch.equal(generator.embed(asked), torch.zeros(1, 64))
    asked[0, 3] = 1
    assert not torch.allclose(generator(z, asked), plain, atol=1e-4)


def test_the_discriminator_s_verdict_depends_on_the_attributes_and_its_predictions_do_not() -> None:
    discriminator, _ = build_conditional(4, 8, 5, size=32)
    discriminator.eval()
    face = torch.randn(1, 3, 32, 32)
    one, names = discriminator(face, torch.ones(1, 40))
    other, same = discriminator(face, -torch.ones(1, 40))
    assert not torch.equal(one, other)
    assert torch.equal(names, same)


def test_weights_depend_on_the_seed_alone_and_leave_torch_s_random_state() -> None:
    before = torch.get_rng_state()
    first, second, other = (build_conditional(4, 8, 5, seed=seed, d_norm="spectral") for seed in (1, 1, 2))
    for a, b, c in zip(first, second, other, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
        assert not all(torch.equal(x, y) for x, y in zip(a.parameters(), c.parameters(), strict=True))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_width_that_cannot_be_shuffled_is_refused() -> None:
    with pytest.raises(ArgumentError, match="multiple of 4"):
        build_conditional(4, 6, 5)
    with pytest.raises(ArgumentError, match="multiple of 4, or of 16"):
        build_conditional(4, 8, 5, size=128)
