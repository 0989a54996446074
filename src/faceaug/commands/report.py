"""`--report PATH`: the supported formats, and their writers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import click

from faceaug.commands.options import FOLDER, in_a_folder
from faceaug.errors import printable
from faceaug.storage.files import explained, write_bytes, write_json


class _Found(Protocol):
    def to_json(self) -> dict[str, Any]: ...

    def to_csv(self) -> bytes: ...


def _write_page(path: Path, _: _Found, page: Callable[[], str]) -> None:
    write_bytes(path, page().encode("utf-8", "backslashreplace"))


def _write_document(path: Path, report: _Found, _: Callable[[], str]) -> None:
    write_json(path, report.to_json())


def _write_table(path: Path, report: _Found, _: Callable[[], str]) -> None:
    write_bytes(path, report.to_csv())


_WRITERS = {".html": _write_page, ".json": _write_document, ".csv": _write_table}
_DATA = ("metadata.csv", "dataset.json", "config.json", "clean.json")  # a report never replaces what describes data
_TABLES = ("list_", "identity_CelebA")  # CelebA's tables as CSV
*_FIRST, _LAST = _WRITERS
ENDINGS = f"{', '.join(_FIRST)} or {_LAST}"


def _checked(context: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """Check before the work that the report can be written."""
    path = in_a_folder(context, option, path)
    if path is not None and path.is_file() and (path.name in _DATA or path.name.startswith(_TABLES)):
        raise click.BadParameter(f"{printable(path)} is there and holds data: give the report another name")
    if path is None or path.suffix in _WRITERS:
        return path
    small = path.suffix.lower()
    other = path.with_suffix(small if small in _WRITERS else ".html")
    raise click.BadParameter(f"{printable(path)}: expected a name that ends in {ENDINGS}, such as {printable(other)}")


report_option = click.option(
    "--report", type=FOLDER, callback=_checked, help=f"Also write the report to this file ({ENDINGS})."
)


def write_report(path: Path, report: _Found, page: Callable[[], str]) -> None:
    """Write a report in the format given by the file name extension.

    Args:
        path: a path that ``report_option`` has accepted.
        report: the report.
        page: makes the HTML; called only for that format.
    """
    with explained(path):
        _WRITERS[path.suffix](path, report, page)
