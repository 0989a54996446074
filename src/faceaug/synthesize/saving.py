"""Synthetic faces as files: PNG or JPEG with metadata.csv, or tar shards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain, groupby
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy as np

from faceaug.data.annotations import ATTRIBUTES, SYNTHETIC
from faceaug.data.folder import Target
from faceaug.data.image import Image8, encode_jpeg, encode_png
from faceaug.data.manifest import COLUMNS, DATASET, LEDGER, Line, Row, line_of, read_line, write_metadata
from faceaug.data.marks import GRID, attributes_text, has_text, sheet_kind, synthetic_text
from faceaug.data.shards import SHARD, ShardWriter, read_shard, sample_stem, shard_name, write_card
from faceaug.errors import ArgumentError, counted
from faceaug.presentation import Fact, Presentation
from faceaug.progress import SILENT, Progress
from faceaug.reports.shell import grid, write_sheet
from faceaug.storage.files import PARTIAL, check_output_space, explained, finish_output
from faceaug.storage.ledger import Ledger
from faceaug.storage.locks import claimed_output
from faceaug.storage.outputs import check_output
from faceaug.storage.unfinished import BEGUN, Begun, write_again
from faceaug.synthesize.config import ModelConfig
from faceaug.synthesize.render import BLOCK
from faceaug.synthesize.selection import SelectionReport

FileFormat: TypeAlias = Literal["png", "jpg", "webdataset"]
FILE_FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)
_AT_ONCE = 8 * BLOCK  # faces generated before their files are written
_SHARDS = "shards" + PARTIAL  # ledger of the tar files that are written
_BYTES_PER_FACE = {32: 8192, 64: 16384, 128: 49152, 256: 163840}  # on disk, picture and block, generous


class NumberedFaces(Protocol):
    """A numbered stream of faces that can be written: a ``SyntheticFaceSource`` or anything like it."""

    seed: int
    truncation: float | None

    @property
    def config(self) -> ModelConfig:
        """Config of the model."""

    @property
    def asked(self) -> dict[str, int]:
        """Attributes requested of every face, 1 or -1."""

    @property
    def chooses(self) -> bool:
        """Whether faces are selected by a classifier."""

    @property
    def selection(self) -> tuple[SelectionReport, ...]:
        """Cost of the selection so far."""

    def pictures(self, start: int, n: int) -> list[Image8]:
        """NumberedFaces ``start`` to ``start + n - 1``: uint8 (height, width, 3)."""

    def target(self, k: int) -> Target:
        """Target of face ``k``."""

    def provenance(self) -> dict[str, Any]:
        """Everything that determines the faces, as JSON data."""


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
    source: NumberedFaces, out: Path, count: int, *, format: FileFormat, progress: Progress = SILENT
) -> SynthesisReport:
    """Write faces 0 to count-1 of a source; see ``SyntheticFaceSource.save``."""
    if count < 1:
        raise ArgumentError(f"n {count}: expected at least 1 face")
    if format not in FILE_FORMATS:
        raise ArgumentError(f"format {format!r}: expected one of {', '.join(FILE_FORMATS)}")
    check_output_space(out, count * _BYTES_PER_FACE[source.config.size])
    run = {"command": "synth", "n": count, "format": format, "seed": source.seed} | source.provenance()
    run["model_config_sha256"] = source.config.digest()
    write = _write_shards if format == "webdataset" else partial(_write_files, ending=format)
    with claimed_output(out, marker=DATASET, identity=run, purpose="synth"), explained(out):
        files = write(source, out, count, progress)
        if format == "webdataset":
            write_card(out)
        finish_output(out, marker=DATASET, document={"run": run, "faces": count})
    return SynthesisReport(out, count, files, source.config.name, source.seed, source.selection)


def write_grid(source: NumberedFaces, path: Path, n: int, *, columns: int, overwrite: bool = False) -> None:
    """Write faces 0 to n-1 of a source as one PNG; see ``SyntheticFaceSource.save_grid``."""
    check_output(path, [sheet_kind(GRID)], overwrite=overwrite)
    sheet = grid(source.pictures(0, n), columns=min(columns, n), enlarge=2)
    write_sheet(path, sheet, command=GRID, overwrite=overwrite)


def encode_face(source: NumberedFaces, face: Image8, k: int, ending: str) -> bytes:
    """Encode face k, uint8 (H, W, 3), as a PNG with its provenance in text chunks, or as a JPEG."""
    return encode_jpeg(face) if ending == "jpg" else encode_png(face, text=_text(source, k), quick=True)


def _text(source: NumberedFaces, k: int) -> dict[str, str]:
    """Text chunks of face k."""
    more = {} if source.truncation is None else {"truncation": str(source.truncation)}
    if asked := source.asked:
        more["attributes"] = attributes_text(asked)
    return synthetic_text(source.config.name, source.seed, k, more=more)


def _write_files(source: NumberedFaces, folder: Path, count: int, progress: Progress, *, ending: str) -> int:
    requested = tuple(source.asked)
    begun = Begun(folder / BEGUN)

    def write(first: int, stop: int) -> Iterator[tuple[int, Line]]:
        """Write faces ``first`` to ``stop`` - 1; yield each number with its row."""
        for k, data in enumerate(chain.from_iterable(_made_ahead(source, first, stop, ending)), start=first):
            name = f"{k:06d}.{ending}"
            write_again(folder / name, data, is_ours=partial(has_text, text=_text(source, k)), begun=begun)
            yield k, line_of(_row(source, name, k, hashlib.sha256(data).hexdigest()), requested=requested)

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
        begun.remove()
    return count


def _stretches(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ascending numbers as stretches of neighbours: (first, last + 1)."""
    for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        found = [number for _, number in group]
        yield found[0], found[-1] + 1


