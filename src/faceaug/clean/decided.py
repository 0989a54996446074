"""Carry out what a person decided: check that it still fits the folder, then change who leaves. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from faceaug.clean.decisions import Decisions, GroupDecision, Seen
from faceaug.clean.duplicates import Duplicate, Links, Picture, identity, in_order
from faceaug.clean.scene import Scene
from faceaug.clean.survey import Survey
from faceaug.clean.tiers import Tier
from faceaug.errors import RefusedError, counted, printable, some
from faceaug.presentation import argument
from faceaug.storage.moves import History
from faceaug.storage.records import SET_ASIDE

_TIERS: tuple[Tier, ...] = ("same bytes", "same pixels", "same photo", "overlay", "mirrored")
_NAMED = 3  # groups named in a note


@dataclass(frozen=True, slots=True)
class _Group:
    """A group as it is now.

    Attributes:
        decision: what a person decided.
        here: its pictures that are in the folder, or in a reference folder, by the name that the person saw.
        aside: names of those that earlier runs set aside.
        problems: what does not fit.
    """

    decision: GroupDecision
    here: Mapping[str, Picture]
    aside: frozenset[str]
    problems: tuple[str, ...]

    @property
    def begun(self) -> bool:
        """Whether a run has carried it out, at least in part."""
        return bool(self.aside)


def obey(found: Survey, decisions: Decisions, history: History) -> Survey:
    """The survey with what a person decided.

    Pictures that an earlier run set aside as decided are done, so that a stopped run continues and a second one finds
    nothing to do.

    Args:
        found: the survey, with the pictures that would leave.
        decisions: what a person decided about the groups of an earlier survey.
        history: what earlier runs moved.

    Raises:
        RefusedError: pictures changed or are gone, or the groups are others now; the message names them.
    """
    pictures = {picture.file.name: picture for picture in found.alike.pictures}
    moved = places_of(history)
    faults = found.checks is not None and bool(found.checks.set_aside)
    groups = [_placed(decision, pictures, moved, found.scene, faults=faults) for decision in decisions.groups]
    problems = [problem for group in groups for problem in group.problems] or list(_misfits(groups, found))
    if problems:
        hint = ""
        if any(" undo " in problem for problem in problems):
            hint = f"; `faceaug undo {argument(found.scene.folder)}` puts files back"
        raise RefusedError(
            f"{printable(found.scene.folder)}: the decisions do not fit any more: {some(problems, 4)}{hint}. Make the "
            "report again and decide anew, with the same options. Nothing was changed"
        )
    return _decided(found, groups)


def places_of(history: History) -> dict[str, str]:
    """Former path of every file that was moved and not put back -> its place now."""
    found: dict[str, str] = {}
    for run in reversed(history.runs):
        for place, moved in run.moved.items():
            found[moved.origin] = found.get(place, place)
    return found


def must_stay(scene: Scene, picture: Picture) -> bool:
    """Whether nobody may decide that a picture leaves."""
    return picture.protected or picture.reference or scene.must_stay(picture.file.name)


def _placed(
    decision: GroupDecision,
    pictures: Mapping[str, Picture],
    moved: Mapping[str, str],
    scene: Scene,
    *,
    faults: bool,
) -> _Group:
    """Find the pictures of a group; with ``faults``, the one that stays may have left for a fault of its face."""
    here: dict[str, Picture] = {}
    aside: set[str] = set()
    problems: list[str] = []
    for seen in decision.pictures:
        leaves = decision.stays not in (None, seen.name)
        picture = pictures.get(seen.name) or pictures.get(moved.get(seen.name, ""))
        if picture is not None and picture.signature.content == seen.content:
            here[seen.name] = picture
            if leaves and decision.verdict == "swap" and not picture.reference and must_stay(scene, picture):
                why = "protected" if picture.protected else "named by the metadata"
                problems.append(f"{printable(seen.name)} is to leave, but is {why}")
        elif picture is None and moved.get(seen.name, "").startswith(SET_ASIDE):
            aside.add(seen.name)
            if not leaves and not (faults and decision.verdict == "keep"):
                problems.append(f"{printable(seen.name)} is to stay, but was set aside; undo that run first")
        else:
            problems.append(f"{printable(seen.name)} {_lost(seen, picture, scene)}")
    return _Group(decision, here, frozenset(aside), tuple(problems))


def _lost(seen: Seen, picture: Picture | None, scene: Scene) -> str:
    if picture is not None:
        return "has changed"
    return "cannot be read" if any(file.name == seen.name for file in scene.listing.pictures) else "is gone"


def _misfits(groups: Iterable[_Group], found: Survey) -> Iterator[str]:
    """How the groups of the folder differ from those that a person saw."""
    now: dict[str, list[str]] = {}
    for duplicate in found.leaving.duplicates:
        now.setdefault(duplicate.keeper.file.name, []).append(duplicate.copy.file.name)
    for group in groups:
        names = [picture.file.name for picture in group.here.values()]
        if group.begun:  # what is left of it may be grouped in any way
            for keeper in set(now).intersection(names):
                now[keeper] = [name for name in now[keeper] if name not in names]
                if not now[keeper]:
                    del now[keeper]
        elif set(now.get(names[0], ())) == set(names[1:]):
            del now[names[0]]
        else:
            yield f"{_listed(names)} are no longer one group of which the first would stay"
    for keeper, copies in now.items():
        yield f"{_listed([keeper, *copies])} are a group that nobody decided about"


def _listed(names: list[str]) -> str:
    return " and ".join(map(printable, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _decided(found: Survey, groups: list[_Group]) -> Survey:
    changed = [group for group in groups if group.decision.verdict != "keep"]
    ours = {picture.file.name for group in changed for picture in group.here.values()}
    duplicates = [d for d in found.leaving.duplicates if d.copy.file.name not in ours]
    before = {d.copy.file.name: d for d in found.leaving.duplicates}
    for group in changed:
        duplicates += _swapped(group, before, found.alike.links)
    leaving = replace(
        found.leaving,
        duplicates=tuple(in_order(duplicates)),
        faulty=tuple((file, picture) for file, picture in found.leaving.faulty if file.name not in ours),
    )
    gone = leaving.names()
    renames = tuple(rename for rename in found.names.renames if rename.old not in gone)
    return replace(found, leaving=leaving, renames=renames, notes=(*found.notes, *_notes(groups)))


def _swapped(group: _Group, before: Mapping[str, Duplicate], links: Links) -> Iterator[Duplicate]:
    """The duplicates of the picture that a person chose; none if all stay."""
    stays = group.decision.stays
    if stays is None:
        return
    keeper = group.here[stays]
    for name, copy in group.here.items():
        if name == stays or copy.reference or identity(copy) == identity(keeper):
            continue
        if copy.signature.pixels == keeper.signature.pixels:
            yield Duplicate(copy, keeper)
            continue
        likeness = links.get(frozenset((copy.signature.pixels, keeper.signature.pixels)))
        yield Duplicate(copy, keeper, likeness, None if likeness else _loosest(copy, keeper, before))


def _loosest(one: Picture, other: Picture, before: Mapping[str, Duplicate]) -> Tier:
    """What two copies of a third picture share at least."""
    tiers = [before[picture.file.name].tier for picture in (one, other) if picture.file.name in before]
    return max(tiers, key=_TIERS.index, default="same photo")


def _notes(groups: list[_Group]) -> Iterator[str]:
    """A note on each kind of decision that differs from the proposal."""
    for verdict, said in (("swap", "another picture stays"), ("release", "all pictures stay")):
        chosen = [printable(group.decision.pictures[0].name) for group in groups if group.decision.verdict == verdict]
        if chosen:
            what = counted(len(chosen), "group", "groups")
            yield f"you decided: in {what} {said} ({some(chosen, _NAMED)})"
