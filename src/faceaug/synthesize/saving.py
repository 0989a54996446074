"""Synthetic faces as files: PNG or JPEG with metadata.csv, or tar shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain, groupby
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from faceaug.data.manifest import COLUMNS, DATASET, LEDGER, Line, Row, line_of, read_line, write_metadata
from faceaug.data.marks import GRID, sheet_kind
from faceaug.data.shards import SHARD, Shard, read_shard, shard_name, write_card
from faceaug.errors import ArgumentError, counted
from faceaug.executor import Executor
from faceaug.presentation import Fact, Presentation
from faceaug.progress import SILENT, Progress
from faceaug.reports.shell import grid, write_sheet
from faceaug.storage.files import check_output_space, explained, finish_output, remove_partials
from faceaug.storage.ledger import Ledger
from faceaug.storage.locks import claimed_output
from faceaug.storage.outputs import check_output
from faceaug.storage.partial import PARTIAL
from faceaug.storage.unfinished import BEGUN, Begun
from faceaug.synthesize.face_files import FaceFiles, NumberedFaces, write_faces, write_shard
from faceaug.synthesize.render import BLOCK
from faceaug.synthesize.selection import SelectionReport, added

FileFormat: TypeAlias = Literal["png", "jpg", "webdataset"]
FILE_FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)
_AT_ONCE = 8 * BLOCK  # faces generated before their files are written
_SHARDS = "shards" + PARTIAL  # ledger of the tar files that are written
_BYTES_PER_FACE = {32: 8192, 64: 16384, 128: 49152, 256: 163840}  # on disk, picture and block, generous


@dataclass(frozen=True, slots=True, repr=False)
class SynthesisReport(Presentation):
    """Report of ``save``: folder, faces, files, model, seed and the cost of selection.

    Example:
        >>> from faceaug import SyntheticFaceSource
        >>> report = SyntheticFaceSource("dcgan-32").save("extra", 2)
        >>> print(report.summary())
        2 faces from dcgan-32, seed 0, in extra
    """

    out: Path
    faces: int
    files: int
    model: str
    seed: int
    selection: tuple[SelectionReport, ...] = ()

    def facts(self) -> list[Fact]:
        """See ``Presentation``."""
        chosen = sum(report.looked_at for report in self.selection)
        return [
            ("folder", self.out),
            ("faces", self.faces),
            ("files", self.files),
            ("model", self.model),
            ("seed", self.seed),
            ("candidates", chosen or None),
        ]

    def to_json(self) -> dict[str, Any]:
        """The report as JSON data."""
        facts = {"out": str(self.out), "faces": self.faces, "files": self.files, "model": self.model, "seed": self.seed}
        return facts | ({"selection": [chosen.to_json() for chosen in self.selection]} if self.selection else {})

    def summary(self) -> str:
        """The report as text."""
        first = f"{counted(self.faces, 'face')} from {self.model}, seed {self.seed}, in {self.out}"
        return "\n".join([first, *(chosen.line() for chosen in self.selection)])


def save_faces(
    source: NumberedFaces,
    out: Path,
    count: int,
    *,
    format: FileFormat,
    executor: Executor | None = None,
    progress: Progress = SILENT,
) -> SynthesisReport:
    """Write faces 0 to count-1 of a source; see ``SyntheticFaceSource.save``."""
    if count < 1:
        raise ArgumentError(f"n {count}: expected at least 1 face")
    if format not in FILE_FORMATS:
        raise ArgumentError(f"format {format!r}: expected one of {', '.join(FILE_FORMATS)}")
    check_output_space(out, count * _BYTES_PER_FACE[source.config.size])
    run = {"command": "synth", "n": count, "format": format, "seed": source.seed} | source.provenance()
    run["model_config_sha256"] = source.config.digest()
    shards = format == "webdataset"
    files = FaceFiles(source, str(out), "png" if shards else format, Begun(out / BEGUN))
    makes = _Here(files) if executor is None else _There(files, executor)
    claim = claimed_output(out, marker=DATASET, identity=run, purpose="synth")
    with claim as continued, explained(out):
        written = (_write_shards if shards else _write_files)(files, makes, count, progress)
        if shards:
            write_card(out)
        files.begun.remove()
        if continued or executor is not None:
            remove_partials(out)
        finish_output(out, marker=DATASET, document={"run": run, "faces": count})
    return SynthesisReport(out, count, written, source.config.name, source.seed, makes.selection)


def write_grid(source: NumberedFaces, path: Path, n: int, *, columns: int, overwrite: bool = False) -> None:
    """Write faces 0 to n-1 of a source as one PNG; see ``SyntheticFaceSource.save_grid``."""
    check_output(path, [sheet_kind(GRID)], overwrite=overwrite)
    sheet = grid(source.pictures(0, n), columns=min(columns, n), enlarge=2)
    write_sheet(path, sheet, command=GRID, overwrite=overwrite)


class _Here:
    """Faces made and written by this process."""

    def __init__(self, files: FaceFiles) -> None:
        self._files = files

    @property
    def selection(self) -> tuple[SelectionReport, ...]:
        """Cost of the selection so far."""
        return self._files.source.selection

    def faces(self, start: int, stop: int) -> Iterator[str]:
        """Write the files of faces ``start`` to ``stop - 1``; yield the digest of each."""
        for k, data in enumerate(chain.from_iterable(self._made_ahead(start, stop)), start=start):
            yield self._files.write(k, data)

    def shards(self, tasks: Sequence[tuple[str, range]]) -> Iterator[tuple[int, Shard | None]]:
        """Write shards: (1, None) for each face, then (0, the shard)."""
        for name, span in tasks:
            for made in self._files.shard(name, span):
                yield (0 if made else 1), made

    def _made_ahead(self, start: int, stop: int) -> Iterator[list[bytes]]:
        """Yield encoded faces in batches; the next batch is generated while one is written.

        Generation rarely waits for the interpreter lock. More writer threads would not help: a folder takes one file at
        a time.
        """
        source = self._files.source
        spans = _spans(start, stop, BLOCK if source.chooses and source.asked else _AT_ONCE)
        with ThreadPoolExecutor(1) as maker:

            def begin() -> Future[list[bytes]] | None:
                """Start with the next span in the other thread; None after the last."""
                span = next(spans, None)
                return None if span is None else maker.submit(self._files.encoded, span)

            coming = begin()
            while coming is not None:
                files = coming.result()
                coming = begin()
                yield files


class _There:
    """Faces made and written by the processes of an executor, a block or a shard at a time."""

    def __init__(self, files: FaceFiles, executor: Executor) -> None:
        self._files = files
        self._executor = executor
        self._spent: list[SelectionReport] = []

    @property
    def selection(self) -> tuple[SelectionReport, ...]:
        """See ``_Here``."""
        return added(self._spent)

    def faces(self, start: int, stop: int) -> Iterator[str]:
        """See ``_Here``."""
        for made in self._executor.map(partial(write_faces, self._files), _spans(start, stop, BLOCK), chunk=1):
            self._spent += made.selection
            yield from made.digests

    def shards(self, tasks: Sequence[tuple[str, range]]) -> Iterator[tuple[int, Shard | None]]:
        """See ``_Here``; the faces of a shard are counted at its end."""
        made = self._executor.map(partial(write_shard, self._files), tasks, chunk=1)
        for (_, span), (shard, spent) in zip(tasks, made, strict=True):
            self._spent += spent
            yield len(span), shard


def _spans(start: int, stop: int, size: int) -> Iterator[range]:
    """Faces ``start`` to ``stop - 1`` in stretches that end at multiples of ``size``."""
    firsts = range(start - start % size, stop, size) if start < stop else ()
    return (range(max(first, start), min(first + size, stop)) for first in firsts)


def _write_files(files: FaceFiles, makes: _Here | _There, count: int, progress: Progress) -> int:
    source, folder = files.source, Path(files.folder)
    requested = tuple(source.asked)

    def write(first: int, stop: int) -> Iterator[tuple[int, Line]]:
        """Write faces ``first`` to ``stop`` - 1; yield each number with its row."""
        for k, digest in enumerate(makes.faces(first, stop), start=first):
            yield k, line_of(_row(source, files.name(k), k, digest), requested=requested)

    read = partial(read_line, columns=len(COLUMNS) + len(requested))
    write_metadata(folder, (), requested=requested)
    with closing(Ledger(folder / LEDGER, read)) as ledger:
        done = len(ledger.entries)
        with progress.phase("generating", count, "faces", start=done - len(ledger.damaged)) as phase:
            for first, stop in _stretches(sorted(ledger.damaged)):
                for k, line in write(first, stop):
                    ledger.replace(k, [line])
                    phase.advance()
            for _, line in write(done, count):
                ledger.add([line])
                phase.advance()
            ledger.close()
        write_metadata(folder, (line.to_csv() for line in ledger.entries), requested=requested)
        ledger.remove()
    return count


def _stretches(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ascending numbers as stretches of neighbours: (first, last + 1)."""
    for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        found = [number for _, number in group]
        yield found[0], found[-1] + 1


def _row(source: NumberedFaces, name: str, k: int, digest: str) -> Row:
    return Row(
        file_name=name,
        target=source.target(k),
        model=source.config.name,
        seed=source.seed,
        key=k,
        sha256=digest,
        requested=source.asked,
    )


def _write_shards(files: FaceFiles, makes: _Here | _There, count: int, progress: Progress) -> int:
    spans = {shard_name(k): range(start, min(start + SHARD, count)) for k, start in enumerate(range(0, count, SHARD))}
    with closing(Ledger(Path(files.folder) / _SHARDS, read_shard)) as ledger:
        places = {shard.file: place for place, shard in enumerate(ledger.entries)}
        missing = [(name, span) for name, span in spans.items() if name not in places or places[name] in ledger.damaged]
        done = count - sum(len(span) for _, span in missing)
        with progress.phase("generating", count, "faces", start=done) as phase:
            for faces, shard in makes.shards(missing):
                phase.advance(faces)
                if shard is None:
                    continue
                if shard.file in places:
                    ledger.replace(places[shard.file], [shard])
                else:
                    ledger.add([shard])
        ledger.remove()
    return len(spans)
