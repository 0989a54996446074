"""A heat map of correlations as SVG: one cell per pair of names, below the diagonal. Colours are in ``report.css``."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from faceaug.errors import printable

_CELL = 14  # pixels: side of a cell
_LETTER = 6.9  # pixels: width of a letter of a name, roughly


@dataclass(frozen=True, slots=True)
class Heatmap:
    """A symmetric table of numbers from -1 to 1, as colours.

    Attributes:
        title: title of the plot.
        names: n names of rows and columns.
        values: n rows of n numbers; NaN is not drawn.
        said: the numbers that matter as text, for screen readers.
    """

    title: str
    names: Sequence[str]
    values: Sequence[Sequence[float]]
    said: str = ""


def heatmap_html(plot: Heatmap) -> str:
    """Draw a heat map, or a sentence if it has fewer than two names."""
    title = f"<figcaption>{_escaped(plot.title)}</figcaption>"
    n = len(plot.names)
    if n < 2:
        return f'<figure class="plot">{title}<p>There is nothing to compare.</p></figure>'
    left = round(_LETTER * max(map(len, plot.names))) + 8
    parts = []
    for row in range(1, n):
        y = _CELL * (row - 1)
        parts.append(f'<text x="{left - 5}" y="{y + 11}" text-anchor="end">{_escaped(plot.names[row])}</text>')
        parts += [
            _cell(left + _CELL * column, y, plot.values[row][column], f"{plot.names[row]}, {plot.names[column]}")
            for column in range(row)
            if not math.isnan(plot.values[row][column])
        ]
    base = _CELL * (n - 1) + 6
    for column in range(n - 1):
        x = left + _CELL * column + 4
        parts.append(f'<text transform="translate({x} {base}) rotate(90)">{_escaped(plot.names[column])}</text>')
    width, height = left + _CELL * (n - 1) + 4, base + left
    label = _escaped(f"{plot.title} {plot.said}".strip())
    picture = f'<svg width="{width}" height="{height}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    legend = '<div class="legend"><span class="s0">together</span><span class="s1">apart</span></div>'
    return f'<figure class="plot heat">{title}{legend}<div class="scroll" tabindex="0">{picture}</div></figure>'


def _cell(x: int, y: int, value: float, names: str) -> str:
    strength = min(abs(value), 1.0)
    side = f'x="{x}" y="{y}" width="{_CELL - 1}" height="{_CELL - 1}"'
    tooltip = f"<title>{_escaped(names)}: {value:+.2f}</title>"
    return f'<rect class="s{int(value < 0)}" {side} fill-opacity="{strength:.2f}">{tooltip}</rect>'


def _escaped(text: str) -> str:
    return html.escape(printable(text))
