from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceaug.labels.heads import given, likelihoods


def telling(
    n: int, *, wrong: int = 0, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Features, one of which tells the truth; the answers, the first of which are wrong; and the truth."""
    random = np.random.default_rng(seed)
    truth = random.random(n) < 0.4
    features = random.normal(size=(n, 6))
    features[:, 0] += np.where(truth, 3, -3)
    answers = truth.copy()
    answers[:wrong] ^= True
    return features, answers, truth


def test_what_can_be_learnt_is_told_for_rows_that_were_not_learnt_from() -> None:
    features, answers, truth = telling(300)
    found = likelihoods(features, answers)
    assert ((found > 0.5) == truth).mean() > 0.97


def test_answers_that_cannot_be_learnt_are_not_remembered() -> None:
    random = np.random.default_rng(1)
    features, answers = random.normal(size=(300, 6)), random.random(300) < 0.5
    agreement = ((likelihoods(features, answers) > 0.5) == answers).mean()
    assert agreement < 0.6


def test_wrong_answers_are_the_least_likely() -> None:
    features, answers, _ = telling(400, wrong=12)
    order = np.argsort(given(likelihoods(features, answers), answers))
    assert set(range(12)) <= set(order[:16].tolist())


def test_the_same_rows_get_the_same_likelihoods() -> None:
    features, answers, _ = telling(100)
    assert (likelihoods(features, answers) == likelihoods(features, answers)).all()


def test_constant_features_and_rare_answers_do_no_harm() -> None:
    features, answers, _ = telling(100)
    features[:, 5] = 7.0
    answers[:] = False
    answers[:5] = True
    found = likelihoods(features, answers)
    assert np.isfinite(found).all()
    assert ((found >= 0) & (found <= 1)).all()
