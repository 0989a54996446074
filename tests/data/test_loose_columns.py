from __future__ import annotations

from typing import Any

import pytest

from faceaug.data.loose_columns import plain_columns


def identities(*cells: Any, column: str = "identity") -> tuple[list[Any], tuple[str, ...]]:
    """What becomes of the cells of a column, and the names."""
    rows, names = plain_columns([{"file_name": f"{k}.png", column: cell} for k, cell in enumerate(cells)])
    return [row[column] for row in rows], names


@pytest.mark.parametrize("column", ["identity", "celeb_id"])
@pytest.mark.parametrize("nobody", ["-1", -1, -1.0, "", " ", float("nan")])
def test_what_means_unknown_is_nobody_among_names(nobody: Any, column: str) -> None:
    assert identities("bob", nobody, "ann", column=column) == ([1, -1, 0], ("ann", "bob"))


def test_a_number_among_names_is_a_person_of_that_name() -> None:
    assert identities("alice", 1, "bob", 0) == ([2, 1, 3, 0], ("0", "1", "alice", "bob"))
    assert identities("alice", "1", 1, 1.0) == ([1, 0, 0, 0], ("1", "alice"))


@pytest.mark.parametrize("cells", [(7, -1, 3), ("7", "-1", "3"), ("", "-1")])
def test_numbers_alone_stay_as_they_are(cells: tuple[Any, ...]) -> None:
    assert identities(*cells) == (list(cells), ())


@pytest.mark.parametrize("cell", [["bob"], {"name": "bob"}, True])
def test_what_is_neither_text_nor_number_stays_for_the_table_to_refuse(cell: Any) -> None:
    assert identities("alice", cell) == ([0, cell], ("alice",))


def test_names_are_those_of_the_column_that_is_used() -> None:
    rows = [{"identity": 5, "celeb_id": "ann"}, {"identity": 4, "celeb_id": "bob"}]
    assert plain_columns(rows)[1] == ()
    rows = [{"identity": "x", "celeb_id": "ann"}, {"identity": "y", "celeb_id": "bob"}]
    assert plain_columns(rows)[1] == ("x", "y")
