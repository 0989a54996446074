"""The blocks that a report consists of. A report lists them; ``faceaug.reports.render`` draws them.

All texts are plain, not HTML; file names and everything else are escaped when drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from faceaug.data.image import Image8
from faceaug.reports.gallery import Choices, Group, Shown
from faceaug.reports.heatmap import Heatmap
from faceaug.reports.plots import Bars, Histogram, Intervals


@dataclass(frozen=True, slots=True)
class Code:
    """Part of a text: a name, a path, a command."""

    text: str


@dataclass(frozen=True, slots=True)
class Strong:
    """Part of a text with strong emphasis."""

    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """A link in a text to a file next to the report.

    Attributes:
        text: text of the link.
        file: name of the file.
    """

    text: str
    file: str


Piece: TypeAlias = str | Code | Strong | Link
Text: TypeAlias = str | tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """A section heading.

    Attributes:
        text: the heading.
        level: 2 for a section, 3 for a subsection; 1 is the title of the page.
    """

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph of text."""

    text: Text


@dataclass(frozen=True, slots=True)
class Notes:
    """A bulleted list; an empty one is not drawn."""

    lines: Sequence[Text]


@dataclass(frozen=True, slots=True)
class Verbatim:
    """Preformatted lines, as in a terminal."""

    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values, as a table of two columns.

    Attributes:
        rows: (name, text or number); None and "" are left out.
        measured: whether all values are figures and right-aligned, including texts such as "12.5%".
    """

    rows: Sequence[tuple[str, object]]
    measured: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table that scrolls in its own box.

    Attributes:
        header: names of the columns.
        rows: texts and numbers; the first cell of a row is its heading.
        texts: number of leading text columns; all others are right-aligned, including texts such as "12.5%". None
            right-aligns only numbers.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    texts: int | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """A heading with a count, and a possibly very long table: folded, and truncated at 2,000 rows.

    Attributes:
        title: title of the list.
        header: names of the columns.
        rows: all rows.
        whole: file next to the report that lists all rows.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    whole: str


@dataclass(frozen=True, slots=True)
class Picture:
    """One wide picture, such as a labelled sheet, in its own scroller.

    Attributes:
        image: uint8 (height, width, 3).
        text: caption.
    """

    image: Image8
    text: str


@dataclass(frozen=True, slots=True)
class Faces:
    """Pictures side by side, wrapped to the width of the window.

    Attributes:
        images: uint8 (height, width, 3), of any size; small ones are enlarged by whole multiples.
        text: caption.
    """

    images: Sequence[Image8]
    text: str


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of pictures, one above the other.

    Attributes:
        pairs: (above, below, caption of the pair).
        text: caption of all pairs.
    """

    pairs: Sequence[tuple[Image8, Image8, str]]
    text: str


@dataclass(frozen=True, slots=True)
class Gallery:
    """Groups of pictures with filters and a search, drawn a screenful at a time; at most one per page.

    Attributes:
        groups: the groups.
        choices: what the reader may decide about them.
    """

    groups: Sequence[Group]
    choices: Choices | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """Pictures in an order that matters, with texts below; any number of these per page.

    Attributes:
        pictures: the pictures, read when they are drawn; all of them are put into the page.
    """

    pictures: Sequence[Shown]


@dataclass(frozen=True, slots=True)
class Details:
    """Blocks that are folded until the reader unfolds or prints them.

    Attributes:
        summary: the line to click.
        blocks: the folded blocks.
    """

    summary: str
    blocks: Sequence[Block]


Block: TypeAlias = (
    Heading
    | Paragraph
    | Notes
    | Verbatim
    | Facts
    | Table
    | Listing
    | Picture
    | Faces
    | Pairs
    | Gallery
    | Ranked
    | Details
    | Heatmap
    | Histogram
    | Bars
    | Intervals
)
