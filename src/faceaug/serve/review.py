"""The state behind `faceaug clean --review`: what is proposed, what was applied. No HTTP, no torch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from faceaug.clean import CleanReport, Decisions, UndoReport
from faceaug.clean.page import clean_blocks
from faceaug.errors import ArgumentError, RefusedError, counted, printable
from faceaug.reports.gallery import webp_thumbnail
from faceaug.reports.render import render_page
from faceaug.storage.journal import read_journal
from faceaug.storage.state import state_folder

ALL = "all"  # all pictures of a group stay
PICTURES = "picture"  # addresses are "picture/0", "picture/1", ...
_HEIGHT, _QUALITY = 288, 80  # of a thumbnail
_KEPT = 4_000  # thumbnails kept in memory


class Review:
    """A folder whose plan a person looks at, and what was done to it.

    Args:
        plan: the report of a dry run.
        apply: carries out decisions about the plan.
        undo: undoes what ``apply`` did.

    Attributes:
        plan: the proposals.
        applied: the report of what was applied and not undone; None before.
    """

    def __init__(
        self, plan: CleanReport, *, apply: Callable[[Decisions], CleanReport], undo: Callable[[], UndoReport]
    ) -> None:
        self.plan = plan
        self.applied: CleanReport | None = None
        self._apply = apply
        self._undo = undo
        self._root = Path(plan.folder)
        self._paths: list[Path] = []
        self._decided: dict[str, int | str] = {}
        self._said = ""
        self._work = threading.Lock()
        self._page = self._render().encode("utf-8", "backslashreplace")
        self._thumbnail = lru_cache(_KEPT)(self._drawn)

    def page(self) -> bytes:
        """The page; it links its style and scripts, and asks for the pictures that it shows."""
        return self._page

    def picture(self, number: int) -> bytes:
        """A thumbnail as WebP, of a picture that the page names; empty for any other and unreadable ones."""
        return self._thumbnail(number) if 0 <= number < len(self._paths) else b""

    def state(self, **more: object) -> dict[str, Any]:
        """What the page should show."""
        return {"applied": self.applied is not None, "said": self._said, "decisions": self._decided} | more

    def apply(self, decided: Mapping[str, object]) -> dict[str, Any]:
        """Carry out the plan with these decisions, and return the state.

        Args:
            decided: number of a group -> "all", or the number of the picture that stays in place of the first.

        Raises:
            ArgumentError: no such group or picture.
            FaceAugError: see ``clean_folder``; nothing was changed.
        """
        with self._alone():
            if self.applied is not None:
                raise RefusedError("this was applied already; undo it first")
            decisions, plain = self._read(decided)
            report = self._apply(decisions)
            self._decided = plain
            if report.run is None:
                self._said = _idle(report)
                return self.state()
            self.applied = report
            self._thumbnail.cache_clear()
            self._said = _done(report)
            return self.state()

    def undo(self) -> dict[str, Any]:
        """Undo what was applied, and return the state.

        Raises:
            FaceAugError: see ``undo_clean``.
        """
        with self._alone():
            if self.applied is None:
                raise RefusedError("nothing was applied")
            runs = [run.name for run in read_journal(self._root, beside=False).runs if run.moved and not run.undone]
            if runs[-1:] != [self.applied.run]:
                raise RefusedError(f"run {self.applied.run} is not the last one any more; see faceaug undo")
            done = self._undo()
            self.applied = None
            self._thumbnail.cache_clear()
            left = f" Not put back: {', '.join(f'{name} {why}' for name, why in done.left[:3])}." if done.left else ""
            self._said = f"Undone: {counted(done.restored, 'file is', 'files are')} as before.{left}"
            return self.state()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._work.acquire(blocking=False):
            raise RefusedError("another page is at work on this folder; wait until it is done")
        try:
            yield
        finally:
            self._work.release()

    def _read(self, decided: Mapping[str, object]) -> tuple[Decisions, dict[str, int | str]]:
        decisions = self.plan.decisions()
        groups = list(decisions.groups)
        plain: dict[str, int | str] = {}
        for key, value in decided.items():
            number = int(key) if key.isascii() and key.isdigit() and len(key) < 10 else -1
            if not 0 <= number < len(groups):
                raise ArgumentError(f"{printable(key)}: no such group")
            pictures = groups[number].pictures
            if value == ALL:
                groups[number] = replace(groups[number], stays=None)
                plain[key] = ALL
            elif isinstance(value, int) and 0 <= value < len(pictures):
                groups[number] = replace(groups[number], stays=pictures[value].name)
                plain[key] = int(value)
            else:
                raise ArgumentError(f"group {key}: {printable(value)}: no such picture")
        return replace(decisions, groups=tuple(groups)), plain

    def _render(self) -> str:
        numbers: dict[Path, int] = {}

        def address(path: Path) -> str:
            """The address of a picture, numbered as they come."""
            return f"{PICTURES}/{numbers.setdefault(path, len(numbers))}"

        blocks = clean_blocks(self.plan, live=True)
        title = f"faceaug clean: {self.plan.folder}"
        page = render_page(title, blocks, made_by="faceaug clean --review", address=address)
        self._paths = list(numbers)
        return page

    def _drawn(self, number: int) -> bytes:
        return webp_thumbnail(str(self._now(self._paths[number])), _HEIGHT, _QUALITY)

    def _now(self, path: Path) -> Path:
        """Where a picture of the plan is."""
        report = self.applied
        if report is None or report.run is None or not path.is_relative_to(self._root):
            return path
        name = path.relative_to(self._root).as_posix()
        if any(entry.name == name for entry in report.set_aside):
            return state_folder(self._root, beside=False) / "set-aside" / report.run / name
        return self._root / next((rename.new for rename in report.renames if rename.old == name), name)


def _idle(report: CleanReport) -> str:
    """Why a run moved nothing."""
    if report.left:
        return f"Nothing was moved. Left alone: {', '.join(f'{name}: {why}' for name, why in report.left[:3])}."
    return "Nothing was to be done: every picture stays."


def _done(report: CleanReport) -> str:
    """What a run did, in a sentence or two."""
    aside = counted(len(report.set_aside), "picture was", "pictures were")
    names = f", {counted(report.renamed, 'name')} repaired" if report.renamed else ""
    left = f" {counted(report.skipped, 'file was', 'files were')} left alone." if report.skipped else ""
    return f"Done: {aside} set aside{names} (run {report.run}). Nothing was deleted.{left}"
