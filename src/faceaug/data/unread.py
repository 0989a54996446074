"""Files that this process could not open or read: on a cluster, they give away a node that has lost a disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class UnreadFiles:
    """A tally of failures of the system, not of damaged files.

    Attributes:
        count: number of failures since the process started.
        last: the file of the last one.
    """

    count: int = 0
    last: str = ""

    def note(self, path: Path | str) -> None:
        """Count a file."""
        self.count += 1
        self.last = str(path)


UNREAD = UnreadFiles()
