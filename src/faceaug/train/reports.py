"""The reports of training sessions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faceaug.presentation import Fact, Presentation
from faceaug.train.summary import session_words


@dataclass(frozen=True, slots=True, repr=False)
class SessionReport(Presentation):
    """The result of a training session.

    Attributes:
        run: the run folder.
        model: the model folder in it; None before there is one.
        images: real images shown so far, in all sessions.
        finished: whether ``images`` has reached the config's.
        faces: number of training faces.
        unreadable: pictures left out, a line each.
        seconds: duration of this session.
        added: real images shown in this session; 0 if it ended before its first step.
        minutes: time limit of this session; None for none.
        notes: anything odd about the folder, and which conditions of the bits differ from those of the session before,
            a line each.
    """

    run: Path
    model: Path | None
    images: int
    finished: bool
    faces: int
    unreadable: tuple[str, ...]
    seconds: float
    added: int
    minutes: float | None = None
    notes: tuple[str, ...] = ()

    def summary(self) -> str:
        """How far the run is, whether this session added anything, and where the model is."""
        words = session_words(
            self._shown_so_far(),
            images=self.images,
            added=self.added,
            finished=self.finished,
            minutes=self.minutes,
            seconds=self.seconds,
        )
        return words if self.model is None else f"{words} Model: {self.model}"

    def _shown_so_far(self) -> str:
        """What ``images`` counts, in the words of the summary."""
        return f"images of {self.faces:,} faces"

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "run": str(self.run),
            "model": None if self.model is None else str(self.model),
            "images": self.images,
            "finished": self.finished,
            "faces": self.faces,
            "unreadable": list(self.unreadable),
            "seconds": round(self.seconds, 2),
            "added": self.added,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True, repr=False)
class TrainReport(SessionReport):
    """The result of a session of training a generator; see ``SessionReport`` for the other attributes.

    Attributes:
        model: the model folder, loadable by ``SyntheticFaceSource``.
        notes: also what is odd about the faces that were learnt.
        health: what the watch saw at the end: "healthy", "early" (too few images to judge), "one-sided" (the
            discriminator is never wrong), "collapsed" or "dead"; None before the first step.
        alarms: what is wrong with the model, a line each.
    """

    model: Path
    health: str | None = None
    alarms: tuple[str, ...] = ()

    def facts(self) -> list[Fact]:
        """The facts that a prompt or a notebook shows; see ``Presentation``."""
        return [
            ("model", self.model),
            ("images shown", self.images),
            ("in this session", self.added),
            ("finished", self.finished),
            ("training faces", self.faces),
            ("unreadable", len(self.unreadable)),
            ("seconds", round(self.seconds, 1)),
            ("notes", len(self.notes)),
            ("health", self.health),
        ]

    def summary(self) -> str:
        """How far the run is, where the model is, and what is wrong with it."""
        words = SessionReport.summary(self)  # ``super()`` does not work in a dataclass with slots
        return "\n".join([words, *(f"warning: {alarm}" for alarm in self.alarms)])

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return SessionReport.to_json(self) | {"health": self.health, "alarms": list(self.alarms)}


@dataclass(frozen=True, slots=True, repr=False)
class ClassifierReport(SessionReport):
    """The result of a session of training a classifier; see ``SessionReport`` for the other attributes.

    Attributes:
        model: the model folder, loadable by ``load_classifier``; None before the run is finished.
        faces: number of training faces, without those held back.
        held_back: number of faces that selected weights and thresholds.
        attributes: the attributes that were learnt.
        metrics: figures on unseen faces; None without such faces, or before the run is finished.
    """

    held_back: int = field(kw_only=True)
    attributes: tuple[str, ...] = field(kw_only=True)
    metrics: dict[str, Any] | None = field(kw_only=True)

    def facts(self) -> list[Fact]:
        """The facts that a prompt or a notebook shows; see ``Presentation``."""
        return [
            ("model", self.model),
            ("run", self.run),
            ("faces shown", self.images),
            ("in this session", self.added),
            ("finished", self.finished),
            ("training faces", self.faces),
            ("held back", self.held_back),
            ("attributes", len(self.attributes)),
            ("seconds", round(self.seconds, 1)),
        ]

    def _shown_so_far(self) -> str:
        return "faces"

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        found = SessionReport.to_json(self)  # ``super()`` does not work in a dataclass with slots
        own = {"held_back": self.held_back, "attributes": list(self.attributes), "metrics": self.metrics}
        run = {name: found[name] for name in ("run", "model", "images", "finished", "faces")}
        return run | own | found
