"""Decides the crop and size of an expanded dataset, and whether generated faces fit among the pictures.

The decision precedes any decoding. Pictures are reduced or cropped only on request: by a size, a crop or a share of
generated faces.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.data.crop import CROPS, Crop, Size, words_of
from faceaug.errors import ArgumentError
from faceaug.mix.generators import Generators, ModelLike, open_generators
from faceaug.mix.item import Frame
from faceaug.mix.plan import synthetic_count
from faceaug.mix.real import RealFaces
from faceaug.synthesize.weights import bundled_models, default_model

SHARE = 0.25  # default number of generated faces, as a share of the real ones
SizeLike: TypeAlias = "int | tuple[int, int]"


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """Crop, size and generators of a dataset.

    Attributes:
        frame: crop and size of every picture.
        generators: generators of the synthetic faces; None if there are none.
        synthetic: number of generated faces: a float is a share, an int a count.
        why: why there are no generated faces, if they were neither requested nor switched off; else "".
    """

    frame: Frame
    generators: Generators | None
    synthetic: float | int
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The arguments of ``expand_dataset`` that decide the size; see there."""

    synthetic: float | int | None
    source: ModelLike | Mapping[str, ModelLike] | None
    size: SizeLike | None
    crop: Crop | None
    balanced: bool
    seed: int
    only_synthetic: bool
    held_out: bool


def choose_frame(real: RealFaces, rows: NDArray[np.int64], wishes: Wishes) -> Choice:
    """Decide on size, crop and generated faces.

    Args:
        real: all real faces.
        rows: rows used, int64 (n,).
        wishes: arguments of ``expand_dataset``.

    Raises:
        ArgumentError: requested generated faces are smaller than the pictures or do not fit among them.
    """
    if wishes.crop is not None and wishes.crop not in CROPS:
        raise ArgumentError(f"crop {wishes.crop!r}: expected one of {', '.join(CROPS)}")
    size = parse_size(wishes.size)
    share = SHARE if wishes.synthetic is None else wishes.synthetic
    synthetic_count(share, 1)  # reports a wrong value early
    if wishes.synthetic is None and wishes.source is None and not wishes.only_synthetic:
        return _default_choice(real, rows, wishes, size)
    if not share:
        return Choice(_frame_of_real(real, rows, wishes.crop, size), None, share)
    generators = _opened(real, wishes, size)
    crop = wishes.crop or generators.crop
    if size is None and wishes.only_synthetic:
        size = (generators.size, generators.size)
    sizes = [size] if size is not None else real.distinct_sizes(rows.tolist(), crop)
    _check_fit(sizes, generators, crop)
    if wishes.crop == "none" and not wishes.only_synthetic:
        _warn_of_black_edges(real, rows)
    return Choice(Frame(crop, sizes[0]), generators, share)


def parse_size(size: SizeLike | None) -> Size | None:
    """Turn a side or (width, height) into (width, height)."""
    pair: Any = (size, size) if isinstance(size, int | np.integer) and not isinstance(size, bool) else size
    if pair is None:
        return None
    whole = isinstance(pair, tuple | list) and all(isinstance(side, int | np.integer) for side in pair)
    if not whole or len(pair) != 2 or min(pair) < 1:
        raise ArgumentError(f"size {size!r}: expected a side in pixels, or (width, height)")
    return int(pair[0]), int(pair[1])


def _frame_of_real(real: RealFaces, rows: NDArray[np.int64], crop: Crop | None, size: Size | None) -> Frame:
    """Frame without generated faces: every picture keeps its size unless one was requested."""
    crop = crop or "none"
    if size is not None:
        return Frame(crop, size)
    sizes = real.distinct_sizes(rows.tolist(), crop)
    return Frame(crop, sizes[0] if len(sizes) == 1 else None)


def _default_choice(real: RealFaces, rows: NDArray[np.int64], wishes: Wishes, size: Size | None) -> Choice:
    """Default: generated faces are added if a bundled model makes them large enough."""
    frame = _frame_of_real(real, rows, wishes.crop, size)
    why = _why_no_faces(real, frame, asked=size)
    if why:
        return Choice(frame, None, 0, why)
    side = None if size is None else max(size)
    model = default_model(attributes=wishes.balanced, size=side)
    generators = open_generators(model, wishes.seed, classes=real.classes)
    frame = Frame(wishes.crop or generators.crop, frame.size)
    if wishes.held_out:  # framed like the training rows, but without generated faces
        return Choice(frame, None, 0, "generated faces never enter validation or test rows")
    return Choice(frame, generators, SHARE)


def _why_no_faces(real: RealFaces, frame: Frame, *, asked: Size | None) -> str:
    """Why the faces of no bundled model fit among the pictures; "" if those of some do."""
    if real.classes:
        return (
            "the faces have classes, and those of a bundled model belong to none (--model CLASS=MODEL for each class)"
        )
    if frame.size is None:
        return "the pictures have different sizes (--size 64 makes them equal and adds some)"
    side = max(frame.size)
    try:
        default_model(size=side)
    except ArgumentError:
        largest = _largest()
        shown = words_of(frame.size)
        what = f"pictures of {shown} pixels were requested" if asked else f"the pictures have {shown} pixels"
        return f"{what}, and the largest faces of a bundled model {largest}x{largest} (--size {largest} adds some)"
    if frame.size[0] != frame.size[1]:
        return f"the pictures are not square ({words_of(frame.size)}) as generated faces are (--size {side} adds some)"
    return ""


def _largest() -> int:
    return max(config.size for config in bundled_models())


def _opened(real: RealFaces, wishes: Wishes, size: Size | None) -> Generators:
    """The requested generators; by default a bundled one that is large enough."""
    source = wishes.source
    if source is None:
        try:
            source = default_model(attributes=wishes.balanced, size=None if size is None else max(size))
        except ArgumentError as error:
            raise ArgumentError(f"{error}. {_alternatives(_largest())}") from None
    return open_generators(source, wishes.seed, classes=real.classes)


def _check_fit(sizes: list[Size], generators: Generators, crop: Crop) -> None:
    """Check that all pictures have one size, square and no larger than the generated faces."""
    side = generators.size
    shown = " and ".join(map(words_of, sizes))
    if max(map(max, sizes)) > side:
        raise ArgumentError(
            f"the faces of {generators.name} have {side}x{side} pixels, and the pictures {shown} (crop {crop}): "
            f"generated faces are never enlarged, and your pictures are reduced only on request. {_alternatives(side)}"
        )
    if len(sizes) > 1:
        raise ArgumentError(
            f"the pictures have different sizes ({shown}, crop {crop}), but generated faces need pictures of one size. "
            f"{_alternatives(side)}"
        )
    width, height = sizes[0]
    if width != height:
        raise ArgumentError(
            f"pictures of {shown} pixels cannot be mixed with generated faces, which are square: set "
            f"size={max(width, height)} (--size {max(width, height)}), crop='square' (--crop square) or synthetic=0 "
            "(--synthetic 0)"
        )


def _alternatives(side: int) -> str:
    return (
        f"Set size={side} (--size {side}) or synthetic=0 (--synthetic 0), or use a larger model (source=, --model) "
        "from `faceaug train`"
    )


def _warn_of_black_edges(real: RealFaces, rows: NDArray[np.int64]) -> None:
    if any(width != height for width, height in real.distinct_sizes(rows.tolist(), most=len(rows))):
        warnings.warn(
            "crop 'none': real faces that are not square get black edges and generated ones do not, so the edges tell "
            "them apart; crop='square' crops them instead",
            stacklevel=4,
        )
