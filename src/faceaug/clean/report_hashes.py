"""The hashes that a report offers, computed when they are asked for: most users never do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from faceaug.clean.cutouts import read_layers, shown_layer
from faceaug.clean.hashes import Words, hash_object, phash_words
from faceaug.clean.signatures import content_digest
from faceaug.data.image import read_bytes
from faceaug.errors import ImageError
from faceaug.storage.journal import read_journal
from faceaug.storage.state import state_folder

if TYPE_CHECKING:
    import imagehash


class Hashes(Mapping[str, "imagehash.ImageHash"]):
    """Name of a picture -> its 64-bit pHash. Subtract two hashes for their Hamming distance.

    Each is computed from the file when it is asked for, also where the file has been renamed or set aside since.

    Args:
        root: the folder.
        contents: former name of each readable picture -> digest of its bytes.
    """

    def __init__(self, root: Path, contents: Mapping[str, str]) -> None:
        self._root = root
        self._contents = contents

    def __getitem__(self, name: str) -> imagehash.ImageHash:
        """The hash of a picture.

        Raises:
            KeyError: no readable picture had this name.
            ImageError: the file has changed since, or is gone.
        """
        return hash_object(self._words(name, 8))

    def fine(self, name: str) -> imagehash.ImageHash:
        """The 256-bit pHash of a picture; raises what ``hashes[name]`` raises."""
        return hash_object(self._words(name, 16))

    def __iter__(self) -> Iterator[str]:
        return iter(self._contents)

    def __len__(self) -> int:
        return len(self._contents)

    def _words(self, name: str, size: int) -> Words:
        digest = self._contents[name]
        for path in self._places(name):
            try:
                data = read_bytes(path)
            except ImageError:
                continue
            if content_digest(data) == digest:
                return phash_words(shown_layer(read_layers(data, name=str(path))), size)
        raise ImageError(str(self._root / name), "has changed since the report was made, or is gone")

    def _places(self, name: str) -> Iterator[Path]:
        """Where a picture may be now: under its name, or where later runs have taken it."""
        yield self._root / name
        state = state_folder(self._root, beside=False)
        runs = read_journal(self._root, beside=False).runs
        for first in range(len(runs)):  # the report may be older or younger than any of them
            place = name
            for run in runs[first:]:
                place = next((now for now, moved in run.moved.items() if moved.origin == place), place)
            yield state / place[1:] if place.startswith("/") else self._root / place


NO_HASHES = Hashes(Path(), {})
