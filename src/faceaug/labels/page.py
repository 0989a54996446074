"""The findings about labels as blocks of a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from faceaug.errors import counted
from faceaug.labels.correlations import STRONG, Correlations
from faceaug.labels.disagreements import CheckedAttribute, LabelProposal
from faceaug.labels.findings import LabelFindings, in_order
from faceaug.labels.people import PeopleCheck
from faceaug.reports.gallery import Shown
from faceaug.reports.heatmap import Heatmap
from faceaug.reports.sections import (
    Block,
    Code,
    Details,
    Heading,
    Listing,
    Notes,
    Paragraph,
    Ranked,
    Strong,
    Table,
)

SHOWN = 24  # pictures per attribute; the table of proposals has all
_PEOPLE = 12  # people of each kind with pictures
_FACES = 12  # pictures of one of them
_PAIRS = 12  # pairs of attributes in words; the table has all


def label_blocks(report: LabelFindings) -> list[Block]:
    """The blocks of the page of ``check_labels``."""
    blocks: list[Block] = [Heading("Labels")]
    if report.classifier:
        blocks += [*_overview(report), *_galleries(report)]
    blocks += [Notes(report.notes), *_correlations(report.correlations)]
    if report.people is not None:
        blocks += _people(report.people, Path(report.folder))
    return blocks + ([Heading("Not readable", 3), Notes(report.unreadable)] if report.unreadable else [])


def _overview(report: LabelFindings) -> list[Block]:
    found = f"{counted(len(report.proposals), 'label')} in doubt among {counted(report.pictures, 'picture')}."
    wrong = sum(one.suspected for one in report.attributes)
    text = (
        f" About {wrong:,} are wrong by estimate. They contradict what {report.classifier} sees, as a small classifier "
        "for each attribute reads it that has not learnt from the picture in question. Nothing was changed: look, and "
        "correct the table yourself. "
    )
    rows = [
        (
            one.attribute,
            one.known,
            f"{one.share:.1%}",
            one.proposals,
            one.suspected,
            f"{one.accuracy:.0%}",
            "a matter of taste" if one.of_taste else "",
        )
        for one in in_order(report.attributes)
    ]
    header = ("attribute", "labels", "say yes", "in doubt", "wrong, estimated", "balanced accuracy", "")
    blocks: list[Block] = [
        Paragraph((Strong(found), text, Code("label-proposals.csv"), " lists all labels in doubt.")),
        Details("All attributes", [Table(header, rows, texts=1)]),
    ]
    if report.skipped:
        skipped = [(one.attribute, one.why) for one in report.skipped]
        blocks.append(Details(f"Not checked ({len(skipped)})", [Table(("attribute", "why"), skipped)]))
    return blocks


def _galleries(report: LabelFindings) -> list[Block]:
    folder = Path(report.folder)
    blocks: list[Block] = []
    found = [one for one in in_order(report.attributes) if one.proposals]
    for of_taste in (False, True):
        chosen = [one for one in found if one.of_taste is of_taste]
        if chosen and of_taste:
            blocks.append(Heading("Matters of taste", 3))
            blocks.append(Paragraph("People differ about these attributes; a label in doubt may be another opinion."))
        blocks += [_gallery(one, report.of(one.attribute), folder) for one in chosen]
    return blocks


def _gallery(one: CheckedAttribute, proposals: Sequence[LabelProposal], folder: Path) -> Block:
    shown = [
        Shown(
            proposal.name,
            folder / proposal.name,
            (f"{proposal.confidence:.0%} sure",),
            mark=f"{proposal.rank}. table says {'yes' if proposal.given > 0 else 'no'}",
            stays=False,
        )
        for proposal in proposals[:SHOWN]
    ]
    blocks: list[Block] = [Ranked(shown)]
    if len(proposals) > SHOWN:
        blocks.append(Paragraph(f"and {len(proposals) - SHOWN:,} more, in label-proposals.csv"))
    return Details(f"{one.attribute}: {counted(len(proposals), 'label')} in doubt", blocks)


def _correlations(found: Correlations) -> list[Block]:
    if len(found.attributes) < 2:
        return []
    text = (
        "A network that learns one attribute may learn another instead that goes with it. Whether a pair is a matter "
        "of course (Goatee and No_Beard) or an accident of this collection, only you can say."
    )
    blocks: list[Block] = [Heading("Attributes that go together"), Paragraph(text)]
    if found.pairs:
        blocks.append(Notes([pair.words() for pair in found.pairs[:_PAIRS]]))
    else:
        blocks.append(Paragraph(f"No two attributes correlate by {STRONG} or more."))
    said = "; ".join(f"{pair.one} and {pair.other} {pair.correlation:+.2f}" for pair in found.pairs[:_PAIRS])
    title = "Correlation of attributes: the stronger, the darker."
    blocks.append(Heatmap(title, found.attributes, found.matrix.tolist(), said))
    if len(found.pairs) > _PAIRS:
        rows = [
            (pair.one, pair.other, f"{pair.correlation:+.2f}", f"{pair.with_one:.1%}", f"{pair.without_one:.1%}")
            for pair in found.pairs
        ]
        header = ("one", "other", "correlation", "other, with one", "other, without")
        blocks.append(Details(f"All {len(rows)} pairs", [Table(header, rows, texts=2)]))
    return blocks + _partitions(found)


def _partitions(found: Correlations) -> list[Block]:
    if not found.partitions:
        return []
    names = list(dict.fromkeys(name for one in found.partitions for name in one.shares))
    uneven = [
        f"{one.attribute}: {one.shares[one.uneven]:.1%} in {one.uneven}, {one.share:.1%} in all"
        for one in sorted(found.partitions, key=lambda one: -max(map(abs, one.errors.values())))
        if one.uneven
    ]
    rows = [
        (
            one.attribute,
            f"{one.share:.1%}",
            *(f"{one.shares[name]:.1%}" if name in one.shares else "" for name in names),
        )
        for one in found.partitions
    ]
    table = Details("Shares of all attributes", [Table(("attribute", "all", *names), rows, texts=1)])
    blocks: list[Block] = [Heading("Attributes by partition")]
    if not uneven:
        return [*blocks, Paragraph("Every attribute is spread evenly, as far as chance allows."), table]
    return [*blocks, Paragraph("Spread unevenly, beyond chance:"), Notes(uneven[:_PAIRS]), table]


def _people(found: PeopleCheck, folder: Path) -> list[Block]:
    blocks: list[Block] = [Heading("People"), Notes([line.strip() for line in found.lines(verbose=False)])]
    if found.shared:
        rows = [(one.name, ", ".join(f"{part} {n}" for part, n in one.pictures.items())) for one in found.shared]
        blocks.append(Listing("People in two partitions", ("person", "pictures"), rows, "the report as JSON"))
    for one in found.mixed[:_PEOPLE]:
        first, second = one.groups
        pictures = [
            Shown(name, folder / name, (f"as {one.person}",), mark=mark, stays=stays)
            for group, mark, stays in ((first, "one person", True), (second, "another?", False))
            for name in group[:_FACES]
        ]
        blocks.append(Details(f"{one.person} may be two people (likeness {one.likeness:.2f})", [Ranked(pictures)]))
    for pair in found.twice[:_PEOPLE]:
        pictures = [
            Shown(name, folder / name, (), mark=person, stays=stays)
            for person, names, stays in ((pair.one, pair.one_pictures, True), (pair.other, pair.other_pictures, False))
            for name in names[:_FACES]
        ]
        title = f"{pair.one} and {pair.other} may be one person (likeness {pair.likeness:.2f})"
        blocks.append(Details(title, [Ranked(pictures)]))
    return blocks
