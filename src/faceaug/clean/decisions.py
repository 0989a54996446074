"""What a person decides about groups of duplicates, and the file ``decisions.json`` that keeps it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from faceaug.clean.tiers import DuplicateGroup
from faceaug.data.marks import DECISIONS, MADE_BY, document_with
from faceaug.errors import ArgumentError, counted, printable
from faceaug.storage.outputs import write_output

Verdict: TypeAlias = Literal["keep", "swap", "release"]
FILE = "decisions.json"
FORMAT = 1  # value of "decisions" in the file
COMMAND = "faceaug clean"
_DIGEST = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture as the person saw it.

    Attributes:
        name: path below the folder before the run.
        content: BLAKE2b-128 of its bytes, hex.
    """

    name: str
    content: str


@dataclass(frozen=True, slots=True)
class GroupDecision:
    """What happens to one group of duplicates.

    Attributes:
        pictures: at least two; the first is the one that would stay without a decision.
        stays: name of the one that stays; None if all do.

    Raises:
        ArgumentError: there are fewer pictures, or ``stays`` is none of them.
    """

    pictures: tuple[Seen, ...]
    stays: str | None

    def __post_init__(self) -> None:
        if len(self.pictures) < 2:
            raise ArgumentError(f"expected two pictures or more, found {len(self.pictures)}")
        if self.stays is not None and all(seen.name != self.stays for seen in self.pictures):
            raise ArgumentError(f"'stays' {printable(self.stays)}: expected one of its pictures")

    @property
    def verdict(self) -> Verdict:
        """The decision: "keep" for the proposal, "swap" if another picture stays, "release" if all stay."""
        if self.stays is None:
            return "release"
        return "keep" if self.stays == self.pictures[0].name else "swap"

    def to_json(self) -> dict[str, Any]:
        """The group as plain values."""
        stays = {} if self.stays is None else {"stays": self.stays}
        pictures = [{"name": seen.name, "content": seen.content} for seen in self.pictures]
        return {"decision": self.verdict, **stays, "pictures": pictures}


@dataclass(frozen=True, slots=True)
class Decisions:
    """Decisions about all groups of a report. ``report.decisions()`` proposes them.

    Attributes:
        groups: one for each group of the report.
        folder: the folder, as the run spelled it; only shown.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from faceaug import CleanPolicy, clean_folder
        >>> Path("faces").mkdir()
        >>> for name, colour in [("a.png", "red"), ("b.png", "red"), ("c.png", "blue"), ("d.png", "blue")]:
        ...     Image.new("RGB", (64, 64), colour).save(Path("faces", name))
        >>> report = clean_folder("faces", CleanPolicy(max_remove=0.5), dry_run=True)
        >>> decisions = report.decisions().keep("b.png").release("c.png")
        >>> decisions.counts()
        {'keep': 0, 'swap': 1, 'release': 1}
        >>> clean_folder("faces", CleanPolicy(max_remove=0.5), decisions=decisions).set_aside[0].name
        'a.png'
    """

    groups: tuple[GroupDecision, ...]
    folder: str = field(default="", compare=False)

    def keep(self, *names: str) -> Decisions:
        """The same, but these pictures stay, and the others of their groups leave.

        Raises:
            ArgumentError: a picture is in no group.
        """
        return self._decided({name: name for name in names})

    def release(self, *names: str) -> Decisions:
        """The same, but every picture in the groups of these stays.

        Raises:
            ArgumentError: a picture is in no group.
        """
        return self._decided(dict.fromkeys(names))

    def counts(self) -> dict[Verdict, int]:
        """Number of groups for each decision."""
        found = Counter(group.verdict for group in self.groups)
        return {"keep": found["keep"], "swap": found["swap"], "release": found["release"]}

    def to_json(self) -> dict[str, Any]:
        """The content of ``decisions.json``, as plain values."""
        head = {MADE_BY: COMMAND, "decisions": FORMAT, "folder": self.folder}
        return head | {"groups": [group.to_json() for group in self.groups]}

    def save(self, path: Path | str, *, overwrite: bool = False) -> None:
        """Write ``decisions.json``.

        Raises:
            ArgumentError: the name does not end in .json.
            RefusedError: another file is in the way, or the disk is full.
        """
        data = document_with(COMMAND, self.to_json())
        write_output(Path(path), data, [DECISIONS], overwrite=overwrite)

    def _decided(self, stays: Mapping[str, str | None]) -> Decisions:
        place = {seen.name: k for k, group in enumerate(self.groups) for seen in group.pictures}
        groups = list(self.groups)
        for name, kept in stays.items():
            if name not in place:
                raise ArgumentError(f"{printable(name)}: is in none of {counted(len(groups), 'group')}")
            groups[place[name]] = replace(groups[place[name]], stays=kept)
        return replace(self, groups=tuple(groups))


