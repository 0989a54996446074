"""WebDataset shards: tar files of samples, each a picture and a JSON file with its annotations."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faceaug.storage.unfinished import Begun, write_again

SHARD = 1000  # samples per tar file
CARD = "README.md"
# Without it ``datasets`` would read the JSON file next to a single shard as the data.
_CARD = b"""---
configs:
- config_name: default
  data_files: "*.tar"
---
"""


@dataclass(frozen=True, slots=True)
class Shard:
    """A written tar file: its name, and the SHA-256 of its bytes."""

    file: str
    sha256: str

    def to_json(self) -> tuple[str, str]:
        """The line of a ledger."""
        return self.file, self.sha256


class ShardWriter:
    """Collects the samples of one shard in memory; the same samples give the same bytes.

    Args:
        name: name of the tar file, see ``shard_name``.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w")  # noqa: SIM115 - ``write`` closes it

    def add(self, stem: str, picture: bytes, facts: Mapping[str, Any], *, ending: str = ".png") -> None:
        """Add a sample.

        Args:
            stem: name of the sample, without a dot; see ``sample_stem``.
            picture: bytes of the picture.
            facts: annotations, as JSON data; each key has the same type in every sample.
            ending: name ending of the picture.
        """
        for suffix, data in ((ending, picture), (".json", json.dumps(facts).encode())):
            member = tarfile.TarInfo(stem + suffix)
            member.size = len(data)
            self._tar.addfile(member, io.BytesIO(data))

    def close(self) -> bytes:
        """End the shard, and return its bytes."""
        self._tar.close()
        return self._buffer.getvalue()

    def write(self, folder: Path, *, begun: Begun | None = None) -> Shard:
        """Write the shard into a folder, not yet durably; see ``faceaug.storage.durable`` and ``write_again``."""
        data = self.close()
        write_again(folder / self._name, data, begun=begun)
        return Shard(self._name, hashlib.sha256(data).hexdigest())


def sample_stem(number: int) -> str:
    """Name of sample ``number`` of a dataset."""
    return f"{number:09d}"


def shard_name(number: int) -> str:
    """Name of a folder's shard ``number``, from 0."""
    return f"{number:06d}.tar"


def read_shard(values: Any) -> Shard:
    """Read a shard from the line of a ledger.

    Raises:
        ValueError: the values are not those of a shard.
        TypeError: likewise.
    """
    file, sha256 = values
    if not (isinstance(file, str) and isinstance(sha256, str)) or "\0" in file:
        raise ValueError("not a shard")
    return Shard(file, sha256)


def write_card(folder: Path) -> None:
    """Write the dataset card with which ``datasets`` finds the shards of a folder."""
    write_again(folder / CARD, _CARD, durable=True)
