"""The application behind `faceaug clean --review`, without a socket."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="starlette, whose test client asks the application, is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

from starlette.testclient import TestClient

from faceaug.clean import CleanPolicy, clean_folder, undo_clean
from faceaug.errors import ArgumentError, RefusedError
from faceaug.serve.limits import SECURITY_HEADERS
from faceaug.serve.review import Review
from faceaug.serve.review_app import LARGEST, ReviewApplication
from tests.clean.zoo import age_folders, celeba, good, jpeg, names, tree, write

ALL = CleanPolicy(max_remove=1)
HERE = "http://127.0.0.1:8000/secret/"


def review_of(folder: Path, policy: CleanPolicy = ALL) -> Review:
    return Review(
        clean_folder(folder, policy, dry_run=True),
        apply=lambda decisions: clean_folder(folder, policy, decisions=decisions),
        undo=lambda: undo_clean(folder),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Groups: 1 and 13, 2 and 14; 12 has a damaged name."""
    files = good(*range(1, 12)) | {"00012.jpg": jpeg(12), "000013.jpg": jpeg(1), "000014.jpg": jpeg(2)}
    return celeba(tmp_path / "celeba", files, known=14)


@pytest.fixture
def finished() -> threading.Event:
    return threading.Event()


@pytest.fixture
def client(folder: Path, finished: threading.Event) -> Iterator[TestClient]:
    app = ReviewApplication(review_of(folder), token="secret", on_finish=finished.set)
    with TestClient(app, base_url="http://127.0.0.1:8000") as made:  # type: ignore[arg-type]
        yield made


def test_what_a_person_decides_is_applied_and_undone(client: TestClient, folder: Path) -> None:
    before = tree(folder)
    assert client.get("/secret/state").json() == {"applied": False, "said": "", "decisions": {}}
    answer = client.post("/secret/apply", json={"decisions": {"0": 1, "1": "all"}})
    assert answer.status_code == 200
    assert answer.json()["applied"]
    assert answer.json()["said"] == ("Done: 1 picture was set aside, 1 name repaired (run 0001). Nothing was deleted.")
    assert names(folder) == [f"{k:06d}.jpg" for k in range(2, 15)]
    assert client.get("/secret/state").json()["decisions"] == {"0": 1, "1": "all"}
    assert client.post("/secret/apply", json={"decisions": {}}).status_code == 409  # once
    undone = client.post("/secret/undo", json={}).json()
    assert (undone["applied"], undone["said"]) == (False, "Undone: 2 files are as before.")
    assert tree(folder) == before
    assert client.post("/secret/undo", json={}).status_code == 409
    assert client.post("/secret/apply", json={"decisions": {}}).json()["applied"]
    assert "000001.jpg" in names(folder)


def test_every_picture_is_shown_wherever_it_has_gone(client: TestClient) -> None:
    addresses = sorted(set(re.findall(r"picture/\d+", client.get("/secret/").text)))
    assert len(addresses) == 4
    first = [client.get(f"/secret/{address}") for address in addresses]
    assert all(answer.content[8:12] == b"WEBP" for answer in first)
    client.post("/secret/apply", json={"decisions": {"0": 1}})
    assert [client.get(f"/secret/{address}").content for address in addresses] == [answer.content for answer in first]
    assert client.get("/secret/picture/4").status_code == 404
    assert client.get("/secret/picture/-1").status_code == 404
    assert client.get("/secret/picture/1/../../x").status_code == 404


def test_class_folders_whose_state_lies_beside_them_are_reviewed_too(tmp_path: Path) -> None:
    for name, data in {"a/1.jpg": jpeg(1), "a/2.jpg": jpeg(2), "b/3.jpg": jpeg(1), "b/4.jpg": jpeg(4)}.items():
        write(tmp_path / "faces" / name, data)
    age_folders(tmp_path / "faces")
    before = tree(tmp_path / "faces")
    review = review_of(tmp_path / "faces")
    first = [review.picture(number) for number in (0, 1)]
    assert review.apply({"0": 1})["applied"]
    assert not (tmp_path / "faces" / "a" / "1.jpg").exists()
    assert [review.picture(number) for number in (0, 1)] == first
    assert all(first)
    review.undo()
    assert tree(tmp_path / "faces") == before


def test_what_could_not_be_moved_is_told(folder: Path) -> None:
    review = review_of(folder)
    plan = review.plan
    review._apply = lambda _: plan.without({entry.name: "is held by another program" for entry in plan.set_aside})
    assert review.apply({})["said"].startswith(
        "Nothing was moved. Left alone: img_align_celeba/000013.jpg: is held by another program, "
    )


def test_when_all_pictures_stay_and_no_name_is_damaged_nothing_is_applied(tmp_path: Path) -> None:
    folder = celeba(tmp_path / "celeba", good(1, 2, 3) | {"000004.jpg": jpeg(1)}, known=4)
    review = review_of(folder)
    assert review.apply({"0": "all"}) == {
        "applied": False,
        "said": "Nothing was to be done: every picture stays.",
        "decisions": {"0": "all"},
    }
    assert review.applied is None


