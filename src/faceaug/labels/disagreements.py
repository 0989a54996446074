"""Where a table and a classifier disagree about an attribute, ranked by confident learning (Northcutt et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceaug.data.annotations import ATTRIBUTES
from faceaug.errors import ArgumentError, counted
from faceaug.labels.heads import FOLDS, given, likelihoods
from faceaug.train.calibrate import balanced_accuracy

LEAST = 20  # labels of each side that an attribute needs
_SEEING = 0.6  # balanced accuracy below which the classifier cannot tell an attribute; 0.5 is guessing
_CLEAR = 0.6  # probability, from the picture alone, above which a given label is not doubted
MISSING = "python -m pip install 'faceaug[labels]'"
# Attributes on which people differ: a label that looks wrong may be another opinion.
TASTE = frozenset(
    {
        "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Big_Lips", "Big_Nose", "Bushy_Eyebrows", "Chubby",
        "High_Cheekbones", "Narrow_Eyes", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Rosy_Cheeks", "Young",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LabelProposal:
    """A label that seems wrong.

    Attributes:
        name: the picture, a path below the folder.
        attribute: the attribute.
        given: what the table says, -1 or 1.
        proposed: the other value.
        confidence: probability of the proposed value, from 0.5 to 1.
        rank: place among the proposals for the attribute, 1 is the most confident.
    """

    name: str
    attribute: str
    given: int
    proposed: int
    confidence: float
    rank: int


@dataclass(frozen=True, slots=True)
class CheckedAttribute:
    """What was found out about the labels of one attribute.

    Attributes:
        attribute: its name.
        known: number of labels.
        share: share of these that say yes.
        accuracy: balanced accuracy of what the picture alone says, against the table; 0.5 is guessing.
        suspected: estimated number of wrong labels.
        proposals: number of proposals.
        of_taste: whether people differ about it.
    """

    attribute: str
    known: int
    share: float
    accuracy: float
    suspected: int
    proposals: int
    of_taste: bool


@dataclass(frozen=True, slots=True)
class SkippedAttribute:
    """An attribute that was not checked.

    Attributes:
        attribute: its name.
        why: the reason.
    """

    attribute: str
    why: str


def require_cleanlab() -> None:
    """Check that the extra is installed.

    Raises:
        ArgumentError: it is not; the message says what to do.
    """
    try:
        import cleanlab.filter  # noqa: F401
    except ImportError as error:
        raise ArgumentError(f"checking labels needs the extra packages of faceaug: {MISSING} ({error})") from error


def check_attribute(
    attribute: str, logits: NDArray[np.float64], labels: NDArray[np.int8], names: list[str]
) -> tuple[CheckedAttribute, list[LabelProposal]] | SkippedAttribute:
    """Find the labels of one attribute that seem wrong.

    A label is doubted where what the classifier sees and the other labels of the row together speak against it, and the
    picture alone does not clearly speak for it. So an unusual combination of labels is not doubted on that account.

    Args:
        attribute: its name.
        logits: float64 (n, 40), what the classifier sees.
        labels: int8 (n, 40), -1 no, 1 yes, 0 unknown.
        names: names of the pictures.

    Returns:
        The result with the proposals, the most confident first; or why there is none.
    """
    column = ATTRIBUTES.index(attribute)
    rows = np.flatnonzero(labels[:, column])
    answers = labels[rows, column] > 0
    few = _too_few(answers)
    if few:
        return SkippedAttribute(attribute, few)
    alone = likelihoods(logits[rows], answers)
    accuracy = balanced_accuracy(_balanced(alone, answers), labels[rows, column])
    if accuracy < _SEEING:
        return SkippedAttribute(attribute, f"the classifier does not see it here (balanced accuracy {accuracy:.0%})")
    others = np.delete(labels[rows], column, axis=1).astype(np.float64)
    together = likelihoods(np.hstack([logits[rows], others]), answers)
    ranked, suspected = _ranked(together, answers)
    doubted = ranked[given(alone, answers)[ranked] < _CLEAR]
    wrong = 1 - given(together, answers)
    signs = labels[rows, column].tolist()
    proposals = [
        LabelProposal(names[rows[at]], attribute, signs[at], -signs[at], float(wrong[at]), rank)
        for rank, at in enumerate(doubted.tolist(), 1)
    ]
    share = float(answers.mean())
    result = CheckedAttribute(attribute, len(rows), share, accuracy, suspected, len(proposals), attribute in TASTE)
    return result, proposals


def _too_few(answers: NDArray[np.bool_]) -> str:
    yes, no = int(answers.sum()), int((~answers).sum())
    if not len(answers):
        return "no picture has a label"
    if min(yes, no) >= max(LEAST, FOLDS):
        return ""
    side, count = ("yes", yes) if yes < no else ("no", no)
    return f"{counted(count, 'label says', 'labels say')} {side}, at least {LEAST} are needed"


def _balanced(probabilities: NDArray[np.float64], answers: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Answers at the threshold that makes up for a rare side."""
    found: NDArray[np.bool_] = probabilities > answers.mean()
    return found


def _ranked(probabilities: NDArray[np.float64], answers: NDArray[np.bool_]) -> tuple[NDArray[np.int64], int]:
    """The rows that are predicted otherwise, the least likely label first; and the estimated number of wrong labels."""
    from cleanlab.count import num_label_issues
    from cleanlab.filter import find_label_issues

    both = np.column_stack([1 - probabilities, probabilities])
    labels = answers.astype(np.int64)
    ranked = find_label_issues(
        labels, both, filter_by="predicted_neq_given", return_indices_ranked_by="self_confidence", n_jobs=1
    )
    return np.asarray(ranked, np.int64), int(num_label_issues(labels, both))
