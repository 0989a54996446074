from __future__ import annotations

from pathlib import Path

from faceaug.clean.faults import FAULTS, FaceChecks, FaultyPicture, Limit
from faceaug.clean.faults_page import Leaving, fault_blocks, fault_groups, fault_list
from faceaug.reports.sections import Notes, Paragraph, Table

CHECKS = FaceChecks(
    pictures=40,
    faces=39,
    calibrated=True,
    limits=(Limit("dark", "grey level", least=88.5, usual=177), Limit("odd-shape", "width over height", 0.7, 0.9, 0.8)),
    faulty=(
        FaultyPicture("a.jpg", ("no-face", "dark"), ("no face was found", "grey level 20"), 0.2),
        FaultyPicture("b.jpg", ("dark",), ("grey level 80",), 0.9),
    ),
    set_aside=("no-face",),
)


class Everywhere:
    def staying(self, name: str) -> Path:
        return Path("here", name)

    def gone(self, name: str) -> Path:
        return Path("away", name)


def test_every_fault_has_a_row_with_its_count_its_meaning_and_its_limit() -> None:
    (table,) = [block for block in fault_blocks(CHECKS, "faces") if isinstance(block, Table)]
    rows = {str(row[0]): row[1:] for row in table.rows}
    assert tuple(rows) == FAULTS
    assert rows["dark"] == (
        2,
        "underexposed: even the bright parts of the face are dark",
        "below 88.5 (grey level)",
        "177",
    )
    assert rows["odd-shape"][2] == "below 0.7 or above 0.9 (width over height)"
    assert rows["no-face"] == (1, "no face was found", "", "")


def test_the_page_says_where_the_limits_come_from_and_how_pictures_are_set_aside() -> None:
    blocks = fault_blocks(CHECKS, "my faces")
    (text,) = [block.text for block in blocks if isinstance(block, Paragraph)]
    assert text == (
        "39 of 40 pictures show a face; 2 have a fault. The limits of what is blurred, dark and so on come from this "
        "folder, within bounds."
    )
    (notes,) = [block for block in blocks if isinstance(block, Notes)]
    assert "faceaug clean 'my faces' --set-aside dark" in str(notes.lines)  # those of no-face leave already


def test_each_picture_is_shown_where_it_is_now_with_its_faults_as_filters() -> None:
    gone, stays = fault_groups(CHECKS, Everywhere(), Leaving(frozenset({"a.jpg"}), "set aside"))
    assert (gone.tags, gone.doubt, stays.tags) == (("no-face", "dark"), 0.2, ("dark",))
    assert (gone.pictures[0].path, gone.pictures[0].mark, gone.pictures[0].stays) == (
        Path("away/a.jpg"),
        "set aside",
        False,
    )
    assert (stays.pictures[0].path, stays.pictures[0].mark, stays.pictures[0].stays) == (
        Path("here/b.jpg"),
        "stays",
        True,
    )
    assert gone.pictures[0].lines == ("no face was found", "grey level 20")


def test_the_list_goes_by_fault() -> None:
    _, _, rows = fault_list(CHECKS)
    assert [row[:2] for row in rows] == [("a.jpg", "no-face"), ("a.jpg", "dark"), ("b.jpg", "dark")]
