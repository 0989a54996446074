"""The findings of a clean as report blocks and as one CSV table."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from faceaug.clean.decisions import FILE, propose
from faceaug.clean.faults_page import Leaving, fault_blocks, fault_groups, fault_list
from faceaug.clean.findings import Findings
from faceaug.clean.summary import grouped, labels
from faceaug.clean.tiers import DuplicateGroup, Member, Tier
from faceaug.clean.verify import PairEvidence
from faceaug.errors import counted
from faceaug.presentation import argument
from faceaug.reports.gallery import Choices, Group, Shown
from faceaug.reports.plots import Histogram
from faceaug.reports.sections import Block, Code, Facts, Gallery, Heading, Listing, Notes, Paragraph
from faceaug.reports.shell import table_cell
from faceaug.storage.state import state_folder

_COLUMNS = ("file", "what", "why", "other_file", "bits", "detail", "face_block", "broad_block", "colour")
_TIERS = {
    "same bytes": "the same file",
    "same pixels": "the same pixels in another file",
    "overlay": "the same photo but for something laid over it",
    "crop": "the same photo, one of the two cropped",
    "burst": "a similar but different photo",
    "mirrored": "mirror image",
}


def clean_blocks(report: Findings, *, live: bool = False) -> list[Block]:
    """The blocks of a clean's page, with the pictures in their current places.

    Args:
        report: the findings.
        live: whether a server shows the page and carries out what the reader decides.
    """
    places = _Places(report)
    groups = [*_duplicates(report, places), *_look_alikes(report, places)]
    faulty = [] if report.checks is None else list(fault_groups(report.checks, places, _leaving(report)))
    blocks: list[Block] = [Paragraph(report.headline()), _counts(report)]
    if report.run is not None:
        blocks.append(
            Paragraph(("Nothing was deleted. ", Code(f"faceaug undo {argument(report.folder)}"), " reverts the run."))
        )
    blocks.append(Notes([*report.notes, *_table_lines(report)]))
    if report.checks is not None:
        blocks += fault_blocks(report.checks, report.folder)
    faults = f"pictures with a fault ({len(faulty):,})" if faulty else ""
    alike = f"pictures that show the same ({len(groups):,} groups)" if groups else ""
    if groups or faulty:
        heading = "; ".join(filter(None, (faults, alike)))
        blocks += [Heading(heading[0].upper() + heading[1:]), Gallery([*faulty, *groups], _choices(report, live=live))]
    blocks += [*_certainty(report), *_distances(report)]
    lists = report.lists() + ([fault_list(report.checks)] if report.checks and report.checks.faulty else [])
    return blocks + [Listing(title, header, rows, "report.csv") for title, header, rows in lists]


def _choices(report: Findings, *, live: bool) -> Choices | None:
    """What the reader may decide; None if there is no group of duplicates, or all was decided."""
    decisions = propose(report.groups, report.folder)
    if not decisions.groups or report.decided is not None:
        return None
    folder = argument(report.folder)
    again = f"faceaug clean {folder}{' --out NEW_FOLDER' if report.out else ''} --decisions {FILE}"
    commands = [f"faceaug undo {folder}", again] if report.run is not None else [again]
    mark = _leaving(report).mark
    return Choices(decisions.to_json(), FILE, commands, len(report.set_aside), mark, live)


def _counts(report: Findings) -> Facts:
    before, gone, after = labels(report)
    kinds = [(f"{gone}: {kind}", count) for kind, count in report.kinds().items()]
    repaired = ("names to repair" if report.dry_run else "names repaired", report.renamed)
    return Facts(
        [
            (before, report.original),
            *(kinds or [(gone, 0)]),
            (after, report.cleaned),
            repaired,
            ("left alone", report.skipped or None),
        ]
    )


def _table_lines(report: Findings) -> list[str]:
    have = ("row would have", "rows would have") if report.dry_run else ("row has", "rows have")
    return [f"{tables}: {counted(count, *have)} no picture" for tables, count in grouped(report.rows_without_file)]


def clean_csv(report: Findings) -> bytes:
    """One row per finding."""
    page = io.StringIO(newline="")
    writer = csv.writer(page, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(map(table_cell, row) for row in _csv_rows(report))
    return page.getvalue().encode("utf-8", "surrogateescape")


def _csv_rows(report: Findings) -> Iterator[tuple[object, ...]]:
    proofs = {member.name: member for group in report.groups for member in group.members}
    for rename in report.renames:
        yield _row(rename.old, "renamed", "repaired name", rename.new)
    for entry in report.set_aside:
        member = proofs.get(entry.name, Member(entry.name, "same bytes"))
        what = f"left out: {entry.kind}" if report.out else f"set aside: {entry.kind}"
        yield _row(entry.name, what, entry.reason, entry.keeper, member.distance, member.evidence)
    for picture in report.checks.faulty if report.checks else ():
        for fault, why in zip(picture.faults, picture.why, strict=True):
            yield _row(picture.name, f"fault: {fault}", why, "")
    for pair in (*report.mirrored, *report.bursts, *report.partial):
        yield _row(pair.one, "stays", pair.tier, pair.other, pair.distance, pair.evidence)
    for leak in report.leaks:
        yield _row(leak.name, "leak", f"{leak.partition} and {leak.keeper_partition}", leak.keeper)
    for unclear in report.unclear:
        why = f"{unclear.why}; {unclear.hint}" if unclear.hint else unclear.why
        yield _row(unclear.name, "name unclear", why, " ".join(unclear.candidates))
    for name, why in report.left:
        yield _row(name, "left alone", why, "")


def _row(
    name: str, what: str, why: str, other: str, distance: int = -1, evidence: PairEvidence | None = None
) -> tuple[object, ...]:
    numbers: tuple[object, ...] = ("", "", "", "", "")
    if evidence is not None:
        found = (evidence.detail, evidence.face_block, evidence.broad_block, evidence.colour)
        numbers = (distance, *(round(number, 4) for number in found))
    return name, what, why, other, *numbers


class _Places:
    """The current paths of the pictures in a report."""

    def __init__(self, report: Findings) -> None:
        self._root = Path(report.folder)
        moved = report.run is not None
        self._aside = state_folder(self._root, beside=False) / "set-aside" / report.run if report.run else self._root
        self._old = {} if moved else {rename.new: rename.old for rename in report.renames}

    def staying(self, name: str) -> Path:
        """Path of a picture that stays, before or after the move."""
        return self._root / self._old.get(name, name)

    def gone(self, name: str) -> Path:
        """Path of a picture that was set aside."""
        return self._aside / name


def _groups(report: Findings) -> tuple[DuplicateGroup, ...]:
    """The groups of a report, including duplicates that only ``set_aside`` lists."""
    grouped_already = {member.name for group in report.groups for member in group.members}
    others: dict[str, list[Member]] = defaultdict(list)
    for entry in report.set_aside:
        if entry.keeper and entry.name not in grouped_already:
            others[entry.keeper].append(Member(entry.name, cast(Tier, entry.kind)))
    return (*report.groups, *(DuplicateGroup(keeper, tuple(found)) for keeper, found in others.items()))


def _duplicates(report: Findings, places: _Places) -> list[Group]:
    disputed = defaultdict(list)
    for conflict in report.conflicts:
        disputed[conflict.name].append(conflict.says)
    leaks = {leak.name: f"in {leak.partition}, {leak.keeper} in {leak.keeper_partition}" for leak in report.leaks}
    leaving = _leaving(report)
    mark = leaving.mark
    # In the order of ``propose``; a report of decisions shows other groups than those that were decided about.
    chosen = [group for group in report.groups if group.content and report.decided is None]
    numbers = {group.keeper: number for number, group in enumerate(chosen)}
    groups = []
    for group in sorted(_groups(report), key=lambda group: group.keeper):
        shown = [Shown(group.keeper, places.staying(group.keeper))]
        if group.keeper in leaving.names:
            shown = [Shown(group.keeper, places.gone(group.keeper), ("has a fault",), mark, stays=False)]
        tags = sorted({member.tier for member in group.members})
        for member in group.members:
            lines = [_proof(member.tier, member.evidence)]
            lines += [f"tables disagree: {says}" for says in disputed[member.name]]
            lines += [leaks[member.name]] if member.name in leaks else []
            shown.append(Shown(member.name, places.gone(member.name), tuple(lines), mark, stays=False))
        names = {member.name for member in group.members}
        more = ["tables disagree"] if any(disputed[name] for name in names) else []
        more += ["across partitions"] if names & leaks.keys() else []
        doubt = max(1 - member.evidence.detail if member.evidence else 0.0 for member in group.members)
        groups.append(Group(tuple(shown), (*tags, *more), doubt, numbers.get(group.keeper), group.fixed))
    return groups


def _leaving(report: Findings) -> Leaving:
    mark = "would be set aside" if report.dry_run else "left out" if report.out else "set aside"
    return Leaving(frozenset(entry.name for entry in report.set_aside), mark)


def _look_alikes(report: Findings, places: _Places) -> list[Group]:
    groups = []
    for pair, tag in (
        *((pair, "mirror images, stay") for pair in report.mirrored),
        *((pair, "different photos, stay") for pair in report.bursts),
        *((pair, "differ in a part, stay") for pair in report.partial),
    ):
        said = _proof(pair.tier, pair.evidence)
        one, other = (
            Shown(name, places.staying(name), lines) for name, lines in ((pair.one, ()), (pair.other, (said,)))
        )
        groups.append(Group((one, other), (tag,), 1 - pair.evidence.detail))
    return groups


def _proof(tier: str, evidence: PairEvidence | None) -> str:
    """The comparison in words; the CSV has the numbers."""
    words = _TIERS.get(tier, tier)
    if evidence is None:
        return words
    scores = (max(0.0, number) for number in (evidence.detail, evidence.face_block, evidence.colour))
    detail, face, colour = (f"{number:.0%}" for number in scores)
    return f"{words}: the details agree to {detail}, anywhere in the face to {face} or more, the colours to {colour}"


def _certainty(report: Findings) -> list[Block]:
    """The thresholds between copies and other pictures, and their estimated error rates."""
    t = report.thresholds
    if t is None:
        return []
    rows: list[tuple[str, object]] = [
        ("candidate pairs (similar perceptual hashes)", t.candidates),
        ("of these, compared pixel by pixel", t.compared),
        ("details had to agree to at least", f"{t.detail:.1%}"),
        ("every small part had to agree to at least", f"{t.parts:.1%}"),
        ("in every part of the face to at least", f"{t.face_block:.1%}"),
        ("in nearly every part of the picture to at least", f"{t.broad_block:.1%}"),
        ("colours to at least", f"{t.colour:.1%}"),
        ("wrong removals expected in this run", t.expected_false),
        ("test copies of your pictures that are found", f"{t.recall:.1%}" if t.recall >= 0 else None),
    ]
    return [Heading("What decided"), Facts(rows, measured=True)]


def _distances(report: Findings) -> list[Block]:
    """The histogram of distances between pictures."""
    if not any(report.histogram):
        return []
    title = "Pairs of pictures by visual difference: number of bits that differ between their perceptual hashes"
    edges = tuple(map(float, range(len(report.histogram) + 1)))
    used = report.thresholds
    marks = () if used is None else ((float(used.radius) + 1, "compared pixel by pixel up to here"),)
    return [Histogram(title, edges, {"pairs": report.histogram}, marks, "0: identical, 32: unrelated")]
