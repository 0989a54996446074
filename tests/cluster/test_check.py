from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from faceaug.cluster.check import check_folder, look_at
from faceaug.errors import ArgumentError, FaceAugError
from tests.cluster.engines import LocalEngine
from tests.conftest import picture, write_celeba


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_celeba(tmp_path / "faces", [picture(k, height=24, width=24) for k in range(20)])


def test_a_cluster_that_sees_the_folder_is_told_apart_from_one_that_does_not(folder: Path, tmp_path: Path) -> None:
    engine = LocalEngine(nodes=("one", "two", "three"))
    engine.blind["two"] = lambda task: look_at((str(tmp_path / "not mounted"), task[1]))
    engine.blind["three"] = lambda _: FaceAugError("node three does not answer: timed out")
    one, two, three = check_folder(engine, folder)
    assert (one.faults, one.node) == ((), "one.example (10.0.0.1)")
    assert "ok, 20 pictures" in one.line()
    assert "GB free" in one.line()
    assert two.faults == (f"does not see {folder.resolve()}; mount it there under the same path",)
    assert three.line() == "three.example (10.0.0.3): node three does not answer: timed out"
    assert [node.to_json()["ok"] for node in (one, two, three)] == [True, False, False]


def test_another_number_content_or_version_is_named(folder: Path) -> None:
    engine = LocalEngine()

    def other(task: Any) -> Any:
        seen = look_at(task)
        digests = ((seen.digests[0][0], "0" * 64), *seen.digests[1:])
        versions = tuple((name, "0.1" if name == "Pillow" else version) for name, version in seen.versions)
        return replace(seen, pictures=19, digests=digests, versions=versions)

    engine.blind["two"] = other
    faults = check_folder(engine, folder)[1].faults
    assert [fault.split(",")[0] for fault in faults[:2]] == [
        f"sees 19 pictures in {folder.resolve()}",
        "img_align_celeba/000001.png has another content there",
    ]
    assert faults[2].startswith("Pillow 0.1 there, ")


def test_a_folder_that_this_machine_does_not_have_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no such folder"):
        check_folder(LocalEngine(), tmp_path / "nothing")
