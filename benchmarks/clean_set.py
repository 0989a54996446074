"""A labelled set for judging duplicate finders, made from real faces by a seed.

::

    python benchmarks/clean_set.py CELEBA200 OUT [--copies 100] [--seed 0]

Every picture of CELEBA200 (a CelebA folder of pictures about 200 pixels high; of smaller ones, edits that are measured
in pixels are as much smaller) is taken as it is; for each kind of edit
``--copies`` of them are chosen by the seed, edited and added. Names are drawn by the seed and tell nothing. ``OUT``
holds ``pictures/`` and ``labels.json``: file -> the picture it was made from, the edit, and the identity.

Pictures that are copies of each other already, as people see them, are listed in ``ALREADY`` and have one label. All
others are different photos; those of one person are the hard negatives.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceaug.data.annotations import read_table
from faceaug.draws import stream
from faceaug.data.image import encode_jpeg, encode_png, read_bytes, read_image

Picture: TypeAlias = NDArray[np.uint8]
Edit: TypeAlias = Callable[[Picture, np.random.Generator], Picture]

# Numbers of pictures that show one photo, found by this package and judged by eye; the first six in CELEBA200.
# fmt: off
ALREADY: tuple[tuple[int, ...], ...] = (
    (183517, 189215), (189622, 197337), (190782, 202131), (191419, 198783), (192577, 198717), (199369, 202105),
    (1853, 78159), (1976, 58986), (2957, 65239), (5260, 28935), (7222, 152221), (7382, 67560), (8042, 26337),
    (9923, 156686), (11637, 166587), (12810, 89638), (13725, 67896), (14746, 15112), (15054, 58014), (15855, 29772),
    (20435, 35369), (20782, 58721), (20880, 147594), (22556, 177541), (24262, 41590), (26922, 68482), (28491, 108979),
    (32942, 77837), (34140, 156774), (34899, 49558), (35573, 97973), (36427, 148899), (42944, 106841),
    (52425, 112707), (55543, 121189), (59120, 159610), (60556, 146477), (63688, 104062), (65345, 155527),
    (67569, 93116), (72782, 98654), (73809, 124981), (78646, 146068), (79417, 157966), (79701, 126043),
    (81967, 122845), (83383, 129603), (83631, 172863), (86097, 131995), (86101, 142679), (86508, 143205),
    (88710, 132645), (90980, 107784), (91804, 121072), (92323, 117101), (94609, 112904), (96118, 120147),
    (96801, 148114), (97464, 124523), (99408, 159901), (100406, 147412), (105912, 137291), (108517, 131796),
    (109174, 119442), (111892, 152108), (114798, 134920), (119109, 132885), (128813, 157538), (133020, 161002),
    (133488, 136486), (137107, 137464), (146704, 157567), (166506, 169274), (169470, 177246), (171891, 180576),
    (172077, 175926), (176078, 178259), (177079, 178965),
)
# fmt: on
_PHOTOS = {number: group[0] for group in ALREADY for number in group}
_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1))
QUALITY = 92  # of every edited copy whose edit is not the compression itself


def resized(factor: float) -> Edit:
    """Scale by a factor, with the filter that suits the direction."""

    def edit(image: Picture, _: np.random.Generator) -> Picture:
        how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        return _bytes(cv2.resize(image, None, fx=factor, fy=factor, interpolation=how))

    return edit


def toned(*, gain: float = 1.0, contrast: float = 1.0, gamma: float = 1.0) -> Edit:
    """Brightness (a factor), contrast (about middle grey) and gamma."""

    def edit(image: Picture, _: np.random.Generator) -> Picture:
        unit = (image / 255.0) ** gamma * gain
        return _bytes(((unit - 0.5) * contrast + 0.5) * 255)

    return edit


def warmed(image: Picture, draw: np.random.Generator) -> Picture:
    """Warmer or colder light: red and blue in opposite directions by 8 %."""
    sign = draw.choice([-1, 1])
    return _bytes(image * np.array([1 + 0.08 * sign, 1.0, 1 - 0.08 * sign]))


def cropped(share: float) -> Edit:
    """Cut ``share`` of the width and of the height away, at a place the seed draws."""

    def edit(image: Picture, draw: np.random.Generator) -> Picture:
        height, width = image.shape[:2]
        dy, dx = round(height * share), round(width * share)
        y, x = draw.integers(0, dy + 1), draw.integers(0, dx + 1)
        return image[y : y + height - dy, x : x + width - dx]

    return edit


def shifted(image: Picture, draw: np.random.Generator) -> Picture:
    """Move by 3 pixels in a direction the seed draws; the edge is repeated."""
    far = round(3 * _scale(image))
    dx, dy = [(far * x, far * y) for x, y in _DIRECTIONS][draw.integers(8)]
    height, width = image.shape[:2]
    moved = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    return _bytes(cv2.warpAffine(image, moved, (width, height), borderMode=cv2.BORDER_REPLICATE))


def bordered(image: Picture, draw: np.random.Generator) -> Picture:
    """A black or white frame of 3 pixels inside the picture."""
    out = image.copy()
    value = draw.choice([0, 255])
    wide = round(3 * _scale(image))
    out[:wide], out[-wide:], out[:, :wide], out[:, -wide:] = value, value, value, value
    return out


def greyed(image: Picture, _: np.random.Generator) -> Picture:
    """No colour."""
    return np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


def blurred(image: Picture, _: np.random.Generator) -> Picture:
    """A Gaussian of sigma 1.5 pixels."""
    return _bytes(cv2.GaussianBlur(image, (0, 0), 1.5 * _scale(image)))


def branded(image: Picture, draw: np.random.Generator) -> Picture:
    """A small written logo in a corner."""
    out = image.copy()
    height, width = image.shape[:2]
    scale = _scale(image)
    x, y = draw.choice([4 * scale, width - 48 * scale]), draw.choice([14 * scale, height - 6 * scale])
    cv2.putText(out, "PHOTO", (int(x), int(y)), cv2.FONT_HERSHEY_SIMPLEX, 0.4 * scale, (255, 255, 255), 1, cv2.LINE_AA)
    return out


def mirrored(image: Picture, _: np.random.Generator) -> Picture:
    """Left and right exchanged."""
    return np.ascontiguousarray(image[:, ::-1])


def same(image: Picture, _: np.random.Generator) -> Picture:
    """As it is: the encoding is the edit."""
    return image


EDITS: dict[str, tuple[Edit, int]] = {
    "jpeg 90": (same, 90),
    "jpeg 70": (same, 70),
    "jpeg 40": (same, 40),
    "resize 0.5": (resized(0.5), QUALITY),
    "resize 0.75": (resized(0.75), QUALITY),
    "resize 1.4": (resized(1.4), QUALITY),
    "brightness +10": (toned(gain=1.1), QUALITY),
    "brightness -10": (toned(gain=0.9), QUALITY),
    "contrast +10": (toned(contrast=1.1), QUALITY),
    "contrast -10": (toned(contrast=0.9), QUALITY),
    "gamma 0.8": (toned(gamma=0.8), QUALITY),
    "gamma 1.25": (toned(gamma=1.25), QUALITY),
    "warmth": (warmed, QUALITY),
    "crop 2": (cropped(0.02), QUALITY),
    "crop 5": (cropped(0.05), QUALITY),
    "shift 3": (shifted, QUALITY),
    "border": (bordered, QUALITY),
    "grayscale": (greyed, QUALITY),
    "blur": (blurred, QUALITY),
    "logo": (branded, QUALITY),
    "mirror": (mirrored, QUALITY),
}
CHAIN = ("jpeg 70", "crop 2", "brightness +10", "resize 0.75")  # each made from the one before


def edited(image: Picture, edit: str, draw: np.random.Generator) -> bytes:
    """The bytes of an edited copy, as a JPEG with the usual subsampled colour."""
    function, quality = EDITS[edit]
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(function(image, draw))).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def build(source: Path, out: Path, *, copies: int = 100, seed: int = 0, bases: int | None = None) -> dict[str, dict]:
    """Write the set and return its labels.

    Args:
        source: a CelebA folder.
        out: a new folder.
        copies: edited copies of each kind.
        seed: of all choices.
        bases: number of pictures taken, chosen by the seed; all by default.

    Returns:
        file name -> ``base`` (name of the photo), ``edit`` (empty for the photo itself), ``identity``.
    """
    names = sorted(path.name for path in (source / "img_align_celeba").iterdir())
    if bases is not None:
        chosen = stream(seed, slot="clean_set/bases").permutation(len(names))[:bases]
        names = [names[k] for k in sorted(chosen)]
    wanted = [(name, "") for name in names] + _copies(names, copies, seed)
    order = stream(seed, slot="clean_set/names").permutation(len(wanted))
    pictures = out / "pictures"
    pictures.mkdir(parents=True)
    identities = _identities(source)
    labels: dict[str, dict] = {}
    for (base, edit), place in zip(wanted, order, strict=True):
        data, suffix = _make(source / "img_align_celeba" / base, edit, stream(seed, slot=f"clean_set/{base}/{edit}"))
        name = f"photo-{place:05d}{suffix}"
        (pictures / name).write_bytes(data)
        labels[name] = {"base": photo_of(base), "edit": edit, "identity": identities.get(base, -1)}
    (out / "labels.json").write_text(json.dumps(labels, indent=1, sort_keys=True))
    return labels


def photo_of(name: str) -> str:
    """The name under which a photo that is there several times is labelled."""
    return f"{_PHOTOS.get(int(Path(name).stem), int(Path(name).stem)):06d}.jpg"


def _copies(names: list[str], copies: int, seed: int) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for edit in ["exact", "png", *EDITS]:
        chosen = stream(seed, slot=f"clean_set/{edit}").permutation(len(names))[:copies]
        found += [(names[k], edit) for k in chosen]
    chained = stream(seed, slot="clean_set/chain").permutation(len(names))[: copies // 4]
    return found + [(names[k], f"chain {length}") for k in chained for length in range(1, len(CHAIN) + 1)]


def _make(path: Path, edit: str, draw: np.random.Generator) -> tuple[bytes, str]:
    if edit in {"", "exact"}:
        return read_bytes(path), path.suffix
    image = read_image(path)
    if edit == "png":
        return encode_png(image), ".png"
    if edit.startswith("chain"):
        data = encode_jpeg(image)
        for step in CHAIN[: int(edit.split()[1])]:
            data = edited(_decoded(data), step, draw)
        return data, ".jpg"
    return edited(image, edit, draw), ".jpg"


def _decoded(data: bytes) -> Picture:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def _identities(source: Path) -> dict[str, int]:
    table = source / "identity_CelebA.txt"
    if not table.is_file():
        return {}
    rows = read_table(table)
    return dict(zip(rows.names, (int(value) for value in np.asarray(rows.values).reshape(-1)), strict=True))


def _scale(image: Picture) -> float:
    """How much smaller than 200 pixels a picture is."""
    return min(1.0, image.shape[0] / 200)


def _bytes(values: NDArray[np.floating]) -> Picture:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--copies", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.out.exists():
        shutil.rmtree(options.out)
    labels = build(options.source, options.out, copies=options.copies, seed=options.seed)
    print(f"{options.out}: {len(labels)} pictures")


if __name__ == "__main__":
    main()
