from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from faceaug.data.shards import ShardWriter, read_shard, sample_stem, shard_name


def test_a_shard_holds_a_picture_and_its_facts_for_each_sample(tmp_path: Path) -> None:
    def write(folder: Path) -> str:
        folder.mkdir()
        writer = ShardWriter(shard_name(4))
        for number in (4000, 4001):
            writer.add(sample_stem(number), b"picture", {"key": number})
        return writer.write(folder).sha256

    digests = [write(tmp_path / name) for name in ("one", "two")]
    path = tmp_path / "one" / "000004.tar"
    assert digests == [hashlib.sha256(path.read_bytes()).hexdigest()] * 2
    with tarfile.open(path) as tar:
        assert tar.getnames() == ["000004000.png", "000004000.json", "000004001.png", "000004001.json"]
        facts = tar.extractfile("000004001.json")
        assert facts is not None
        assert json.loads(facts.read()) == {"key": 4001}
        assert {(member.mtime, member.uid, member.mode) for member in tar} == {(0, 0, 0o644)}


@pytest.mark.parametrize("values", [["a.tar"], ["a.tar", 7], ["a\0.tar", "ab"], None, 7])
def test_values_that_are_no_shard_are_not_read(values: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        read_shard(values)
