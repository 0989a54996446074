"""Facts about the machine and the call, for the JSON line of every benchmark."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any


def facts(*packages: str) -> dict[str, Any]:
    """Command, date, processor, cores, Python and package versions."""
    return {
        # Paths are shortened to their last part: they say nothing to anybody else.
        "command": " ".join(["python", *map(_shortened, sys.argv)]),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "system": platform.system()},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
    }


def _shortened(word: str) -> str:
    """A word of the command, paths without their folders, also in NAME=PATH."""
    name, equals, value = word.rpartition("=")
    return name + equals + (Path(value).name if Path(value).exists() else value)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        return names[0] if names else platform.machine()
    return platform.processor() or platform.machine()
