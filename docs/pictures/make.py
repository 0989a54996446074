"""Make the pictures of the README and the docs. Every face comes from a bundled model; the same run, the same bytes.

Run as ``python docs/pictures/make.py``.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from faceaug import (
    CleanPolicy,
    Compose,
    Elastic,
    GaussianBlur,
    HorizontalFlip,
    MotionBlur,
    OneOf,
    Perspective,
    Rotate,
    Stretch,
    SyntheticFaceSource,
    Twist,
    clean_folder,
)
from faceaug.augment import preview_sheet
from faceaug.data.crop import crop_face, crop_points
from faceaug.errors import ImageError
from faceaug.storage.files import write_bytes
from faceaug.data.folder import list_folder
from faceaug.data.image import Image8, encode_jpeg, encode_png, read_image
from faceaug.reports.shell import contact_sheet, grid

HERE = Path(__file__).parent
SIDE, COLUMNS, ROWS, GAP, NAME, TITLE, ARROW = 72, 4, 4, 6, 15, 46, 34
INK, SOFT, PAPER, RED, GREEN = (32, 33, 36), (110, 113, 118), (255, 255, 255), (200, 40, 40), (20, 130, 60)
# Where CelebA's aligned photos (178 x 218) have eyes, nose and mouth; the model's faces have them there too.
LANDMARKS = np.array([[69, 111], [108, 111], [88, 135], [73, 152], [105, 152]], np.float32)
FIRST, MADE = 84, 156  # numbers of the first face in the first and in the last panel
EDITS = (("Eyeglasses", 1), ("Smiling", 1), ("Young", -1), ("Blond_Hair", 1), ("Bald", 1), ("Wearing_Hat", 1))
Tile = tuple[Image8 | None, str, tuple[int, int, int]]  # picture, or None for a file that is none; name; its colour


def main() -> None:
    """Write all of them."""
    pictures = {
        "hero": small_png(hero()),
        "augmentations": encode_png(coarse(augmentations())),
        "synthetic": encode_png(synthetic()),
        "edits": small_png(edits()),
    }
    for name, data in pictures.items():
        write_bytes(HERE / f"{name}.png", data)


def hero() -> Image8:
    """Four panels: a messy folder, the same folder cleaned, augmented copies, synthetic faces."""
    smooth = faces(12, SIDE, start=FIRST)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_mess(folder, smooth)
        before = tiles(folder, RED, INK)
        report = clean_folder(folder, CleanPolicy(max_remove=0.5))
        after = tiles(folder, INK, INK, repaired={rename.new for rename in report.renames})
        clean = [read_image(folder / name) for _, name, _ in after]
    warps = OneOf([Elastic(2.5), Twist(20), GaussianBlur(1.5), MotionBlur(7)])
    recipe = Compose([HorizontalFlip(), Rotate(15), Stretch(1.12), Perspective(0.08), warps])
    augmented = [(recipe(clean[k // COLUMNS + 1], key=k), "", INK) for k in range(COLUMNS * ROWS)]  # a face per row
    made = [(np.ascontiguousarray(face), "", INK) for face in faces(COLUMNS * ROWS, SIDE, start=MADE)]
    return panels(
        [("a messy folder", before), ("cleaned", after), ("augmented copies", augmented), ("synthetic faces", made)]
    )


def make_mess(folder: Path, pictures: Sequence[Image8]) -> None:
    """Twelve faces as one finds them: lost digits, endings, copies, a cut-off file, a web page."""
    names = [f"{k:06d}.jpg" for k in range(101, 113)]
    data = dict(zip(names, map(encode_jpeg, pictures), strict=False))
    wrong = {"000103.jpg": "103.jpg", "000106.jpg": "000106.JPG", "000110.jpg": "000110.jpg.jpg"}
    for name, content in data.items():
        write_bytes(folder / wrong.get(name, name), content)
    write_bytes(folder / "000101 (1).jpg", data["000101.jpg"])
    write_bytes(folder / "000105 copy.png", encode_png(read_image(folder / "000105.jpg")))
    write_bytes(folder / "cut off.jpg", data["000108.jpg"][:900])
    write_bytes(folder / "page.jpg", b"<html>404 not found</html>")
    table = "".join(f"{name} 0\n" for name in names)
    write_bytes(folder / "list_eval_partition.txt", table.encode())


def tiles(
    folder: Path, odd: tuple[int, int, int], plain: tuple[int, int, int], repaired: set[str] | None = None
) -> list[Tile]:
    """The pictures of a folder with their names; names that are not CelebA's in another colour, repaired ones too."""
    found: list[Tile] = []
    for file in list_folder(folder).pictures:
        good = len(file.name) == len("000001.jpg") and file.name[:6].isdigit() and file.name.endswith(".jpg")
        colour = GREEN if file.name in (repaired or ()) else plain if good else odd
        try:
            found.append((read_image(folder / file.name), file.name, colour))
        except ImageError:
            found.append((None, file.name, odd))
    return found


