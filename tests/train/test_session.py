from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from faceaug.draws import stream
from faceaug.train import TrainConfig, discriminator_step, generator_step, projected
from faceaug.train.arithmetic import compiled_or_not, resolve_precision
from faceaug.train.checkpoint import read_checkpoint, write_checkpoint
from faceaug.train.faces import Faces, fingerprint
from faceaug.train.processes import Processes
from faceaug.train.session import Session
from faceaug.train.start import Start

ALONE = Processes(0, 1, 0, torch.device("cpu"))
TINY: dict[str, Any] = {"z_size": 6, "g_conv_dim": 4, "d_conv_dim": 4, "batch": 8, "images": 96, "precision": "fp32"}
RECIPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "bf16": {"precision": "bf16"},
    "minimax": {"loss": "minimax", "average_half_life": 0},
    "r1": {"r1": 0.5, "penalty_every": 4, "precision": "bf16"},
    "hinge": {"loss": "hinge", "d_norm": "spectral", "d_learning_rate": 4e-4, "minibatch_stddev": True},
    "spectral bf16": {"d_norm": "spectral", "precision": "bf16"},
    "relativistic": {
        "loss": "relativistic", "d_norm": "none", "r1": 0.1, "r2": 0.1, "penalty_every": 2, "beta1": 0.0,
        "decay": "cosine", "end_rate": 0.1,
    },
    "adaptive": {
        "augment": "color,translation,cutout", "augment_target": 0.1, "augment_images": 400, "augment_p": 0.3,
        "decay": "linear", "decay_from": 16,
    },
    "rmsprop": {"optimizer": "rmsprop", "beta2": 0.9},
    "adagrad": {"optimizer": "adagrad", "learning_rate": 0.01},
    "matching": {"matching": 2.0, "precision": "bf16"},
    "projected": {"projected": 50.0},
    "projected lite1": {"projected": 4.0, "projected_on": "efficientnet-lite1", "projected_ramp": 64},
    "projected bf16": {"projected": 50.0, "precision": "bf16", "augment": "translation", "augment_p": 0.5},
    "64 pixels": {"size": 64, "z_size": 5, "d_norm": "none", "r1": 0.1},
}  # fmt: skip


