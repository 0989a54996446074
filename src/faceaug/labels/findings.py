"""What was found about the labels of a folder, as data. ``page`` puts it into blocks, ``report`` into text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from faceaug.errors import counted
from faceaug.labels.correlations import Correlations
from faceaug.labels.disagreements import CheckedAttribute, LabelProposal, SkippedAttribute
from faceaug.labels.people import PeopleCheck


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class LabelFindings:
    """What a folder's labels are suspected of. Nothing was changed.

    Attributes:
        folder: the folder as the caller spelled it.
        pictures: number of pictures looked at.
        classifier: name of the classifier; "" if the folder has no labels of attributes.
        attributes: what was found out about each attribute, in the order of the tables.
        skipped: attributes that were not checked, and why.
        proposals: labels that seem wrong, by attribute, the most confident first.
        correlations: attributes that go together, or differ between partitions.
        people: people under wrong names and in two partitions; None without identities.
        notes: remarks, a line each.
        unreadable: a line for each picture that cannot be read.
    """

    folder: str
    pictures: int
    classifier: str
    attributes: tuple[CheckedAttribute, ...]
    skipped: tuple[SkippedAttribute, ...]
    proposals: tuple[LabelProposal, ...]
    correlations: Correlations
    people: PeopleCheck | None
    notes: tuple[str, ...]
    unreadable: tuple[str, ...]

    def of(self, attribute: str) -> tuple[LabelProposal, ...]:
        """The proposals for one attribute, the most confident first."""
        return tuple(proposal for proposal in self.proposals if proposal.attribute == attribute)


def attribute_words(one: CheckedAttribute) -> str:
    """An attribute with its figures, as a line."""
    taste = ", a matter of taste" if one.of_taste else ""
    return (
        f"{one.attribute}{taste}: {one.proposals:,} of {counted(one.known, 'label')} in doubt, about "
        f"{one.suspected:,} wrong by estimate (balanced accuracy of the classifier {one.accuracy:.0%})"
    )


def in_order(attributes: Sequence[CheckedAttribute]) -> list[CheckedAttribute]:
    """Plain attributes before matters of taste, those that the classifier sees best first."""
    return sorted(attributes, key=lambda one: (one.of_taste, -one.accuracy))
