"""The finder beside other libraries: the same photos, one after the other, each library in a process of its own."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from align_truth import Found, Photo, best_error, load, missed_and_false, turned

SMALL = "mtfl-lfw_5590"


@dataclass
class Peer:
    """A process of align_peer.py, and what came out."""

    name: str
    process: subprocess.Popen[str]
    versions: dict[str, str]
    errors: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    wanted: int = 0
    missed: int = 0
    false: int = 0
    right: int = 0

    @classmethod
    def start(cls, name: str, python: str) -> Peer:
        """Start the process of a library."""
        command = [python, str(Path(__file__).with_name("align_peer.py")), name]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=environment,
        )  # fmt: skip
        peer = cls(name, process, {})
        peer.versions = peer._answer()
        return peer

    def ask(self, path: Path) -> tuple[list[Found], float]:
        """The faces in a file, and the processor time, ms."""
        assert self.process.stdin is not None
        print(path, file=self.process.stdin, flush=True)
        answer = self._answer()
        return [Found.from_json(face) for face in answer["faces"]], answer["cpu_ms"]

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name}: no answer; is it installed in its Python?")
        found: dict[str, Any] = json.loads(line)
        return found

    def figures(self, photos: int, marked: int, turns: int) -> dict[str, Any]:
        """What the table shows."""
        self.process.communicate()
        return self.versions | {
            "found_of_30px": round(1 - self.missed / self.wanted, 4),
            "false_per_photo": round(self.false / photos, 3),
            "small_found": round(len(self.errors) / marked, 4),
            "small_error_mean": round(statistics.fmean(self.errors), 4),
            "small_error_p90": round(float(np.percentile(self.errors, 90)), 4),
            "turned_right": round(self.right / turns, 4),
            "cpu_ms_median": round(statistics.median(self.milliseconds), 1),
        }


def beside(truth: Path, pythons: dict[str, str], *, n: int) -> dict[str, Any]:
    """Ask each library about the photos of WIDER FACE, the small faces enlarged, and these in four turns.

    Args:
        truth: folder of the sets.
        pythons: interpreter for each library.
        n: photos of each kind at most.
    """
    peers = [Peer.start(name, python) for name, python in pythons.items()]
    photos = load(truth, "wider-val")[:n]
    marked = load(truth, SMALL, enlarged=4)[:n]
    turns = [turned(photo, degrees) for photo in marked[: n // 4] for degrees in (0, 90, 180, 270)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.png"
        for photo in photos:
            _write(path, photo)
            for peer in peers:
                found, spent = peer.ask(path)
                missed, false, wanted = missed_and_false(photo, found, 30)
                peer.missed, peer.false, peer.wanted = (
                    peer.missed + len(missed), peer.false + len(false), peer.wanted + wanted,
                )  # fmt: skip
                peer.milliseconds.append(spent)
                print(
                    photo.name,
                    peer.name,
                    round(spent),
                    "ms",
                    len(missed),
                    "missed",
                    len(false),
                    "false",
                    file=sys.stderr,
                )
        for photo in marked:
            _write(path, photo)
            for peer in peers:
                error = _error(peer, path, photo)
                peer.errors += [] if error is None else [error]
        for photo in turns:
            _write(path, photo)
            for peer in peers:
                error = _error(peer, path, photo)
                peer.right += error is not None and error < 0.15
    return {peer.name: peer.figures(len(photos), len(marked), len(turns)) for peer in peers}


def _error(peer: Peer, path: Path, photo: Photo) -> float | None:
    points = photo.faces[0].points
    assert points is not None
    return best_error(peer.ask(path)[0], points)


def _write(path: Path, photo: Photo) -> None:
    cv2.imwrite(str(path), cv2.cvtColor(photo.image, cv2.COLOR_RGB2BGR))
