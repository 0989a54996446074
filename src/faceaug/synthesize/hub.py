"""Models from the Hugging Face hub: from the local cache, and over the network only on request."""

from __future__ import annotations

import re
from pathlib import Path

from faceaug.errors import ArgumentError, FaceAugError, printable
from faceaug.synthesize.weights import CARD, CONFIG, WEIGHTS, Model, find_model, load_folder, parse_pin

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def fetch_model(
    model: str | Path, *, revision: str | None = None, download: bool = False, sha256: str | None = None
) -> Model:
    """Load a model by bundled name, folder or hub id, tried in this order.

    Args:
        model: bundled name, folder or hub id "owner/name".
        revision: branch, tag or commit on the hub.
        download: allow downloading what the local cache lacks.
        sha256: load only the model with this SHA-256 of its config.json, which holds that of the weights.

    Raises:
        ArgumentError: no such model, or the extra ``hub`` is not installed; the message gives advice.
        FaceAugError: the hub could not be reached.
        WeightsError: the model is damaged, or not the pinned one.
    """
    pin = None if sha256 is None else parse_pin(sha256, where=model)
    try:
        folder = find_model(model)
    except ArgumentError:
        if not isinstance(model, str) or not _HUB_ID.fullmatch(model):
            raise
        folder = _fetch(model, revision, download=download)
    return load_folder(folder, sha256=pin)


def _fetch(model: str, revision: str | None, *, download: bool) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError as error:
        raise ArgumentError(
            f"model {printable(model)}: no such folder; for models from the Hugging Face hub: "
            "python -m pip install 'faceaug[hub]'"
        ) from error
    try:
        # Only these three files: a repository may hold anything, pickles included.
        place = snapshot_download(
            model, revision=revision, allow_patterns=[CONFIG, WEIGHTS, CARD], local_files_only=not download
        )
    except LocalEntryNotFoundError as error:
        raise ArgumentError(
            f"model {printable(model)}: no such folder, and not in the local cache of the Hugging Face hub; "
            "use from_pretrained(..., download=True) or --download to download it"
        ) from error
    except (OSError, ValueError) as error:  # the hub's own errors are subclasses of these
        raise FaceAugError(f"model {printable(model)}: the hub refused the download ({error})") from error
    return Path(place)
