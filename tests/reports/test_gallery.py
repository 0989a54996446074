from __future__ import annotations

import json
import re
from typing import Any

from faceaug.reports.gallery import Group, Shown, groups_html


def chunks(page: str) -> dict[str, Any]:
    found = re.findall(r'<script type="application/json" id="(faces-[^"]*)">(.*?)</script>', page, re.DOTALL)
    return {name: json.loads(text) for name, text in found}


def test_many_groups_lie_in_chunks_that_are_drawn_when_asked_for() -> None:
    groups = [Group((Shown(f"a/{k}.jpg", None), Shown(f"a/{k}b.jpg", None)), ("same photo",)) for k in range(1001)]
    page = groups_html(groups)
    data = chunks(page)
    assert len(data) == 22
    assert data["faces-index"]["below"] == "a/"
    assert data["faces-20"] == [[["same photo"], [["1000.jpg", "", [], 1, "stays"], ["1000b.jpg", "", [], 1, "stays"]]]]
    assert len(page) < 200_000
    assert groups_html([]) == ""


def test_hostile_names_cannot_leave_their_place() -> None:
    name = "</script><script>alert(1)</script>.jpg"
    page = groups_html([Group((Shown(name, None), Shown("\udcff\n.jpg", None)), ("same bytes",))])
    assert page.count("</script>") == 2  # the index and one chunk
    assert chunks(page)["faces-0"][0][1][1][0] == "\\xff\\n.jpg"
