from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import numpy as np

from faceaug.data.image import decode
from faceaug.reports.shell import contact_sheet, grid, html_image, html_page, html_table, text_table
from tests.conftest import picture


def test_a_grid_holds_every_picture_in_reading_order_with_white_between() -> None:
    images = [picture(k, height=10, width=8) for k in range(5)]
    sheet = grid(images, columns=3, gap=2)
    assert sheet.shape == (10 + 2 + 10, 8 * 3 + 2 * 2, 3)
    for k, image in enumerate(images):
        top, left = k // 3 * 12, k % 3 * 10
        assert np.array_equal(sheet[top : top + 10, left : left + 8], image)
    assert (sheet[10:12] == 255).all()
    assert (sheet[:, 8:10] == 255).all()
    assert (sheet[12:, 20:] == 255).all()


def test_a_grid_enlarges_by_repeating_pixels() -> None:
    image = picture(0, height=4, width=3)
    sheet = grid([image], columns=1, enlarge=3)
    assert sheet.shape == (12, 9, 3)
    assert np.array_equal(sheet[1::3, 1::3], image)
    assert grid([image, image], columns=1, gap=0).shape == (8, 3, 3)


def test_a_contact_sheet_has_a_cell_for_every_picture() -> None:
    rows = [("Rotate", [picture(1), picture(2)]), ("a longer label", [picture(3, height=16, width=16)])]
    sheet = contact_sheet(rows, columns=("weak", "strong"), cell=64)
    assert sheet.dtype == np.uint8
    assert sheet.shape[0] == 20 + 2 * 68
    width = sheet.shape[1] - 2 * 68
    assert width > 60
    assert (sheet[20:88, width : width + 64] != 255).any()
    assert (sheet[88:, width + 68 :] == 255).all()  # the second row has one picture
    assert (sheet[:20, width:] != 255).any()
    sheet[:] = 0  # the caller may draw on it


def test_small_pictures_are_shown_pixel_by_pixel() -> None:
    image = picture(4, height=16, width=16)
    sheet = contact_sheet([("", [image])], cell=64)
    assert np.array_equal(sheet[4:68, 16:80][::4, ::4], image)


def test_a_sheet_without_pictures_is_still_a_picture() -> None:
    assert contact_sheet([("nothing", [])]).ndim == 3
    assert contact_sheet([]).ndim == 3


def test_texts_are_escaped_and_the_page_needs_nothing_else() -> None:
    evil = '<script>alert("x")</script> & {braces}'
    page = html_page(evil, html_table([[evil, 1]], header=[evil]))
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 4
    assert "{braces}" in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    parser = HTMLParser()
    parser.feed(page)
    parser.close()
    assert html_page("t", "<p>{not a field}</p>").count("{not a field}") == 1


def test_numbers_in_a_table_stand_right_and_words_left() -> None:
    cells = re.findall(
        r"<td[^>]*>[^<]*", html_table([[1234567, np.int64(1000), 0.123456, np.float32(2), "12", True, None]])
    )
    assert cells == [
        '<td class="n">1,234,567',
        '<td class="n">1,000',
        '<td class="n">0.1235',
        '<td class="n">2',
        "<td>12",
        "<td>True",
        "<td>None",
    ]


def test_a_picture_lies_inside_the_page() -> None:
    image = picture(5, height=9, width=7)
    tag = html_image(image, alt='"><script>')
    assert 'width="7" height="9"' in tag
    assert "<script>" not in tag
    data = base64.b64decode(re.search(r"base64,([^\"]+)", tag).group(1))
    assert np.array_equal(decode(data), image)
    assert "image/jpeg" in html_image(image, alt="", lossless=False)


def test_a_text_table_lines_up() -> None:
    assert text_table([("kept", 201_326), ("duplicates", 7)]) == "  kept        201,326\n  duplicates        7"
    assert text_table([]) == ""
