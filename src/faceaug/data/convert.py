"""Write a folder of faces in another layout: read -> plan -> pictures or shards -> tables.

::

    FaceFolder --Writer.plan--> where each face goes --read_portable--> files or shards --Writer.tables--> tables
                                                     (a tally of what is on the disk, so that a stopped run goes on)
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import astuple, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

from faceaug.data.convert_report import ConvertReport
from faceaug.data.fingerprints import identity_of, stamp_pictures
from faceaug.data.folder import FaceFolder
from faceaug.data.image import Colour, check_colour
from faceaug.data.layouts import LAYOUTS, WRITERS
from faceaug.data.layouts.records import CONVERTED
from faceaug.data.layouts.writing import Faces, Picture, Plan, Writer, count_facts, name_sources
from faceaug.data.portable import Portable, read_portable
from faceaug.errors import ArgumentError, FaceAugError, ImageError, RefusedError, printable
from faceaug.progress import Progress, Show, open_progress
from faceaug.storage.durable import GroupSync
from faceaug.storage.files import check_output_space, explained, finish_output, remove_output
from faceaug.storage.ledger import Ledger
from faceaug.storage.locks import claimed_output
from faceaug.storage.partial import PARTIAL
from faceaug.storage.unfinished import BEGUN, Begun, write_again

_AT_ONCE = 64  # pictures read ahead
_LEDGER = CONVERTED + PARTIAL
_Read: TypeAlias = "Portable | ImageError"


def convert_folder(
    folder: Path | str | FaceFolder,
    out: Path | str,
    layout: str,
    *,
    ground: Colour | None = None,
    progress: Show = None,
) -> ConvertReport:
    """Write a folder of faces in another layout. The folder itself is never changed.

    The bytes of a JPEG, PNG or WebP are copied where every reader shows them alike; others become PNG. Annotations that
    the layout cannot hold are named in the report.

    Args:
        folder: a folder, archive or ``FaceFolder``.
        out: a new or empty folder outside it, or an unfinished one of the same conversion, which is continued.
        layout: "imagefolder", "parquet", "webdataset", "celeba", "coco", "stylegan", "splits" or "classes".
        ground: colour laid under transparent pixels; None for the folder's own, white unless it says otherwise.
        progress: see ``faceaug.progress.open_progress``.

    Returns:
        The report, also written to ``convert.json``.

    Raises:
        ArgumentError: there is no such folder, or no writer for such a layout, or names do not fit the layout.
        RefusedError: ``out`` cannot be used, the layout needs annotations that are unknown, the folder is ambiguous
            about annotations that the layout holds, or no picture can be read.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from faceaug import convert_folder
        >>> for person in ("ann", "ben"):
        ...     Path("people", person).mkdir(parents=True)
        ...     Image.new("RGB", (178, 218), "tan").save(f"people/{person}/1.jpg")
        >>> report = convert_folder("people", "people-coco", "coco")
        >>> report.pictures, report.copied, report.not_held
        (2, 2, {'labels': 2, 'names of labels': 2})
    """
    began = time.monotonic()
    shown = open_progress(progress)
    writer = _writer(layout)
    given = folder if isinstance(folder, FaceFolder) else FaceFolder(folder)
    ground = given.ground if ground is None else check_colour(ground)
    known = given.annotations
    faces = Faces(given.names, known, given.classes, given.identities, name_sources(given.names, known))
    _settle(faces, writer)
    plan = writer.plan(faces)
    kept = [k for k, stem in enumerate(plan.stems) if stem is not None]
    if not kept:
        raise RefusedError(f"{printable(given.root)}: layout {layout} cannot hold any of its pictures")
    out = Path(out)
    sizes, stamps = stamp_pictures(given, kept)
    check_output_space(out, sizes + (1 << 20))
    run = _identity(given, layout, ground, stamps, plan)
    names = [f"{stem}.jpeg" for stem in plan.stems if stem is not None and not writer.pack]  # any ending will do
    claim = claimed_output(out, inside=given.root, marker=CONVERTED, identity=run, purpose="convert", names=names)
    with claim, explained(out):
        job = _Job(given, faces, plan, writer, out, ground, shown)
        report = job.run(layout, began)
        finish_output(out, marker=CONVERTED, document={"run": run, "classes": list(given.classes), **_said(report)})
    return report


def _writer(layout: str) -> Writer:
    writer = WRITERS.get(layout)
    if writer is None:
        known = "is read but not written" if layout in LAYOUTS else "is not known"
        raise ArgumentError(f"layout {layout!r} {known}; expected one of {', '.join(WRITERS)}")
    if writer.needs and find_spec(writer.needs[0]) is None:
        module, extra = writer.needs
        raise FaceAugError(f"layout {layout!r} needs {module}: python -m pip install 'faceaug[{extra}]'")
    return writer


_DOUBTS = {
    "partition": "partitions", "label": "labels", "identity": "identities", "attributes": "attributes",
    "landmarks": "landmarks",
}  # fmt: skip


def _settle(faces: Faces, writer: Writer) -> None:
    """Refuse what is ambiguous about annotations that will be written."""
    for doubt in faces.known.doubts:
        if _DOUBTS.get(doubt.about) in writer.holds:
            raise RefusedError(doubt.says)


def _identity(given: FaceFolder, layout: str, ground: Colour, stamps: str, plan: Plan) -> dict[str, Any]:
    """Everything that must be equal for an unfinished folder to be continued."""
    stems = hashlib.sha256(json.dumps((plan.stems, plan.shards)).encode())
    return {
        "command": "convert",
        **identity_of(given, pictures=stamps),
        "layout": layout,
        "ground": list(ground),
        "names_sha256": stems.hexdigest(),
    }


def _said(report: ConvertReport) -> dict[str, Any]:
    found = report.to_json()
    return {
        name: found[name] for name in ("layout", "pictures", "copied", "rewritten", "not_held", "unreadable", "notes")
    }


@dataclass(frozen=True, slots=True)
class _Unit:
    """What was written to one file: one picture, or the pictures of a shard; a line of the ledger.

    Attributes:
        file: path below the output folder; empty if no picture of it can be read.
        sha256: digest of the file, hex.
        pictures: the pictures in it.
        why: why each of them was rewritten; empty for copies.
        problems: lines about pictures that cannot be read.
    """

    file: str
    sha256: str
    pictures: tuple[Picture, ...]
    why: tuple[str, ...]
    problems: tuple[str, ...]

    def to_json(self) -> tuple[object, ...]:
        """The line of the ledger."""
        return astuple(self)

    @classmethod
    def of_values(cls, values: Any) -> _Unit:
        """Read a line of the ledger; raises ValueError or TypeError if it is not one."""
        file, sha256, pictures, why, problems = values
        if not (isinstance(file, str) and isinstance(sha256, str)) or "\0" in file or len(pictures) != len(why):
            raise ValueError("not a unit")
        return cls(file, sha256, tuple(Picture(*picture) for picture in pictures), tuple(why), tuple(problems))


class _Job:
    """Writes everything once; units that an interrupted run finished are kept."""

    def __init__(
        self, given: FaceFolder, faces: Faces, plan: Plan, writer: Writer, out: Path, ground: Colour, shown: Progress
    ) -> None:
        self._given = given
        self._faces = faces
        self._plan = plan
        self._writer = writer
        self._out = out
        self._read = partial(read_portable, rgb=writer.rgb, ground=ground)
        self._shown = shown
        self._begun = Begun(out / BEGUN)

    def run(self, layout: str, began: float) -> ConvertReport:
        """Write pictures or shards, then the tables."""
        units = self._write_units()
        pictures = [picture for unit in units for picture in unit.pictures]
        problems = tuple(problem for unit in units for problem in unit.problems)
        if not pictures:
            raise RefusedError(f"{printable(self._given.root)}: none of its pictures can be read; {problems[0]}")
        written = self._faces.take([picture.row for picture in pictures])
        self._write_tables(written, pictures)
        remove_output(self._out / _LEDGER)
        self._begun.remove()
        reasons = Counter(reason for unit in units for reason in unit.why if reason)
        lost: dict[str, int] = {
            str(name): count for name, count in count_facts(written).items() if name not in self._writer.holds
        }
        return ConvertReport(
            out=self._out,
            layout=layout,
            source_layout=self._given.layout,
            pictures=len(pictures),
            copied=len(pictures) - reasons.total(),
            rewritten=dict(sorted(reasons.items())),
            unreadable=problems,
            not_held=lost,
            notes=(*self._plan.notes, *self._given.notes),
            seconds=time.monotonic() - began,
        )

    def _write_units(self) -> list[_Unit]:
        groups = self._groups()
        made: set[Path] = set()
        with closing(Ledger(self._out / _LEDGER, _Unit.of_values)) as ledger, ThreadPoolExecutor() as threads:
            ledger.truncate(min([*ledger.damaged, len(groups), len(ledger.entries)]))  # what comes after is made again
            first = len(ledger.entries)
            done = sum(len(rows) for _, rows in groups[:first])
            total = sum(len(rows) for _, rows in groups)
            with self._shown.phase("converting", total, "pictures", start=done) as phase:
                for (file, rows), found in zip(groups[first:], self._read_all(threads, groups[first:]), strict=True):
                    packed = self._writer.pack is not None
                    ledger.add(
                        [self._pack(file, rows, found, made) if packed else self._place(rows[0], found[0], made)]
                    )
                    phase.advance(len(rows))
            return ledger.entries

    def _groups(self) -> list[tuple[str, tuple[int, ...]]]:
        if self._writer.pack:
            return list(self._plan.shards)
        return [(stem, (k,)) for k, stem in enumerate(self._plan.stems) if stem is not None]

    def _read_all(
        self, threads: ThreadPoolExecutor, groups: Sequence[tuple[str, tuple[int, ...]]]
    ) -> Iterator[list[_Read]]:
        """The pictures of each group in order, read a little ahead."""
        step = 1 if self._writer.pack else _AT_ONCE
        for start in range(0, len(groups), step):
            some_groups = groups[start : start + step]
            rows = [row for _, group in some_groups for row in group]
            found = iter(list(threads.map(self._one, rows)))
            for _, group in some_groups:
                yield [next(found) for _ in group]

    def _one(self, row: int) -> _Read:
        try:
            return self._read(self._given.path(row))
        except ImageError as error:
            return error

    def _place(self, row: int, found: _Read, made: set[Path]) -> _Unit:
        """Write one picture to its file."""
        if isinstance(found, ImageError):
            return _Unit("", "", (), (), (str(found),))
        name = f"{self._plan.stems[row]}{found.ending}"
        self._write(name, found.data, made)
        picture = Picture(row, name, found.width, found.height, found.sha256)
        return _Unit(name, picture.sha256, (picture,), (found.why,), ())

    def _pack(self, file: str, rows: Sequence[int], found: Sequence[_Read], made: set[Path]) -> _Unit:
        """Write the pictures of a shard."""
        pack: Callable[[Faces, Sequence[tuple[Picture, bytes]]], bytes] | None = self._writer.pack
        readable = [(row, item) for row, item in zip(rows, found, strict=True) if isinstance(item, Portable)]
        problems = tuple(str(item) for item in found if isinstance(item, ImageError))
        if not readable or pack is None:
            return _Unit("", "", (), (), problems)
        pictures = [
            Picture(row, f"{self._plan.stems[row]}{item.ending}", item.width, item.height, item.sha256)
            for row, item in readable
        ]
        contents = [(picture, item.data) for picture, (_, item) in zip(pictures, readable, strict=True)]
        data = pack(self._faces.take([row for row, _ in readable]), contents)
        self._write(file, data, made)
        why = tuple(item.why for _, item in readable)
        return _Unit(file, hashlib.sha256(data).hexdigest(), tuple(pictures), why, problems)

    def _write(self, name: str, data: bytes, made: set[Path]) -> None:
        path = self._out / name
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        write_again(path, data, begun=self._begun)

    def _write_tables(self, written: Faces, pictures: Sequence[Picture]) -> None:
        renumbered = [
            Picture(k, picture.name, picture.width, picture.height, picture.sha256)
            for k, picture in enumerate(pictures)
        ]
        with GroupSync(self._out) as sync:
            tables = self._writer.tables(written, renumbered)
            for name, data in tables.items():
                path = self._out / name
                path.parent.mkdir(parents=True, exist_ok=True)
                write_again(path, data)
            sync.sync([self._out / name for name in tables])
