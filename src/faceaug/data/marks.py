"""Marks by which files of faceaug are recognised: texts of a PNG, the first lines of a page, table or document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from faceaug.storage.outputs import Kind

_PNG = b"\x89PNG\r\n\x1a\n"
_TOLD = (b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME")  # chunks with texts and the time
_SOFTWARE = "Software"
MADE_BY = "made_by"  # key of a JSON report that names its command
PREVIEW = "faceaug preview"  # this and the next four mark contact sheets
GRID = "faceaug synth --grid"
TOGGLES = "faceaug synth --toggles"
TRAIN = "faceaug train"
DEMO = "faceaug demo"


def synthetic_text(
    model: str,
    seed: int | str,
    key: int,
    *,
    of_model: Mapping[str, str] | None = None,
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Text chunks of a synthetic face, in the order in which they are written.

    Args:
        model: name of the model.
        seed: seed of its stream of faces.
        key: position of the face in the stream.
        of_model: further facts of the model.
        more: further facts of the face.
    """
    facts = {"synthetic": "true", "model": model, **(of_model or {}), "seed": str(seed), "key": str(key)}
    return facts | dict(more or {})


def attributes_text(attributes: Mapping[str, int]) -> str:
    """Requested attributes as text, such as "Smiling:1,Male:-1"."""
    return ",".join(f"{name}:{value}" for name, value in attributes.items())


def sheet_kind(command: str) -> Kind:
    """The contact sheets of a command, such as "faceaug preview"."""
    return Kind(f"a contact sheet of {command}", ".png", partial(has_text, text=sheet_text(command)))


def sheet_text(command: str) -> dict[str, str]:
    """Text chunks of a command's contact sheets."""
    return {_SOFTWARE: command}


_POINTS = ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")
# A replayed picture has the bytes of the original, so that nothing in it can say that it is one.
REPLAYED = tuple(Kind("the same picture", ending, lambda _: False) for ending in (".png", ".jpg"))
# The first two fields of a model as protocol buffer: the version of the format, and the producer.
ONNX = Kind(
    "a model exported by faceaug",
    ".onnx",
    lambda head: re.match(rb"\x08.\x12\x07faceaug", head, re.DOTALL) is not None,
    is_data=False,
)

# Written by safetensors; the first key of its header.
INDEX_MARK = "faceaug index"
INDEX = Kind(
    "an index of faceaug clean --against",
    ".faceaug-index",
    lambda head: f'"{INDEX_MARK}":'.encode() in head[:4096],
    is_data=False,
)


DECISIONS = Kind(
    "a file of decisions of faceaug clean",
    ".json",
    lambda head: re.match(rb'\s*\{\s*"made_by"\s*:\s*"faceaug clean"\s*,\s*"decisions"\s*:', head) is not None,
)


def report_kinds(command: str, headers: Sequence[Sequence[str]]) -> tuple[Kind, ...]:
    """The reports of a command.

    Args:
        command: such as "faceaug clean".
        headers: first columns of the tables that it writes as CSV.
    """
    return (
        Kind(f"a page of {command}", ".html", partial(_is_page, command=command), is_data=False),
        Kind(f"a JSON report of {command}", ".json", partial(_is_document, command=command)),
        Kind(f"a table of {command}", ".csv", partial(starts_with_columns, headers=headers)),
    )


def page_head(command: str) -> str:
    """The beginning of a command's HTML pages."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n<meta name="generator" content="{command}">\n'
    )


def document_with(command: str, document: Mapping[str, object]) -> bytes:
    """A JSON report that names its command."""
    text = json.dumps({MADE_BY: command} | dict(document), indent=2, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")  # JSON escapes, where a name is not UTF-8


def starts_with_columns(head: bytes, *, headers: Sequence[Sequence[str]]) -> bool:
    """Whether a file begins as a CSV table with one of these rows of column names, or with more columns."""
    columns = re.split(rb"\r?\n", head, maxsplit=1)[0].split(b",")
    return any(columns[: len(header)] == [name.encode() for name in header] for header in headers)


LANDMARK_KIND = Kind(
    "a table of faceaug align --only-landmarks",
    ".csv",
    lambda head: starts_with_columns(
        head, headers=[("file_name", *(f"{point}_{axis}" for point in _POINTS for axis in "xy"))]
    ),
    is_data=False,  # it belongs into the folder of the pictures
)
SPLIT_COLUMNS = ("file_name", "partition", "group")  # of the table of faceaug split
SPLIT = Kind("a table of faceaug split", ".csv", partial(starts_with_columns, headers=[SPLIT_COLUMNS]), is_data=False)

PROPOSAL_COLUMNS = ("file_name", "attribute", "given", "proposed", "confidence", "rank")
PROPOSALS = Kind(
    "a table of faceaug clean --check-labels", ".csv", partial(starts_with_columns, headers=[PROPOSAL_COLUMNS])
)


def _is_page(head: bytes, *, command: str) -> bool:
    return head.startswith(page_head(command).encode())


def _is_document(head: bytes, *, command: str) -> bool:
    mark = rf"\s*\{{\s*{json.dumps(MADE_BY)}\s*:\s*{re.escape(json.dumps(command))}"
    return re.match(mark.encode(), head) is not None


def has_text(head: bytes, *, text: Mapping[str, str]) -> bool:
    """Whether a PNG that begins with these bytes has these text chunks."""
    chunks = dict(_text_chunks(head))
    return all(chunks.get(key.encode()) == value.encode() for key, value in text.items())


def is_bare(head: bytes) -> bool:
    """Whether a PNG that begins with these bytes says nothing of itself before its pixels, nor of when it was made."""
    return head.startswith(_PNG) and not any(kind in _TOLD for kind, _ in _chunks(head))


def _text_chunks(head: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The tEXt chunks before the pixels of a PNG: (key, value)."""
    for kind, content in _chunks(head):
        if kind == b"tEXt":
            key, _, value = content.partition(b"\0")
            yield key, value


def _chunks(head: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks before the pixels of a PNG: (kind, content)."""
    place = len(_PNG) if head.startswith(_PNG) else len(head)
    while place + 8 <= len(head):
        size, kind = int.from_bytes(head[place : place + 4], "big"), head[place + 4 : place + 8]
        if kind == b"IDAT":
            return
        yield kind, head[place + 8 : place + 8 + size]
        place += size + 12  # length, kind and checksum
