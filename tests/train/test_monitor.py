from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from faceaug.draws import stream
from faceaug.synthesize import SyntheticFaceSource
from faceaug.train import TrainConfig
from faceaug.train.keeper import watch_interval
from faceaug.train.monitor import Monitor


@pytest.fixture(scope="module")
def some() -> torch.Tensor:
    return SyntheticFaceSource("dcgan-32", seed=1).generate(384)


@pytest.fixture(scope="module")
def monitor(some: torch.Tensor) -> Monitor:
    return Monitor(some[:256].numpy(), seed=0)


def test_faces_of_the_same_kind_are_near_and_others_far(monitor: Monitor, some: torch.Tensor) -> None:
    same = some[256:]
    noise = torch.from_numpy(stream(0, slot="tests/noise").integers(0, 256, same.shape).astype(np.uint8))
    dark = (same.float() * 0.7).to(torch.uint8)
    found = [monitor.look(same, x, certainty=0, images=10**6).proxy for x in (same, dark, noise)]
    assert found[0] < found[1] < found[2]
    assert found[2] > 10 * found[0]


def test_healthy_faces_raise_no_alarm(monitor: Monitor, some: torch.Tensor) -> None:
    health = monitor.look(some[256:], some[256:], certainty=0.5, images=10**6)
    assert health.alarms == ()
    assert 0.8 < health.diversity < 1.2


def test_one_face_over_and_over_is_a_collapse(monitor: Monitor, some: torch.Tensor) -> None:
    collapsed = some[:1].expand(128, -1, -1, -1)
    health = monitor.look(collapsed, collapsed, certainty=0.5, images=10**6)
    assert health.diversity < 0.01
    assert "collapsed" in health.alarms[0]
    assert monitor.look(collapsed, collapsed, certainty=0.5, images=1000).alarms == ()  # too early to tell


def test_a_discriminator_that_is_never_wrong_is_told(monitor: Monitor, some: torch.Tensor) -> None:
    health = monitor.look(some[256:], some[256:], certainty=1.0, images=10**6)
    assert "never wrong" in health.alarms[0]


def test_larger_faces_are_looked_at_too() -> None:
    faces = stream(0, slot="tests/large").integers(0, 256, (300, 3, 64, 64)).astype(np.uint8)
    health = Monitor(faces, 0).look(*[torch.from_numpy(faces[:64])] * 2, certainty=0, images=0)
    assert np.isfinite(health.proxy)


def test_a_dead_generator_is_told_from_a_young_one(monitor: Monitor, some: torch.Tensor) -> None:
    grey = torch.full((64, 3, 32, 32), 128, dtype=torch.uint8)
    garish = torch.where(some[:64] > 127, 255, 0).to(torch.uint8)

    def state(faces: torch.Tensor, images: int, **facts: Any) -> tuple[str, int, int]:
        health = monitor.look(faces, faces, certainty=0.0, images=images, **facts)
        return health.state, len(health.alarms), len(health.notes)

    assert state(some[256:], 500) == ("healthy", 0, 0)
    assert state(grey, 500) == ("early", 0, 1)  # so looks every generator that has not learnt yet
    assert state(grey, 500, before=300_000) == ("dead", 1, 0)  # but none that began from a trained model
    assert state(grey, 20_000) == ("dead", 1, 0)
    assert state(garish, 500) == ("dead", 1, 0)
    assert state(some[256:], 500, logit=3e9) == ("dead", 1, 0)
    assert state(some[256:], 500, logit=np.inf) == ("dead", 1, 0)
    assert state(some[:2].repeat(32, 1, 1, 1) // 8 + 100, 30_000) == ("collapsed", 1, 0)


def test_real_faces_that_are_one_face_or_line_drawings_do_not_make_a_generator_dead(some: torch.Tensor) -> None:
    one, lines = some[:1].repeat(64, 1, 1, 1), torch.where(some[:64] > 127, 255, 0).to(torch.uint8)
    for faces in (one, lines):
        assert Monitor(faces.numpy(), seed=0).look(faces, faces, certainty=0.0, images=10**6).state != "dead"


def test_short_runs_are_watched_in_quarters() -> None:
    intervals = {images: watch_interval(TrainConfig(images=images)) for images in (128, 8_000, 24_000, 99_999, 300_000)}
    assert intervals == {128: 2_000, 8_000: 2_000, 24_000: 6_000, 99_999: 24_999, 300_000: 50_000}
    assert watch_interval(TrainConfig(images=24_000, monitor_every=500)) == 500
