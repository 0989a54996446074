"""Writes blocks of items as files; each block is written by one process, without torch.

A block holds real pictures with all their copies, so that each picture is decoded once; or synthetic faces; or, for
shards, the consecutive items of one tar file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from faceaug.augment import Transform
from faceaug.data.annotations import ATTRIBUTES, REAL, SYNTHETIC, Annotations
from faceaug.data.crop import crop_face
from faceaug.data.folder import make_target
from faceaug.data.image import Image8, encode_jpeg, encode_png
from faceaug.data.manifest import NOTHING, Row, csv_line
from faceaug.data.marks import has_text, synthetic_text
from faceaug.data.shards import ShardWriter, sample_stem
from faceaug.errors import ImageError, some
from faceaug.mix.item import Frame, Item, augmented_item, real_item, synthetic_item
from faceaug.mix.likeness import hash_faces
from faceaug.mix.pictures import Pictures
from faceaug.mix.written import FRAMINGS, Written
from faceaug.storage.unfinished import Begun, write_again

FileFormat: TypeAlias = Literal["png", "jpg", "webdataset"]
FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)


@dataclass(frozen=True, slots=True)
class Style:
    """Settings shared by all items of a run.

    Attributes:
        out: output folder.
        format: file format.
        digits: digits of the number in a file name.
        frame: crop and size.
        recipe: recipe of augmented copies.
        seed: seed of the draws.
        epoch: epoch of the draws.
        classes: names of the labels; empty if labels are plain numbers.
        named: whether the table has a column with label names.
        folders: whether each class has its own folder, as in the source folder.
        requested: attributes with a column ``requested_...``.
        side: pixels of the side at which real pictures are hashed; 0 if no hashes are needed.
        begun: the contents that are written.
    """

    out: str
    format: FileFormat
    digits: int
    frame: Frame
    recipe: Transform | None
    seed: int
    epoch: int
    classes: tuple[str, ...]
    named: bool
    folders: bool
    requested: tuple[str, ...]
    side: int
    begun: Begun


@dataclass(frozen=True, slots=True, eq=False)
class Generated:
    """The synthetic faces of a block.

    Attributes:
        path: file with the synthetic faces of the whole dataset.
        shape: shape of that file, (n, 3, H, W).
        first: index in that file of the block's first face.
        keys: int64 (m,), position of each face in its model's stream.
        attributes: int8 (m, 40), attribute labels.
        asked: int8 (m, 40), requested attributes; None if nothing was requested.
        label: int64 (m,), class, -1 unknown.
        models: name and seed of the model of each face.
        faces: the faces themselves, uint8 (m, 3, H, W), for processes that cannot see the file; None for others.
    """

    path: str
    shape: tuple[int, int, int, int]
    first: int
    keys: NDArray[np.int64]
    attributes: NDArray[np.int8]
    asked: NDArray[np.int8] | None
    label: NDArray[np.int64]
    models: tuple[tuple[str, int], ...]
    faces: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Items that are written together.

    Attributes:
        style: settings of the run.
        items: (index, origin, place), place being an index into ``rows`` or ``generated``.
        weights: ``target["weight"]`` of each item.
        rows: rows of the real pictures.
        pictures: source of the real pictures.
        known: annotations of ``rows``.
        generated: synthetic faces; None for a block of real pictures.
        shard: name of the tar file; empty for one file per item.
        left: (place, why) of pictures that are left out.
    """

    style: Style
    items: tuple[tuple[int, int, int], ...]
    weights: tuple[float, ...]
    rows: tuple[int, ...]
    pictures: Pictures
    known: Annotations
    generated: Generated | None
    shard: str = ""
    left: tuple[tuple[int, str], ...] = ()

    def __str__(self) -> str:
        if not self.rows:
            return f"generated faces from item {self.items[0][0]} on"
        return some([self.pictures.name(self.rows[place]) for place in sorted({item[2] for item in self.items})])

    def pictures_alone(self) -> Iterator[Block]:
        """A block for each real picture, with its items."""
        for place in range(len(self.rows)):
            mine = [item for item, of in enumerate(self.items) if of[2] == place]
            items, weights = tuple(self.items[k] for k in mine), tuple(self.weights[k] for k in mine)
            yield replace(self, items=items, weights=weights)


