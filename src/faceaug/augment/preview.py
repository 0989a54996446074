"""Contact sheet of all augmentations on the user's own faces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.augment.blur import GaussianBlur, MotionBlur
from faceaug.augment.lattice import Size
from faceaug.augment.pictures import open_picture
from faceaug.augment.recipe import Preset, default_recipe
from faceaug.augment.transform import Transform
from faceaug.augment.warps import Elastic, HorizontalFlip, Perspective, Rotate, Stretch, Twist, VerticalFlip
from faceaug.data.folder import FaceFolder
from faceaug.data.image import Image8, load_cv2
from faceaug.data.marks import PREVIEW, sheet_kind
from faceaug.draws import permutation
from faceaug.errors import ArgumentError, ImageError, RefusedError
from faceaug.reports.shell import contact_sheet, write_sheet
from faceaug.storage.outputs import check_output

Face: TypeAlias = tuple[Image8, NDArray[np.float32] | None]  # picture, landmarks
# One colour per CelebA landmark shows whether left and right were swapped.
_COLOURS = ((255, 64, 64), (64, 128, 255), (255, 220, 0), (255, 64, 255), (0, 220, 160))
_RECIPE_ROWS = 3
_SMALLEST = 128  # px; smaller pictures are enlarged before landmarks are drawn


def preview_sheet(
    faces: Path | str | FaceFolder | Sequence[Any],
    *,
    strengths: Sequence[float] = (0, 0.25, 0.5, 0.75, 1),
    recipe: Transform | None = None,
    seed: int = 0,
    cell: int = 128,
) -> Image8:
    """Draw a contact sheet of all augmentations: one row per operation, one column per strength.

    Args:
        faces: a folder, a ``FaceFolder``, or a list of pictures or (picture, target or landmarks). Every row shows
            another face; unreadable pictures are skipped.
        strengths: shares of each operation's usual range, 0..1; flips act from 0.5 on.
        recipe: shown in the last rows, drawn anew in each column; None shows the preset "light".
        seed: chooses the faces and all draws.
        cell: side of a picture on the sheet, pixels.

    Returns:
        uint8 (height, width, 3): the sheet, with known landmarks drawn.

    Example:
        >>> import numpy as np
        >>> from faceaug.augment import preview_sheet
        >>> face = np.zeros((64, 64, 3), np.uint8)
        >>> preview_sheet([face], strengths=(0, 1), cell=32).dtype
        dtype('uint8')

    Raises:
        ArgumentError: no faces, or a strength outside 0..1.
        RefusedError: no picture of the folder can be read.
    """
    if not strengths or not all(0 <= strength <= 1 for strength in strengths):
        raise ArgumentError(f"strengths {strengths!r}: expected shares from 0 to 1, at least one")
    source = FaceFolder(faces) if isinstance(faces, (str, Path)) else faces
    if not len(source):
        raise ArgumentError("no faces to preview: give a folder or at least one picture")
    chosen = _faces(source, seed)
    rows = []
    for (label, make), face in zip(_operations().items(), chosen, strict=False):
        side = min(face[0].shape[:2])
        rows.append((label, [_shown(make(s, side), face, seed) for s in strengths]))
    label = recipe.preset if isinstance(recipe, Preset) else "recipe" if recipe else "light"
    for _ in range(_RECIPE_ROWS):
        face = next(chosen)
        transform = recipe or default_recipe(face[0].shape[:2])
        draws = [_shown(transform, face, seed + column) for column in range(len(strengths))]
        rows.append((f"{label}, drawn anew", draws))
    return contact_sheet(rows, columns=[f"{strength:.0%}" for strength in strengths], cell=cell)


def write_preview(
    folder: Path | str | FaceFolder,
    out: Path | str,
    *,
    recipe: Transform | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> Size:
    """Write the ``preview_sheet`` of a folder as a PNG.

    Args:
        folder: folder of faces.
        out: the PNG to write, outside the folder; an earlier sheet of this function is replaced.
        recipe: shown in the last rows; None shows the preset "light".
        seed: chooses the faces and all draws.
        overwrite: replace any file.

    Returns:
        (height, width) of the sheet, pixels.

    Raises:
        ArgumentError: the name of ``out`` does not end in .png.
        RefusedError: ``out`` lies inside the folder, or is another file, which stays.

    Example:
        >>> import numpy as np
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from faceaug.augment import write_preview
        >>> Path("faces").mkdir()
        >>> Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save("faces/one.png")
        >>> height, width = write_preview("faces", "sheet.png")
        >>> Path("sheet.png").is_file()
        True
    """
    source = folder if isinstance(folder, FaceFolder) else FaceFolder(folder)
    check_output(Path(out), [sheet_kind(PREVIEW)], overwrite=overwrite, apart_from=[source.root])
    sheet = preview_sheet(source, recipe=recipe, seed=seed)
    write_sheet(Path(out), sheet, command=PREVIEW, overwrite=overwrite)
    return sheet.shape[0], sheet.shape[1]


def _operations() -> dict[str, Callable[[float, int], Transform]]:
    """Operations by label, each a function of strength and the picture's shorter side; ranges as in the docs."""
    return {
        "Rotate 20\N{DEGREE SIGN}": lambda s, _: Rotate((20 * s,) * 2),
        "Rotate -20\N{DEGREE SIGN}": lambda s, _: Rotate((-20 * s,) * 2),
        "HorizontalFlip": lambda s, _: HorizontalFlip(p=float(s >= 0.5)),
        "VerticalFlip": lambda s, _: VerticalFlip(p=float(s >= 0.5)),
        "Stretch x 1.15": lambda s, _: Stretch(x=(1.15**s,) * 2, y=1),
        "Stretch y 1.15": lambda s, _: Stretch(x=1, y=(1.15**s,) * 2),
        "Twist 20\N{DEGREE SIGN}": lambda s, _: Twist((20 * s,) * 2),
        "Elastic 3 %": lambda s, side: Elastic((0.03 * side * s,) * 2),
        "Perspective 8 %": lambda s, _: Perspective((0.08 * s,) * 2),
        "GaussianBlur 1 %": lambda s, side: GaussianBlur((0.01 * side * s,) * 2),
        "MotionBlur 5 %": lambda s, side: MotionBlur((0.05 * side * s,) * 2, angle=(20, 20)),
    }


