"""Blocks of items turned into files, each by one process, which needs no torch for it.

A block holds some real pictures with all their copies, so that a picture is decoded once; or some synthetic faces; or,
for shards, the items that follow each other in one tar file.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from faceaug.augment import Transform
from faceaug.data.annotations import ATTRIBUTES, Annotations
from faceaug.data.crop import crop_face
from faceaug.data.folder import make_target
from faceaug.data.image import Image8, encode_jpeg, encode_png
from faceaug.data.manifest import NOTHING, Row, csv_line
from faceaug.errors import ImageError
from faceaug.mix.item import Frame, Item, augmented_item, real_item, synthetic_item
from faceaug.mix.ledger import FRAMINGS, Written
from faceaug.mix.likeness import hash_faces
from faceaug.mix.pictures import Pictures
from faceaug.mix.plan import REAL, SYNTHETIC
from faceaug.storage.files import write_bytes

FileFormat: TypeAlias = Literal["png", "jpg", "webdataset"]
FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)


@dataclass(frozen=True, slots=True)
class Style:
    """What all items of a run have in common.

    Attributes:
        out: the folder.
        format: of the files.
        digits: of the number in a file's name.
        frame: crop and size.
        recipe: of augmented copies.
        seed: of the draws.
        epoch: of the draws.
        classes: names of the labels; empty where they are numbers.
        named: whether the table has a column with the names of labels.
        folders: whether each class has a folder of its own, as in the folder the faces came from.
        requested: attributes with a column ``requested_...``.
        side: of the pictures whose hashes are wanted of real ones, pixels; 0 for none.
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


@dataclass(frozen=True, slots=True, eq=False)
class Generated:
    """The synthetic faces of a block.

    Attributes:
        path: of the file with all of them.
        shape: of that file, (n, 3, H, W).
        first: number of the first of the block in it.
        keys: int64 (m,), in the stream of their model.
        attributes: int8 (m, 40), their labels.
        asked: int8 (m, 40), what they were asked for; None where nothing was.
        label: int64 (m,), -1 unknown.
        models: name and seed of each.
    """

    path: str
    shape: tuple[int, int, int, int]
    first: int
    keys: NDArray[np.int64]
    attributes: NDArray[np.int8]
    asked: NDArray[np.int8] | None
    label: NDArray[np.int64]
    models: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Items that are written together.

    Attributes:
        style: of the run.
        items: (index, origin, place): place is that in ``rows``, or in ``generated``.
        weights: in their targets, one for each item.
        rows: of the real pictures.
        pictures: where they come from.
        known: of these rows, one for each.
        generated: the synthetic faces.
        shard: name of the tar file; empty for one file per item.
    """

    style: Style
    items: tuple[tuple[int, int, int], ...]
    weights: tuple[float, ...]
    rows: tuple[int, ...]
    pictures: Pictures
    known: Annotations
    generated: Generated | None
    shard: str = ""


def write_block(block: Block) -> list[Written]:
    """Write the files of a block, not yet durably; what was written, in the order of its items."""
    writer = _Shard(block) if block.shard else _Files(block)
    written, last = [], -1
    small: dict[int, Image8] = {}
    image: Image8 | ImageError | None = None
    for (index, origin, place), weight in zip(block.items, block.weights, strict=True):
        if origin == SYNTHETIC:
            written.append(writer.take(index, *_synthetic(block, index, place, weight)))
            continue
        if place != last or image is None:
            last, image = place, _read(block, place)
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
    for place, words in zip(small, hash_faces(list(small.values())).tolist(), strict=True):  # many at once: cheaper
        written[place] = replace(written[place], hashes=(words[0],))
    return written


def file_name(style: Style, index: int, label: int, ending: str) -> str:
    """Path of an item's file below the folder; sorted by name, a flat folder has the order of the dataset.

    What has no class lies beside the folders of the classes: another folder would be another class to whoever reads it.
    """
    name = f"{index:0{style.digits}d}.{ending}"
    return f"{style.classes[label]}/{name}" if style.folders and label >= 0 else name


def encode_item(item: Item, format: str, text: dict[str, str] | None) -> bytes:
    """The bytes of an item's file; only a PNG can carry text."""
    if format == "jpg":
        return encode_jpeg(item.image)
    return encode_png(item.image, text=text, quick=True)


def synthetic_text(model: str, seed: int, key: int) -> dict[str, str]:
    """What a synthetic PNG says of itself."""
    return {"synthetic": "true", "model": model, "seed": str(seed), "key": str(key)}


