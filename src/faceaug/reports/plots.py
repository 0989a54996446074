"""The plots of all reports, as SVG at full width: lengths scale with it, texts keep their size.

Colours and widths are in ``report.css``. Every plot repeats its numbers as text, for screen readers.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from faceaug.errors import printable

_TALL = 200  # pixels: height of a histogram
_TOP = 16  # pixels above it
_BELOW = 20  # pixels below it
_THICK = 9  # pixels: height of a bar or an interval
Span: TypeAlias = tuple[float, float, float]  # lower end, value, upper end


@dataclass(frozen=True, slots=True)
class Histogram:
    """A histogram of one or more series.

    Attributes:
        title: title of the plot.
        edges: n + 1 ascending positions.
        series: name -> n counts, >= 0.
        marks: (position, name) of vertical lines.
        unit: text below the axis.
        shares: True draws each series as shares of its sum, on a linear scale; False draws counts on a logarithmic
            scale, so that 3 of 3 million are visible.
    """

    title: str
    edges: Sequence[float]
    series: Mapping[str, Sequence[float]]
    marks: Sequence[tuple[float, str]] = ()
    unit: str = ""
    shares: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of ``Bars``.

    Attributes:
        name: name of the row.
        values: one for each series, 0 to 1; NaN is not drawn.
        text: the values as text, at the end of the row.
        mark: position of a vertical line.
    """

    name: str
    values: Sequence[float]
    text: str
    mark: float | None = None


@dataclass(frozen=True, slots=True)
class Bars:
    """Shares as bars from 0 to 100 %, row by row.

    Attributes:
        title: title of the plot.
        series: names of the series.
        rows: the rows, in drawing order.
        mark: name of the vertical lines.
        nothing: text instead of a plot without rows.
    """

    title: str
    series: Sequence[str]
    rows: Sequence[Bar]
    mark: str = ""
    nothing: str = "There is nothing to compare."


@dataclass(frozen=True, slots=True)
class Intervals:
    """Shares with their uncertainty, row by row, on an axis limited to their range.

    Attributes:
        title: title of the plot.
        series: names of the series.
        rows: (name, a span for each series).
        nothing: text instead of a plot without rows.
    """

    title: str
    series: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Span]]]
    nothing: str = "There is nothing to compare."


def histogram_html(plot: Histogram) -> str:
    """Draw a histogram, or a sentence if every count is 0."""
    low, high = float(plot.edges[0]), float(plot.edges[-1])
    counts = {name: np.asarray(values, float) for name, values in plot.series.items()}
    if high <= low or not any(values.any() for values in counts.values()):
        return _figure(plot.title, (), "<p>There is nothing to count.</p>")
    drawn = {name: _scaled(values, plot.shares) for name, values in counts.items() if values.any()}
    top = max(float(values.max()) for values in drawn.values())
    place = [(edge - low) / (high - low) for edge in plot.edges]
    parts = [_grid(top, plot.shares)]
    for k, name in enumerate(drawn):
        parts.append(_columns(k, place, drawn[name] / top, _tooltips(plot, counts[name])))
    parts += [_mark((min(max(at, low), high) - low) / (high - low)) for at, _ in plot.marks]
    base = _TOP + _TALL
    parts += [_tick((value - low) / (high - low), f"{value:.4g}", base + 16) for value in _round_values(low, high)]
    said = f"{plot.title}. {'; '.join(_most(plot, name, values) for name, values in counts.items())}"
    picture = f'<svg width="100%" height="{base + _BELOW}" role="img" aria-label="{_escaped(said)}">'
    unit = f'<p class="unit">{_escaped(plot.unit)}</p>' if plot.unit else ""
    marks = [("mark", name) for _, name in plot.marks]
    return _figure(plot.title, tuple(drawn), f"{picture}{''.join(parts)}</svg>{unit}", marks=marks)


