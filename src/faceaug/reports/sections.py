"""What a report consists of: neutral blocks. A report lists them; ``faceaug.reports.render`` draws them.

Texts are plain: nothing here is HTML, and whatever stands in a file name is escaped when it is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from faceaug.data.image import Image8
from faceaug.reports.gallery import Group
from faceaug.reports.plots import Bars, Histogram, Intervals


@dataclass(frozen=True, slots=True)
class Code:
    """Part of a text: a name, a path, a command."""

    text: str


@dataclass(frozen=True, slots=True)
class Strong:
    """Part of a text that nobody may overlook."""

    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """Part of a text that leads to a file beside the report.

    Attributes:
        text: what can be clicked.
        file: name of the file.
    """

    text: str
    file: str


Piece: TypeAlias = str | Code | Strong | Link
Text: TypeAlias = str | tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of what follows.

    Attributes:
        text: plain.
        level: 2 below the title of the page, 3 below a 2.
    """

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A few sentences."""

    text: Text


@dataclass(frozen=True, slots=True)
class Notes:
    """A list of sentences; nothing is drawn where there are none."""

    lines: Sequence[Text]


@dataclass(frozen=True, slots=True)
class Verbatim:
    """Lines as a terminal shows them."""

    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and what belongs to each, as a table of two columns.

    Attributes:
        rows: (name, text or number); None and "" are left out.
        measured: all values are figures and stand right, also where they are texts such as "12.5%".
    """

    rows: Sequence[tuple[str, object]]
    measured: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table that scrolls in its own box; numbers stand right.

    Attributes:
        header: names of the columns.
        rows: texts and numbers; the first of a row is its heading.
        texts: number of columns that hold words; the cells of all others stand right, also where they are texts such
            as "12.5%". None: only numbers stand right.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    texts: int | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """A heading with a count, and a table that may be very long: folded, and cut at 2,000 rows.

    Attributes:
        title: of the list.
        header: names of the columns.
        rows: all of them.
        whole: file beside the report that lists all rows.
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
        text: below it.
    """

    image: Image8
    text: str


@dataclass(frozen=True, slots=True)
class Faces:
    """Pictures side by side in as many rows as the window needs.

    Attributes:
        images: uint8 (height, width, 3), of any size; small ones are enlarged by whole multiples.
        text: below them.
    """

    images: Sequence[Image8]
    text: str


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pictures two by two, one above the other.

    Attributes:
        pairs: (above, below, what is said of the two).
        text: below all of them.
    """

    pairs: Sequence[tuple[Image8, Image8, str]]
    text: str


@dataclass(frozen=True, slots=True)
class Gallery:
    """Groups of pictures with filters and a search, drawn a screenful at a time; at most one on a page."""

    groups: Sequence[Group]


@dataclass(frozen=True, slots=True)
class Details:
    """Blocks that are folded away until somebody unfolds or prints them.

    Attributes:
        summary: the line that can be clicked.
        blocks: what is folded.
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
    | Details
    | Histogram
    | Bars
    | Intervals
)
