"""How a report shows itself at a prompt and in a notebook: a few facts, never its thousands of entries."""

from __future__ import annotations

import html
import shlex
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeAlias

from faceaug.errors import printable
from faceaug.reports.shell import html_table

Fact: TypeAlias = tuple[str, object]  # a name, and a text or number; None and "" are left out
_LINES = 10  # of a repr: the class, then one fact on each line
_WIDTH = 100  # columns of one line


class Presentation(ABC):
    """Base of every report: ``repr`` of at most ten lines, and a small table in notebooks.

    A report is a dataclass with ``repr=False``, or the generated method would take the place of this one.
    """

    __slots__ = ()

    @abstractmethod
    def facts(self) -> Sequence[Fact]:
        """What matters most about the report, at most nine facts; the rest is in ``to_json``."""

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
    """A path as a shell wants it on a command line; one that begins with a dash would be an option."""
    text = str(path)
    return printable(shlex.quote(f"./{text}" if text.startswith("-") else text))


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else printable(value)


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 3]}..."
