"""Synthetic faces as files: PNG or JPEG with metadata.csv, or tar shards."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from faceaug.data.annotations import ATTRIBUTES
from faceaug.errors import ArgumentError
from faceaug.storage.files import check_free_space, explained, finish_output, write_bytes
from faceaug.data.image import Image8, encode_jpeg, encode_png
from faceaug.data.manifest import DATASET, ManifestWriter, Row
from faceaug.storage.locks import claimed_output
from faceaug.synthesize.render import BLOCK
from faceaug.synthesize.selection import SelectionReport

if TYPE_CHECKING:
    from faceaug.synthesize.source import SyntheticFaceSource

FileFormat: TypeAlias = Literal["png", "jpg", "webdataset"]
FILE_FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)
_AT_ONCE = 8 * BLOCK  # faces made before their files are written
_SHARD = 1000  # faces per tar file
_BYTES_PER_FACE = {32: 8192, 64: 16384, 128: 49152, 256: 163840}  # on disk, picture and block, generous


@dataclass(frozen=True, slots=True)
class SynthesisReport:
    """What ``save`` wrote: where, how many faces, in which files, from which model and seed; what choosing cost."""

    out: Path
    faces: int
    files: int
    model: str
    seed: int
    selection: tuple[SelectionReport, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        facts = {"out": str(self.out), "faces": self.faces, "files": self.files, "model": self.model, "seed": self.seed}
        return facts | ({"selection": [chosen.to_json() for chosen in self.selection]} if self.selection else {})

    def summary(self) -> str:
        """What people read."""
        first = f"{self.faces:,} faces from {self.model}, seed {self.seed}, in {self.out}"
        return "\n".join([first, *(chosen.line() for chosen in self.selection)])


def save_faces(
    source: SyntheticFaceSource, out: Path, count: int, *, format: FileFormat, on_progress: Callable[[int], None]
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
        files = write(source, out, count, on_progress)
        finish_output(out, marker=DATASET, document={"run": run, "faces": count})
    return SynthesisReport(out, count, files, source.config.name, source.seed, source.selection)


def encode_face(source: SyntheticFaceSource, face: Image8, k: int, ending: str) -> bytes:
    """Face k, uint8 (H, W, 3), as the bytes of a PNG that says what it is, or of a JPEG."""
    if ending == "jpg":
        return encode_jpeg(face)
    text = {"synthetic": "true", "model": source.config.name, "seed": str(source.seed), "key": str(k)}
    if source.truncation is not None:
        text["truncation"] = str(source.truncation)
    if asked := source.asked:
        text["attributes"] = ",".join(f"{name}:{value}" for name, value in asked.items())
    return encode_png(face, text=text, quick=True)


def _write_files(
    source: SyntheticFaceSource, folder: Path, count: int, on_progress: Callable[[int], None], *, ending: str
) -> int:
    with closing(ManifestWriter(folder, requested=tuple(source.asked))) as manifest:
        for files in _made_ahead(source, manifest.done, count, ending):
            for k, data in enumerate(files, start=manifest.done):
                name = f"{k:06d}.{ending}"
                write_bytes(folder / name, data)
                manifest.add(_row(source, name, k, hashlib.sha256(data).hexdigest()))
            manifest.flush()
            on_progress(manifest.done)
        manifest.finish()
    return count


def _made_ahead(source: SyntheticFaceSource, start: int, count: int, ending: str) -> Iterator[list[bytes]]:
    """Files of faces ``start`` to ``count - 1``, many at once; while some are written the next are made.

    Making them waits little for the interpreter. More threads to write them do not help: a folder takes one file at a
    time.
    """
    firsts = range(start - start % _AT_ONCE, count, _AT_ONCE)
    spans = ((max(first, start), min(first + _AT_ONCE, count)) for first in firsts)

    def make(low: int, high: int) -> list[bytes]:
        faces = source.pictures(low, high - low)
        return [encode_face(source, face, k, ending) for k, face in enumerate(faces, start=low)]

    with ThreadPoolExecutor(1) as maker:

        def begin() -> Future[list[bytes]] | None:
            span = next(spans, None)
            return None if span is None else maker.submit(make, *span)

        coming = begin()
        while coming is not None:
            files, coming = coming.result(), begin()
            yield files


def _row(source: SyntheticFaceSource, name: str, k: int, digest: str) -> Row:
    return Row(
        file_name=name, target=source.target(k), model=source.config.name, seed=source.seed, key=k, sha256=digest,
        requested=source.asked,
    )  # fmt: skip


def _write_shards(source: SyntheticFaceSource, folder: Path, count: int, on_progress: Callable[[int], None]) -> int:
    shards = -(-count // _SHARD)
    for shard in range(shards):
        path, start = folder / f"{shard:06d}.tar", shard * _SHARD
        stop = min(start + _SHARD, count)
        if not path.is_file():
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w") as tar:
                for offset, face in enumerate(source.pictures(start, stop - start)):
                    _add_sample(tar, source, start + offset, face)
            write_bytes(path, buffer.getvalue())
        on_progress(stop)
    return shards


def _add_sample(tar: tarfile.TarFile, source: SyntheticFaceSource, k: int, face: Image8) -> None:
    facts: dict[str, Any] = {"synthetic": True, "seed": source.seed, "key": k} | source.provenance()
    told = np.asarray(source.target(k)["attributes"])
    if told.any():
        facts["told"] = {ATTRIBUTES[column]: int(told[column]) for column in np.flatnonzero(told)}
    for ending, data in (("png", encode_face(source, face, k, "png")), ("json", json.dumps(facts).encode())):
        member = tarfile.TarInfo(f"{k:09d}.{ending}")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
