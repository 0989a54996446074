"""A torch generator of one's own: what a block draws comes from it instead of torch's global generator.

Threads with a generator each cannot disturb one another, and the global generator is not touched. Imports torch; only
``torchvision.py`` in this package imports this module, once there is a v2 transform.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_FACTORIES = frozenset(getattr(torch, name) for name in ("rand", "randn", "randint", "randperm"))
_DRAWS = _FACTORIES | frozenset(
    getattr(home, name)
    for home in (torch, Tensor)
    for name in (
        "bernoulli", "bernoulli_", "binomial", "cauchy_", "exponential_", "geometric_", "log_normal_", "multinomial",
        "normal", "normal_", "poisson", "random_", "uniform_", "_sample_dirichlet", "_standard_gamma",
    )
    if hasattr(home, name)
)  # fmt: skip
# These take a generator only in newer releases of torch, hence the function that draws in place: the same numbers.
_LIKE: dict[Any, Callable[..., Any]] = {
    torch.rand_like: Tensor.uniform_,
    torch.randn_like: Tensor.normal_,
    torch.randint_like: Tensor.random_,
}


class PrivateDraws(TorchFunctionMode):
    """A block in which torch functions of this thread draw from a new generator, on the CPU.

    Args:
        seed: 0..2**63-1. The numbers are those that the global generator would give after ``manual_seed(seed)``.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._generator = torch.Generator()
        self._generator.manual_seed(seed)

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Hand the generator to functions that draw."""
        if function in _DRAWS:
            return function(*args, **self._named(function, args, kwargs or {}))
        if function in _LIKE:
            return self._drawn_like(_LIKE[function], args, dict(kwargs or {}))
        return function(*args, **(kwargs or {}))

    def _drawn_like(self, draw: Callable[..., Any], args: Any, named: dict[str, Any]) -> Any:
        """Draw a tensor like another one: with its strides, because they decide which element gets which number."""
        limits = [*args[1:], *(named.pop(name) for name in ("low", "high") if name in named)]
        given = {"generator": named.pop("generator", None)}
        needs_gradient = named.pop("requires_grad", False)
        made = torch.empty_like(*args[:1], **named)
        draw(made, *map(int, limits), **self._named(draw, (made,), given))
        return made.requires_grad_(needs_gradient)

    def _named(self, function: Any, args: Any, named: dict[str, Any]) -> dict[str, Any]:
        if function in _FACTORIES:
            named = {"device": "cpu", **named}  # whatever the default device is: pictures are on the CPU
        device = named.get("device") or next((value.device for value in args if isinstance(value, Tensor)), "cpu")
        if named.get("generator") is not None or torch.device(device).type != "cpu":
            return named
        return {**named, "generator": self._generator}
