"""Hard negatives for the benchmark of duplicates: pictures that agree nearly everywhere and are different pictures.

::

    python benchmarks/clean_negatives.py CELEBA OUT [--seed 0]

All are made by code, by a seed. ``cards``: 200 of 5 layouts, 40 of each, with a different generated face, name and
number on each. ``drawn``: 200 drawn faces that differ in skin, hair, brows, mouth, beard, glasses or earrings, most of
them in one only. ``edits``: 200 faces of ``faces-64`` and what ``SyntheticFaceSource.edit`` makes of them. ``session``:
100 states of one photo of CELEBA, whose eyes, brows, mouth and head moved (smooth warps of up to 6 % of the picture
around its landmarks, any two of them at least 1.5 % apart somewhere), as in a series of photos of one person.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from clean_set import Picture, edited
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from faceaug.data.image import encode_png, read_image
from faceaug.draws import stream

Colour: TypeAlias = tuple[int, int, int]
Box: TypeAlias = tuple[int, int, int, int]
CARDS, DRAWN, EDITS, SESSION = 200, 200, 200, 100
ATTRIBUTES = (
    "Smiling", "Eyeglasses", "Bald", "Male", "Mustache", "Goatee", "Mouth_Slightly_Open", "Young", "Bangs",
    "Blond_Hair", "Wearing_Lipstick", "Narrow_Eyes", "Heavy_Makeup", "Arched_Eyebrows", "Bushy_Eyebrows", "No_Beard",
    "5_o_Clock_Shadow", "Pale_Skin", "Gray_Hair", "Big_Nose",
)  # fmt: skip
NAMES = ("ADA STONE", "BEN OKORO", "CARL WEISS", "DINA ROSSI", "ELIF KAYA", "FAY CHEN", "GUS LUND", "HANA SATO")


# Cards.


@dataclass(frozen=True, slots=True)
class Layout:
    """A card: its size, colours, the place of the photo, and of the lines of text."""

    size: tuple[int, int]
    paper: Colour
    accent: Colour
    photo: Box  # left, top, right, bottom
    lines: tuple[tuple[int, int], ...]
    framed: bool = False


LAYOUTS = (
    Layout((320, 200), (232, 238, 244), (30, 70, 140), (16, 56, 106, 176), ((124, 70), (124, 100), (124, 130))),
    Layout((320, 200), (250, 246, 235), (150, 30, 40), (216, 40, 304, 152), ((16, 60), (16, 90), (16, 120))),
    Layout((240, 336), (246, 220, 120), (120, 70, 20), (24, 48, 216, 200), ((24, 226), (24, 256), (24, 300)), True),
    Layout((178, 218), (255, 255, 255), (0, 120, 90), (54, 44, 124, 130), ((30, 150), (30, 174), (30, 196))),
    Layout((256, 256), (40, 44, 60), (220, 180, 60), (84, 40, 172, 150), ((40, 170), (40, 196), (40, 222)), True),
)


def cards(faces: NDArray[np.uint8], seed: int) -> Iterator[tuple[str, bytes]]:
    """Cards with one of these faces on each: (name, bytes)."""
    for k, face in enumerate(faces):
        draw = stream(seed, index=k, slot="clean_negatives/cards")
        layout = LAYOUTS[k % len(LAYOUTS)]
        yield f"card-{k:03d}", _encoded(_card(layout, face, draw), draw)


def _card(layout: Layout, face: Picture, draw: np.random.Generator) -> Picture:
    picture = Image.new("RGB", layout.size, layout.paper)
    pen = ImageDraw.Draw(picture)
    width, height = layout.size
    pen.rectangle((0, 0, width, 30), fill=layout.accent)
    pen.text((12, 9), "MEMBER OF THE CLUB", fill=layout.paper)
    for x in range(8, width, 12):  # the guilloche that makes most of such a card
        pen.line((x, height, x + 40, 30), fill=tuple(int(0.9 * v) for v in layout.paper))
    if layout.framed:
        pen.rectangle((5, 35, width - 6, height - 6), outline=layout.accent, width=4)
    left, top, right, bottom = layout.photo
    size = right - left, bottom - top
    picture.paste(Image.fromarray(face).resize(size, Image.Resampling.BICUBIC), (left, top))
    number = f"No {draw.integers(10**6):06d}"
    for place, words in zip(layout.lines, (str(draw.choice(NAMES)), number, "valid until 2031"), strict=True):
        pen.text(place, words, fill=layout.accent)
    return np.asarray(picture)


# Drawn faces.

SKINS = ((245, 208, 169), (234, 192, 134), (198, 134, 66), (141, 85, 36))
HAIRS = ((34, 34, 34), (230, 190, 138), (170, 0, 0), (110, 70, 40))
TRAITS = {"skin": 4, "hair": 4, "style": 4, "brows": 3, "eyes": 3, "mouth": 4, "beard": 3, "glasses": 2, "earring": 2}


def drawn(seed: int) -> Iterator[tuple[str, bytes]]:
    """Drawn faces, each with other traits: (name, bytes)."""
    draw = stream(seed, slot="clean_negatives/drawn")
    keys, counts = list(TRAITS), np.array(list(TRAITS.values()))
    known: set[bytes] = set()
    last = draw.integers(counts)
    while len(known) < DRAWN:
        traits = last.copy()
        changed = draw.integers(len(keys)) if len(known) % 5 else slice(None)  # four of five differ in one trait
        traits[changed] = draw.integers(counts)[changed]
        face = _drawn(dict(zip(keys, traits.tolist(), strict=True)))
        if face.tobytes() in known:  # the colour of the hair is not seen on a bald head
            last = draw.integers(counts)
            continue
        known.add(face.tobytes())
        last = traits
        side = (128, 96, 256, 160)[len(known) % 2 if len(known) < DRAWN // 2 else 2 + len(known) % 2]
        picture = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
        yield f"drawn-{len(known):03d}", _encoded(picture, draw)


def _drawn(trait: dict[str, int]) -> Picture:
    picture = Image.new("RGB", (512, 512), (255, 255, 255))
    pen = ImageDraw.Draw(picture)
    hair = HAIRS[trait["hair"]]
    if trait["style"] == 1:
        pen.ellipse((100, 80, 412, 460), fill=hair)
    pen.ellipse((128, 100, 384, 420), fill=SKINS[trait["skin"]], outline="black", width=3)
    if trait["style"] in {0, 1}:
        pen.pieslice((118, 80, 394, 330), 180, 360, fill=hair)
    elif trait["style"] == 2:
        pen.chord((128, 90, 384, 300), 200, 340, fill=hair)
    for x in (200, 312):
        pen.ellipse((x - 18, 238, x + 18, 262), fill="white", outline="black", width=2)
        pen.ellipse((x - 8, 242, x + 8, 258), fill=((90, 50, 20), (40, 90, 160), (30, 110, 60))[trait["eyes"]])
        if trait["brows"]:
            pen.line((x - 24, 222, x + 24, 222 - 8 * (trait["brows"] - 1)), fill="black", width=7)
        if trait["glasses"]:
            pen.rounded_rectangle((x - 34, 226, x + 34, 276), 12, outline="black", width=5)
    pen.line((256, 262, 248, 305, 264, 305), fill="black", width=3)
    _draw_mouth(pen, trait["mouth"])
    if trait["beard"]:
        pen.ellipse((238, 395, 274, 425) if trait["beard"] == 1 else (206, 372, 306, 430), fill=hair)
    if trait["earring"]:
        pen.ellipse((116, 290, 134, 312), fill=(220, 180, 40))
    return np.asarray(picture)


def _draw_mouth(pen: ImageDraw.ImageDraw, kind: int) -> None:
    match kind:
        case 0:
            pen.arc((210, 300, 302, 370), 20, 160, fill="black", width=5)
        case 1:
            pen.line((215, 345, 297, 345), fill="black", width=5)
        case 2:
            pen.arc((210, 340, 302, 400), 200, 340, fill="black", width=5)
        case _:
            pen.ellipse((228, 330, 284, 366), fill=(150, 30, 40))


# One person in one session.


def session(photo: Picture, seed: int) -> Iterator[tuple[str, bytes]]:
    """States of one photo of an aligned face: (name, bytes)."""
    height, width = photo.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    draw = stream(seed, slot="clean_negatives/session")
    fields: list[NDArray[np.float32]] = []
    while len(fields) < SESSION:
        field = _movement(columns / width, rows / height, draw)
        if all(np.abs(field - other).max() >= 0.015 for other in fields):
            fields.append(field)
            moved = cv2.remap(
                photo, columns + field[0] * width, rows + field[1] * width, cv2.INTER_CUBIC,
                borderMode=cv2.BORDER_REFLECT,
            )  # fmt: skip
            yield f"session-{len(fields):03d}", edited(np.asarray(moved), "jpeg 90", draw)


def _movement(x: NDArray[np.float32], y: NDArray[np.float32], draw: np.random.Generator) -> NDArray[np.float32]:
    """Displacements in shares of the width, float32 (2, h, w), around the parts of an aligned face."""
    field = np.zeros((2, *x.shape), np.float32)
    parts = {
        "eyes": (0.5, 0.51, 0.25),
        "brows": (0.5, 0.44, 0.22),
        "mouth": (0.5, 0.70, 0.14),
        "head": (0.5, 0.55, 0.35),
    }
    for name, (cx, cy, size) in parts.items():
        near = np.exp(-((x - cx) ** 2 + 2 * (y - cy) ** 2) / (2 * size**2))
        far = draw.normal(0, 0.012 if name == "head" else 0.018, 4)
        field[0] += near * (far[0] + far[1] * (x - cx) / size)
        field[1] += near * (far[2] + far[3] * np.abs(x - cx) / size)
    return field


# All of them.


def build_negatives(celeba: Path, out: Path, *, seed: int = 0) -> dict[str, str]:
    """Write the pictures into a new folder.

    Args:
        celeba: a CelebA folder, for the session.
        out: the folder.
        seed: of all choices.

    Returns:
        file name -> its kind: "cards", "drawn", "edits" or "session".
    """
    out.mkdir(parents=True)
    aligned = sorted((celeba / "img_align_celeba").iterdir())
    photo = read_image(aligned[int(stream(seed, slot="clean_negatives/photo").integers(len(aligned)))])
    faces, pairs = _generated(seed)
    made = {
        "cards": cards(faces, seed),
        "drawn": drawn(seed),
        "edits": ((name, encode_png(face)) for name, face in pairs),
        "session": session(photo, seed),
    }
    kinds: dict[str, str] = {}
    for kind, pictures in made.items():
        for stem, data in pictures:
            name = stem + (".jpg" if data.startswith(b"\xff\xd8") else ".png")
            (out / name).write_bytes(data)
            kinds[name] = kind
    return kinds


def _generated(seed: int) -> tuple[NDArray[np.uint8], list[tuple[str, Picture]]]:
    """Faces for the cards, and (name, picture) of faces before and after an edit."""
    from faceaug import SyntheticFaceSource

    source = SyntheticFaceSource("faces-64", seed=seed)
    every = source.generate(CARDS + EDITS).permute(0, 2, 3, 1).numpy()
    pairs = []
    for row, attribute in enumerate(ATTRIBUTES):
        numbers = range(CARDS + row, CARDS + EDITS, len(ATTRIBUTES))
        after = source.edit(numbers, attribute, guided=bool(row % 2)).permute(0, 2, 3, 1).numpy()
        for k, face in zip(numbers, after, strict=True):
            pairs += [(f"edit-{k:03d}-before", every[k]), (f"edit-{k:03d}-{attribute}", face)]
    return every[:CARDS], pairs


def _encoded(picture: Picture, draw: np.random.Generator) -> bytes:
    """A PNG or a JPEG of a usual quality."""
    return (
        encode_png(picture) if draw.random() < 0.5 else edited(picture, str(draw.choice(["jpeg 90", "jpeg 70"])), draw)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("celeba", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.out.exists():
        shutil.rmtree(options.out)
    kinds = build_negatives(options.celeba, options.out, seed=options.seed)
    (options.out.parent / f"{options.out.name}.json").write_text(json.dumps(kinds, indent=1))
    print(f"{options.out}: {len(kinds)} pictures")


if __name__ == "__main__":
    main()
