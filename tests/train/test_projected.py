from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from faceaug.synthesize import SyntheticFaceSource
from faceaug.train import TrainConfig
from faceaug.train.backbones import BACKBONES, BackboneName
from faceaug.train.processes import Processes
from faceaug.train.projected import ProjectedDiscriminator

ALONE = Processes(0, 1, 0, torch.device("cpu"))
CONFIG = TrainConfig(projected=1.0, precision="fp32")


@pytest.fixture(scope="module")
def faces() -> Tensor:
    made = SyntheticFaceSource("dcgan-32", seed=5).generate(24).numpy()
    return torch.from_numpy(made).float().div(127.5).sub(1.0)


@pytest.fixture(scope="module")
def taught(faces: Tensor) -> tuple[ProjectedDiscriminator, list[float]]:
    """One that learnt that dull faces are not real, and its losses."""
    judge, losses = ProjectedDiscriminator(CONFIG, ALONE), []
    for _ in range(40):
        loss = judge.loss(faces, faces * 0.6)
        judge.optimizer.zero_grad()
        loss.backward()
        judge.optimizer.step()
        losses.append(float(loss.detach()))
    return judge, losses


def test_it_begins_without_an_opinion_and_learns_to_tell_faces_apart(
    taught: tuple[ProjectedDiscriminator, list[float]],
) -> None:
    losses = taught[1]
    assert losses[0] == pytest.approx(2, abs=0.1)
    assert losses[-1] < 0.7 * losses[0]


def test_faces_that_follow_its_objection_are_more_like_real_ones(
    faces: Tensor, taught: tuple[ProjectedDiscriminator, list[float]]
) -> None:
    judge, dull = taught[0], faces * 0.6
    x = dull.clone().requires_grad_()
    judge.generator_loss(x).backward()
    assert x.grad is not None
    moved = (dull - 0.02 * x.grad.sign()).clamp(-1, 1)
    with torch.no_grad():
        assert judge.generator_loss(moved) < judge.generator_loss(dull)
        assert judge.generator_loss(faces) < judge.generator_loss(dull)


def test_faces_in_half_precision_are_judged_as_others_are(
    faces: Tensor, taught: tuple[ProjectedDiscriminator, list[float]]
) -> None:
    x = faces.to(torch.bfloat16).requires_grad_()  # what a generator makes under autocast
    taught[0].generator_loss(x).backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    with torch.no_grad():
        torch.testing.assert_close(taught[0].generator_loss(x), taught[0].generator_loss(faces), rtol=0.05, atol=0.02)


@pytest.mark.parametrize("size", [32, 64])
def test_it_looks_at_maps_of_four_sizes_place_by_place(size: int) -> None:
    judge = ProjectedDiscriminator(TrainConfig(projected=1.0, size=size), ALONE)
    with torch.no_grad():
        found = judge(torch.zeros(2, 3, size, size))
    assert [tuple(logits.shape) for logits in found] == [(2, 1, 16, 16), (2, 1, 8, 8), (2, 1, 8, 8), (2, 1, 4, 4)]


@pytest.mark.parametrize("name", BACKBONES)
def test_its_state_is_its_heads_alone_and_depends_on_the_seed(faces: Tensor, name: BackboneName) -> None:
    configs = [TrainConfig(projected=1.0, projected_on=name, seed=seed) for seed in (3, 3, 4)]
    one, same, other = (ProjectedDiscriminator(config, ALONE) for config in configs)
    assert {name.split(".")[0] for name in one.state_dict()} == {"heads"}
    assert sum(parameter.numel() for parameter in one.parameters()) < 250_000
    with torch.no_grad():
        assert torch.equal(one.generator_loss(faces), same.generator_loss(faces))
        assert not torch.equal(one.generator_loss(faces), other.generator_loss(faces))


@pytest.mark.parametrize("name", BACKBONES)
def test_the_network_it_looks_through_stays_as_it_is(faces: Tensor, name: BackboneName) -> None:
    judge = ProjectedDiscriminator(TrainConfig(projected=1.0, projected_on=name), ALONE)
    with torch.no_grad():
        before = judge._backbone(faces)
    judge.requires_grad_(False)  # as in a step of a run
    judge.requires_grad_(True)
    judge.loss(faces, faces * 0.5).backward()
    judge.optimizer.step()
    with torch.no_grad():
        assert all(torch.equal(now, old) for now, old in zip(judge._backbone(faces), before, strict=True))


def test_it_looks_through_the_network_asked_for(faces: Tensor) -> None:
    config = TrainConfig(projected=4.0, projected_on="efficientnet-lite1")
    judge = ProjectedDiscriminator(config, ALONE)
    with torch.no_grad():
        shapes = [tuple(logits.shape[1:]) for logits in judge(faces)]
    assert shapes == [(1, 16, 16), (1, 8, 8), (1, 8, 8), (1, 4, 4)]
    assert [head[0].in_channels for head in judge.heads] == [16, 24, 40, 112]  # type: ignore[index, union-attr]


def test_the_generator_hears_of_it_when_it_knows_something_and_then_louder_and_louder() -> None:
    judge = ProjectedDiscriminator(TrainConfig(projected=4.0, projected_ramp=20_000), ALONE)
    heard = [judge.weight(images) for images in (0, 9_999, 10_000, 20_000, 30_000, 500_000)]
    assert heard == pytest.approx([0, 0, 0.0002, 2, 4, 4], rel=1e-3)
    judge.pretrained = True
    assert judge.weight(0) == pytest.approx(0.0002)
    assert judge.weight(10_000) == pytest.approx(2, rel=1e-3)


def test_without_a_ramp_it_is_heard_at_once() -> None:
    judge = ProjectedDiscriminator(TrainConfig(projected=4.0), ALONE)
    assert [judge.weight(images) for images in (9_999, 10_000)] == [0, 4]


def test_it_takes_nothing_from_the_global_random_state() -> None:
    before = torch.get_rng_state()
    ProjectedDiscriminator(CONFIG, ALONE)
    assert torch.equal(before, torch.get_rng_state())


def test_faces_of_one_colour_give_finite_numbers() -> None:
    judge = ProjectedDiscriminator(CONFIG, ALONE)
    x = torch.from_numpy(np.ones((4, 3, 32, 32), "f4")).requires_grad_()
    (judge.loss(x, -x) + judge.generator_loss(x)).backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
