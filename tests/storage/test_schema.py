from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from faceaug.storage.schema import checked_fields, parse_json, parse_object


@dataclass(frozen=True)
class Facts:
    name: str
    count: int
    share: float = 0.0
    kind: Literal["a", "b"] = "a"
    names: tuple[str, ...] = ()


WHOLE = {"name": "n", "count": 3}


def test_documents_are_parsed_and_deep_ones_are_value_errors() -> None:
    assert parse_json(b'{"a": [1, null]}') == {"a": [1, None]}
    for data in (b"[" * 100_000, b'{"a":' * 100_000, b"", b"\0", b"\xff\xfe", "{"):
        with pytest.raises(ValueError, match=r".+"):
            parse_json(data)
    for data in (b"[]", b"null", b"1", b'"text"'):
        with pytest.raises(ValueError, match="expected a JSON object"):
            parse_object(data)


def test_fields_come_with_their_types_and_unknown_names_are_left_out() -> None:
    found = checked_fields(Facts, WHOLE | {"share": 1, "kind": "b", "names": ["x"], "unknown": 1})
    assert found == {"name": "n", "count": 3, "share": 1, "kind": "b", "names": ("x",)}


@pytest.mark.parametrize(
    "change",
    [
        {"name": None}, {"name": 7}, {"name": ["a"]}, {"name": "\ud800"}, {"count": True}, {"count": 1.0},
        {"count": "1"}, {"count": 2**63}, {"share": "1"}, {"share": float("nan")}, {"share": 10**400}, {"kind": "c"},
        {"kind": ["a"]}, {"names": "text"}, {"names": [1]}, {"names": {"a": 1}},
    ],
)  # fmt: skip
def test_values_of_other_types_are_refused_by_name(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(change))}: expected "):
        checked_fields(Facts, WHOLE | change)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match="count is missing"):
        checked_fields(Facts, {"name": "n"})