def panels(parts: Sequence[tuple[str, Sequence[Tile]]]) -> Image8:
    """Panels of tiles side by side, an arrow before each but the first."""
    width, height = COLUMNS * (SIDE + GAP), TITLE + ROWS * (SIDE + NAME + GAP)
    sheet = Image.new("RGB", (len(parts) * width + (len(parts) - 1) * ARROW + GAP, height), PAPER)
    pen, title, small = ImageDraw.Draw(sheet), ImageFont.load_default(size=20), ImageFont.load_default(size=10)
    for number, (text, content) in enumerate(parts):
        left = GAP + number * (width + ARROW)
        pen.text((left + (width - GAP) / 2, 12), text, INK, title, anchor="ma")
        if number:
            draw_arrow(pen, left - (ARROW + GAP) // 2, TITLE + ROWS * (SIDE + NAME + GAP) // 2)
        for k, (image, name, colour) in enumerate(content[: COLUMNS * ROWS]):
            x, y = left + k % COLUMNS * (SIDE + GAP), TITLE + k // COLUMNS * (SIDE + NAME + GAP)
            if image is None:
                pen.rectangle((x, y, x + SIDE - 1, y + SIDE - 1), (238, 238, 240))
                pen.line((x + 24, y + 24, x + SIDE - 25, y + SIDE - 25), RED, 3)
                pen.line((x + 24, y + SIDE - 25, x + SIDE - 25, y + 24), RED, 3)
            else:
                sheet.paste(Image.fromarray(image), (x, y))
            if colour == GREEN:
                pen.rounded_rectangle((x, y + SIDE + 1, x + SIDE - 1, y + SIDE + NAME - 1), 4, GREEN)
            pen.text((x + SIDE / 2, y + SIDE + 2), name, PAPER if colour == GREEN else colour, small, anchor="ma")
    return np.array(sheet)


def draw_arrow(pen: ImageDraw.ImageDraw, x: int, y: int) -> None:
    """A small arrow to the right around (x, y)."""
    pen.line((x - 10, y, x + 4, y), SOFT, 3)
    pen.polygon([(x + 2, y - 7), (x + 12, y), (x + 2, y + 7)], SOFT)


def augmentations() -> Image8:
    """Every operation at three strengths, landmarks drawn, in two columns."""
    side, cell, heading = 128, 84, 20
    points = crop_points(LANDMARKS, "center178", (side, side), image_size=(218, 178))
    samples = [(face, {"landmarks": points}) for face in faces(13, side, start=40)]
    sheet = preview_sheet(samples, strengths=(0, 0.5, 1), cell=cell)
    half = heading + 7 * (cell + 4)
    right = np.concatenate([sheet[:heading], sheet[half:]])
    right = np.pad(right, ((0, half - len(right)), (0, 0), (0, 0)), constant_values=255)
    return np.concatenate([sheet[:half], right], axis=1)


def synthetic() -> Image8:
    """Faces as the model makes them, 32 x 32 pixels, each pixel drawn twice as wide and high."""
    return grid(faces(60, 32), columns=15, gap=2, enlarge=2)


def edits() -> Image8:
    """The same faces with one attribute changed at a time."""
    source = SyntheticFaceSource("faces-64", seed=2)
    rows = [("as they are", source.latents(8))]
    for name, value in EDITS:
        rows.append((f"{'with' if value > 0 else 'without'} {name}", source.edited_latents(range(8), name, value)))
    shown = [(text, list(source.render(x).permute(0, 2, 3, 1).contiguous().numpy())) for text, x in rows]
    return contact_sheet(shown, cell=64)


def coarse(sheet: Image8, levels: int = 48) -> Image8:
    """The sheet with fewer levels per channel: half of the bytes, and every colour stays what it was."""
    step = 255 / (levels - 1)
    return np.rint(np.rint(sheet / step) * step).astype(np.uint8)


def faces(n: int, side: int, *, start: int = 0) -> list[NDArray[np.uint8]]:
    """Faces of the bundled model, enlarged smoothly to a side."""
    made = SyntheticFaceSource("dcgan-32", seed=0).generate(n, start=start)
    return [crop_face(face, "none", (side, side)) for face in made.permute(0, 2, 3, 1).contiguous().numpy()]


def small_png(sheet: Image8) -> bytes:
    """A PNG in 256 colours: a third of the bytes, and nobody sees it at this size."""
    out = io.BytesIO()
    Image.fromarray(sheet).quantize(256, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


if __name__ == "__main__":
    main()
