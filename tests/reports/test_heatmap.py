from __future__ import annotations

import re

from faceaug.reports.heatmap import Heatmap, heatmap_html

MATRIX = [[1.0, 0.5, -0.8], [0.5, 1.0, float("nan")], [-0.8, float("nan"), 1.0]]


def test_each_known_pair_is_one_cell_with_its_number() -> None:
    page = heatmap_html(Heatmap("Together", ("Male", "Young", "Bald"), MATRIX))
    assert re.findall(r"<title>(.*?)</title>", page) == ["Young, Male: +0.50", "Bald, Male: -0.80"]
    assert re.findall(r'<rect class="(s\d)"[^>]*fill-opacity="([\d.]+)"', page) == [("s0", "0.50"), ("s1", "0.80")]


def test_names_are_escaped_and_the_strongest_pairs_are_said() -> None:
    page = heatmap_html(Heatmap("<T>", ("<b>", "c", "d"), MATRIX, "c and d"))
    assert "<b>" not in page
    assert 'aria-label="&lt;T&gt; c and d"' in page


def test_one_name_has_nothing_to_be_compared_with() -> None:
    assert "There is nothing to compare" in heatmap_html(Heatmap("t", ("one",), [[1.0]]))
