from __future__ import annotations

import numpy as np
import pytest
import torch

from faceaug.draws import stream
from faceaug.errors import ArgumentError
from faceaug.evaluate.comparison_classifier import (
    Pool,
    Schooling,
    draw_weights,
    scores,
    set_cutoffs,
    side_weights,
    teach,
)


def pool(labels: list[list[int]], origin: list[int] | None = None) -> Pool:
    n = len(labels)
    return Pool(
        np.zeros((n, 3, 32, 32), np.uint8), np.array(labels, np.int8), np.array(origin or [0] * n, np.int8)
    )  # fmt: skip


def test_every_attribute_with_and_without_is_drawn_equally_often() -> None:
    rare = pool([[1]] + [[-1]] * 9)
    drawn = draw_weights(rare, 0.5)
    assert drawn[0] == pytest.approx(0.5)
    assert drawn[1:].tolist() == pytest.approx([0.5 / 9] * 9)
    two = pool([[1, -1], [-1, 1], [-1, -1], [-1, -1]])
    drawn = draw_weights(two, 0.5)
    assert drawn[:2].tolist() == pytest.approx([1 / 3] * 2)


def test_synthetic_faces_get_their_share_of_each_side_where_there_are_both_kinds() -> None:
    mixed = pool([[1]] * 2 + [[1]] * 8 + [[-1]] * 5, [0] * 2 + [2] * 8 + [0] * 5)
    drawn = draw_weights(mixed, 0.3)
    assert drawn[:2].sum() == pytest.approx(0.35)
    assert drawn[2:10].sum() == pytest.approx(0.15)
    assert drawn[10:].sum() == pytest.approx(0.5)


def test_what_is_unknown_is_not_drawn_and_nothing_known_is_an_error() -> None:
    assert draw_weights(pool([[1], [-1], [0]]), 0.5)[2] == 0
    with pytest.raises(ArgumentError, match="nothing to teach"):
        draw_weights(pool([[0], [0]]), 0.5)


def test_both_answers_weigh_the_same_as_they_are_shown() -> None:
    two = pool([[1, -1], [-1, 1], [-1, -1], [-1, -1]])
    drawn = draw_weights(two, 0.5)
    weights = side_weights(two, drawn)
    for k in range(2):
        shown = [float(drawn[two.labels[:, k] == sign].sum()) for sign in (-1, 1)]
        assert shown[0] * weights[0, k] == pytest.approx(shown[1] * weights[1, k])


def test_a_classifier_learns_what_can_be_seen_and_depends_on_its_seed_alone() -> None:
    draws = stream(0, slot="tests/pupil")
    labels = np.where(np.arange(80) % 4 == 0, 1, -1).astype(np.int8)[:, None]
    pixels = draws.integers(0, 120, (80, 3, 32, 32)).astype(np.uint8)
    pixels[labels[:, 0] > 0, 0] += 120
    shown = Pool(pixels, labels, np.zeros(80, np.int8))
    before, steps = torch.get_rng_state(), []
    schooling = Schooling(images=512, batch=32)
    one = scores(teach(shown, schooling, seed=1, device=torch.device("cpu"), on_step=steps.append), pixels)
    assert sum(steps) == 512
    assert torch.equal(before, torch.get_rng_state())
    cutoffs = set_cutoffs(one, shown)
    assert (cutoffs.answers(one) == (labels > 0)).mean() > 0.95
    same = scores(teach(shown, schooling, seed=1, device=torch.device("cpu")), pixels)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, scores(teach(shown, schooling, seed=2, device=torch.device("cpu")), pixels))


def test_thresholds_balance_both_kinds_of_error_however_rare_the_attribute_is() -> None:
    draws = stream(1, slot="tests/thresholds")
    labels = np.where(draws.random(4000) < 0.05, 1, -1).astype(np.int8)
    values = (labels + draws.standard_normal(4000) + 2)[:, None]  # two units too high
    held = pool([[int(label)] for label in labels])
    answers = set_cutoffs(values, held).answers(values)[:, 0]
    with_it, without = answers[labels > 0].mean(), 1 - answers[labels < 0].mean()
    assert with_it == pytest.approx(without, abs=0.08)
    assert min(with_it, without) > 0.75


@pytest.mark.parametrize(("field", "value"), [("images", 0), ("batch", 1), ("synthetic_share", 0.0)])
def test_numbers_out_of_range_are_refused(field: str, value: float) -> None:
    with pytest.raises(ArgumentError, match=field):
        Schooling(**{field: value})  # type: ignore[arg-type]