def test_nothing_is_inline_that_the_policy_forbids_and_all_is_served(client: TestClient) -> None:
    page = client.get("/secret/")
    assert {name: page.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert page.headers["cache-control"] == "no-store"
    assert "<style" not in page.text
    assert not re.search(r'\sstyle="|\son\w+="|data:image', page.text)
    assert not re.search(r"<script(?! type=\"application/json\"| src=)", page.text)
    for address in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        found = client.get(f"/secret/{address}")
        assert found.status_code == 200, address
        assert found.headers["x-content-type-options"] == "nosniff"
    assert client.get("/favicon.ico").status_code == 204


@pytest.mark.parametrize(
    "path", ["/", "/secre/", "/secrets/", "/state", "/secret", "/secret/../secret/state%00", "/é/"]
)
def test_nothing_is_told_to_who_does_not_know_the_token(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "celeba" not in answer.text


def test_other_hosts_pages_methods_and_types_are_refused(client: TestClient, folder: Path) -> None:
    before = tree(folder)
    asked = {"json": {"decisions": {}}}
    assert client.get("/secret/", headers={"Host": "evil.example"}).status_code == 421
    assert client.post("/secret/apply", headers={"Host": "evil.example"}, **asked).status_code == 421
    assert client.post("/secret/apply", headers={"Origin": "http://evil.example"}, **asked).status_code == 403
    assert client.post("/secret/apply", headers={"Origin": "null"}, **asked).status_code == 403
    assert client.post("/secret/apply", content="{}", headers={"Content-Type": "text/plain"}).status_code == 415
    assert client.post("/secret/apply", data={"decisions": "x"}).status_code == 415
    assert client.put("/secret/apply", **asked).status_code == 405
    assert client.get("/secret/apply").status_code == 404
    assert client.post("/secret/state", **asked).status_code == 404
    assert tree(folder) == before


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("{", 400, "expected JSON"),
        ("[]", 400, "expected JSON"),
        ('{"decisions": []}', 400, "expected JSON"),
        ("[" * 100_000, 400, "expected JSON"),
        ('{"decisions": {"2": "all"}}', 400, "2: no such group"),
        ('{"decisions": {"-1": "all"}}', 400, "-1: no such group"),
        ('{"decisions": {"٣": "all"}}', 400, "no such group"),
        ('{"decisions": {"0": 2}}', 400, "group 0: 2: no such picture"),
        ('{"decisions": {"0": null}}', 400, "no such picture"),
        ('{"decisions": {"0": "some"}}', 400, "no such picture"),
    ],
)
def test_other_decisions_are_refused(client: TestClient, folder: Path, body: str, status: int, said: str) -> None:
    before = tree(folder)
    answer = client.post("/secret/apply", content=body.encode(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, said in answer.json()["error"]) == (status, True), answer.text
    assert tree(folder) == before


def test_a_long_body_is_not_read_to_its_end(client: TestClient) -> None:
    headers = {"Content-Type": "application/json"}
    assert client.post("/secret/apply", content=b" " * (LARGEST + 1), headers=headers).status_code == 413


def test_what_changed_in_between_is_told_and_nothing_moves(client: TestClient, folder: Path) -> None:
    (folder / "img_align_celeba" / "000013.jpg").write_bytes(jpeg(99))
    before = tree(folder)
    answer = client.post("/secret/apply", json={"decisions": {"0": 1}})
    assert answer.status_code == 409
    assert "000013.jpg has changed" in answer.json()["error"]
    assert tree(folder) == before


def test_more_than_the_limit_is_refused_with_its_reason(folder: Path) -> None:
    review = review_of(folder, CleanPolicy(max_remove=0.1))
    with pytest.raises(RefusedError, match="more than the 10% allowed"):
        review.apply({})
    assert review.apply({"0": "all"})["applied"]


def test_a_run_that_is_not_the_last_any_more_is_not_undone(folder: Path) -> None:
    review = review_of(folder)
    assert review.apply({"1": "all"})["applied"]
    clean_folder(folder, ALL)  # takes what was released
    before = tree(folder)
    with pytest.raises(RefusedError, match="run 0001 is not the last one any more"):
        review.undo()
    assert tree(folder) == before


def test_two_pages_do_not_work_at_once(folder: Path) -> None:
    inside, go_on = threading.Event(), threading.Event()
    review = review_of(folder)
    real = review._apply

    def slow(decisions: Any) -> Any:
        inside.set()
        assert go_on.wait(30)
        return real(decisions)

    review._apply = slow
    thread = threading.Thread(target=review.apply, args=({},))
    thread.start()
    assert inside.wait(30)
    with pytest.raises(RefusedError, match="another page is at work"):
        review.apply({})
    go_on.set()
    thread.join(30)
    assert review.applied is not None


def test_an_error_of_ours_is_one_line_for_the_page_and_a_traceback_for_the_log(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    review = review_of(folder)

    def broken() -> bytes:
        raise ZeroDivisionError("oh")

    review.page = review.undo = broken  # type: ignore[method-assign, assignment]
    app = ReviewApplication(review, token="secret", on_finish=lambda: None)
    client = TestClient(app, base_url="http://localhost")  # type: ignore[arg-type]
    for answer in (client.get("/secret/"), client.post("/secret/undo", json={})):
        assert (answer.status_code, "oh" in answer.text) == (500, False)
    assert caplog.text.count("ZeroDivisionError: oh") == 2


def test_finish_ends_the_server(client: TestClient, finished: threading.Event) -> None:
    answer = client.post("/secret/finish", json={}).json()
    assert answer["ended"]
    assert finished.is_set()


def test_websockets_are_closed(folder: Path) -> None:
    app = ReviewApplication(review_of(folder), token="secret", on_finish=lambda: None)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    asyncio.run(app({"type": "websocket"}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1000}]


def test_the_document_of_the_page_is_the_file_that_python_reads(client: TestClient, folder: Path) -> None:
    found = re.search(r'id="choices-document">(.*?)</script>', client.get("/secret/").text)
    assert found is not None
    plain = json.loads(found[1])
    assert plain == clean_folder(folder, ALL, dry_run=True).decisions().to_json()
    with pytest.raises(ArgumentError):
        review_of(folder).apply({"x": "all"})
