"""The summary of a clean as text: pictures set aside and kept, counts, the report, and how to undo."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from faceaug.clean.faults import FAULTS
from faceaug.clean.findings import Findings, SetAside
from faceaug.errors import counted, printable
from faceaug.presentation import argument, text_table
from faceaug.storage.walk import LINK

_MOVED = 10  # entries shown of a list of moves or renames; -v shows all
_NOTICED = 3  # entries shown of a list of other findings
_WIDEST = 56  # columns; a longer name shifts the rest of its line
# The least certain first, because users check only the first few of many.
_ORDER = ("mirrored", "overlay", "same photo", *FAULTS, "unreadable", "same pixels", "same bytes")
_WHY = {"mirrored": "mirror image of", "overlay": "but for an overlay, same photo as"}
_PARTLY = {"overlay": "shows the same, but for something over a face, as", "crop": "is a crop of, or the whole of,"}
_Lines = tuple[str, Sequence[str], int]  # heading, lines, most lines shown


def summary_of(report: Findings, *, verbose: bool) -> str:
    """The summary of a report; with ``verbose``, every entry of every list."""
    lines = [printable(report.headline())]
    for heading, entries, most in _sections(report):
        if entries:
            shown = entries if verbose else entries[:most]
            lines += [f"{heading}: {len(entries):,}", *(f"  {entry}" for entry in shown)]
            lines += [f"  ... and {len(entries) - most:,} more (-v shows all)"] if len(shown) < len(entries) else []
    lines += list(_fault_counts(report))
    lines += list(_table_lines(report))
    lines += [text_table(sizes_of(report))] if report.finds or report.out else []
    return "\n".join([*lines, *_next_steps(report)])


def labels(report: Findings) -> tuple[str, str, str]:
    """The labels of the counts: pictures before, set aside, and after."""
    if report.dry_run:
        return "pictures", "to leave out" if report.out else "to set aside", "would stay"
    if report.out:
        return "pictures", "left out", "in the copy"
    return "pictures before", "set aside", "pictures now"


def sizes_of(report: Findings) -> list[tuple[str, int]]:
    """Pictures before, set aside (by kind, if there are several), and after."""
    before, gone, after = labels(report)
    kinds = [(f"  {kind}", count) for kind, count in report.kinds().items()]
    found = [(before, report.original), (gone, len(report.set_aside))]
    return [*found, *(kinds if len(kinds) > 1 else ()), (after, report.cleaned)]


def grouped(rows: Mapping[str, int]) -> list[tuple[str, int]]:
    """Tables grouped by equal counts, as ("a.txt, b.txt", 6); tables with a count of 0 are left out."""
    tables: dict[int, list[str]] = defaultdict(list)
    for table, count in rows.items():
        tables[count].append(printable(table))
    return [(", ".join(names), count) for count, names in tables.items() if count]


def _sections(report: Findings) -> Iterator[_Lines]:
    verb = f"{'would be ' * report.dry_run}{'left out' if report.out else 'set aside'}"
    repaired = "names to repair" if report.dry_run else "names repaired"
    yield repaired, _pairs([(rename.old, f"-> {printable(rename.new)}") for rename in report.renames]), _MOVED
    leaving = sorted(report.set_aside, key=lambda entry: _ORDER.index(entry.kind))
    yield verb, _pairs([(entry.name, f"-> {verb}, {_why(entry)}") for entry in leaving]), _MOVED
    if report.checks is not None:
        gone = {entry.name for entry in report.set_aside}
        staying = [picture for picture in report.checks.faulty if picture.name not in gone]
        told = "pictures with a fault, which stay (--set-aside FAULT,... sets them aside)"
        yield told, _pairs([(picture.name, picture.reason) for picture in staying]), _MOVED
    alike = [(m.one, f"is the mirror image of {printable(m.other)}") for m in report.mirrored]
    yield "mirror images, both stay (--mirrored remove sets one of each pair aside)", _pairs(alike), _NOTICED
    bursts = [(b.one, f"looks like {printable(b.other)}") for b in report.bursts]
    yield "similar but different photos, both stay", _pairs(bursts), _NOTICED
    parts = [(p.one, f"{_PARTLY[p.tier]} {printable(p.other)}") for p in report.partial]
    yield "one photo that differs in a part, both stay", _pairs(parts), _NOTICED
    leaks = [(f"{k.name} ({k.partition})", f"shows {printable(k.keeper)} ({k.keeper_partition})") for k in report.leaks]
    yield "one photo in two partitions", _pairs(leaks), _NOTICED
    unclear = [
        (u.name, "; ".join(filter(None, (u.why, " or ".join(map(printable, u.candidates)), u.hint))))
        for u in report.unclear
    ]
    yield "damaged names left unchanged, because no single repair is certain", _pairs(unclear), _NOTICED
    doubts = [(c.name, f"and {printable(c.keeper)}, which stays: {printable(c.says)}") for c in report.conflicts]
    yield "one picture, two labels (the row of the picture that stays counts)", _pairs(doubts), _NOTICED
    votes = [(p.keeper, f"{p.field}: {p.votes} of {p.of} say {p.proposal}") for p in report.proposals if p.proposal]
    yield "labels on which most copies agree (conflicts.csv has all)", _pairs(votes), _NOTICED
    yield "left alone", _pairs([(name, why) for name, why in report.left if why != LINK]), _NOTICED
    yield "notes", [printable(note) for note in report.notes], _MOVED


def _fault_counts(report: Findings) -> Iterator[str]:
    """How many pictures have each fault of faces."""
    if report.checks is not None:
        checks = report.checks
        counts = ", ".join(f"{fault} {count:,}" for fault, count in checks.counts().items())
        yield f"faces: {checks.faces:,} of {checks.pictures:,} pictures show one; faults: {counts or 'none'}"


def _why(entry: SetAside) -> str:
    if entry.kind in FAULTS:
        return printable(entry.reason)
    if entry.kind == "unreadable":
        return f"unreadable: {printable(entry.reason.removeprefix('is '))}"
    return f"{_WHY.get(entry.kind, f'{entry.kind} as')} {printable(entry.keeper)}"


def _pairs(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Two columns, the first one as wide as its longest name."""
    names = [printable(name) for name, _ in rows]
    width = min(max(map(len, names), default=0), _WIDEST)
    return [f"{name:<{width}}  {text}" for name, (_, text) in zip(names, rows, strict=True)]


def _table_lines(report: Findings) -> Iterator[str]:
    have = ("row would have", "rows would have") if report.dry_run else ("row has", "rows have")
    found = grouped(report.rows_without_file)
    yield from (f"{tables}: {counted(count, *have)} no picture" for tables, count in found)
    if found:
        yield "  (tables are never changed in place; --out DIR writes a copy with matching tables)"


def _next_steps(report: Findings) -> Iterator[str]:
    if report.page:
        yield f"report: {printable(report.page)}"
    if report.run is not None:
        yield f"undo:   faceaug undo {argument(report.folder)}"
    elif report.dry_run and report.finds:
        yield f"run the same without --dry-run to do this{'' if report.out else '; it can be undone'}"
