"""Synthetic faces as files: PNG or JPEG with metadata.csv, or tar shards."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain, groupby
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy as np

from faceaug.data.annotations import ATTRIBUTES, ORIGINS
from faceaug.data.folder import Target
from faceaug.data.image import Image8, encode_jpeg, encode_png
from faceaug.data.manifest import CARD, DATASET, SHARDS_CARD, ManifestWriter, Row
from faceaug.errors import ArgumentError
from faceaug.presentation import Fact, Presentation
from faceaug.progress import SILENT, Progress
from faceaug.storage.durable import Tally, whole_lines
from faceaug.storage.files import (
    PARTIAL,
    check_free_space,
    explained,
    finish_output,
    has_digest,
    remove_output,
    write_bytes,
)
from faceaug.storage.locks import claimed_output
from faceaug.storage.schema import parse_json
from faceaug.synthesize.config import ModelConfig
from faceaug.synthesize.render import BLOCK
from faceaug.synthesize.selection import SelectionReport

FileFormat: TypeAlias = Literal["png", "jpg", "webdataset"]
FILE_FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)
SYNTHETIC = ORIGINS.index("synthetic")
_AT_ONCE = 8 * BLOCK  # faces generated before their files are written
_SHARD = 1000  # faces per tar file
_SHARDS = "shards" + PARTIAL  # tally of the tar files that are written
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
        first = f"{self.faces:,} faces from {self.model}, seed {self.seed}, in {self.out}"
        return "\n".join([first, *(chosen.line() for chosen in self.selection)])


def save_faces(
    source: NumberedFaces, out: Path, count: int, *, format: FileFormat, progress: Progress = SILENT
) -> SynthesisReport:
    """Write faces 0 to count-1 of a source; see ``SyntheticFaceSource.save``."""
    if count < 1:
        raise ArgumentError(f"n {count}: expected at least 1 face")
    if format not in FILE_FORMATS:
        raise ArgumentError(f"format {format!r}: expected one of {', '.join(FILE_FORMATS)}")
    check_free_space(out, count * _BYTES_PER_FACE[source.config.size])
    run = {"command": "synth", "n": count, "format": format, "seed": source.seed} | source.provenance()
    write = _write_shards if format == "webdataset" else partial(_write_files, ending=format)
    with claimed_output(out, marker=DATASET, identity=run, purpose="synth"), explained(out):
        files = write(source, out, count, progress)
        if format == "webdataset":
            write_bytes(out / CARD, SHARDS_CARD)
        finish_output(out, marker=DATASET, document={"run": run, "faces": count})
    return SynthesisReport(out, count, files, source.config.name, source.seed, source.selection)


def encode_face(source: NumberedFaces, face: Image8, k: int, ending: str) -> bytes:
    """Encode face k, uint8 (H, W, 3), as a PNG with its provenance in text chunks, or as a JPEG."""
    if ending == "jpg":
        return encode_jpeg(face)
    text = {"synthetic": "true", "model": source.config.name, "seed": str(source.seed), "key": str(k)}
    if source.truncation is not None:
        text["truncation"] = str(source.truncation)
    if asked := source.asked:
        text["attributes"] = ",".join(f"{name}:{value}" for name, value in asked.items())
    return encode_png(face, text=text, quick=True)


def _write_files(source: NumberedFaces, folder: Path, count: int, progress: Progress, *, ending: str) -> int:
    with (
        closing(ManifestWriter(folder, requested=tuple(source.asked))) as manifest,
        progress.phase("generating", count, "faces", start=manifest.done - len(manifest.damaged)) as phase,
    ):
        for first, stop in _stretches(manifest.damaged):
            for k, data in enumerate(chain.from_iterable(_made_ahead(source, first, stop, ending)), start=first):
                write_bytes(folder / f"{k:06d}.{ending}", data, durable=False)
                manifest.repaired(k)
                phase.advance()
        for k, data in enumerate(chain.from_iterable(_made_ahead(source, manifest.done, count, ending)), manifest.done):
            name = f"{k:06d}.{ending}"
            write_bytes(folder / name, data, durable=False)
            manifest.add(_row(source, name, k, hashlib.sha256(data).hexdigest()))
            phase.advance()
        manifest.finish()
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
    spans = [range(start, min(start + _SHARD, count)) for start in range(0, count, _SHARD)]
    path = folder / _SHARDS
    known = [parse_json(line) for line in whole_lines(path, _is_shard)]
    whole = {name: digest for name, digest in known if has_digest(folder / name, digest)}
    missing = [(k, span) for k, span in enumerate(spans) if f"{k:06d}.tar" not in whole]
    done = count - sum(len(span) for _, span in missing)
    lines = (json.dumps(entry) + "\n" for entry in whole.items())
    with closing(Tally(path, lines)) as tally, progress.phase("generating", count, "faces", start=done) as phase:
        for number, span in missing:
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w") as tar:
                for start in range(span.start, span.stop, BLOCK):
                    for k, face in enumerate(source.pictures(start, min(BLOCK, span.stop - start)), start=start):
                        _add_sample(tar, source, k, face)
                        phase.advance()
            name, data = f"{number:06d}.tar", buffer.getvalue()
            write_bytes(folder / name, data, durable=False)
            tally.add([json.dumps((name, hashlib.sha256(data).hexdigest())) + "\n"], [folder / name])
    remove_output(path)
    return len(spans)


def _is_shard(line: str) -> bool:
    try:
        name, digest = parse_json(line)
    except (ValueError, TypeError):
        return False
    return isinstance(name, str) and "\0" not in name and isinstance(digest, str)


def _add_sample(tar: tarfile.TarFile, source: NumberedFaces, k: int, face: Image8) -> None:
    for ending, data in (
        ("png", encode_face(source, face, k, "png")),
        ("json", json.dumps(_sample(source, k)).encode()),
    ):
        member = tarfile.TarInfo(f"{k:09d}.{ending}")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))


def _sample(source: NumberedFaces, k: int) -> dict[str, Any]:
    """The JSON of a face: the keys of an expanded dataset's shards, then what else decides the face.

    Each key has the same type in every sample, because ``datasets`` 5.2 infers the types from the first five. Lists and
    objects are therefore JSON text, empty if there are none.
    """
    signs = np.asarray(source.target(k)["attributes"])
    told = {ATTRIBUTES[column]: int(signs[column]) for column in np.flatnonzero(signs)}
    facts: dict[str, Any] = dict.fromkeys(("partition", "identity", "label", "source"), -1)
    facts |= {"synthetic": True, "origin": SYNTHETIC, "weight": 1.0, "class": "", "source_file": "", "landmarks": ""}
    facts |= {"seed": source.seed, "key": k, "operations": "[]"}
    made = {name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in _made(source)}
    texts = {"attributes": told, "requested": source.asked}
    return facts | made | {name: json.dumps(value) if value else "" for name, value in texts.items()}


def _made(source: NumberedFaces) -> Iterator[tuple[str, Any]]:
    """What decides the faces, except what was requested of them."""
    return ((name, value) for name, value in source.provenance().items() if name != "attributes")
