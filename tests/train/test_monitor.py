from __future__ import annotations

import numpy as np
import pytest
import torch

from faceaug.draws import stream
from faceaug.synthesize import SyntheticFaceSource
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
