from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from faceaug.draws import stream
from faceaug.synthesize import SyntheticFaceSource
from faceaug.train import TrainConfig
from faceaug.train.matching import MEMORY, FeatureMatching
from faceaug.train.processes import Processes

N = 64
ALONE = Processes(0, 1, 0, torch.device("cpu"))
CONFIG = TrainConfig(batch=N, matching=1.0, precision="fp32", flip=False)


@pytest.fixture(scope="module")
def faces() -> NDArray[np.uint8]:
    return SyntheticFaceSource("dcgan-32", seed=5).generate(512).numpy()


def as_floats(faces: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(faces).float().div(127.5).sub(1.0)


def shown(matching: FeatureMatching, faces: NDArray[np.uint8]) -> float:
    """The difference after as many of these faces as the moments remember, in a changing order."""
    for step in range(MEMORY // N + 1):
        chosen = stream(0, index=step, slot="tests/matching").integers(len(faces), size=N)
        with torch.no_grad():
            matching(as_floats(faces[chosen]))
    return matching.difference()


def test_the_same_faces_differ_by_what_sampling_makes_and_darker_ones_by_much_more(faces: NDArray[np.uint8]) -> None:
    matching = FeatureMatching(CONFIG, ALONE)
    matching.measure(faces)
    same = shown(matching, faces)
    matching.measure(faces)
    darker = shown(matching, (faces * 0.8).astype(np.uint8))
    assert same < 4
    assert darker > 10 * same


def test_faces_that_are_all_alike_differ_in_how_they_vary(faces: NDArray[np.uint8]) -> None:
    matching = FeatureMatching(CONFIG, ALONE)
    matching.measure(faces)
    same = shown(matching, faces)
    matching.measure(faces)
    assert shown(matching, faces[:2]) > 10 * same


def test_a_batch_that_follows_the_gradient_comes_nearer(faces: NDArray[np.uint8]) -> None:
    matching, dark = FeatureMatching(CONFIG, ALONE), (faces * 0.8).astype(np.uint8)
    matching.measure(faces)
    before = shown(matching, dark[:N])
    x = as_floats(dark[:N]).requires_grad_()
    matching(x).backward()
    assert x.grad is not None
    nearer = (x.detach() - 0.1 * x.grad / x.grad.abs().max()).clamp(-1, 1).add(1).mul(127.5).round().byte().numpy()
    matching.measure(faces)
    assert shown(matching, nearer) < before


def test_nothing_is_taught_before_the_moments_are_known(faces: NDArray[np.uint8]) -> None:
    matching = FeatureMatching(CONFIG, ALONE)
    matching.measure(faces)
    x = as_floats(faces[:N] // 2).requires_grad_()
    matching(x).backward()
    assert x.grad is not None
    assert not x.grad.any()


def test_it_learns_nothing_itself_and_its_state_is_whole(faces: NDArray[np.uint8]) -> None:
    matching, other = FeatureMatching(CONFIG, ALONE), FeatureMatching(CONFIG, ALONE)
    matching.measure(faces)
    shown(matching, faces[:100])
    other.load_state_dict(matching.state_dict())
    assert other.difference() == matching.difference()
    x, y = (as_floats(faces[:N]).requires_grad_() for _ in range(2))
    matching(x).backward()
    other(y).backward()
    assert x.grad is not None
    assert y.grad is not None
    assert x.grad.any()
    assert torch.equal(x.grad, y.grad)
    assert not list(matching.parameters())


def test_faces_that_are_all_the_same_give_finite_numbers() -> None:
    matching = FeatureMatching(CONFIG, ALONE)
    matching.measure(np.zeros((40, 3, 32, 32), np.uint8))
    x = as_floats(np.full((N, 3, 32, 32), 200, np.uint8)).requires_grad_()
    for _ in range(MEMORY // N + 1):
        matching(x.detach())
    matching(x).backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_faces_that_do_not_count_change_nothing(faces: NDArray[np.uint8]) -> None:
    matching = FeatureMatching(CONFIG, ALONE)
    matching.measure(faces)
    shown(matching, faces)
    before = {name: value.clone() for name, value in matching.state_dict().items()}
    x = as_floats(faces[:N] // 2).requires_grad_()
    matching(x, torch.zeros(N, dtype=torch.bool)).backward()
    assert x.grad is not None
    assert not x.grad.any()
    assert all(torch.equal(value, before[name]) for name, value in matching.state_dict().items())
    half = torch.arange(N) < N // 2
    x.grad = None
    matching(x, half).backward()
    assert x.grad[: N // 2].any()
    assert not x.grad[N // 2 :].any()
    assert not torch.equal(matching.first, before["first"])
