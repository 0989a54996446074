"""Quality of a classifier's scores, and their calibration."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating]
Labels = NDArray[np.int8]
_STEPS = 50  # of Newton's method
_RIDGE = 1.0  # a prior, worth one face, that the scores are calibrated already


def area_under_curve(scores: Scores, labels: Labels) -> float:
    """Probability that a face with the attribute scores above one without it; ties count half, NaN without both kinds.

    Args:
        scores: (n,).
        labels: int8 (n,), -1 no, 1 yes; 0, unknown, is ignored.
    """
    known = labels != 0
    values = scores[known]
    yes = labels[known] > 0
    positive = int(yes.sum())
    if not 0 < positive < len(yes):
        return float("nan")
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]  # mean rank among equals
    above = ranks[yes].sum() - positive * (positive + 1) / 2
    return float(above / (positive * (len(yes) - positive)))


def rates(answers: NDArray[np.bool_], labels: Labels) -> tuple[float, float]:
    """Sensitivity and specificity: shares recognised of faces with and without the attribute; NaN if unknown."""
    yes, no = labels > 0, labels < 0
    with_it = float(answers[yes].mean()) if yes.any() else float("nan")
    return with_it, float(1 - answers[no].mean()) if no.any() else float("nan")


def balanced_accuracy(answers: NDArray[np.bool_], labels: Labels) -> float:
    """Mean of the two ``rates``; 0.5 is chance."""
    return float(np.mean(rates(answers, labels)))


def fit_odds(scores: Scores, labels: Labels) -> tuple[float, float]:
    """Fit (scale, shift) so that scale * score + shift is the log-odds (Platt 1999), by Newton's method.

    Args:
        scores: (n,), roughly log-odds already.
        labels: int8 (n,), -1 no, 1 yes; 0, unknown, is ignored.
    """
    known = labels != 0
    x = np.column_stack([scores[known].astype(np.float64), np.ones(int(known.sum()))])
    y = (labels[known] > 0).astype(np.float64)
    start = np.array([1.0, 0.0])
    at = start.copy()
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(x @ at, -30, 30)))
        gradient = x.T @ (p - y) + _RIDGE * (at - start)
        if np.abs(gradient).max() < 1e-6 * len(y):
            break
        hessian = (x * (p * (1 - p))[:, None]).T @ x + _RIDGE * np.eye(2)
        at = at - np.clip(np.linalg.solve(hessian, gradient), -1, 1)
    return float(at[0]), float(at[1])