@pytest.fixture(autouse=True)
def heard_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The generator hears of the second discriminator from the third step on."""
    monkeypatch.setattr(projected, "WARMUP", 16)


def some_faces(size: int = 32, n: int = 20) -> Faces:
    pixels = stream(0, slot="tests/session").integers(0, 256, (n, 3, size, size)).astype(np.uint8)
    return Faces(pixels, (), fingerprint(pixels), np.arange(n))


def made(**changes: Any) -> Session:
    config = TrainConfig(**(TINY | changes))
    return Session(config, some_faces(config.size), ALONE, start=None)


def steps(session: Session, n: int) -> list[tuple[float, float]]:
    found = []
    for _ in range(n):
        session.step()
        found.append((session.readings.d_loss, session.readings.g_loss + session.readings.penalty))
    return found


def same(a: Session, b: Session) -> bool:
    one, two = a.checkpoint(), b.checkpoint()
    assert one.tensors.keys() == two.tensors.keys()
    different = [name for name in one.tensors if not torch.equal(one.tensors[name], two.tensors[name])]
    assert different == []
    return (one.step, one.images, one.numbers) == (two.step, two.images, two.numbers)


@pytest.mark.parametrize("name", RECIPES)
def test_a_run_in_two_halves_is_the_whole_run_to_the_bit(name: str, tmp_path: Path) -> None:
    recipe = RECIPES[name]
    whole, half, other = made(**recipe), made(**recipe), made(**recipe)
    losses = steps(whole, 10)
    steps(half, 5)
    write_checkpoint(tmp_path, half.checkpoint())
    other.restore(read_checkpoint(next(tmp_path.glob("checkpoint-*"))))
    assert steps(other, 5) == losses[5:]
    assert all(math.isfinite(value) for pair in losses for value in pair)
    assert same(whole, other)


@pytest.mark.parametrize("name", RECIPES)
def test_every_weight_of_both_networks_is_taught(name: str) -> None:
    session = made(**RECIPES[name])
    before = {k: v.clone() for k, v in session.checkpoint().tensors.items()}
    steps(session, 3)
    after = session.checkpoint().tensors
    for network in ("generator", "discriminator"):
        for parameter, _ in session.networks.named()[network].named_parameters():
            if (network, parameter) == ("discriminator", "fc.bias"):
                continue  # the pulls of real and generated faces cancel in the hinge and relativistic losses
            assert not torch.equal(before[f"{network}/{parameter}"], after[f"{network}/{parameter}"]), parameter


def test_a_session_that_starts_from_another_goes_on_with_both_of_its_discriminators(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = made(projected=50.0, seed=1)
    steps(before, 4)
    generator: Any = before.networks.average
    config = TrainConfig(**(TINY | {"projected": 50.0}))
    monkeypatch.setattr(projected, "WARMUP", 10**9)
    after = Session(config, some_faces(), ALONE, start=Start(generator, before.checkpoint().tensors))
    parts = ("discriminator/", "projected/", "d_optimizer/", "g_optimizer/", "p_optimizer/")
    found, wanted = after.checkpoint().tensors, before.checkpoint().tensors
    assert {part for part in parts if any(name.startswith(part) for name in found)} == set(parts)
    assert all(torch.equal(t, wanted[name]) for name, t in found.items() if name.startswith(parts))
    deaf = Session(config, some_faces(), ALONE, start=Start(generator, of_the_first_alone(before)))
    after.step()
    deaf.step()
    weights = (session.networks.generator.get_parameter("fc.weight") for session in (after, deaf))
    assert not torch.equal(*weights)  # the first heard of the second discriminator at once, the other does not yet


def of_the_first_alone(session: Session) -> dict[str, torch.Tensor]:
    tensors = session.checkpoint().tensors
    return {name: t for name, t in tensors.items() if not name.startswith(("projected/", "p_optimizer/"))}


def test_the_generator_of_a_larger_size_makes_larger_faces() -> None:
    session = made(size=64)
    assert session.networks.generator(torch.zeros(2, 6)).shape == (2, 3, 64, 64)


def test_spectral_norm_keeps_the_largest_singular_value_at_one() -> None:
    session = made(d_norm="spectral")
    steps(session, 5)
    session.networks.discriminator.eval()
    for name in ("conv1.0", "conv2.0", "conv3.0", "fc"):
        weight = session.networks.discriminator.get_submodule(name).weight.detach().flatten(1)
        assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1, abs=0.1)


def test_spectral_norm_takes_nothing_from_the_global_random_state() -> None:
    before = torch.get_rng_state()
    one, two = made(d_norm="spectral"), made(d_norm="spectral")
    assert torch.equal(before, torch.get_rng_state())
    assert same(one, two)


def test_the_deviation_map_gives_sameness_away() -> None:
    session = made(minibatch_stddev=True)
    alike = torch.ones(8, 3, 32, 32)
    network = session.networks.discriminator
    network.fc.weight.data[:, -16:] = 1000.0
    network.eval()
    varied = torch.from_numpy(stream(0).uniform(-1, 1, (8, 3, 32, 32)).astype("f4"))
    assert (network(varied).mean() - network(alike).mean()).abs() > 0.1


def test_two_rates_are_two_rates_and_decay_together() -> None:
    session = made(learning_rate=1e-3, d_learning_rate=2e-3, decay="linear", images=80)
    steps(session, 6)
    rates = [o.param_groups[0]["lr"] for o in (session.networks.d_optimizer, session.networks.g_optimizer)]
    assert rates == pytest.approx([1e-3, 0.5e-3])


def poison(monkeypatch: pytest.MonkeyPatch, which: str, at: set[int]) -> None:
    """Make a loss NaN in some of the steps, counted from 1."""
    module: Any = discriminator_step if which == "discriminator_loss" else generator_step
    real, calls = getattr(module, which), 0

    def poisoned(*arguments: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        loss: torch.Tensor = real(*arguments)
        return loss * (math.nan if calls in at else 1)

    monkeypatch.setattr(module, which, poisoned)


def test_a_step_that_is_not_finite_changes_nothing_but_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    session = made()
    steps(session, 2)
    before = {k: v.clone() for k, v in session.checkpoint().tensors.items()}
    poison(monkeypatch, "discriminator_loss", {1, 2})
    assert [session.step(), session.step()] == [False, False]
    after = session.checkpoint().tensors
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert (session.steps, session.images, session.guard.skipped) == (4, 32, 2)
    assert session.step()
    assert session.guard.skipped == 0


def test_a_poisoned_generator_step_leaves_the_generator_and_its_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    session = made()
    steps(session, 1)
    before = {k: v.clone() for k, v in session.networks.generator.state_dict().items()}
    poison(monkeypatch, "generator_loss", {1})
    assert not session.step()
    assert all(torch.equal(v, before[k]) for k, v in session.networks.generator.state_dict().items())
    assert all(p.requires_grad for p in session.networks.discriminator.parameters())
    assert session.step()


def test_gradients_that_overflow_are_noticed_though_the_loss_is_finite() -> None:
    session = made(optimizer="rmsprop")
    steps(session, 1)
    with torch.no_grad():
        session.networks.discriminator.fc.weight[0, 0] = 3e38
    assert not session.step()


def test_skips_are_remembered_by_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    session, other = made(), made()
    poison(monkeypatch, "discriminator_loss", {2, 3})
    steps(session, 3)
    session.guard.rollbacks = 1
    other.restore(session.checkpoint())
    assert (other.guard.skipped, other.guard.rollbacks) == (2, 1)
    steps(other, 1)
    assert other.networks.d_optimizer.param_groups[0]["lr"] == pytest.approx(1e-4)


def test_without_a_compiler_networks_run_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no C++ compiler\nand a long trace")

    monkeypatch.setattr(torch, "compile", fail)
    network = nn.Linear(2, 2)
    with pytest.warns(UserWarning, match=r"not possible here \(no C\+\+ compiler\); continuing without it"):
        assert compiled_or_not(network) is network
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        session = made(compile=True)
    assert session.step()


def test_auto_is_one_of_the_two_precisions() -> None:
    assert resolve_precision("auto") in {"fp32", "bf16"}
    assert resolve_precision("bf16") == "bf16"


@pytest.mark.parametrize("device", ["mps", "xpu", "meta"])
def test_auto_is_fp32_on_devices_that_nobody_has_tried(device: str) -> None:
    assert resolve_precision("auto", torch.device(device)) == "fp32"
    assert resolve_precision("bf16", torch.device(device)) == "bf16"