class _Files:
    def __init__(self, block: Block) -> None:
        self._style = block.style

    def take(self, index: int, item: Item, facts: dict[str, Any]) -> Written:
        style = self._style
        data = encode_item(item, style.format, _text(facts))
        label = int(item.target["label"])
        name = file_name(style, index, label, style.format)
        write_bytes(Path(style.out) / name, data, durable=False)
        digest = hashlib.sha256(data).hexdigest()
        entry = Row(file_name=name, target=item.target, sha256=digest, **facts)
        line = csv_line(entry, label=_label_text(style, label), requested=style.requested)
        return Written(index, name, digest, line, digest=_digest(item, data))

    def close(self, written: list[Written]) -> list[Written]:
        return written


class _Shard:
    """A tar file in the layout of WebDataset: a picture and a JSON of what is known of it, by number."""

    def __init__(self, block: Block) -> None:
        self._style, self._path = block.style, Path(block.style.out) / block.shard
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w")  # noqa: SIM115 - closed with the block

    def take(self, index: int, item: Item, facts: dict[str, Any]) -> Written:
        data = encode_item(item, "png", _text(facts))
        known = _json_facts(item, facts, self._style)
        for ending, content in (("png", data), ("json", json.dumps(known).encode())):
            member = tarfile.TarInfo(f"{index:09d}.{ending}")
            member.size = len(content)
            self._tar.addfile(member, io.BytesIO(content))
        return Written(index, digest=_digest(item, data))

    def close(self, written: list[Written]) -> list[Written]:
        self._tar.close()
        data = self._buffer.getvalue()
        write_bytes(self._path, data, durable=False)
        digest = hashlib.sha256(data).hexdigest()
        return [replace(item, file=self._path.name, sha256=digest) for item in written]


def _digest(item: Item, data: bytes) -> str:
    """What tells two real pictures apart; pictures that are equal once cut and sized have equal files."""
    return hashlib.sha256(data).hexdigest()[:32] if item.target["origin"] == REAL else ""


def _json_facts(item: Item, facts: dict[str, Any], style: Style) -> dict[str, Any]:
    """What is known of an item: every key with one type in every sample.

    ``datasets`` 5.2 takes the types of a set of shards from its first five samples. Attributes and landmarks are
    therefore JSON texts, empty where nothing is known: a list that is empty, or null, has no type.
    """
    target = item.target
    signs = np.asarray(target["attributes"]).tolist()
    points = np.asarray(target["landmarks"], np.float64)
    known = {name: int(target[name]) for name in ("origin", "partition", "identity", "label", "source")}
    name = style.classes[known["label"]] if style.classes and known["label"] >= 0 else ""
    texts = {
        "synthetic": known["origin"] == SYNTHETIC,
        "weight": float(target["weight"]),
        "class": name,
        "attributes": json.dumps(dict(zip(ATTRIBUTES, signs, strict=True))) if any(signs) else "",
        "landmarks": "" if np.isnan(points).any() else json.dumps(points.round(4).tolist()),
        "requested": json.dumps(facts["requested"]) if facts.get("requested") else "",
        "operations": facts.get("operations") or "[]",
    }
    return _NOTHING | facts | known | texts


_NOTHING = {"source_file": "", "model": "", "seed": 0, "key": 0}


def _text(facts: dict[str, Any]) -> dict[str, str] | None:
    return synthetic_text(facts["model"], facts["seed"], facts["key"]) if "model" in facts else None


def _label_text(style: Style, label: int) -> str | None:
    """The name of a label; None where the table has no names."""
    if not style.named:
        return None
    return style.classes[label] if label >= 0 else NOTHING


def _read(block: Block, place: int) -> Image8 | ImageError:
    try:
        return block.pictures.read(block.rows[place])
    except ImageError as error:
        return error


def _from_real(block: Block, image: Image8, index: int, origin: int, place: int, weight: float) -> Item:
    style, source = block.style, block.rows[place]
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
    """A real picture at the size at which it is held against synthetic ones."""
    size = (style.side, style.side)
    return item.image if item.image.shape[:2] == size else crop_face(image, style.frame.crop, size)


def _synthetic(block: Block, index: int, place: int, weight: float) -> tuple[Item, dict[str, Any]]:
    generated = block.generated
    if generated is None:
        raise ValueError(f"item {index}: a block without its synthetic faces")
    face = np.array(_mapped(generated.path, generated.shape)[generated.first + place])
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