def write_block(block: Block) -> list[Written]:
    """Write the files of a block, not yet durably, and return one entry per item in order."""
    return _made(block, _Shard(block) if block.shard else _Files(block))


def try_block(block: Block) -> str:
    """Do the work of ``write_block`` but for writing, to see whether the process survives it; "" if it does."""
    _made(block, _Nothing(block))
    return ""


def _made(block: Block, writer: _Files | _Shard | _Nothing) -> list[Written]:
    written: list[Written] = []
    last = -1
    small: dict[int, Image8] = {}
    image: Image8 | ImageError | None = None
    for (index, origin, place), weight in zip(block.items, block.weights, strict=True):
        if origin == SYNTHETIC:
            written.append(writer.take(index, *_synthetic(block, index, place, weight)))
            continue
        if place != last or image is None:
            last = place
            image = _read(block, place)
        if isinstance(image, ImageError):
            written.append(Written(index, problem=str(image)))
            continue
        name = block.pictures.name(block.rows[place])
        item = _from_real(block, image, index, origin, place, weight)
        facts = {"source_file": name, "seed": block.style.seed, "key": index, "operations": item.operations}
        if origin == REAL and block.style.side:
            small[len(written)] = _small(block.style, image, item)
        taken = writer.take(index, item, facts)
        written.append(replace(taken, framed=_framed(block.style.frame, image)) if origin == REAL else taken)
    written = writer.close(written)
    for place, words in zip(small, hash_faces(list(small.values())).tolist(), strict=True):  # one call is cheaper
        written[place] = replace(written[place], hashes=(words[0],))
    return written


def file_name(style: Style, index: int, label: int, ending: str) -> str:
    """Path of an item's file in the folder; in a flat folder, sorting by name gives the order of the dataset.

    Items without a class lie next to the class folders: readers would take another folder for another class.
    """
    name = f"{index:0{style.digits}d}.{ending}"
    return f"{style.classes[label]}/{name}" if style.folders and label >= 0 else name


def encode_item(item: Item, format: str, text: dict[str, str] | None) -> bytes:
    """Encode an item; only PNG files carry text."""
    if format == "jpg":
        return encode_jpeg(item.image)
    return encode_png(item.image, text=text, quick=True)


class _Files:
    def __init__(self, block: Block) -> None:
        self._style = block.style

    def take(self, index: int, item: Item, facts: dict[str, Any]) -> Written:
        """Write or collect one item; return its row."""
        style = self._style
        data = encode_item(item, style.format, _text(facts))
        label = int(item.target["label"])
        name = file_name(style, index, label, style.format)
        made = partial(has_text, text=text) if (text := _text(facts)) else None
        write_again(Path(style.out) / name, data, is_ours=made, begun=style.begun)
        digest = hashlib.sha256(data).hexdigest()
        entry = Row(file_name=name, target=item.target, sha256=digest, **facts)
        line = csv_line(entry, label=_label_text(style, label), requested=style.requested)
        return Written(index, name, digest, line, digest=_digest(item, data))

    def close(self, written: list[Written]) -> list[Written]:
        """Finish the block; return its rows."""
        return written


class _Shard:
    """Items as the samples of a tar file."""

    def __init__(self, block: Block) -> None:
        self._style = block.style
        self._shard = ShardWriter(block.shard)

    def take(self, index: int, item: Item, facts: dict[str, Any]) -> Written:
        """Write or collect one item; return its row."""
        data = encode_item(item, "png", _text(facts))
        self._shard.add(sample_stem(index), data, _json_facts(item, facts, self._style))
        return Written(index, digest=_digest(item, data))

    def close(self, written: list[Written]) -> list[Written]:
        """Finish the block; return its rows."""
        shard = self._shard.write(Path(self._style.out), begun=self._style.begun)
        return [replace(item, file=shard.file, sha256=shard.sha256) for item in written]


class _Nothing:
    """Items that are encoded and not kept."""

    def __init__(self, block: Block) -> None:
        self._format = block.style.format

    def take(self, index: int, item: Item, facts: dict[str, Any]) -> Written:
        """Encode one item."""
        encode_item(item, self._format, _text(facts))
        return Written(index)

    def close(self, written: list[Written]) -> list[Written]:
        """Finish the block; return its rows."""
        return written