def propose(groups: Iterable[DuplicateGroup], folder: str = "") -> Decisions:
    """The decisions that change nothing about a plan."""
    return Decisions(
        tuple(
            GroupDecision(
                (Seen(group.file, group.content), *(Seen(member.name, member.content) for member in group.members)),
                group.file,
            )
            for group in groups
            if group.content
        ),
        folder,
    )


def read_decisions(path: Path | str) -> Decisions:
    """Read a ``decisions.json``.

    Raises:
        ArgumentError: there is no such file, or it is none of ours; the message says where.
    """
    place = printable(path)
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ArgumentError(f"{place}: expected a {FILE} saved from a report of faceaug clean ({why})") from error
    try:
        return parse_decisions(json.loads(data))
    except ArgumentError as error:
        raise ArgumentError(f"{place}: {error}; save it again from the report") from None
    except (ValueError, RecursionError) as error:
        raise ArgumentError(f"{place}: is no JSON document ({error}); save it again from the report") from None


def parse_decisions(document: object) -> Decisions:
    """Check a document and turn it into decisions.

    Raises:
        ArgumentError: something is missing, is of another type or contradicts something else.
    """
    if not isinstance(document, Mapping) or document.get(MADE_BY) != COMMAND or "decisions" not in document:
        raise ArgumentError(f"is no file of decisions, which begins with {MADE_BY!r}: {COMMAND!r} and has 'decisions'")
    if document["decisions"] != FORMAT:
        raise ArgumentError(f"is of format {document['decisions']!r}, and this version reads format {FORMAT}")
    groups = document.get("groups")
    if not isinstance(groups, list):
        raise ArgumentError("'groups': expected a list")
    found = tuple(_group(group, f"group {number}") for number, group in enumerate(groups, start=1))
    names = Counter(seen.name for group in found for seen in group.pictures)
    twice = [name for name, times in names.items() if times > 1]
    if twice:
        raise ArgumentError(f"{printable(twice[0])}: occurs {names[twice[0]]} times")
    return Decisions(found, str(document.get("folder", "")))


def _group(value: object, where: str) -> GroupDecision:
    if not isinstance(value, Mapping) or not isinstance(value.get("pictures"), list):
        raise ArgumentError(f"{where}: expected 'decision' and a list 'pictures'")
    pictures = tuple(_seen(picture, where) for picture in value["pictures"])
    decision, stays = value.get("decision"), value.get("stays")
    if decision not in ("keep", "swap", "release"):
        raise ArgumentError(f"{where}: 'decision' {decision!r}: expected 'keep', 'swap' or 'release'")
    if stays is not None and not isinstance(stays, str):
        raise ArgumentError(f"{where}: 'stays' {stays!r}: expected the name of a picture")
    if decision == "keep" and stays is None and pictures:
        stays = pictures[0].name
    try:
        made = GroupDecision(pictures, stays)
    except ArgumentError as error:
        raise ArgumentError(f"{where}: {error}") from None
    if made.verdict != decision:
        raise ArgumentError(f"{where}: 'decision' {decision!r} contradicts 'stays' {printable(stays)}")
    return made


def _seen(value: object, where: str) -> Seen:
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str) or not value["name"]:
        raise ArgumentError(f"{where}: expected pictures with 'name' and 'content'")
    content = value.get("content")
    if not isinstance(content, str) or not _DIGEST.fullmatch(content):
        raise ArgumentError(f"{where}, {printable(value['name'])}: 'content': expected 32 digits of a digest")
    return Seen(value["name"], content)
