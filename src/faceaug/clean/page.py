"""The report of a clean as one HTML page and as one table: what a user looks at to believe it."""

from __future__ import annotations

import csv
import html
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from faceaug.clean.tiers import DuplicateGroup, Member
from faceaug.clean.verify import PairEvidence
from faceaug.errors import printable
from faceaug.presentation import html_table
from faceaug.progress import SILENT, Progress
from faceaug.reports.gallery import Group, Shown, bars_svg, groups_html
from faceaug.reports.shell import html_page, table_cell
from faceaug.storage.state import state_folder

if TYPE_CHECKING:
    from faceaug.clean.report import CleanReport

_ROWS = 2_000  # of one list on the page; the CSV has them all
_OPEN = 25  # rows up to which a list is shown without a click
_COLUMNS = ("file", "what", "why", "other_file", "bits", "detail", "face_block", "broad_block", "colour")


def report_html(report: CleanReport, *, workers: int | None = 0, progress: Progress = SILENT) -> str:
    """One self-contained page with the pictures as they lie now; works offline.

    Args:
        report: of a clean.
        workers: processes that make thumbnails; see ``open_executor``.
        progress: shows how many thumbnails are made.
    """
    places = _Places(report)
    groups = [*_duplicates(report, places), *_look_alikes(report, places)]
    counts = html_table([(name, count) for name, count in report.counts().items()])
    parts = [f"<p>{html.escape(printable(report.headline()))}</p>", counts]
    parts += [f"<p>{html.escape(printable(note))}</p>" for note in report.notes]
    if groups:
        parts.append(f"<h2>Pictures that show the same ({len(groups):,} groups)</h2>")
        parts.append(groups_html(groups, workers=workers, progress=progress))
    parts += [_certainty(report), *(bars_svg(bars) for bars in report.histograms())]
    for title, header, rows in report.lists():
        if rows:
            parts.append(_list(title, header, rows))
    return html_page(f"faceaug clean: {printable(report.folder)}", "".join(parts))


def report_csv(report: CleanReport) -> bytes:
    """One row per file about which there is something to say."""
    page = io.StringIO(newline="")
    writer = csv.writer(page, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(map(table_cell, row) for row in _csv_rows(report))
    return page.getvalue().encode("utf-8", "surrogateescape")


def _csv_rows(report: CleanReport) -> Iterator[tuple[object, ...]]:
    proofs = {member.name: member for group in report.groups for member in group.members}
    for rename in report.renames:
        yield _row(rename.old, "renamed", "repaired name", rename.new)
    for entry in report.set_aside:
        member = proofs.get(entry.name, Member(entry.name, "same bytes"))
        what = f"left out: {entry.kind}" if report.out else f"set aside: {entry.kind}"
        yield _row(entry.name, what, entry.reason, entry.keeper, member.distance, member.evidence)
    for pair in (*report.mirrored, *report.bursts):
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
    """Where the pictures of a report lie now."""

    def __init__(self, report: CleanReport) -> None:
        self._root = Path(report.folder)
        moved = report.run is not None
        self._aside = state_folder(self._root, beside=False) / "set-aside" / report.run if report.run else self._root
        self._old = {} if moved else {rename.new: rename.old for rename in report.renames}

    def staying(self, name: str) -> Path:
        return self._root / self._old.get(name, name)

    def gone(self, name: str) -> Path:
        return self._aside / name


def _groups(report: CleanReport) -> tuple[DuplicateGroup, ...]:
    """The groups of a report, those that only ``set_aside`` tells of included."""
    there = {member.name for group in report.groups for member in group.members}
    others: dict[str, list[Member]] = defaultdict(list)
    for entry in report.set_aside:
        if entry.kind != "unreadable" and entry.name not in there:
            others[entry.keeper].append(Member(entry.name, entry.kind))
    return (*report.groups, *(DuplicateGroup(keeper, tuple(found)) for keeper, found in others.items()))


def _duplicates(report: CleanReport, places: _Places) -> list[Group]:
    disputed = defaultdict(list)
    for conflict in report.conflicts:
        disputed[conflict.name].append(conflict.says)
    leaks = {leak.name: f"in {leak.partition}, {leak.keeper} in {leak.keeper_partition}" for leak in report.leaks}
    mark = "would be set aside" if report.dry_run else "left out" if report.out else "set aside"
    groups = []
    for group in sorted(_groups(report), key=lambda group: group.keeper):
        shown = [Shown(group.keeper, places.staying(group.keeper))]
        tags = sorted({member.tier for member in group.members})
        for member in group.members:
            lines = [_proof(member.tier, member.distance, member.evidence)]
            lines += [f"tables disagree: {says}" for says in disputed[member.name]]
            lines += [leaks[member.name]] if member.name in leaks else []
            shown.append(Shown(member.name, places.gone(member.name), tuple(lines), mark, stays=False))
        names = {member.name for member in group.members}
        more = ["tables disagree"] if any(disputed[name] for name in names) else []
        more += ["across partitions"] if names & leaks.keys() else []
        doubt = max(1 - member.evidence.detail if member.evidence else 0.0 for member in group.members)
        groups.append(Group(tuple(shown), (*tags, *more), doubt))
    return groups


def _look_alikes(report: CleanReport, places: _Places) -> list[Group]:
    groups = []
    for pair, tag in (
        *((pair, "mirrored, stay") for pair in report.mirrored),
        *((pair, "different photos, stay") for pair in report.bursts),
    ):
        said = _proof(pair.tier, pair.distance, pair.evidence)
        one, other = (
            Shown(name, places.staying(name), lines) for name, lines in ((pair.one, ()), (pair.other, (said,)))
        )
        groups.append(Group((one, other), (tag,), 1 - pair.evidence.detail))
    return groups


def _proof(tier: str, distance: int, evidence: PairEvidence | None) -> str:
    if evidence is None:
        return tier
    numbers = f"detail {evidence.detail:.3f}, worst face block {evidence.face_block:.2f}, colour {evidence.colour:.2f}"
    return f"{tier}: {numbers}; {distance} of 64 bits"


def _certainty(report: CleanReport) -> str:
    t = report.thresholds
    if t is None:
        return ""
    rows: list[tuple[str, object]] = [
        ("pairs within the radius", t.candidates),
        ("pairs compared by their pixels", t.compared),
        ("smallest correlation of detail", t.detail),
        ("smallest agreement of the worst block of the face", t.face_block),
        ("smallest agreement of the seventh worst block", t.broad_block),
        ("smallest correlation of colour", t.colour),
        ("wrong removals expected in this run", t.expected_false),
    ]
    rows += [("share of copies made for a test that are found", t.recall)] if t.recall >= 0 else []
    return f"<h2>What decided</h2>{html_table(rows)}"


def _list(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    shown = [tuple(printable(text) for text in row) for row in rows[:_ROWS]]
    more = f"<p>and {len(rows) - _ROWS:,} more, in report.csv</p>" if len(rows) > _ROWS else ""
    table = html_table(shown, header=header) + more
    heading = f"{html.escape(title)} ({len(rows):,})"
    if len(rows) <= _OPEN:
        return f"<h2>{heading}</h2>{table}"
    return f"<h2>{heading}</h2><details><summary>show the list</summary>{table}</details>"
