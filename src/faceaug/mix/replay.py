"""Replay: makes a picture of an expanded folder again from its row, with the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceaug.augment import Compose, Preset, Transform
from faceaug.data.annotations import ATTRIBUTES
from faceaug.data.crop import Crop, Size, crop_face
from faceaug.data.image import WHITE, Image8, check_colour, read_bytes, read_image
from faceaug.data.manifest import DATASET, METADATA
from faceaug.data.marks import REPLAYED, synthetic_text
from faceaug.data.metadata_files import read_metadata
from faceaug.errors import ArgumentError, FaceAugError, printable
from faceaug.mix.blocks import FORMATS, encode_item
from faceaug.mix.copies import Recipe, as_recipe
from faceaug.mix.item import Item
from faceaug.presentation import Fact, Presentation
from faceaug.storage.outputs import write_output
from faceaug.storage.schema import parse_json
from faceaug.synthesize.source import SyntheticFaceSource
from faceaug.synthesize.weights import Model, load_model


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Replayed(Presentation):
    """A picture made again.

    Attributes:
        name: name of its file in the folder.
        origin: "real", "augmented" or "synthetic".
        image: uint8 (H, W, 3).
        data: bytes of its file.
        same: whether the SHA-256 of ``data`` is that of the row.
    """

    name: str
    origin: str
    image: Image8
    data: bytes
    same: bool

    def summary(self) -> str:
        """The result in one line."""
        same = "the same bytes" if self.same else "NOT the same bytes: another version of faceaug or of its libraries?"
        return f"{self.name} ({self.origin}) made again: {same}"

    def facts(self) -> list[Fact]:
        """See ``Presentation``."""
        height, width = self.image.shape[:2]
        return [
            ("file", self.name),
            ("origin", self.origin),
            ("size", f"{width} x {height}"),
            ("same bytes", self.same),
        ]

    def save(self, path: Path | str, *, overwrite: bool = False) -> None:
        """Write the file.

        Args:
            path: the file; its name ends like that of the original.
            overwrite: replace any file.

        Raises:
            ArgumentError: another ending.
            RefusedError: the path is another file, which stays, or cannot be written.
        """
        kinds = [kind for kind in REPLAYED if kind.ending == Path(self.name).suffix]
        write_output(Path(path), self.data, kinds, overwrite=overwrite)

    def to_json(self) -> dict[str, Any]:
        """The result without the picture, as plain values."""
        return {"name": self.name, "origin": self.origin, "same": self.same, "bytes": len(self.data)}


def replay_row(
    folder: Path | str,
    row: int | str,
    *,
    faces: Path | str | None = None,
    source: SyntheticFaceSource | str | Path | None = None,
    recipe: Recipe | None = None,
) -> Replayed:
    """Make a picture of an expanded folder again from its row, without reading the picture.

    Args:
        folder: folder that ``save`` wrote; only its ``metadata.csv`` and ``dataset.json`` are read.
        row: number of the row, from 0, or its ``file_name``.
        faces: source folder, if it has moved.
        source: model of a synthetic face, if it is not a bundled one.
        recipe: recipe of an augmented copy, if it contains third-party transforms, which ``dataset.json`` cannot
            describe.

    Raises:
        ArgumentError: no such row, or a picture, model or recipe is missing; the message says what to pass.

    Example:
        >>> import numpy as np
        >>> from faceaug import expand_dataset
        >>> from faceaug.mix import replay_row
        >>> faces = np.zeros((2, 32, 32, 3), np.uint8)
        >>> dataset = expand_dataset(faces, source="dcgan-32", copies=0, synthetic=1, crop="square", partition="all")
        >>> report = dataset.save("expanded", workers=1, progress=False)
        >>> again = replay_row("expanded", 2)
        >>> again.origin, again.same
        ('synthetic', True)
    """
    home = Path(folder)
    run = _run(home)
    return _replay(_Entry(home, run, _find(read_metadata(home / METADATA), row, home)), faces, source, recipe)


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    """A picture as its folder records it: the run in ``dataset.json``, and the row."""

    home: Path
    run: dict[str, Any]
    row: dict[str, Any]

    @contextmanager
    def parsed(self) -> Iterator[None]:
        """Blame errors of a block on what is recorded. What a caller has passed is used outside of such blocks."""
        try:
            yield
        except FaceAugError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError, OSError) as error:
            raise ArgumentError(
                f"{printable(self.home)}: {DATASET} or the row of {printable(self.row['file_name'])} is not as faceaug "
                f"wrote it ({type(error).__name__}: {printable(error)}), so the picture cannot be made again"
            ) from error


def _replay(
    entry: _Entry,
    faces: Path | str | None,
    source: SyntheticFaceSource | str | Path | None,
    recipe: Recipe | None,
) -> Replayed:
    run, row = entry.run, entry.row
    with entry.parsed():
        name, origin, expected = row["file_name"], row["origin"], row["sha256"]
        size = _size(run["size"])
        ground = check_colour(run.get("ground", WHITE))
        crop: Crop = "none" if origin == "synthetic" else run["crop"]
        text = synthetic_text(row["model"], int(row["seed"]), int(row["key"])) if origin == "synthetic" else None
    if origin == "synthetic":
        original = _face(entry, source)
    else:
        with entry.parsed():
            original = read_image(_original(row, run, faces), ground=ground)
        if origin == "augmented":
            original = _augmented(entry, original, recipe)
    with entry.parsed():
        picture = crop_face(original, crop, size)
        data = encode_item(Item(picture, {}), run["format"], text)
    return Replayed(name, origin, picture, data, hashlib.sha256(data).hexdigest() == expected)


def _run(home: Path) -> dict[str, Any]:
    path = home / DATASET
    try:
        run = parse_json(read_bytes(path))["run"]
    except (ValueError, KeyError, TypeError) as error:
        raise ArgumentError(f"{printable(path)}: not a file of faceaug expand ({error})") from error
    if not isinstance(run, dict) or run.get("command") != "expand":
        raise ArgumentError(f"{printable(path)}: not written by faceaug expand")
    if run.get("format") not in FORMATS:
        raise ArgumentError(f"{printable(path)}: its format is not one of {', '.join(FORMATS)}")
    if run["format"] == "webdataset":
        raise ArgumentError(f"{printable(home)}: holds shards; only rows of png and jpg folders can be made again")
    return run


def _size(recorded: Any) -> Size | None:
    """Parse a size, such as 178x218 or, in older folders, [height, width]; None stays None."""
    if recorded is None:
        return None
    if isinstance(recorded, str):
        width, height = recorded.split("x")
        return int(width), int(height)
    return int(recorded[1]), int(recorded[0])


def _find(rows: list[dict[str, Any]], row: int | str, home: Path) -> dict[str, Any]:
    names = {found["file_name"]: found for found in rows}
    if str(row) in names:
        return names[str(row)]
    number = int(row) if str(row).isdigit() else -1
    if not 0 <= number < len(rows):
        raise ArgumentError(f"row {row}: {printable(home)} has rows 0 to {len(rows) - 1}; give a number or a file_name")
    return rows[number]


def _original(row: dict[str, Any], run: dict[str, Any], faces: Path | str | None) -> Path:
    base = Path(faces) if faces is not None else Path(run["folder"])
    if not run["folder"] and faces is None:
        raise ArgumentError(f"{row['file_name']}: was not made from a folder; pass faces= to replay it")
    path = base / str(row["source_file"])
    if not path.is_file():
        raise ArgumentError(f"{printable(path)}: no such picture; give the folder it lies in now (faces=, --faces)")
    return path


def _augmented(entry: _Entry, picture: Image8, recipe: Recipe | None) -> Image8:
    with entry.parsed():
        operations = parse_json(entry.row["operations"])
    given = None if recipe is None else as_recipe(recipe)
    if given is not None:
        made = given.render(picture, operations)
    else:
        with entry.parsed():
            made = _recorded_recipe(entry.run, picture).render(picture, operations)
    if not isinstance(made, np.ndarray):
        raise ArgumentError(f"{entry.row['file_name']}: the recipe did not return an array")
    return made


def _recorded_recipe(run: dict[str, Any], picture: Image8) -> Transform:
    if run["recipe"] == "default":
        return Preset("light").compose(picture.shape[:2])
    if '"torchvision"' in run["recipe"]:
        raise ArgumentError("the recipe contains third-party transforms; pass the recipe itself (recipe=)")
    built = Compose.from_json(run["recipe"])
    alone = parse_json(run["recipe"])["name"] != "Compose"
    return built.transforms[0] if alone else built


def _face(entry: _Entry, source: SyntheticFaceSource | str | Path | None) -> Image8:
    row, run = entry.row, entry.run
    given = source if source is None or isinstance(source, SyntheticFaceSource) else load_model(source)
    with entry.parsed():
        key = int(row["key"])
        model = given if isinstance(given, SyntheticFaceSource) else _recorded_source(row, run, given)
        asked = _asked(row, run, model)
    with nullcontext() if given is model else entry.parsed():
        faces = model.generate(1, attributes=asked, start=key)
    return np.ascontiguousarray(faces[0].permute(1, 2, 0).numpy())


def _recorded_source(row: dict[str, Any], run: dict[str, Any], model: Model | None) -> SyntheticFaceSource:
    return SyntheticFaceSource(
        model or row["model"],
        seed=int(row["seed"]),
        truncation=run.get("truncation"),
        precision=run.get("precision", "fp32"),
        strength=run.get("strength", 1.0),
    )


def _asked(row: dict[str, Any], run: dict[str, Any], model: SyntheticFaceSource) -> NDArray[np.int8] | dict[str, int]:
    """The attributes that were requested of the face.

    Raises:
        ArgumentError: another model made it.
    """
    wanted = {run["model_sha256"], *(entry[2] for entry in run.get("models", ()))}
    if model.config.sha256 not in wanted:
        raise ArgumentError(
            f"model {model.config.name}: not the model of {row['file_name']}; pass that one (source=, --model)"
        )
    if not any(name.startswith("requested_") for name in row):
        asked: dict[str, int] = run.get("attributes", {})
        return asked
    if model.config.attributes:
        return np.array([[int(row[f"requested_{name}"] or 0) for name in ATTRIBUTES]], np.int8)
    return {}  # the face was selected from the stream, and its key is its number there