def _made_ahead(source: NumberedFaces, start: int, count: int, ending: str) -> Iterator[list[bytes]]:
    """Yield encoded faces ``start`` to ``count - 1`` in batches; the next batch is generated while one is written.

    Generation rarely waits for the interpreter lock. More writer threads would not help: a folder takes one file at a
    time.
    """
    at_once = BLOCK if source.chooses and source.asked else _AT_ONCE  # a selected face costs as much as many others
    firsts = range(start - start % at_once, count, at_once)
    spans = ((max(first, start), min(first + at_once, count)) for first in firsts if start < count)

    def make(low: int, high: int) -> list[bytes]:
        """The encoded faces from ``low`` to ``high``."""
        faces = source.pictures(low, high - low)
        return [encode_face(source, face, k, ending) for k, face in enumerate(faces, start=low)]

    with ThreadPoolExecutor(1) as maker:

        def begin() -> Future[list[bytes]] | None:
            """Start with the next span in the other thread; None after the last."""
            span = next(spans, None)
            return None if span is None else maker.submit(make, *span)

        coming = begin()
        while coming is not None:
            files = coming.result()
            coming = begin()
            yield files


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


def _write_shards(source: NumberedFaces, folder: Path, count: int, progress: Progress) -> int:
    spans = {shard_name(k): range(start, min(start + SHARD, count)) for k, start in enumerate(range(0, count, SHARD))}
    begun = Begun(folder / BEGUN)
    with closing(Ledger(folder / _SHARDS, read_shard)) as ledger:
        places = {shard.file: place for place, shard in enumerate(ledger.entries)}
        missing = [name for name in spans if name not in places or places[name] in ledger.damaged]
        done = count - sum(len(spans[name]) for name in missing)
        with progress.phase("generating", count, "faces", start=done) as phase:
            for name in missing:
                shard = ShardWriter(name)
                for k, face in phase.over(_numbered(source, spans[name])):
                    shard.add(sample_stem(k), encode_face(source, face, k, "png"), _sample(source, k))
                written = shard.write(folder, begun=begun)
                if name in places:
                    ledger.replace(places[name], [written])
                else:
                    ledger.add([written])
        ledger.remove()
        begun.remove()
    return len(spans)


def _numbered(source: NumberedFaces, span: range) -> Iterator[tuple[int, Image8]]:
    """Generate the faces of a span, a block at a time: (k, face)."""
    for start in range(span.start, span.stop, BLOCK):
        yield from enumerate(source.pictures(start, min(BLOCK, span.stop - start)), start=start)


def _sample(source: NumberedFaces, k: int) -> dict[str, Any]:
    """The JSON of a face: the keys of an expanded dataset's shards, then what else decides the face.

    Each key has the same type in every sample, because ``datasets`` 5.2 infers the types from the first five. Lists and
    objects are therefore JSON text, empty if there are none.
    """
    target = source.target(k)
    signs = np.asarray(target["attributes"])
    told = {ATTRIBUTES[column]: int(signs[column]) for column in np.flatnonzero(signs)}
    facts: dict[str, Any] = {name: int(target[name]) for name in ("partition", "identity", "label", "source")}
    facts |= {"synthetic": True, "origin": SYNTHETIC, "weight": 1.0, "class": "", "source_file": "", "landmarks": ""}
    facts |= {"seed": source.seed, "key": k, "operations": "[]"}
    made = {name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in _made(source)}
    texts = {"attributes": told, "requested": source.asked}
    return facts | made | {name: json.dumps(value) if value else "" for name, value in texts.items()}


def _made(source: NumberedFaces) -> Iterator[tuple[str, Any]]:
    """What decides the faces, except what was requested of them."""
    return ((name, value) for name, value in source.provenance().items() if name != "attributes")
