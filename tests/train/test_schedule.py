from __future__ import annotations

import pytest

from faceaug.train import TrainConfig
from faceaug.train.schedule import average_keeps, passed, rate_share


def test_without_decay_the_rate_stays() -> None:
    assert [rate_share(TrainConfig(), images) for images in (0, 10**6, 10**9)] == [1, 1, 1]


@pytest.mark.parametrize(("decay", "half"), [("linear", 0.55), ("cosine", 0.55)])
def test_a_rate_falls_from_one_to_its_end_and_stays_there(decay: str, half: float) -> None:
    config = TrainConfig(decay=decay, images=1000, end_rate=0.1)  # type: ignore[arg-type]
    found = [rate_share(config, images) for images in range(0, 1200, 100)]
    assert found[0] == 1
    assert found[5] == pytest.approx(half)
    assert found[10] == found[11] == pytest.approx(0.1)
    assert found == sorted(found, reverse=True)


def test_a_cosine_begins_and_ends_gently() -> None:
    linear, cosine = (TrainConfig(decay=d, images=1000) for d in ("linear", "cosine"))  # type: ignore[arg-type]
    assert rate_share(cosine, 100) > rate_share(linear, 100)
    assert rate_share(cosine, 900) < rate_share(linear, 900)


def test_decay_can_begin_late_and_end_before_the_run() -> None:
    config = TrainConfig(decay="linear", decay_from=200, decay_images=600, images=10_000)
    assert [rate_share(config, images) for images in (0, 200, 400, 600, 5000)] == [1, 1, 0.5, 0, 0]


def test_the_average_forgets_half_in_its_half_life() -> None:
    config = TrainConfig(average_half_life=1280, average_rampup=0.1, batch=128)
    assert average_keeps(config, 10**6) ** 10 == pytest.approx(0.5)
    assert average_keeps(config, 1280) == pytest.approx(0.5)  # a tenth of what was shown
    assert average_keeps(TrainConfig(average_half_life=0), 10**6) == 0


def test_a_multiple_is_passed_once() -> None:
    assert [images for images in range(8, 80, 8) if passed(images, 8, 20)] == [24, 40, 64]
