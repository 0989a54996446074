from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from faceaug import undo_clean
from faceaug.commands import demo
from faceaug.commands.demo import DemoReport, run_demo
from faceaug.data.folder import FaceFolder
from faceaug.errors import RefusedError
from faceaug.storage.locks import claimed_output
from faceaug.storage.walk import list_folder


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [(tag, value or "") for name, value in attrs if name in {"src", "href", "data", "action"}]


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, said: list[str]) -> DemoReport:
    return run_demo(tmp_path_factory.mktemp("demo") / "out", say=said.append)


def test_the_sizes_add_up(report: DemoReport) -> None:
    sizes = dict(report.sizes)
    assert sizes["cleaned"] == demo.FACES
    assert sizes["original"] == sizes["cleaned"] + sum(report.set_aside.values())
    assert sizes["total"] == sizes["cleaned"] + sizes["augmented"] + sizes["synthetic"]
    assert sizes["total"] == len(FaceFolder(report.out / "expanded"))
    assert sizes["cleaned"] == len(FaceFolder(report.out / "faces"))
    assert report.batches == -(-sizes["total"] // 64)
    assert report.set_aside["unreadable"] == 3


def test_the_report_needs_nothing_but_itself(report: DemoReport) -> None:
    for name in ("report.html", "clean.html"):
        text = (report.out / name).read_text("utf-8")
        links = Links()
        links.feed(text)
        for tag, value in links.found:
            assert value.startswith("data:image/") if tag == "img" else value == "clean.html", (tag, value[:60])
        assert not re.search(r"<script[^>]+src", text)  # what moves is in the page itself
        assert not re.search(r"url\(|@import|https?://", text)
    text = (report.out / "report.html").read_text("utf-8")
    assert text.count("<img ") == 60 + 1 + 45 + 45  # faces of the mess, operations, augmented and synthetic ones
    for name, count in report.sizes:
        assert f"{name}</" in text
        assert f">{count:,}<" in text


def test_contact_sheets_lie_beside_the_report(report: DemoReport) -> None:
    names = {path.name for path in report.out.iterdir()}
    assert names == {
        "report.html", "clean.html", "demo.json", "faces", "expanded", "faces.png", "operations.png", "augmented.png",
        "synthetic.png",
    }  # fmt: skip
    assert json.loads((report.out / "demo.json").read_bytes())["finished"] is True
    assert json.loads(json.dumps(report.to_json()))["report"].endswith("report.html")


def test_it_says_what_it_did(report: DemoReport, said: list[str]) -> None:
    text = "\n".join(said)
    for expected in ("240 generated faces", "names repaired", "synthetic", "one epoch of a DataLoader", "report.html"):
        assert expected in text


def test_a_finished_demo_is_not_overwritten(report: DemoReport) -> None:
    with pytest.raises(RefusedError, match="holds a finished run"):
        run_demo(report.out, say=lambda _: None)


def test_the_next_free_name_is_taken_when_none_is_given(
    report: DemoReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert demo._free_name(Path("faceaug-demo")) == Path("faceaug-demo")
    Path("faceaug-demo").mkdir()
    assert demo._free_name(Path("faceaug-demo")) == Path("faceaug-demo")
    Path("faceaug-demo", "mine.txt").write_text("mine")
    Path("faceaug-demo-2").write_text("a file")
    Path("faceaug-demo-3").symlink_to(report.out)  # a finished one
    Path("faceaug-demo-4").mkdir()
    for torn in ("torn", "[]", "[" * 100_000, "9" * 5000):
        Path("faceaug-demo-4", "demo.json").write_text(torn)
        assert demo._free_name(Path("faceaug-demo")) == Path("faceaug-demo-5")
    Path("faceaug-demo-4", "demo.json").write_text('{"run": {"command": "demo", "seed": 0}, "finished": false}')
    assert demo._free_name(Path("faceaug-demo")) == Path("faceaug-demo-4")


def test_a_demo_into_a_folder_that_another_fills_is_refused(tmp_path: Path) -> None:
    identity = {"command": "demo", "seed": 0}
    with (
        claimed_output(tmp_path / "out", marker=demo.MARKER, identity=identity, purpose="demo"),
        pytest.raises(RefusedError, match=r"in use by process \d+ \(faceaug demo\)"),
    ):
        run_demo(tmp_path / "out", say=lambda _: None)


def test_a_demo_that_was_cut_off_begins_again(
    tmp_path: Path, report: DemoReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(demo, "expand_dataset", stop)
        run_demo(tmp_path / "out", say=lambda _: None)
    mine = tmp_path / "out" / "faces" / "img_align_celeba" / "holiday.jpg"
    mine.write_bytes(b"mine")
    with pytest.raises(RefusedError, match=r"did not make \(img_align_celeba/holiday\.jpg\); move them elsewhere"):
        run_demo(tmp_path / "out", say=lambda _: None)
    assert mine.read_bytes() == b"mine"
    mine.unlink()
    again = run_demo(tmp_path / "out", say=lambda _: None)
    assert (again.sizes, again.renamed, again.set_aside) == (report.sizes, report.renamed, report.set_aside)
    names = [file.name for file in list_folder(again.out / "expanded").files]
    assert names == [file.name for file in list_folder(report.out / "expanded").files]


def test_its_cleaning_can_be_undone(tmp_path: Path, report: DemoReport) -> None:
    shutil.copytree(report.out / "faces", tmp_path / "faces")
    undo_clean(tmp_path / "faces")
    assert len(list_folder(tmp_path / "faces").pictures) == dict(report.sizes)["original"]
