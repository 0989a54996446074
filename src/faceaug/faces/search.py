"""Which views of a photo are looked at, and which candidates in them are faces.

Most photos are upright: then one view is enough. A face shows that beyond doubt if both networks are sure of it, agree
where its landmarks are, and O-Net likes it less upside down. Without one, the photo is turned by quarters, then by
eighths of a circle.

A thorough search ends nowhere early: a second face may lie beside an upright one, and who hides faces must find both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from faceaug.data.image import Image8
from faceaug.faces.landmarks import read_landmarks, score_upside_down
from faceaug.faces.onet import ONet
from faceaug.faces.views import View, eighth_turned, quarter_turned, tiles, whole_view
from faceaug.faces.yunet import Candidate, YuNet, same_face

_SURE = (0.8, 0.9)  # least scores of a face that shows which way a photo is up, by YuNet and O-Net
_LEVEL = 40  # degrees by which such a face is turned at most
_AGREED = 0.25  # of the eye distance: mean distance between the points of both networks, at most
_WITNESSES = 3  # faces of a view that are tried
# Least scores of a face, by YuNet and O-Net, as multiples of the threshold; measured with benchmarks/align.py. Where
# one face is certain, others are likely. A picture without any has a few candidates, and more the more it is turned.
_IN_COMPANY = (1.0, 0.6)
_ALONE = (1.2, 1.5)
_TURNED = (1.4, 1.6)
_FINE = 96  # pixels: landmarks are read from a view in which the face is at least this large


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A candidate that O-Net has read.

    Attributes:
        candidate: in the photo.
        landmarks: float64 (5, 2), pixel indices of the photo.
        checked: score of O-Net, 0..1.
        tilt: degrees by which the face is turned in its view, without sign.
        apart: mean distance of the landmarks from the candidate's points, as a share of the eye distance.
    """

    candidate: Candidate
    landmarks: NDArray[np.float64]
    checked: float
    tilt: float
    apart: float

    def reaches(self, scores: tuple[float, float]) -> bool:
        """Whether both scores are at least these."""
        return self.candidate.score >= scores[0] and self.checked >= scores[1]


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """What one orientation of the photo showed; ``sure`` if one face there stands upright beyond doubt."""

    quarters: int
    turned: bool
    found: list[Found]
    sure: bool


class Search:
    """The search for the faces of one photo.

    Args:
        yunet: the detector.
        onet: the network that reads landmarks.
        photo: uint8 (h, w, 3), RGB.
        scales: see ``levels``.
        glance: see ``glance_scale``.
        threshold: see ``FaceFinder``.
        thorough: see ``FaceFinder``.
    """

    def __init__(
        self,
        yunet: YuNet,
        onet: ONet,
        photo: Image8,
        *,
        scales: Sequence[float],
        glance: float | None,
        threshold: float,
        thorough: bool = False,
    ) -> None:
        self._yunet, self._onet, self._threshold, self._thorough = yunet, onet, threshold, thorough
        self._original = View(photo, np.eye(2, 3))
        self._scale = scales[0]
        self._finer = scales[1:]
        self._glance = glance

    @cached_property
    def _coarse(self) -> View:
        """The whole photo, at the coarsest scale."""
        return whole_view(self._original.picture, self._scale)

    def run(self) -> list[Found]:
        """Find the faces, each once."""
        looks = self._orientations()
        sure = [look for look in looks if look.sure]
        found = _best(one for look in looks for one in look.found if one.reaches(self._bar(look, sure)))
        if not self._finer:
            return found
        # Small faces are upright where the large ones are; without any, each quarter turn is tried. (A thorough search
        # has no sure looks.)
        likely = [look.quarters for look in sure] or [0, 1, 2, 3]
        for quarters in dict.fromkeys(likely):
            for scale in self._finer:
                view = quarter_turned(whole_view(self._original.picture, scale), quarters)
                more = self._read(tiles(view), known=found)
                look = _Look(quarters, turned=quarters != 0, found=more, sure=bool(sure) or self._is_sure(more))
                found = _best([*found, *(one for one in more if one.reaches(self._bar(look, sure)))])
            if found and not self._thorough:
                break
        return found

    def _orientations(self) -> list[_Look]:
        """Look at the whole photo upright, then turned, until a face is upright beyond doubt; if thorough, always."""
        if self._glance is not None and not self._thorough:
            glance = self._look(whole_view(self._original.picture, self._glance), 0, turned=False)
            if glance.sure:
                return [glance]
        looks = [self._look(self._coarse, 0, turned=False)]
        if not looks[0].sure:
            looks += [self._look(self._coarse, k, turned=True) for k in (1, 2, 3)]
        if not any(look.sure for look in looks):
            oblique = eighth_turned(self._coarse)
            looks += [self._look(oblique, k, turned=True) for k in range(4)]
        return looks

    def _look(self, view: View, quarters: int, *, turned: bool) -> _Look:
        view = quarter_turned(view, quarters)
        found = self._read([view])
        return _Look(quarters, turned, found, self._is_sure(found))

    def _is_sure(self, found: Iterable[Found]) -> bool:
        """Whether one of the best faces of a view stands upright in it beyond doubt. A thorough search does not ask."""
        return not self._thorough and any(
            score_upside_down(self._onet, self._source(one.candidate), one.candidate) < one.checked
            for one in sorted(found, key=lambda one: -one.candidate.score)[:_WITNESSES]
            if one.reaches(_SURE) and one.tilt <= _LEVEL and one.apart <= _AGREED
        )

    def _bar(self, look: _Look, sure: Sequence[_Look]) -> tuple[float, float]:
        """The scores that a face in a view needs."""
        lenient = look.sure or self._thorough
        by_yunet, by_onet = _IN_COMPANY if lenient else _TURNED if look.turned or sure else _ALONE
        # Views that ask for more than the threshold do not ask for more than the scores of clear faces.
        return min(by_yunet * self._threshold, max(0.85, self._threshold)), min(by_onet * self._threshold, 0.95)

    def _read(self, views: Iterable[View], *, known: Sequence[Found] = ()) -> list[Found]:
        """Read all candidates in views, but for those that are known faces."""
        return [
            self._read_one(candidate, view)
            for view in views
            for candidate in self._yunet.candidates(view)
            if not any(same_face(candidate.box, one.candidate.box) for one in known)
        ]

    def _read_one(self, candidate: Candidate, view: View) -> Found:
        points, score = read_landmarks(self._onet, self._source(candidate), candidate)
        x, y = points[1] - points[0]
        tilt = abs(math.remainder(math.atan2(y, x) - view.turn, 2 * math.pi))
        apart = np.linalg.norm(points - candidate.points, axis=1).mean() / max(math.hypot(x, y), 1e-6)
        return Found(candidate, points, score, math.degrees(tilt), float(apart))

    def _source(self, candidate: Candidate) -> View:
        """The view to read a face from: a large one is read faster where it was made smaller already."""
        if self._scale > 1:
            return self._original
        return self._coarse if candidate.side >= _FINE * self._coarse.scale else self._original


def _best(found: Iterable[Found]) -> list[Found]:
    """The best of those that are the same face."""
    kept: list[Found] = []
    for one in sorted(found, key=lambda one: (-one.candidate.score, one.candidate.box)):
        if not any(same_face(one.candidate.box, other.candidate.box) for other in kept):
            kept.append(one)
    return kept
