"""Real faces from a path, a FaceFolder or any map-style dataset behind one small interface."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from faceaug.data.annotations import ATTRIBUTES, Annotations, unknown
from faceaug.data.crop import Crop, Size, crop_box
from faceaug.data.folder import FaceFolder, Target, make_target
from faceaug.data.image import WHITE, Image8, from_pillow, picture_size
from faceaug.data.metadata import further_columns
from faceaug.errors import ArgumentError, ImageError, RefusedError, counted, printable, some
from faceaug.mix.pictures import Named, Pictures
from faceaug.mix.tabular import carried, is_row, join_items

_AREA_SAMPLE = 200  # pictures measured to estimate the mean area


class MapStyle(Protocol):
    """Any dataset with a length and items (image, label or target)."""

    def __len__(self) -> int:
        """Number of items."""

    def __getitem__(self, index: int, /) -> Any:
        """Item ``index``."""


Faces: TypeAlias = "str | Path | FaceFolder | MapStyle | Sequence[Image.Image] | NDArray[np.uint8]"


class RealFaces:
    """A set of real faces.

    Attributes:
        annotations: annotations of all faces.
        root: their folder; None for other datasets.
        notes: oddities found while reading.
        classes: names of the labels; empty if labels are plain numbers or absent.
        in_class_folders: whether every class has, or can have, its own folder.
        ground: colour laid under transparent pixels of a folder's pictures.
    """

    def __init__(self, faces: Faces) -> None:
        source = FaceFolder(faces) if isinstance(faces, str | Path) else faces
        self._source: FaceFolder | MapStyle = source
        self._sizes: NDArray[np.int64] | None = None  # width, height; None for a folder, which looks them up
        self.root: Path | None = None
        self.notes: tuple[str, ...] = ()
        self.classes: tuple[str, ...] = ()
        self.in_class_folders = False
        self.ground = WHITE
        if isinstance(source, FaceFolder):
            self.ground = source.ground
            self.root = source.root
            self.annotations = source.annotations
            kept = further_columns(source.annotations.columns)  # by the folder, but not from here on
            self.notes = tuple(note for note in source.notes if note not in kept)
            self.classes = source.classes
            self.in_class_folders = source.in_class_folders
        else:
            _check_map_style(source)
            self.annotations, self._sizes, named, self.notes = _collect(source)
            self.classes = named or _class_names(source, self.annotations.label)
            self.in_class_folders = bool(self.classes) and all(map(_names_a_folder, self.classes))
        left = list(self.annotations.columns)
        if left:
            are = counted(len(left), "further column is", "further columns are")
            self.notes = (f"{are} not carried over ({some(left)})", *self.notes)

    def __len__(self) -> int:
        return len(self._source)

    def read(self, row: int) -> Image8:
        """Read picture ``row``: uint8 (height, width, 3), RGB.

        Raises:
            ImageError: it cannot be read.
        """
        if isinstance(self._source, FaceFolder):
            return self._source.read(row)
        return to_image8(_split(self._source[row], row)[0], row)

    def target(self, row: int) -> Target:
        """Annotations of picture ``row``."""
        return make_target(self.annotations, row)

    def name(self, row: int) -> str:
        """Name of picture ``row``: its path in the folder, or its number."""
        return self._source.names[row] if isinstance(self._source, FaceFolder) else f"{row:06d}"

    def pictures(self, rows: Sequence[int]) -> Pictures:
        """Some pictures in a form that can be sent to another process; this object if they are not files."""
        if isinstance(self._source, FaceFolder):
            return Named(str(self._source.root), {row: self._source.names[row] for row in rows}, self._source.ground)
        return self

    def stamps(self, rows: Sequence[int]) -> list[tuple[int, int]]:
        """(bytes, modification time in ns) of some pictures, which show whether a picture changed.

        A missing picture has (-1, -1). The list is empty if pictures are not files.
        """
        if not isinstance(self._source, FaceFolder):
            return []
        return [_stamp(self._source.path(row)) for row in rows]

    @property
    def are_files(self) -> bool:
        """Whether the pictures are files that every process can read."""
        return isinstance(self._source, FaceFolder)

    def size(self, row: int) -> Size | None:
        """(width, height) of picture ``row``, without decoding it; None if it cannot be read."""
        if self._sizes is not None:
            width, height = self._sizes[row].tolist()
            return (width, height) if min(width, height) > 0 else None
        try:
            return picture_size(self._source.path(row)) if isinstance(self._source, FaceFolder) else None
        except ImageError:
            return None

    def distinct_sizes(self, rows: Iterable[int], crop: Crop = "none", *, most: int = 2) -> list[Size]:
        """Distinct sizes of the pictures after cropping, (width, height) each; stops after ``most`` sizes.

        Raises:
            RefusedError: no picture can be read.
        """
        found: dict[Size, None] = {}
        for row in rows:
            if (whole := self.size(row)) is not None:
                found[crop_box(crop, *whole)[2:]] = None
                if len(found) == most:
                    break
        if not found:
            raise RefusedError(f"{self.root or 'the dataset'}: none of its pictures can be read")
        return list(found)

    def mean_area(self, rows: Sequence[int]) -> float:
        """Estimate of the mean number of pixels per picture."""
        places = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _AREA_SAMPLE)).astype(int))
        sizes = [size for place in places.tolist() if (size := self.size(rows[place])) is not None]
        return float(np.mean([width * height for width, height in sizes])) if sizes else 0.0


def _stamp(path: Path) -> tuple[int, int]:
    try:
        facts = path.stat()
    except OSError:
        return -1, -1
    return facts.st_size, facts.st_mtime_ns


def to_image8(image: object, row: int) -> Image8:
    """Convert a picture of a dataset to uint8 (height, width, 3) RGB.

    Args:
        image: a PIL picture of any mode, see ``faceaug.data.image.from_pillow``; an array (height, width, 3 or 1) or
            (height, width); a tensor (3 or 1, height, width); arrays and tensors uint8 or float in 0..1.
        row: index of the picture, for the error message.

    Raises:
        ArgumentError: anything else.
    """
    if isinstance(image, Image.Image):
        return from_pillow(image, name=f"item {row}")
    found = _from_tensor(image) if isinstance(image, Tensor) else image
    if isinstance(found, np.ndarray) and found.dtype.kind == "f" and found.size:
        found = _from_unit(found, row)
    if isinstance(found, np.ndarray) and found.dtype == np.uint8:
        shaped = found[..., None] if found.ndim == 2 else found
        if shaped.ndim == 3 and shaped.shape[2] in {1, 3}:
            return np.ascontiguousarray(np.broadcast_to(shaped, (*shaped.shape[:2], 3)))
    described = f"{type(image).__name__} {getattr(image, 'dtype', '')} {getattr(image, 'shape', '')}"
    raise ArgumentError(
        f"item {row}: the picture is {described.strip()}; expected PIL, an array (H, W, 3) or a tensor (3, H, W)"
    )


def _from_tensor(image: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = image.detach().cpu().numpy()
    return array.transpose(1, 2, 0) if array.ndim == 3 else array


def _from_unit(image: NDArray[np.floating[Any]], row: int) -> Image8:
    low, high = float(image.min()), float(image.max())
    if low < 0 or high > 1:
        raise ArgumentError(f"item {row}: expected a float picture in 0..1, found values in {low:.3g}..{high:.3g}")
    levels: Image8 = np.rint(image * 255).astype(np.uint8)
    return levels


def _check_map_style(source: object) -> None:
    if isinstance(source, Mapping):  # Hugging Face's DatasetDict, or a plain dict of datasets
        names = ", ".join(printable(str(name)) for name in source)
        first = next(iter(source), "train")
        raise ArgumentError(
            f"faces: a {type(source).__name__} of several datasets ({names}); pass one of them, such as "
            f"faces[{first!r}]"
        )
    if isinstance(source, np.ndarray | Tensor) and source.ndim != 4:
        raise ArgumentError(
            f"faces: an array of shape {tuple(source.shape)}; expected pictures (n, height, width, 3), or a tensor "
            "(n, 3, height, width); for a single picture pass array[None]"
        )
    if not hasattr(source, "__getitem__") or not hasattr(source, "__len__"):
        raise ArgumentError(f"faces: {type(source).__name__} is neither a path, a FaceFolder nor a map-style dataset")
    if not len(source):
        raise RefusedError("faces: the dataset is empty")


def _class_names(source: object, labels: NDArray[np.int64]) -> tuple[str, ...]:
    """Names of the labels: ``classes`` of torchvision datasets, or the ClassLabel of Hugging Face datasets."""
    while hasattr(source, "dataset") and not hasattr(source, "classes"):  # a Subset
        source = source.dataset
    features = getattr(source, "features", None)
    named = getattr(features.get("label"), "names", None) if isinstance(features, Mapping) else None
    found = getattr(source, "classes", None) if named is None else named
    if not isinstance(found, list | tuple) or not all(isinstance(name, str) for name in found):
        return ()
    return tuple(found) if len(set(found)) == len(found) > int(labels.max()) >= 0 else ()


def _names_a_folder(name: str) -> bool:
    return bool(name.strip()) and not name.startswith(".") and not set(name) & set('/\\:*?"<>|\0')


def _split(item: Any, row: int) -> tuple[Any, Any]:
    """Split an item into its picture and target; the target of a bare picture is None."""
    if isinstance(item, tuple | list) and len(item) in {1, 2}:
        return item[0], item[1] if len(item) == 2 else None
    if isinstance(item, Mapping) and is_row(item):  # the layout of Hugging Face datasets
        return item["image"], {name: value for name, value in item.items() if name != "image"}
    if isinstance(item, Image.Image) or (isinstance(item, np.ndarray | Tensor) and item.ndim in {2, 3}):
        return item, None
    found = type(item).__name__
    if isinstance(item, Mapping):
        found += f" without 'image', with {', '.join(printable(str(name)) for name in item)}"
    raise ArgumentError(f"item {row}: expected (image, label or target) or a picture, found {found}")


def _size_of(image: object) -> Size:
    """(width, height) of a picture; (0, 0) for anything else, which raises an error once it is read."""
    if isinstance(image, Image.Image):
        return image.size
    if isinstance(image, np.ndarray | Tensor) and image.ndim in {2, 3}:
        planes_first = isinstance(image, Tensor) and image.ndim == 3
        height, width = image.shape[-2:] if planes_first else image.shape[:2]
        return int(width), int(height)
    return 0, 0


def _collect(source: MapStyle) -> tuple[Annotations, NDArray[np.int64], tuple[str, ...], tuple[str, ...]]:
    """Read all targets and sizes of a dataset once: balance and partition need them before the first epoch.

    Returns:
        (annotations, sizes, names of the labels if the items are rows, notes).
    """
    targets: list[Any] = []
    sizes = np.empty((len(source), 2), np.int64)
    rows = True
    for row in range(len(source)):
        item = source[row]
        rows = rows and is_row(item)
        image, target = _split(item, row)
        sizes[row] = _size_of(image)
        targets.append(carried(target) if isinstance(target, Mapping) else target)
    if rows:
        known, classes, notes = join_items(source, targets)
        return known, sizes, classes, notes
    return _from_targets(targets), sizes, (), ()


def _from_targets(targets: Sequence[Any]) -> Annotations:
    known = unknown(len(targets))
    bare = []  # rows with attributes in a plain vector
    for row, target in enumerate(targets):
        if isinstance(target, Mapping):
            _put_all(known, row, target)
            continue
        # torchvision's CelebA gives a tuple for several target types; a number in it is the identity.
        parts, number = (target, "identity") if isinstance(target, tuple) else ([target], "label")
        for part in parts:
            name = _field(part, number, row)
            _put(known, name, row, part)
            bare += [row] if name == "attributes" else []
    attributes = known.attributes[bare]
    if not (attributes < 0).any():
        known.attributes[bare] = attributes * 2 - 1  # torchvision's CelebA uses 0 and 1
    return known


def _put_all(known: Annotations, row: int, target: Mapping[str, Any]) -> None:
    for name in _FIELDS & target.keys():
        _put(known, name, row, _signs(target[name]) if name == "attributes" else target[name])
    for name in target.keys() & _PLACES.keys():
        _put(known, "attributes", row, np.where(_PLACES[name], _signs(target[name]), known.attributes[row]))


def _signs(value: Any) -> Any:
    """-1 and 1 for truth values; 0 would be unknown."""
    try:
        found = np.asarray(value)
    except (TypeError, ValueError):
        return value
    return found.astype(np.int64) * 2 - 1 if found.dtype == bool else value


def _field(value: Any, number: str, row: int) -> str:
    """The annotation that an unnamed value holds, judged by its shape; "" if it is not kept."""
    if value is None:
        return ""
    try:
        shape = np.shape(value)
    except (TypeError, ValueError):  # ragged
        shape = (-1,)
    if shape == () and isinstance(value, str):
        shape = (-1,)
    name = {(): number, (len(ATTRIBUTES),): "attributes", (10,): "landmarks", (5, 2): "landmarks", (4,): ""}.get(shape)
    if name is None:
        raise ArgumentError(
            f"item {row}: the target is a {type(value).__name__}; expected a label, 40 attributes or a dict"
        )
    return name


def _put(known: Annotations, name: str, row: int, value: Any) -> None:
    if not name:
        return
    place = getattr(known, name)[row : row + 1]
    try:
        numbers = np.asarray(value, np.float64 if name in {"landmarks", "weight"} else np.int64).reshape(place.shape)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"item {row}: {name} cannot be {_shown(value)} ({error})") from error
    low, high = _RANGES.get(name, (-math.inf, math.inf))
    if (numbers < low).any() or (numbers > high).any():
        raise ArgumentError(f"item {row}: {name} cannot be {_shown(value)}; expected {low:g} to {high:g}")
    place[...] = numbers


def _shown(value: Any) -> str:
    return printable(repr(value)[:60])


_FIELDS = {"attributes", "identity", "label", "partition", "landmarks", "weight", "origin"}
_PLACES = {name: np.arange(len(ATTRIBUTES)) == k for k, name in enumerate(ATTRIBUTES)}
_RANGES: dict[str, tuple[float, float]] = {
    "attributes": (-1, 1),
    "partition": (-1, 2),
    "origin": (0, 2),
    "identity": (-1, math.inf),
    "weight": (0, math.inf),
}
