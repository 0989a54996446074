from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from faceaug.data.folder import FaceFolder
from faceaug.errors import ArgumentError
from faceaug.faces import AlignOptions, FaceFinder, align_cache
from faceaug.faces.align import run_identity
from faceaug.faces.align_cache import cache_folder, open_aligned
from tests.faces.stand_in import face_at, write_photos


def test_photos_are_aligned_once_for_each_template_and_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finder = write_photos(tmp_path / "photos", {f"{k}.png": [face_at(320, 260, 60)] for k in range(3)})
    calls = []
    align = align_cache.align_folder

    def counted(*arguments: object, **options: object) -> object:
        calls.append(options["template"])
        return align(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(align_cache, "align_folder", counted)

    def opened(**options: object) -> Path:
        return open_aligned(tmp_path / "photos", cache=tmp_path / "cache", finder=finder, **options).root  # type: ignore[arg-type]

    first = opened()
    assert opened() == first
    assert len({first, opened(template="arcface"), opened(size=64)}) == 3
    assert calls == ["celeba", "arcface", "celeba"]
    (tmp_path / "photos" / "1.png").touch()
    assert opened() != first
    (tmp_path / "photos" / "metadata.csv").write_text("file_name,hair\n0.png,red\n1.png,red\n2.png,red\n")
    assert len(calls) == 4
    assert opened() != first
    assert len(calls) == 5


def test_finders_of_other_configurations_have_caches_of_their_own(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", {"0.png": [face_at(320, 260, 60)]})
    given = FaceFolder(tmp_path / "photos")
    finders = (None, FaceFinder(), FaceFinder(threshold=0.9), FaceFinder(min_face=40))
    found = [json.dumps(run_identity(given, AlignOptions(), finder)) for finder in finders]
    assert len(set(found)) == 4
    assert found == [json.dumps(run_identity(given, AlignOptions(), finder)) for finder in finders]


def test_a_finder_that_does_not_say_how_it_is_configured_gets_no_cache(tmp_path: Path) -> None:
    class Silent:
        def find(self, _: object) -> tuple[()]:
            return ()

    write_photos(tmp_path / "photos", {"0.png": []})
    with pytest.raises(ArgumentError, match="a cache needs a repr that says how it is configured"):
        open_aligned(tmp_path / "photos", cache=tmp_path / "cache", finder=Silent())
    assert not (tmp_path / "cache").exists()


def test_a_stopped_alignment_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finder = write_photos(tmp_path / "photos", {f"{k}.png": [face_at(320, 260, 60)] for k in range(3)})
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("faceaug.faces.align.alignment_page", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        open_aligned(tmp_path / "photos", cache=tmp_path / "cache", finder=finder, progress=False)
    faces = open_aligned(tmp_path / "photos", cache=tmp_path / "cache", finder=finder, progress=False)
    assert len(faces) == 3
    assert len(list((tmp_path / "cache" / "aligned").iterdir())) == 1


def test_of_two_that_need_the_same_faces_one_aligns_and_the_other_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finder = write_photos(tmp_path / "photos", {"1.png": [face_at(320, 260, 60)]})
    begun, may_end = threading.Event(), threading.Event()
    calls = []
    align = align_cache.align_folder

    def slowly(*arguments: object, **options: object) -> object:
        calls.append(arguments)
        begun.set()
        may_end.wait(30)
        return align(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(align_cache, "align_folder", slowly)

    def opened() -> Path:
        return open_aligned(tmp_path / "photos", cache=tmp_path / "cache", finder=finder, progress=False).root

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(opened)
        assert begun.wait(30)
        second = pool.submit(opened)
        may_end.set()
        assert first.result(60) == second.result(60)
    assert len(calls) == 1


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEAUG_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"
    monkeypatch.delenv("FACEAUG_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    if os.name == "posix":
        assert cache_folder().name == "faceaug"
