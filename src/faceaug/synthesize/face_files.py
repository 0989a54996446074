"""The files of synthetic faces: what is written of face k, and the work of one process on some of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from faceaug.data.annotations import ATTRIBUTES, SYNTHETIC
from faceaug.data.folder import Target
from faceaug.data.image import Image8, encode_jpeg, encode_png
from faceaug.data.marks import attributes_text, has_text, synthetic_text
from faceaug.data.shards import Shard, ShardWriter, sample_stem
from faceaug.storage.unfinished import Begun, write_again
from faceaug.synthesize.config import ModelConfig
from faceaug.synthesize.render import BLOCK
from faceaug.synthesize.selection import SelectionReport, spent_since


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


@dataclass(frozen=True, slots=True, eq=False)
class FaceFiles:
    """What the files of a run have in common; sent to other processes.

    Attributes:
        source: makes the faces.
        folder: output folder.
        ending: of the pictures, without a dot.
        begun: the contents that are written.
    """

    source: NumberedFaces
    folder: str
    ending: str
    begun: Begun

    def write(self, k: int, data: bytes) -> str:
        """Write the file of face k, not yet durably; return the SHA-256 of its content."""
        text = partial(has_text, text=_text(self.source, k))
        write_again(Path(self.folder, self.name(k)), data, is_ours=text, begun=self.begun)
        return hashlib.sha256(data).hexdigest()

    def name(self, k: int) -> str:
        """Name of the file of face k."""
        return f"{k:06d}.{self.ending}"

    def encoded(self, span: range) -> list[bytes]:
        """The contents of the files of some faces."""
        faces = self.source.pictures(span.start, len(span))
        return [encode_face(self.source, face, k, self.ending) for k, face in zip(span, faces, strict=True)]

    def shard(self, name: str, span: range) -> Iterator[Shard | None]:
        """Make a shard of some faces: None after each face, then the shard, written but not yet durable."""
        writer = ShardWriter(name)
        for start in range(span.start, span.stop, BLOCK):
            for k, face in enumerate(self.source.pictures(start, min(BLOCK, span.stop - start)), start=start):
                writer.add(sample_stem(k), encode_face(self.source, face, k, "png"), _sample(self.source, k))
                yield None
        yield writer.write(Path(self.folder), begun=self.begun)


@dataclass(frozen=True, slots=True)
class Made:
    """What a process made.

    Attributes:
        digests: SHA-256 of each face's file.
        selection: what the selection of these faces cost.
    """

    digests: tuple[str, ...]
    selection: tuple[SelectionReport, ...]


def write_faces(files: FaceFiles, span: range) -> Made:
    """Make some faces and write their files."""
    before = files.source.selection
    digests = tuple(files.write(k, data) for k, data in zip(span, files.encoded(span), strict=True))
    return Made(digests, spent_since(before, files.source.selection))


def write_shard(files: FaceFiles, task: tuple[str, range]) -> tuple[Shard, tuple[SelectionReport, ...]]:
    """Make a shard of some faces: (its name, their numbers)."""
    before = files.source.selection
    shard = next(made for made in files.shard(*task) if made is not None)
    return shard, spent_since(before, files.source.selection)


def encode_face(source: NumberedFaces, face: Image8, k: int, ending: str) -> bytes:
    """Encode face k, uint8 (H, W, 3), as a PNG with its provenance in text chunks, or as a JPEG."""
    return encode_jpeg(face) if ending == "jpg" else encode_png(face, text=_text(source, k), quick=True)


def _text(source: NumberedFaces, k: int) -> dict[str, str]:
    """Text chunks of face k."""
    more = {} if source.truncation is None else {"truncation": str(source.truncation)}
    if asked := source.asked:
        more["attributes"] = attributes_text(asked)
    return synthetic_text(source.config.name, source.seed, k, more=more)


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
