"""Ledgers of runs that an earlier version began are read, and continued with a checksum in each line."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from faceaug.data.manifest import COLUMNS, read_line
from faceaug.data.shards import read_shard
from faceaug.mix.written import read_written
from faceaug.storage.ledger import Entry, Ledger

GOLDEN = Path(__file__).parents[1] / "golden" / "ledgers"
READERS: dict[str, Callable[[Any], Entry]] = {
    "expand": read_written,
    "expand-shards": read_written,
    "synth": partial(read_line, columns=len(COLUMNS) + 1),
    "synth-shards": read_shard,
}


@pytest.mark.parametrize("name", READERS)
def test_a_ledger_of_an_earlier_version_is_continued(tmp_path: Path, name: str) -> None:
    text = (GOLDEN / f"{name}.jsonl").read_bytes()
    path = tmp_path / "ledger"
    path.write_bytes(text)
    ledger = Ledger(path, READERS[name])
    ledger.close()
    lines = text.count(b"\n")
    assert len(ledger.entries) == lines > 1
    with_files = {place for place, entry in enumerate(ledger.entries) if entry.file}
    assert ledger.damaged == with_files, "their files are not here"
    written = path.read_bytes().splitlines()
    assert [line.partition(b" ")[2] for line in written] == text.splitlines()
    again = Ledger(path, READERS[name])
    again.close()
    assert again.entries == ledger.entries
    first = ledger.entries[0]
    assert (len(first.sha256), first.file.endswith((".png", ".tar"))) == (64, True)
