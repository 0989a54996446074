"""Photos as a folder of aligned faces, aligned once: later calls open what the first one wrote."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from faceaug.data.crop import Size
from faceaug.data.folder import FaceFolder
from faceaug.data.layouts.records import ALIGNED
from faceaug.errors import ArgumentError
from faceaug.faces.align import align_folder, has_description, run_identity
from faceaug.faces.align_options import AlignOptions, Finder
from faceaug.faces.templates import Template
from faceaug.progress import Show
from faceaug.storage.files import explained
from faceaug.storage.locks import awaited
from faceaug.storage.schema import parse_json

CACHE = "FACEAUG_CACHE"  # environment variable that names another cache folder


def open_aligned(
    folder: Path | str | FaceFolder,
    *,
    template: Template = "celeba",
    size: int | Size | None = None,
    cache: Path | str | None = None,
    workers: int | None = None,
    finder: Finder | None = None,
    progress: Show = None,
) -> FaceFolder:
    """Open a folder of photos as a folder of their largest faces, aligned.

    The faces are kept in a cache, under a name made of everything that decides them: the names, sizes and times of the
    photos, their tables, the template, the size and the ``repr`` of the finder. Of several processes that need the same
    faces, such as the ranks of a training, one aligns them and the others wait. Whatever else lies in the cache stays;
    it may be removed at any time.

    Args:
        folder: a folder, archive or ``FaceFolder`` of photos.
        template: see ``align_folder``.
        size: see ``align_folder``.
        cache: folder of the cache; None for ``cache_folder()``.
        workers: see ``align_folder``.
        finder: see ``align_folder``.
        progress: see ``align_folder``.

    Raises:
        ArgumentError: the ``repr`` of ``finder`` does not say how it is configured, so that a cache cannot know it.
        FaceAugError: see ``align_folder``.

    Example:
        >>> from faceaug import SyntheticFaceSource
        >>> from faceaug.faces import open_aligned
        >>> _ = SyntheticFaceSource("faces-64", seed=0).save("photos", 3)
        >>> faces = open_aligned("photos", template="arcface", cache="cache")
        >>> faces[0][0].shape, open_aligned("photos", template="arcface", cache="cache").root == faces.root
        ((112, 112, 3), True)
    """
    given = folder if isinstance(folder, FaceFolder) else FaceFolder(folder)
    options = AlignOptions(template=template, size=size)
    if not has_description(finder):
        raise ArgumentError(
            f"finder {finder!r}: a cache needs a repr that says how it is configured; give its class a __repr__ (a "
            "dataclass has one), or call align_folder"
        )
    identity = json.loads(json.dumps(run_identity(given, options, finder)))
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    out = (cache_folder() if cache is None else Path(cache)) / "aligned" / f"{template}-{digest[:32]}"
    if not _is_finished(out, identity):
        lock = out.parent.with_name("locks") / out.name
        with explained(lock):
            lock.parent.mkdir(parents=True, exist_ok=True)
        with awaited(lock):  # the ranks of a training begin together
            if not _is_finished(out, identity):
                align_folder(
                    given, out, template=template, size=size, workers=workers, finder=finder, progress=progress
                )
    return FaceFolder(out)


def cache_folder() -> Path:
    """The folder for what can be computed again: that of FACEAUG_CACHE, or the user's."""
    named = os.environ.get(CACHE)
    if named:
        return Path(named)
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "faceaug"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "faceaug"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "faceaug"


def _is_finished(out: Path, identity: dict[str, Any]) -> bool:
    try:
        found = parse_json((out / ALIGNED).read_bytes())
    except (OSError, ValueError):  # ``align_folder`` says what is in its way
        return False
    return isinstance(found, dict) and found.get("finished") is True and found.get("run") == identity
