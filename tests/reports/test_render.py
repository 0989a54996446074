from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from typing import get_args

import pytest

from faceaug.data.image import Image8, decode
from faceaug.reports.render import render_page
from faceaug.reports.sections import (
    Block,
    Details,
    Faces,
    Facts,
    Gallery,
    Heading,
    Listing,
    Notes,
    Pairs,
    Paragraph,
    Table,
)
from tests.conftest import picture
from tests.reports.blocks import EVIL, every_block

EMPTY = {"meta", "img", "br", "line", "rect", "circle", "input"}


class Tags(HTMLParser):
    """What a browser would make of a page: elements, their attributes, and whether all that open are closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in EMPTY:
            assert self.open.pop() == tag

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_every_kind_of_block_is_drawn() -> None:
    assert {type(block) for block in every_block("")} == set(get_args(Block))
    for block in every_block("word"):
        assert "word" in render_page("t", [block]).partition("</h1>")[2], type(block)


@pytest.mark.parametrize("block", every_block(EVIL), ids=lambda block: type(block).__name__)
def test_a_hostile_name_stays_text_in_every_block(block: Block) -> None:
    page = render_page(EVIL, [block])
    tags = Tags(page)
    assert not [name for _, attributes in tags.found for name in attributes if name.startswith("on")]
    assert all((image["src"] or "").startswith("data:image/") for image in tags.of("img"))
    assert not any("alert('x')" in script for script in re.findall(r"<script>(.*?)</script>", page, re.DOTALL))
    page.encode("utf-8")  # a byte that is no text is written as \xff
    assert "\\xff" in page


def test_a_page_is_one_file_and_asks_for_nothing() -> None:
    page = render_page("t", every_block("x"))
    assert not re.search(r"https?:|@import|url\(", page)
    linked = [
        value for _, attributes in Tags(page).found for name, value in attributes.items() if name in {"src", "href"}
    ]
    assert {value for value in linked if not (value or "").startswith("data:")} == {"x"}  # the Link
    assert 'loading="lazy"' not in page  # would be missing on paper


def test_what_does_not_move_needs_no_script() -> None:
    assert "<script" not in render_page("t", [Paragraph("x"), Table(("a",), [("b",)])])
    assert "beforeprint" in render_page("t", [Details("more", [Paragraph("x")])])


def test_tables_name_their_columns_and_rows_for_those_who_hear_them() -> None:
    tags = Tags(render_page("t", [Table(("name", "share"), [("Male", "41.2%")], texts=1), Facts([("faces", 7)])]))
    assert [cell.get("scope") for cell in tags.of("th")] == ["col", "col", "row", "row"]
    assert [cell.get("class") for cell in tags.of("td")] == ["n", "n"]
    assert len([box for box in tags.of("div") if box.get("class") == "scroll" and box.get("tabindex") == "0"]) == 2


def test_every_plot_has_its_numbers_as_text() -> None:
    assert all(
        drawing.get("aria-label")
        for drawing in Tags(render_page("t", every_block("x"))).of("svg")
        if drawing.get("role") == "img"
    )
    assert len([d for d in Tags(render_page("t", every_block("x"))).of("svg") if d.get("role") == "img"]) == 4


def test_a_long_list_is_folded_and_cut_and_says_where_all_of_it_is() -> None:
    few = render_page("t", [Listing("names", ("was", "is"), [("a", "b")] * 25, "report.csv")])
    assert "<details>" not in few
    assert "names (25)" in few
    many = render_page("t", [Listing("names", ("was", "is"), [("a", "b")] * 2_345, "report.csv")])
    assert many.count("<td>") == 2_000
    assert "and 345 more, in report.csv" in many
    assert "names (2,345)" in many


def shown(page: str) -> list[tuple[Image8, int]]:
    found = re.findall(r'<img src="data:image/\w+;base64,([^"]+)"[^>]*width="(\d+)"', page)
    return [(decode(base64.b64decode(data)), int(width)) for data, width in found]


def test_small_faces_are_enlarged_by_whole_multiples_and_keep_their_pixels() -> None:
    faces = [picture(1, height=32, width=32), picture(2, height=64, width=64), picture(3, height=20, width=24)]
    for (image, width), face in zip(shown(render_page("t", [Faces(faces, "some")])), faces, strict=True):
        assert (image == face).all()
        assert width % face.shape[1] == 0
        assert max(face.shape) * width // face.shape[1] >= 64


def test_large_pictures_are_packed_smaller() -> None:
    ((image, width),) = shown(render_page("t", [Faces([picture(1)], "one")]))
    assert image.shape == (218, 178, 3)
    assert width == 178
    assert "data:image/jpeg" in render_page("t", [Faces([picture(1)], "one")])


def test_blocks_without_content_draw_nothing() -> None:
    page = render_page("t", [Notes([]), Faces([], "none"), Pairs([], "none"), Facts([("a", None)]), Gallery([])])
    assert page.partition("</h1>")[2].partition("<script>")[0].strip() == ""


def test_a_second_gallery_and_what_is_no_block_are_refused() -> None:
    with pytest.raises(ValueError, match="one gallery"):
        render_page("t", [Gallery([]), Details("more", [Gallery([])])])
    with pytest.raises(TypeError, match="str: not a report block"):
        render_page("t", [Heading("a"), "b"])  # type: ignore[list-item]