def _faces(source: Any, seed: int) -> Iterator[Face]:
    """Cycle through the faces in random order; skip unreadable ones."""
    order = permutation(len(source), seed, slot="preview")
    readable = 0
    while True:
        for index in order:
            try:
                face = _face(source[int(index)])
            except ImageError:
                continue
            readable += 1
            yield face
        if not readable:
            raise RefusedError(f"none of the {len(order)} pictures can be read; run `faceaug clean` on the folder")


def _face(item: Any) -> Face:
    image, known = item if isinstance(item, tuple) and len(item) == 2 else (item, None)
    landmarks = known.get("landmarks") if isinstance(known, dict) else known
    array = open_picture(image)[0]
    coloured = array[..., None] if array.ndim == 2 else array
    rgb = coloured[..., :3] if coloured.shape[2] >= 3 else coloured.repeat(3, axis=2)
    return np.ascontiguousarray(rgb), None if landmarks is None else np.asarray(landmarks, np.float32)


def _shown(transform: Transform, face: Face, key: int) -> Image8:
    image, landmarks = face
    if landmarks is None:
        result: Image8 = transform(image, key=key)
        return result
    moved = transform(image, key=key, landmarks=landmarks)
    return _dotted(moved["image"], moved["landmarks"][moved["visible"]], np.flatnonzero(moved["visible"]))


def _dotted(image: Image8, points: NDArray[np.float32], numbers: NDArray[np.int64]) -> Image8:
    """Draw landmarks as dots with a dark rim on a copy; enlarge a small picture by whole pixels first."""
    cv2 = load_cv2()
    times = max(1, -(-_SMALLEST // max(image.shape[:2])))
    drawn = image.repeat(times, 0).repeat(times, 1)
    radius = max(2, min(drawn.shape[:2]) // 60)
    for (x, y), number in zip(points, numbers, strict=True):
        at = (round((float(x) + 0.5) * times - 0.5), round((float(y) + 0.5) * times - 0.5))
        cv2.circle(drawn, at, radius + 1, (0, 0, 0), -1, cv2.LINE_AA)
        cv2.circle(drawn, at, radius, _COLOURS[int(number) % len(_COLOURS)], -1, cv2.LINE_AA)
    return drawn
