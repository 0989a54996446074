"""What the nodes of a cluster must have in common: the versions of everything that decides a result."""

from __future__ import annotations

import hashlib
import platform
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import __version__ as pillow

from faceaug.data.image import load_cv2
from faceaug.errors import FaceAugError, RefusedError

Versions: TypeAlias = tuple[tuple[str, str], ...]  # (package, version), in a fixed order
OPTIONAL = "torch"  # compared only where it is used: cleaning and aligning do not load it
_ABSENT = "none"


@lru_cache(maxsize=1)
def versions_here() -> Versions:
    """The versions in this process. Two sources of one version of faceaug, as in development, are two versions."""
    return (
        ("faceaug", f"{_installed('faceaug')} ({_source_digest()})"),
        ("Python", ".".join(platform.python_version_tuple()[:2])),
        ("OpenCV", _opencv()),
        ("Pillow", pillow),
        ("numpy", np.__version__),
        (OPTIONAL, _installed(OPTIONAL)),
    )


def check_versions(node: str, there: Versions, here: Versions, *, torch: bool) -> None:
    """Refuse a node with other versions, on which a picture could get another result.

    Args:
        node: its name, for the message.
        there: its versions.
        here: those of this process.
        torch: whether torch is used, too.

    Raises:
        RefusedError: one differs; the message names both.
    """
    own, its = dict(here), dict(there)
    names = [name for name in own if name != OPTIONAL or torch]
    found = [f"{name} {its.get(name, _ABSENT)} there, {own[name]} here" for name in names if its.get(name) != own[name]]
    if found:
        raise RefusedError(
            f"node {node} has other versions ({'; '.join(found)}), so that its results could differ; install the same "
            "on every machine"
        )


def _opencv() -> str:
    try:
        return str(load_cv2().__version__)
    except FaceAugError:  # the first picture says what is missing
        return _ABSENT


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return _ABSENT


def _source_digest() -> str:
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:8]
