"""Small made folders: pictures of noise and tables of the published forms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from faceaug.data.image import encode_png
from faceaug.data.tables import ATTRIBUTES, LANDMARKS
from tests.conftest import picture

PNG = encode_png(picture(0, height=10, width=8))
NAMES = tuple(f"{k:06d}.jpg" for k in range(1, 7))
PARTS = (0, 0, 0, 1, 2, 2)


def put(root: Path, *names: str, data: bytes = PNG) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def write(root: Path, name: str, text: str) -> Path:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)
    return root / name


def attribute(row: int, column: int) -> int:
    """A different answer for neighbours in both directions."""
    return 1 if (row * 7 + column * 3) % 5 < 2 else -1


def attributes_txt(names: Sequence[str] = NAMES) -> str:
    rows = [f"{name}  " + "  ".join(str(attribute(k, c)) for c in range(40)) for k, name in enumerate(names)]
    return "\n".join([str(len(names)), " ".join(ATTRIBUTES), *rows]) + "\n"


def attributes_csv(words: tuple[str, str] = ("-1", "1"), *, index: bool = False, names: Sequence[str] = NAMES) -> str:
    head = [*([""] if index else []), "image_id", *ATTRIBUTES]
    rows = [
        [*([str(k)] if index else []), name, *(words[attribute(k, c) > 0] for c in range(40))]
        for k, name in enumerate(names)
    ]
    return "".join(",".join(row) + "\n" for row in [head, *rows])


def pairs(values: Iterable[object], names: Sequence[str] = NAMES, separator: str = " ") -> str:
    return "".join(f"{name}{separator}{value}\n" for name, value in zip(names, values, strict=True))


def points_txt(names: Sequence[str] = NAMES, *, add: int = 0) -> str:
    rows = [f"{name} " + " ".join(str(10 * k + c + add) for c in range(10)) for k, name in enumerate(names)]
    return "\n".join([str(len(names)), " ".join(LANDMARKS), *rows]) + "\n"


def boxes_txt(names: Sequence[str] = NAMES) -> str:
    rows = [f"{name}  {k} {k + 1}  {k + 20} {k + 30}" for k, name in enumerate(names)]
    return "\n".join([str(len(names)), "image_id x_1 y_1 width height", *rows]) + "\n"
