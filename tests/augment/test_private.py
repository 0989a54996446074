"""A generator of one's own draws what torch's global one would have drawn, and leaves that one alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from faceaug.augment.private import PrivateDraws

WHOLE = torch.zeros(48, 40, 3, dtype=torch.uint8)
LIKE = {
    "rows, columns, channels": WHOLE,
    "channels first, stored last": WHOLE.permute(2, 0, 1),
    "every other row": WHOLE[::2, :, 1:],
    "three bytes": WHOLE[:1, :3, 0],
    "one row four times": WHOLE[:1, :5, 0].expand(4, 5),
}
DRAWS: dict[str, Callable[[Tensor], Tensor]] = {
    "rand_like": lambda like: torch.rand_like(like, dtype=torch.float64),
    "rand_like, named": lambda like: torch.rand_like(input=like, dtype=torch.float16),
    "randn_like": lambda like: torch.randn_like(like, dtype=torch.float32),
    "randn_like, contiguous": lambda like: torch.randn_like(
        like, dtype=torch.float32, memory_format=torch.contiguous_format
    ),
    "randn_like, with gradient": lambda like: torch.randn_like(like, dtype=torch.float32, requires_grad=True),
    "randint_like, high": lambda like: torch.randint_like(like, 9),
    "randint_like, low and high": lambda like: torch.randint_like(like, 3, 9),
    "randint_like, named": lambda like: torch.randint_like(like, low=3, high=9),
    "randint_like, high named": lambda like: torch.randint_like(like, 3, high=9),
    "rand": lambda like: torch.rand(like.shape),
    "uniform_": lambda like: torch.empty(like.shape).uniform_(-1, 1),
    "bernoulli": lambda like: torch.bernoulli(torch.full(like.shape, 0.3)),
    "multinomial": lambda _: torch.multinomial(torch.ones(7), 3),
    "Dirichlet": lambda _: torch.distributions.Dirichlet(torch.ones(4)).sample(),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("like", LIKE.values(), ids=LIKE)
def test_a_private_draw_gives_the_numbers_strides_and_type_of_the_global_generator(
    draw: Callable[[Tensor], Tensor], like: Tensor
) -> None:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(7)
        expected = draw(like)
        before = torch.get_rng_state()
        with PrivateDraws(7):
            drawn = draw(like)
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(drawn, expected)
    assert (drawn.stride(), drawn.dtype, drawn.requires_grad) == (
        expected.stride(),
        expected.dtype,
        expected.requires_grad,
    )
