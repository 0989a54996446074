"""How a report is displayed: a few facts at a prompt and in a notebook, small tables as text and HTML."""

from __future__ import annotations

import html
import shlex
from abc import ABC, abstractmethod
from collections.abc import Sequence
from numbers import Integral, Real
from typing import TypeAlias

import numpy as np

from faceaug.errors import printable

Fact: TypeAlias = tuple[str, object]  # a name, and a text or number; None and "" are left out
_LINES = 10  # most lines of a repr: the class, then one fact per line
_WIDTH = 100  # most columns of a line


class Presentation(ABC):
    """Base of every report: a ``repr`` of at most ten lines, and a small table in notebooks.

    Subclasses are dataclasses with ``repr=False``; otherwise the generated method would replace this one.
    """

    __slots__ = ()

    @abstractmethod
    def facts(self) -> Sequence[Fact]:
        """The most important facts of the report, at most nine; ``to_json`` has everything."""

    def __repr__(self) -> str:
        shown = self._shown()
        width = max((len(name) for name, _ in shown), default=0)
        lines = (f"  {name:<{width}}  {_text(value)}" for name, value in shown)
        return "\n".join([type(self).__name__, *(_cut(line) for line in lines)])

    def _repr_html_(self) -> str:
        rows = [
            (name, value if isinstance(value, int | float) else _cut(_text(value))) for name, value in self._shown()
        ]
        return f"<p><code>{html.escape(type(self).__name__)}</code></p>{html_table(rows)}"

    def _shown(self) -> list[Fact]:
        return [(name, value) for name, value in self.facts() if value is not None and value != ""][: _LINES - 1]


def argument(path: object) -> str:
    """A path quoted for a shell; a leading dash is hidden by "./", or it would be read as an option."""
    text = str(path)
    return printable(shlex.quote(f"./{text}" if text.startswith("-") else text))


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else printable(value)


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 3]}..."


def html_table(
    rows: Sequence[Sequence[object]], *, header: Sequence[str] = (), labelled: bool = False, texts: int | None = None
) -> str:
    """An HTML table of plain texts. Numbers are right-aligned, with thousands separators and four significant digits.

    Args:
        rows: the cells of each row.
        header: names of the columns.
        labelled: whether the first cell of a row is its heading.
        texts: number of leading text columns; all others are right-aligned. None right-aligns only numbers.
    """
    names = "".join(f'<th scope="col"{_side(texts, k)}>{_word(name)}</th>' for k, name in enumerate(header))
    head = f"<thead><tr>{names}</tr></thead>" if header else ""
    lines = "".join(
        f"<tr>{''.join(_cell(value, labelled and k == 0, _side(texts, k)) for k, value in enumerate(row))}</tr>"
        for row in rows
    )
    return f"<table>{head}<tbody>{lines}</tbody></table>"


def text_table(rows: Sequence[tuple[str, int]]) -> str:
    """The small table at the end of a summary: names left-aligned, counts right-aligned."""
    if not rows:
        return ""
    left = max(len(name) for name, _ in rows)
    right = max(len(f"{count:,}") for _, count in rows)
    return "\n".join(f"  {name:<{left}}  {count:>{right},}" for name, count in rows)


def _cell(value: object, heading: bool, side: str) -> str:
    text = _word(value)
    if isinstance(value, bool | np.bool):
        pass
    elif isinstance(value, Real):
        text = f"{value:,}" if isinstance(value, Integral) else f"{float(value):,.4g}"
        side = ' class="n"'
    return f'<th scope="row"{side}>{text}</th>' if heading else f"<td{side}>{text}</td>"


def _side(texts: int | None, column: int) -> str:
    return "" if texts is None or column < texts else ' class="n"'


def _word(value: object) -> str:
    return html.escape(printable(value))
