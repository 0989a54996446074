from __future__ import annotations

import json
import os

from faceaug.data.marks import attributes_text, document_with, synthetic_text


def test_a_face_says_its_model_seed_and_key_in_a_fixed_order() -> None:
    text = synthetic_text("faces-64", 7, 3, of_model={"license": "MIT"}, more={"truncation": "2.0"})
    assert list(text.items()) == [
        ("synthetic", "true"),
        ("model", "faces-64"),
        ("license", "MIT"),
        ("seed", "7"),
        ("key", "3"),
        ("truncation", "2.0"),
    ]


def test_attributes_are_names_with_signs() -> None:
    assert attributes_text({"Smiling": 1, "Male": -1}) == "Smiling:1,Male:-1"
    assert attributes_text({}) == ""


def test_a_document_with_a_name_that_is_not_utf8_can_be_read() -> None:
    name = os.fsdecode(b"\xff.png")
    assert json.loads(document_with("faceaug clean", {"name": name}).decode("utf-8"))["name"] == name
