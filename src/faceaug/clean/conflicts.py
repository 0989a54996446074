"""Label conflicts between duplicates, and the majority vote. Pure."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from faceaug.data.annotations import ATTRIBUTES, PARTITIONS, Annotations
from faceaug.reports.shell import table_cell

_PARTITION_NAMES = {number: name for name, number in PARTITIONS.items()}
_COLUMNS = ("keeper", "file", "stays", "field", "value", "proposal", "votes", "of")


@dataclass(frozen=True, slots=True)
class Proposal:
    """One field on which the members of a group disagree.

    Attributes:
        keeper: the picture that stays.
        field: "identity", "label", "partition" or the name of an attribute.
        values: (picture, its value; "" if unlabelled), the picture that stays first.
        proposal: the majority value; "" for a tie, and for ``partition``, where disagreement means a leak.
        votes: number of pictures with the most frequent value.
        of: number of labelled pictures.
    """

    keeper: str
    field: str
    values: tuple[tuple[str, str], ...]
    proposal: str
    votes: int
    of: int


def propose(known: Annotations, groups: Iterable[Sequence[int]], names: Sequence[str]) -> list[Proposal]:
    """Find the fields on which the members of each group disagree.

    Args:
        known: annotations of all pictures.
        groups: indices into ``known``, the picture that stays first.
        names: names of all pictures.
    """
    return [proposal for group in groups for proposal in _of_group(known, list(group), names)]


def conflicts_csv(proposals: Iterable[Proposal]) -> bytes:
    """One row per picture and field: its value, and the proposal with its votes."""
    page = io.StringIO(newline="")
    writer = csv.writer(page, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for entry in proposals:
        for k, (name, value) in enumerate(entry.values):
            stays = "no" if k else "yes"
            row = (entry.keeper, name, stays, entry.field, value, entry.proposal, entry.votes, entry.of)
            writer.writerow(map(table_cell, row))
    return page.getvalue().encode("utf-8", "surrogateescape")


def _of_group(known: Annotations, group: list[int], names: Sequence[str]) -> Iterator[Proposal]:
    if len(group) < 2:
        return
    for field, silent, says in (
        ("identity", -1, known.identity[group].tolist()),
        ("label", -1, known.label[group].tolist()),
        ("partition", -1, known.partition[group].tolist()),
    ):
        yield from _on_field(field, silent, says, group, names)
    attributes = known.attributes[group]
    disagree = ((attributes == 1).any(axis=0) & (attributes == -1).any(axis=0)).nonzero()[0]
    for k in disagree.tolist():
        yield from _on_field(ATTRIBUTES[k], 0, attributes[:, k].tolist(), group, names)


def _on_field(field: str, silent: int, says: list[int], group: list[int], names: Sequence[str]) -> Iterator[Proposal]:
    votes = Counter(value for value in says if value != silent)
    if len(votes) < 2:
        return
    (most, count), (_, second) = votes.most_common(2)
    clear = count > second and field != "partition"
    values = tuple((names[at], "" if v == silent else _word(field, v)) for at, v in zip(group, says, strict=True))
    yield Proposal(names[group[0]], field, values, _word(field, most) if clear else "", count, sum(votes.values()))


def _word(field: str, value: int) -> str:
    return _PARTITION_NAMES.get(value, str(value)) if field == "partition" else str(value)
