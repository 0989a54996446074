from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from faceaug.clean import CleanPolicy, clean_folder
from faceaug.clean.calibrate import PARTS, STEPS, is_copy
from faceaug.clean.compression import compression_of
from faceaug.clean.grids import Sample
from faceaug.clean.near import compare_closely
from faceaug.clean.parts import Box, Parts, examine
from faceaug.clean.verify import PairEvidence, compare_aligned
from faceaug.data.image import Image8, decode, encode_jpeg, encode_png
from faceaug.storage.files import write_bytes
from tests.clean.test_verify import EDITS, detailed
from tests.conftest import picture

ALL = CleanPolicy(max_remove=1)


def read(data: bytes) -> Sample:
    return Sample(decode(data), compression_of(data))


def no_faces(_: Image8) -> list[Box]:
    return []


def parts_of(
    one: Image8 | Sample, other: Image8 | Sample, find_faces: Callable[[Image8], list[Box]] = no_faces
) -> Parts:
    first, second = (x if isinstance(x, Sample) else Sample(np.ascontiguousarray(x)) for x in (one, other))
    return examine(first, second, compare_aligned(first.image, second.image)[1], find_faces)


def copies(one: Image8 | Sample, other: Image8 | Sample) -> bool:
    first, second = (x if isinstance(x, Sample) else Sample(np.ascontiguousarray(x)) for x in (one, other))
    return is_copy(compare_closely(first, second), STEPS[0])


def written(image: Image8, words: str, place: tuple[int, int], size: float = 0.4) -> Image8:
    return np.asarray(cv2.putText(image.copy(), words, place, cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), 1))


# Copies.


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("side", [218, 64])
def test_every_part_of_an_edited_copy_agrees(edit: str, side: int) -> None:
    if side == 64 and edit in {"cropped", "shifted", "blurred"}:
        pytest.skip("the edit is a number of pixels, too many for a small picture")
    for seed in range(3):
        image = detailed(seed) if side == 218 else cv2.resize(picture(seed), (52, 64), interpolation=cv2.INTER_AREA)
        copy = read(encode_jpeg(np.ascontiguousarray(EDITS[edit](image)), quality=92, subsampling=2))
        for pair in ((Sample(image), copy), (copy, Sample(image))):
            found = parts_of(*pair)
            assert found.agreement > PARTS, found
            assert found.overlaid == found.misread == 0


