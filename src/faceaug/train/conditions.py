"""What the bits of a run depend on besides its config and its faces, and what changed since the session before."""

from __future__ import annotations

import os
import platform
import re
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from faceaug.storage.files import write_json
from faceaug.storage.schema import parse_object
from faceaug.train.record import RUN_FILE, SESSIONS

_PACKAGES = ("faceaug", "torch", "numpy", "opencv-python", "opencv-python-headless", "pillow")
# Settings that choose other kernels than the processor would.
_VARIABLES = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "OPENBLAS_CORETYPE")
_FEATURES = re.compile(r"\b(sse4_[12]|avx\w*|fma|f16c|amx\w*|asimd\w*|sve\w*|bf16|i8mm)\b")
_CPU_INFO = Path("/proc/cpuinfo")
_NAMES = {"threads": "threads of torch", "kernels": "torch's kernels", "features": "processor features"}


def conditions(device: torch.device, processes: int = 1) -> dict[str, str | int]:
    """What decides how a step is rounded: threads, processor, device, versions.

    Args:
        device: where the run computes.
        processes: number of processes that share a batch.
    """
    found: dict[str, str | int] = {
        "threads": torch.get_num_threads(),
        "processes": processes,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "system": f"{platform.system()} {platform.machine()}",
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "features": _features(),
        "python": platform.python_version(),
    }
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # one of the two wheels of OpenCV
            continue
    return found | {name: os.environ[name] for name in _VARIABLES if name in os.environ}


def differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    """What differs, as words; empty if nothing does."""
    changed = [name for name in dict.fromkeys((*before, *now)) if before.get(name) != now.get(name)]
    return ", ".join(_change(_NAMES.get(name, name), before.get(name), now.get(name)) for name in changed)


def begin_session(run: Path, images: int, now: dict[str, str | int]) -> tuple[str, ...]:
    """Record the conditions of a session, and say what differs from those under which the run got here.

    Args:
        run: the run folder.
        images: images shown before this session.
        now: ``conditions`` of this session.

    Returns:
        A note, also given as a warning, or nothing where the run continues to the bit.
    """
    document = parse_object((run / RUN_FILE).read_bytes())
    # A session that ended before its first checkpoint left no trace in the weights.
    sessions = [one for one in _sessions(document) if one["images"] < images]
    words = differences(sessions[-1]["conditions"], now) if sessions else ""
    write_json(run / RUN_FILE, document | {SESSIONS: [*sessions, {"images": images, "conditions": now}]})
    if not words:
        return ()
    note = (
        f"the run goes on after {images:,} images under other conditions ({words}), so it will not equal an "
        "uninterrupted run to the bit; that changes nothing else"
    )
    warnings.warn(note, stacklevel=2)
    return (note,)


def _sessions(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The recorded sessions; an entry that is not one is left out."""
    found = document.get(SESSIONS)
    ours = [one for one in (found if isinstance(found, list) else ()) if isinstance(one, dict)]
    return [one for one in ours if type(one.get("images")) is int and isinstance(one.get("conditions"), dict)]


def _change(name: str, before: Any, now: Any) -> str:
    if isinstance(before, str) and isinstance(now, str) and " " in before + now:
        gone, new = sorted({*before.split()} - {*now.split()}), sorted({*now.split()} - {*before.split()})
        return f"{name}: {' '.join([*('-' + one for one in gone), *('+' + one for one in new)])}"
    return f"{name}: {before or 'none'} before, {now or 'none'} now"


def _features() -> str:
    """Vector extensions of the processor, sorted; its name where the system does not list them."""
    try:
        text = _CPU_INFO.read_text("utf-8", "replace")
    except OSError:
        return platform.processor() or platform.machine()
    lines = re.findall(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return " ".join(sorted(set(_FEATURES.findall(lines[0])))) if lines else platform.machine()