def bars_html(plot: Bars) -> str:
    """Draw rows of bars, or a sentence if there are none."""
    if not plot.rows:
        return _figure(plot.title, (), f"<p>{_escaped(plot.nothing)}</p>")
    ticks = (0.0, 0.25, 0.5, 0.75, 1.0)
    lines = []
    for row in plot.rows:
        height = _THICK * len(row.values) + 4
        parts = [_rule(tick, height) for tick in ticks]
        parts += [
            f'<rect class="s{k % 4}" x="0" y="{2 + _THICK * k}" width="{_percent(value)}" height="{_THICK - 1}"/>'
            for k, value in enumerate(row.values)
            if not math.isnan(value)
        ]
        parts += [_rule(row.mark, height, kind="wanted")] if row.mark is not None else []
        said = ", ".join(f"{name} {_share(value)}" for name, value in zip(plot.series, row.values, strict=True))
        said += f", {plot.mark} {row.mark:.1%}" if row.mark is not None else ""
        lines.append(_row(row.name, height, parts, said, row.text, bold=row.mark is not None))
    marks = [("wanted", plot.mark)] if any(row.mark is not None for row in plot.rows) else []
    return _figure(plot.title, plot.series, _list(lines, [(tick, f"{tick:.0%}") for tick in ticks]), marks=marks)


def intervals_html(plot: Intervals) -> str:
    """Draw rows of values with intervals, or a sentence if there are none."""
    every = [value for _, spans in plot.rows for span in spans for value in span]
    if not every:
        return _figure(plot.title, (), f"<p>{_escaped(plot.nothing)}</p>")
    step = 0.05 if max(every) - min(every) <= 0.3 else 0.1
    low, high = step * math.floor(min(every) / step + 1e-9), step * math.ceil(max(every) / step - 1e-9)
    high = high if high > low else low + step
    ticks = [step * k / (high - low) for k in range(round((high - low) / step) + 1)]
    lines = []
    for name, spans in plot.rows:
        height = _THICK * len(spans) + 6
        parts = [_rule(tick, height) for tick in ticks]
        for k, span in enumerate(spans):
            left, middle, right = (_percent((value - low) / (high - low)) for value in span)
            y = 3 + _THICK * k + _THICK / 2
            parts.append(f'<line class="s{k % 4}" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>')
            parts.append(f'<circle class="s{k % 4}" cx="{middle}" cy="{y}" r="3.5"/>')
        said = ", ".join(
            f"{series} {value:.1%} ({least:.1%} to {most:.1%})"
            for series, (least, value, most) in zip(plot.series, spans, strict=True)
        )
        lines.append(_row(name, height, parts, said))
    axis = [(tick, f"{low + tick * (high - low):.0%}") for tick in ticks]
    return _figure(plot.title, plot.series, _list(lines, axis))


def _figure(title: str, series: Sequence[str], drawing: str, *, marks: Sequence[tuple[str, str]] = ()) -> str:
    """A drawing with its title, and a legend if it has more than one entry."""
    names = [*((f"s{k % 4}", name) for k, name in enumerate(series)), *marks]
    entries = "".join(f'<span class="{kind}">{_escaped(name)}</span>' for kind, name in names)
    legend = f'<div class="legend">{entries}</div>' if len(names) > 1 else ""
    return f'<figure class="plot"><figcaption>{_escaped(title)}</figcaption>{legend}{drawing}</figure>'


def _list(lines: Iterable[str], axis: Sequence[tuple[float, str]]) -> str:
    labels = "".join(_tick(share, text, 12) for share, text in axis)
    last = f'<li class="axis" aria-hidden="true"><svg width="100%" height="18">{labels}</svg></li>'
    return f'<ul class="rows">{"".join(lines)}{last}</ul>'


def _row(name: str, height: float, parts: Iterable[str], said: str, text: str = "", *, bold: bool = False) -> str:
    drawing = f'<svg width="100%" height="{height}" role="img" aria-label="{_escaped(said)}">{"".join(parts)}</svg>'
    title = f"<b>{_escaped(name)}</b>" if bold else _escaped(name)
    words = f'<span class="said">{_escaped(text)}</span>' if text else ""
    return f'<li title="{_escaped(said)}"><span class="name">{title}</span>{drawing}{words}</li>'


