from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, strategies as st

from faceaug.reports.plots import Bar, Bars, Histogram, Intervals, bars_html, histogram_html, intervals_html

NUMBERS = st.floats(0, 1)


def test_a_histogram_has_a_column_for_every_count_and_marks_the_line() -> None:
    drawn = histogram_html(Histogram("pairs", (0, 1, 2, 3), {"pairs": (5, 0, 1_000_000)}, ((2, "here"),), "bits"))
    assert drawn.count("<rect") == 3
    assert "1 to 2: 0" in drawn
    assert ">here<" in drawn
    assert ">1M<" in drawn


def test_a_histogram_of_shares_compares_series_of_any_size() -> None:
    drawn = histogram_html(Histogram("far", (0, 0.5, 1), {"few": (1, 1), "many": (100, 100)}, shares=True))
    heights = re.findall(r'<rect [^>]*height="([\d.]+)"', drawn)
    assert len(set(heights)) == 1
    assert "0 to 0.5: 50.0%" in drawn


@pytest.mark.parametrize("edges", [(0, 1), (2, 2)])
def test_a_histogram_of_nothing_says_so(edges: tuple[float, float]) -> None:
    drawn = histogram_html(Histogram("pairs", edges, {"pairs": (0,)}))
    assert "nothing to count" in drawn
    assert "<svg" not in drawn


def test_bars_say_their_shares_in_words_too() -> None:
    rows = (Bar("Male", (0.4, 0.5), "40% → 50%", 0.5), Bar("Bald", (math.nan, 0.1), "10%"))
    drawn = bars_html(Bars("shares", ("before", "now"), rows, mark="wanted"))
    assert 'aria-label="before 40.0%, now 50.0%, wanted 50.0%"' in drawn
    assert 'aria-label="before unknown, now 10.0%"' in drawn
    assert "40% → 50%" in drawn
    assert drawn.count("<rect") == 3  # an unknown share has no bar
    assert drawn.count('<line class="wanted"') == 1


@pytest.mark.parametrize(
    "plot", [Bars("t", ("a",), (), nothing="No change."), Intervals("t", ("a",), (), "No change.")]
)
def test_a_plot_without_rows_says_why(plot: Bars | Intervals) -> None:
    drawn = bars_html(plot) if isinstance(plot, Bars) else intervals_html(plot)
    assert "No change." in drawn
    assert "<svg" not in drawn


def test_intervals_show_where_values_differ() -> None:
    rows = [("mean", [(0.62, 0.64, 0.66), (0.66, 0.68, 0.69)])]
    drawn = intervals_html(Intervals("accuracy", ("real", "all"), rows))
    assert drawn.count("<circle") == 2
    assert 'aria-label="real 64.0% (62.0% to 66.0%), all 68.0% (66.0% to 69.0%)"' in drawn
    assert [f">{tick}<" in drawn for tick in ("55%", "60%", "65%", "70%")] == [False, True, True, True]


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS).map(sorted), min_size=1, max_size=3))
def test_no_interval_leaves_the_plot(spans: list[list[float]]) -> None:
    drawn = intervals_html(Intervals("t", ["s"] * len(spans), [("row", [(a, b, c) for a, b, c in spans])]))
    places = [float(place) for place in re.findall(r'(?:x1|x2|cx)="([\d.]+)%"', drawn)]
    assert places
    assert all(0 <= place <= 100 for place in places)
    for a, b in re.findall(r'<line class="s\d" x1="([\d.]+)%" x2="([\d.]+)%"', drawn):
        assert float(a) <= float(b)


@given(
    st.lists(st.integers(0, 10**9), min_size=1, max_size=20), st.booleans(), st.floats(-1e3, 1e3), st.floats(1e-3, 1e3)
)
def test_no_column_is_higher_than_the_plot(counts: list[int], shares: bool, low: float, width: float) -> None:
    edges = [low + width * k for k in range(len(counts) + 1)]
    drawn = histogram_html(Histogram("t", edges, {"s": counts}, shares=shares))
    heights = [float(height) for height in re.findall(r'<rect [^>]*height="([\d.]+)"', drawn)]
    assert len(heights) == (len(counts) if any(counts) else 0)
    assert all(0 <= height <= 200 for height in heights)
