from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings, strategies as st

from faceaug.serve import FaceRequest, ParameterError, parse_query
from faceaug.serve.query import FORMATS, MAX_QUERY, own_part

MODELS = ("one", "two")


def test_an_empty_query_is_one_png_face_of_the_first_model_with_any_seed() -> None:
    assert parse_query("", models=MODELS) == FaceRequest(
        n=1, seed=None, face=0, to=None, to_face=0, attributes=(), unasked="typical", model="one", format="png"
    )


def test_every_parameter_is_read() -> None:
    query = "n=5&seed=9223372036854775807&face=3&attributes=Smiling:1,Male:-1&unasked=kept&model=two&format=zip"
    query += "&digest=0123456789abcdef"
    assert parse_query(query, models=MODELS) == FaceRequest(
        n=5, seed=2**63 - 1, face=3, to=None, to_face=0, attributes=(("Male", -1), ("Smiling", 1)), unasked="kept",
        model="two", format="zip", digest="0123456789abcdef",
    )  # fmt: skip


def test_attributes_without_a_model_ask_the_one_that_takes_them() -> None:
    def model(query: str, conditional: str = "two") -> str:
        return parse_query(query, models=MODELS, conditional=conditional).model

    assert [model(""), model("attributes=Male:1"), model("attributes=Male:1&model=one")] == ["one", "two", "one"]
    assert model("attributes=Male:1", conditional="elsewhere") == "one"


def test_a_walk_is_one_row_of_steps() -> None:
    walk = parse_query("seed=1&face=2&to=3&to_face=4&steps=9", models=MODELS)
    assert (walk.seed, walk.face, walk.to, walk.to_face, walk.n) == (1, 2, 3, 4, 9)
    assert (walk.columns, walk.rows) == (9, 1)
    assert parse_query("to=3", models=MODELS).n == 33


def test_empty_values_count_as_not_given_because_forms_send_them() -> None:
    assert parse_query("n=&seed=&attributes=&model=&format=", models=MODELS) == parse_query("", models=MODELS)


@pytest.mark.parametrize(
    ("n", "grid"), [(1, (1, 1)), (2, (2, 1)), (5, (3, 2)), (16, (4, 4)), (17, (5, 4)), (64, (8, 8))]
)
def test_faces_make_a_square(n: int, grid: tuple[int, int]) -> None:
    request = parse_query(f"n={n}", models=MODELS)
    assert (request.columns, request.rows) == grid


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("n=0", "n"), ("n=65", "n"), ("n=1000000000", "n"), ("n=-1", "n"), ("n=1.5", "n"), ("n=1_0", "n"),
        ("n=%209", "n"), ("n=" + "9" * 2000, "n"), ("n=" + quote("\u0667"), "n"), ("n=2&n=2", "n"),
        ("digest=abc", "digest"), ("digest=" + "g" * 16, "digest"), ("digest=" + "0" * 64, "digest"),
        ("seed=9223372036854775808", "seed"), ("seed=-1", "seed"), ("seed=x", "seed"),
        ("face=2147483648", "face"), ("steps=4", "steps"), ("to=1&steps=1", "steps"), ("to=1&steps=65", "steps"),
        ("to_face=1", "to_face"), ("to=1&n=3", "n"), ("to=x", "to"),
        ("attributes=Smiling", "attributes"), ("attributes=Smiling:0", "attributes"),
        ("attributes=Smiling:2", "attributes"), ("attributes=Smile:1", "attributes"),
        ("attributes=Male:1,Male:1", "attributes"), ("attributes=:1", "attributes"),
        ("model=three", "model"), ("model=../../etc/passwd", "model"), ("model=gs://bucket/x", "model"),
        ("unasked=none", "unasked"),
        ("format=gif", "format"), ("format=PNG", "format"), ("N=1", "N"), ("callback=x", "callback"),
        ("seed=%ff", "query"), ("&".join(f"a{k}=1" for k in range(40)), "query"), ("x" * (MAX_QUERY + 1), "query"),
    ],
)  # fmt: skip
def test_an_unusable_parameter_is_named(query: str, parameter: str) -> None:
    with pytest.raises(ParameterError) as found:
        parse_query(query, models=MODELS)
    assert found.value.parameter == parameter
    assert found.value.reason


@pytest.mark.parametrize(
    "mark",
    [
        "utm_source", "UTM_Campaign", "fbclid", "gclid", "msclkid", "igshid", "_ga", "mc_eid", "gclsrc", "fb_source",
        "__hstc", "matomo_kwd", "irclickid", "at_medium",
    ],
)  # fmt: skip
def test_marks_that_links_collect_count_as_not_given(mark: str) -> None:
    assert parse_query(f"{mark}=1&n=5&{mark}=2", models=MODELS) == parse_query("n=5", models=MODELS)


def test_the_page_s_own_parameters_of_a_query_are_unchanged() -> None:
    own = "n=5&attributes=Male%3A1&seed="
    assert own_part(own) == (own, ())
    assert own_part(f"utm_source=a&{own}&fbclid=b&N=1&%C3%A4=2&&=3") == (own, ("N", "\\xe4", "nothing"))
    assert own_part("n=1&n=2") == ("n=1&n=2", ())  # twice the same is for the reader to refuse


def test_a_message_repeats_little_of_a_strangers_text_and_only_printable_ascii() -> None:
    for text in ("\x1b[31m" * 100, "<script>" * 100, "\u202e" * 100):
        with pytest.raises(ParameterError) as found:
            parse_query(urlencode({"format": text}), models=MODELS)
        assert len(str(found.value)) < 400
        assert str(found.value).isascii()
        assert str(found.value).isprintable()


@settings(max_examples=300, deadline=None)
@given(st.one_of(
    st.text(max_size=80),
    st.lists(
        st.tuples(
            st.sampled_from(["n", "seed", "face", "to", "to_face", "steps", "attributes", "model", "format", "x"]),
            st.one_of(st.integers(-9, 2**64).map(str), st.sampled_from(["png", "one", "Male:1"]), st.text(max_size=9)),
        ),
        max_size=6,
    ).map(urlencode),
))  # fmt: skip
def test_any_query_is_a_request_within_its_limits_or_a_named_parameter(query: str) -> None:
    try:
        request = parse_query(query, models=MODELS)
    except ParameterError as error:
        named = error.parameter
    else:
        named = ""
    if named:
        return
    assert 1 <= request.n <= 64
    assert request.seed is None or 0 <= request.seed < 2**63
    assert request.format in FORMATS
    assert request.model in MODELS
    assert request.columns * request.rows >= request.n
