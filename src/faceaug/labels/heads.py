"""Small classifiers on top of the large one, each row judged by one that has not learnt from it.

The large classifier may have learnt from the rows at hand, and its threshold may be another than that of whoever
labelled them. So each attribute gets a logistic regression on what it sees, out of fold. A wrong label teaches the
wrong thing: the rows that a first pass finds most unlikely are left out of a second one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceaug.draws import permutation

FOLDS = 5
_MOST = 20_000  # rows that a head learns from; its eighty weights gain nothing from more
_STRENGTH = 0.05  # inverse of the weight decay, features of variance 1
_DOUBTFUL = 0.1  # probability of the given label below which a row is left out of the second pass
_FEWEST = 4  # rows of each side that must remain
Numbers = NDArray[np.float64]


def likelihoods(features: Numbers, answers: NDArray[np.bool_]) -> Numbers:
    """Probability of yes for each row, from rows of other folds alone.

    Args:
        features: float64 (n, d).
        answers: bool (n,), what the table says; at least ``FOLDS`` of each.

    Returns:
        float64 (n,), 0 to 1.
    """
    first = _out_of_fold(features, answers, np.ones(len(answers), bool), turn=0)
    believed = given(first, answers) > _DOUBTFUL
    return _out_of_fold(features, answers, believed, turn=1)


def given(probabilities: Numbers, answers: NDArray[np.bool_]) -> Numbers:
    """Probability of the label that was given: float64 (n,)."""
    return np.where(answers, probabilities, 1 - probabilities)


def _out_of_fold(features: Numbers, answers: NDArray[np.bool_], usable: NDArray[np.bool_], *, turn: int) -> Numbers:
    fold = _folds(answers, turn)
    found = np.empty(len(answers))
    for k in range(FOLDS):
        taught = _chosen(np.flatnonzero((fold != k) & usable), np.flatnonzero(fold != k), answers, turn)
        found[fold == k] = _taught(features[taught], answers[taught], features[fold == k])
    return found


def _folds(answers: NDArray[np.bool_], turn: int) -> NDArray[np.int64]:
    """A fold for each row; both sides are spread evenly."""
    fold = np.empty(len(answers), np.int64)
    for side in (False, True):
        rows = np.flatnonzero(answers == side)
        fold[rows[permutation(len(rows), turn, slot=f"labels/fold/{side}")]] = np.arange(len(rows)) % FOLDS
    return fold


def _chosen(
    rows: NDArray[np.int64], every: NDArray[np.int64], answers: NDArray[np.bool_], turn: int
) -> NDArray[np.int64]:
    """Rows to learn from: all of the fold if too few of one side are believed."""
    if min(answers[rows].sum(), (~answers[rows]).sum()) < _FEWEST:
        rows = every
    return rows[permutation(len(rows), turn, slot="labels/rows")[:_MOST]]


def _taught(features: Numbers, answers: NDArray[np.bool_], others: Numbers) -> Numbers:
    """Learn from rows, and say the probability of yes for others."""
    from sklearn.linear_model import LogisticRegression

    middle, spread = features.mean(axis=0), features.std(axis=0)
    spread[spread == 0] = 1.0
    head = LogisticRegression(C=_STRENGTH, max_iter=1000).fit((features - middle) / spread, answers)
    found: Numbers = head.predict_proba((others - middle) / spread)[:, 1]
    return found