@pytest.mark.parametrize("quality", [10, 20, 40, 80])
@pytest.mark.parametrize("side", [218, 64])
def test_a_copy_of_any_quality_is_explained_by_its_compression(quality: int, side: int) -> None:
    image = cv2.resize(detailed(4), (side * 178 // 218, side), interpolation=cv2.INTER_AREA)
    original = read(encode_jpeg(image, quality=90))
    for subsampling in (0, 1, 2):
        copy = read(encode_jpeg(original.image, quality=quality, subsampling=subsampling))  # type: ignore[arg-type]
        assert parts_of(original, copy).agreement > 0.9


def test_a_small_copy_of_quality_10_is_found() -> None:
    for seed in range(6):
        image = cv2.resize(detailed(seed), (52, 64), interpolation=cv2.INTER_AREA)
        assert copies(image, read(encode_jpeg(image, quality=10, subsampling=2)))


def test_large_pictures_are_copies_too() -> None:
    image = cv2.resize(detailed(1), (1000, 1224), interpolation=cv2.INTER_CUBIC)
    copy = read(encode_jpeg(cv2.resize(image, (800, 980), interpolation=cv2.INTER_AREA), quality=75, subsampling=2))
    assert copies(image, copy)


# Different pictures.


def drawing(*, hair: int = 0, mouth: int = 0, beard: bool = False, side: int = 128) -> Image8:
    image = np.full((512, 512, 3), 255, np.uint8)
    tone = ((30, 30, 30), (190, 140, 70), (150, 20, 20))[hair]
    cv2.ellipse(image, (256, 260), (128, 160), 0, 0, 360, (240, 205, 170), -1)
    cv2.ellipse(image, (256, 200), (138, 120), 0, 180, 360, tone, -1)
    for x in (200, 312):
        cv2.circle(image, (x, 250), 12, (20, 20, 20), -1)
    match mouth:
        case 0:
            cv2.ellipse(image, (256, 330), (46, 34), 0, 20, 160, (0, 0, 0), 5)
        case 1:
            cv2.line(image, (215, 345), (297, 345), (0, 0, 0), 5)
        case _:
            cv2.ellipse(image, (256, 370), (46, 30), 0, 200, 340, (0, 0, 0), 5)
    if beard:
        cv2.ellipse(image, (256, 405), (18, 14), 0, 0, 360, tone, -1)
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize("side", [64, 128, 512])
@pytest.mark.parametrize("quality", [0, 75])
def test_drawn_faces_that_differ_in_one_feature_are_different_pictures(side: int, quality: int) -> None:
    def saved(image: Image8) -> Sample:
        return read(encode_jpeg(image, quality=quality, subsampling=2) if quality else encode_png(image))

    plain = saved(drawing(side=side))
    assert not copies(plain, saved(drawing(hair=1, side=side)))
    assert not copies(plain, saved(drawing(mouth=1, side=side)))
    assert not copies(plain, saved(drawing(mouth=2, side=side)))
    assert not copies(plain, saved(drawing(beard=True, side=side)))


def card(person: int, words: str = "ADA STONE") -> Image8:
    image = np.full((200, 320, 3), 235, np.uint8)
    image[:30] = (30, 70, 140)
    for x in range(8, 320, 10):
        cv2.line(image, (x, 199), (x + 40, 30), (200, 210, 220), 1)
    image[56:150, 16:96] = picture(person, height=94, width=80)
    cv2.putText(image, words, (120, 90), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (30, 70, 140), 1)
    return image


def test_cards_of_one_layout_are_different_pictures() -> None:
    assert not copies(card(1), card(2))
    assert not copies(card(1), card(1, "BEN OKORO"))
    assert copies(card(1), read(encode_jpeg(card(1), quality=70)))


@pytest.mark.parametrize(
    ("first", "second"),
    [("HELLO THERE", "GOOD NIGHT"), ("2031-05-04", "2031-05-07"), ("IT IS NO", "IT IS NOT"), ("No 117", "No 17")],
)
def test_two_captions_are_two_pictures(first: str, second: str) -> None:
    for seed in range(3):
        one, other = (written(detailed(seed), words, (20, 205)) for words in (first, second))
        assert parts_of(one, other).agreement < PARTS


def test_a_small_movement_in_a_face_is_another_picture() -> None:
    image = detailed(5)
    rows, columns = np.mgrid[0:218, 0:178].astype(np.float32)
    near = np.exp(-((columns - 89) ** 2 + (rows - 150) ** 2) / (2 * 18**2)).astype(np.float32)
    moved = cv2.remap(image, columns, rows + 4 * near, cv2.INTER_CUBIC)
    assert parts_of(image, np.asarray(moved)).agreement < PARTS


def test_a_patch_of_another_colour_is_another_picture() -> None:
    image = detailed(6)
    other = image.copy()
    other[90:130, 70:110] = np.clip(other[90:130, 70:110] + np.array([25, 0, -25]), 0, 255)
    assert parts_of(image, other).agreement < PARTS


# Something laid over one of the two.


@pytest.mark.parametrize("place", [(6, 16), (120, 16), (6, 208), (120, 208)])
def test_a_logo_in_a_corner_is_an_overlay(place: tuple[int, int]) -> None:
    image = detailed(3)
    branded = read(encode_jpeg(written(image, "PHOTO", place), quality=92, subsampling=2))
    assert parts_of(image, branded).overlaid == 2
    found = parts_of(branded, image)
    assert (found.overlaid, found.covers_face) == (1, False)
    assert found.agreement > PARTS


def test_a_logo_over_a_face_is_told() -> None:
    image = detailed(3)
    branded = written(image, "PHOTO", (120, 208))
    found = parts_of(image, branded, lambda _: [(100.0, 150.0, 170.0, 215.0)])
    assert (found.overlaid, found.covers_face) == (2, True)
    assert not parts_of(image, branded, lambda _: [(20.0, 30.0, 90.0, 120.0)]).covers_face


@pytest.mark.parametrize("value", [(10, 10, 10), (250, 250, 250), (200, 30, 30)])
def test_a_thing_at_the_edge_is_no_overlay(value: tuple[int, int, int]) -> None:
    image = detailed(3)
    other = cv2.ellipse(image.copy(), (160, 196), (9, 14), 0, 0, 360, value, -1)
    assert parts_of(image, np.asarray(other)).agreement < PARTS


def test_another_colour_of_the_same_brightness_at_the_edge_is_no_overlay() -> None:
    image = detailed(3)
    other = image.astype(float)
    other[190:214, 10:40] += (60, -30.6, 0)
    assert parts_of(image, np.clip(other, 0, 255).astype(np.uint8)).agreement < PARTS


def test_what_lies_in_the_middle_is_no_overlay() -> None:
    image = detailed(3)
    assert parts_of(image, written(image, "PHOTO", (70, 110))).agreement < PARTS


def test_what_is_added_at_the_edge_of_a_drawing_is_part_of_it() -> None:
    plain = drawing()
    hat = plain.copy()
    cv2.rectangle(hat, (40, 4), (88, 14), (40, 40, 200), -1)
    assert parts_of(plain, hat).agreement < PARTS


def test_the_photo_without_the_logo_stays(tmp_path: Path) -> None:
    for k in range(4):
        write_bytes(tmp_path / f"b{k}.png", encode_png(detailed(k)))
    write_bytes(tmp_path / "a0.png", encode_png(written(detailed(0), "2031-05-04", (80, 208), 0.5)))
    report = clean_folder(tmp_path, ALL, dry_run=True)
    assert [(e.name, e.kind, e.keeper) for e in report.set_aside] == [("a0.png", "overlay", "b0.png")]
    assert report.near_duplicates == 1
    assert "but for an overlay, same photo as b0.png" in report.summary()


# Faces.


def test_the_finder_is_asked_only_when_it_can_decide() -> None:
    asked: list[tuple[int, ...]] = []

    def find(image: Image8) -> list[Box]:
        asked.append(image.shape)
        return []

    image = detailed(2)
    parts_of(image, read(encode_jpeg(image, quality=60)), find)
    parts_of(image, picture(9), find)
    assert asked == []
    parts_of(image, written(image, "PHOTO", (6, 16)), find)
    assert len(asked) == 1


def test_a_small_face_in_a_large_photo_is_looked_at_closely() -> None:
    large = cv2.resize(detailed(1), (820, 1004), interpolation=cv2.INTER_CUBIC)
    one, other = large.copy(), large.copy()
    box = (400.0, 300.0, 459.0, 359.0)
    one[300:360, 400:460] = cv2.GaussianBlur(drawing(side=60), (0, 0), 0.6)
    other[300:360, 400:460] = cv2.GaussianBlur(drawing(mouth=1, side=60), (0, 0), 0.6)
    assert parts_of(one, other, lambda _: [box]).agreement < PARTS
    assert parts_of(one, read(encode_jpeg(one, quality=80)), lambda _: [box]).agreement > PARTS


def test_what_was_not_examined_is_no_copy() -> None:
    assert not is_copy(PairEvidence(1, 1, 1, 1, 1, 9, 1, 1, 0), STEPS[0])


@pytest.mark.parametrize("shape", [(16, 16), (17, 90), (40, 20), (24, 400), (1500, 40)])
def test_odd_shapes_are_examined_without_an_error(shape: tuple[int, int]) -> None:
    image = picture(1, height=max(shape[0], 32), width=max(shape[1], 32))[: shape[0], : shape[1]]
    other = np.ascontiguousarray(255 - image)
    for pair in ((image, image), (image, other), (image, read(encode_jpeg(np.ascontiguousarray(image), quality=30)))):
        assert -1 <= parts_of(*pair).agreement <= 1
