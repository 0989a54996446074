"""How many files this process has read, and could not: on a cluster, that gives away a node that has lost a disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class Reads:
    """A tally since the process started.

    Attributes:
        tried: number of reads.
        failed: number of those that the system refused; damaged files are not among them.
        last: the file of the last refusal.
    """

    tried: int = 0
    failed: int = 0
    last: str = ""

    def fail(self, path: Path | str) -> None:
        """Count a refusal."""
        self.failed += 1
        self.last = str(path)


READS = Reads()