def _columns(series: int, place: Sequence[float], heights: Iterable[float], tooltips: Sequence[str]) -> str:
    """A column for each count, with a line at its top and a tooltip."""
    parts = []
    for left, right, height, text in zip(place[:-1], place[1:], heights, tooltips, strict=True):
        y = _TOP + _TALL * (1 - height)
        box = f'x="{_percent(left)}" y="{y:.1f}" width="{_percent(right - left)}" height="{_TALL * height:.1f}"'
        parts.append(f"<rect {box}><title>{text}</title></rect>")
        if height:
            parts.append(f'<line x1="{_percent(left)}" x2="{_percent(right)}" y1="{y:.1f}" y2="{y:.1f}"/>')
    return f'<g class="column s{series % 4}">{"".join(parts)}</g>'


def _scaled(counts: NDArray[np.float64], shares: bool) -> NDArray[np.float64]:
    return counts / counts.sum() if shares else np.log10(1 + counts)


def _tooltips(plot: Histogram, counts: NDArray[np.float64]) -> list[str]:
    """The tooltip of each column: its range and its count or share."""
    total = max(float(counts.sum()), 1.0)
    return [
        f"{start:.4g} to {end:.4g}: {f'{count / total:.1%}' if plot.shares else f'{count:,.0f}'}"
        for start, end, count in zip(plot.edges[:-1], plot.edges[1:], counts, strict=True)
    ]


def _most(plot: Histogram, name: str, counts: NDArray[np.float64]) -> str:
    """A series in words, for screen readers."""
    if not counts.any():
        return f"{name}: none"
    peak = int(counts.argmax())
    return f"{name}: {counts.sum():,.0f}, most of them from {plot.edges[peak]:.4g} to {plot.edges[peak + 1]:.4g}"


def _grid(top: float, shares: bool) -> str:
    """Horizontal grid lines, labelled at the left above the line; the base line has no label."""
    if shares:
        steps = [(share, f"{share * top:.1%}") for share in (0.5, 1.0)]
    else:
        powers = range(int(math.log10(max(10**top - 1, 1)) + 1e-9) + 1)
        steps = [(math.log10(1 + 10**power) / top, _short(10**power)) for power in powers]
    parts = []
    for share, text in steps:
        y = _TOP + _TALL * (1 - share)
        parts.append(f'<line class="rule" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="0" y="{y - 3:.1f}">{text}</text>')
    base = _TOP + _TALL
    return "".join(parts) + f'<line class="base" x1="0" x2="100%" y1="{base}" y2="{base}"/>'


def _mark(share: float) -> str:
    x = _percent(share)
    return f'<line class="mark" x1="{x}" x2="{x}" y1="2" y2="{_TOP + _TALL}"/>'


def _rule(share: float, height: float, *, kind: str = "rule") -> str:
    return f'<line class="{kind}" x1="{_percent(share)}" x2="{_percent(share)}" y1="0" y2="{height}"/>'


def _round_values(low: float, high: float) -> list[float]:
    """Three to ten round values on an axis: multiples of 1, 2 or 5 times a power of ten."""
    step = 10.0 ** math.floor(math.log10(high - low))
    step = next(step * part for part in (1, 0.5, 0.2, 0.1) if (high - low) / (step * part) >= 3)
    return [step * k for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _tick(share: float, text: str, y: int) -> str:
    anchor = "start" if share <= 0 else "end" if share >= 1 else "middle"
    return f'<text x="{_percent(share)}" y="{y}" text-anchor="{anchor}">{_escaped(text)}</text>'


def _percent(share: float) -> str:
    return f"{100 * min(max(share, 0.0), 1.0):.2f}%"


def _share(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{value:.1%}"


def _short(number: int) -> str:
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number // size}{letter}"
    return str(number)


def _escaped(text: str) -> str:
    return html.escape(printable(text))