def _digest(item: Item, data: bytes) -> str:
    """Identify a real picture after cropping and resizing; equal pictures have equal files."""
    return hashlib.sha256(data).hexdigest()[:32] if item.target["origin"] == REAL else ""


def _json_facts(item: Item, facts: dict[str, Any], style: Style) -> dict[str, Any]:
    """Annotations and provenance of an item; each key has the same type in every sample.

    ``datasets`` 5.2 infers the types of a set of shards from its first five samples. Attributes and landmarks are
    therefore JSON text, empty if unknown, because an empty list or null has no type.
    """
    target = item.target
    signs = np.asarray(target["attributes"]).tolist()
    points = np.asarray(target["landmarks"], np.float64)
    known = {name: int(target[name]) for name in ("origin", "partition", "identity", "label", "source")}
    name = style.classes[known["label"]] if style.classes and known["label"] >= 0 else ""
    own = {
        "synthetic": known["origin"] == SYNTHETIC,
        "weight": float(target["weight"]),
        "class": name,
        "attributes": json.dumps(dict(zip(ATTRIBUTES, signs, strict=True))) if any(signs) else "",
        "landmarks": "" if np.isnan(points).any() else json.dumps(points.round(4).tolist()),
        "requested": json.dumps(facts["requested"]) if facts.get("requested") else "",
        "operations": facts.get("operations") or "[]",
    }
    return _NOTHING | facts | known | own


_NOTHING = {"source_file": "", "model": "", "seed": 0, "key": 0}


def _text(facts: dict[str, Any]) -> dict[str, str] | None:
    return synthetic_text(facts["model"], facts["seed"], facts["key"]) if "model" in facts else None


def _label_text(style: Style, label: int) -> str | None:
    """Name of a label; None if the table has no names."""
    if not style.named:
        return None
    return style.classes[label] if label >= 0 else NOTHING


def _read(block: Block, place: int) -> Image8 | ImageError:
    why = dict(block.left).get(place)
    if why is not None:
        return ImageError(block.pictures.name(block.rows[place]), why)
    try:
        return block.pictures.read(block.rows[place])
    except ImageError as error:
        return error


def _from_real(block: Block, image: Image8, index: int, origin: int, place: int, weight: float) -> Item:
    style = block.style
    source = block.rows[place]
    target = make_target(block.known, place) | {"weight": np.float32(weight)}
    if origin == REAL:
        return real_item(image, target, style.frame, index=index, source=source)
    return augmented_item(
        image, target, style.frame, style.recipe, seed=style.seed, epoch=style.epoch, index=index, source=source
    )


def _framed(frame: Frame, image: Image8) -> str:
    where = frame.place(image)
    return "".join(name[0] for name in FRAMINGS if getattr(where, name))


def _small(style: Style, image: Image8, item: Item) -> Image8:
    """A real picture at the size at which it is compared with synthetic ones."""
    size = (style.side, style.side)
    return item.image if item.image.shape[:2] == size else crop_face(image, style.frame.crop, size)


def _synthetic(block: Block, index: int, place: int, weight: float) -> tuple[Item, dict[str, Any]]:
    generated = block.generated
    if generated is None:
        raise ValueError(f"item {index}: its block has no synthetic faces")
    if generated.faces is None:
        face = np.array(_mapped(generated.path, generated.shape)[generated.first + place])
    else:
        face = generated.faces[place]
    item = synthetic_item(
        face,
        block.style.frame,
        index=index,
        attributes=generated.attributes[place],
        label=int(generated.label[place]),
        weight=weight,
    )
    model, seed = generated.models[place]
    facts: dict[str, Any] = {"model": model, "seed": seed, "key": int(generated.keys[place])}
    if generated.asked is not None:
        asked = zip(ATTRIBUTES, generated.asked[place].tolist(), strict=True)
        facts["requested"] = {name: value for name, value in asked if value}
    return item, facts


@lru_cache(maxsize=2)
def _mapped(path: str, shape: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    return np.memmap(path, np.uint8, "r", shape=shape)
