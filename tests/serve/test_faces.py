from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from faceaug import FaceFolder, SyntheticFaceSource
from faceaug.data.annotations import ATTRIBUTES
from faceaug.serve import Engine, FaceService
from faceaug.serve.query import OTHERS, Others
from faceaug.synthesize import Model, load_model, render
from faceaug.synthesize.render import RenderPrecision
from faceaug.synthesize.requests import UNASKED
from tests.serve.conftest import bundled, pixels, tiles


def asked(service: FaceService, query: str, **more: str) -> tuple[int, bytes, dict[str, str]]:
    answer = service.ask(query, **more).result(60)
    return answer.status, answer.body, answer.headers


def picture_facts(body: bytes) -> dict[Any, Any]:
    with Image.open(io.BytesIO(body)) as picture:
        return dict(picture.info)


def test_the_faces_are_those_of_the_source(service: FaceService) -> None:
    status, body, headers = asked(service, "n=5&seed=7")
    assert (status, headers["Content-Type"], headers["X-Faceaug-Grid"]) == (200, "image/png", "3x2")
    expected = SyntheticFaceSource("dcgan-32", seed=7).generate(5).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(tiles(body, 3, 2)[:5], expected)
    later = tiles(asked(service, "n=2&seed=7&face=3")[1], 2, 1)
    assert np.array_equal(later, expected[3:])


def test_another_model_makes_other_faces(service: FaceService) -> None:
    report = SyntheticFaceSource("dcgan-32-report", seed=7).generate(1).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(tiles(asked(service, "seed=7&model=dcgan-32-report")[1], 1, 1), report)


def test_a_walk_leads_from_one_face_to_the_other(service: FaceService) -> None:
    _, body, headers = asked(service, "seed=7&face=1&to=9&to_face=2&steps=9")
    assert headers["X-Faceaug-Grid"] == "9x1"
    way = tiles(body, 9, 1)
    ends = [pixels(asked(service, query)[1]) for query in ("seed=7&face=1", "seed=9&face=2")]
    assert np.array_equal(way[0], ends[0])
    assert np.array_equal(way[-1], ends[1])
    steps = np.abs(np.diff(way.astype(int), axis=0)).mean((1, 2, 3))
    assert (steps > 0).all()
    assert steps.max() < np.abs(ends[0].astype(int) - ends[1]).mean()


def test_the_same_seed_is_the_same_bytes_alone_and_in_company(service: FaceService) -> None:
    for ending in ("png", "webp", "zip"):
        alone = {seed: asked(service, f"n=3&seed={seed}&format={ending}") for seed in range(12)}
        together = {seed: service.ask(f"n=3&seed={seed}&format={ending}") for seed in range(12)}
        assert {seed: answer.result(60).body for seed, answer in together.items()} == {
            k: v[1] for k, v in alone.items()
        }


def test_without_a_seed_one_is_chosen_and_reported_and_the_answer_is_never_cached(service: FaceService) -> None:
    first, second = asked(service, "n=2"), asked(service, "n=2")
    assert first[2]["X-Faceaug-Seed"] != second[2]["X-Faceaug-Seed"]
    assert first[1] != second[1]
    assert first[2]["Cache-Control"] == "no-store"
    assert "ETag" not in first[2]
    assert asked(service, f"n=2&seed={first[2]['X-Faceaug-Seed']}")[1] == first[1]


def test_with_a_seed_the_answer_may_be_cached_and_revalidated(service: FaceService, engine: Engine) -> None:
    _, body, headers = asked(service, "n=2&seed=5")
    assert headers["Cache-Control"] == "public, no-cache"
    before = engine.passes
    for held in (headers["ETag"], f'"x", W/{headers["ETag"]}', "*"):
        status, nothing, again = asked(service, "n=2&seed=5", if_none_match=held)
        assert (status, nothing, again["ETag"]) == (304, b"", headers["ETag"])
    assert engine.passes == before
    assert asked(service, "n=2&seed=5", if_none_match='"other"')[:2] == (200, body)
    assert asked(service, "n=2", if_none_match="*")[0] == 200
    others = ("n=3&seed=5", "n=2&seed=6", "n=2&seed=5&face=1", "n=2&seed=5&format=webp", "seed=5&to=6&steps=2")
    tags = {asked(service, query)[2]["ETag"] for query in ("n=2&seed=5", *others)}
    assert len(tags) == 6


def test_only_an_address_that_names_its_model_may_be_kept_for_ever(service: FaceService) -> None:
    _, body, headers = asked(service, "n=2&seed=5")
    named = f"n=2&seed=5&digest={headers['X-Faceaug-Digest']}"
    status, same, kept = asked(service, named)
    assert (status, same, kept["ETag"]) == (200, body, headers["ETag"])
    assert "immutable" in kept["Cache-Control"]
    assert "immutable" in asked(service, named, if_none_match=kept["ETag"])[2]["Cache-Control"]
    assert asked(service, f"n=2&digest={headers['X-Faceaug-Digest']}")[2]["Cache-Control"] == "no-store"


def test_another_model_of_the_same_name_is_never_given_out_for_the_one_that_an_address_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "has_bfloat16", lambda device: True)  # or bf16 would be fp32 on some processors

    def digest_of(precision: RenderPrecision = "fp32", query: str = "seed=5") -> tuple[int, str, bytes]:
        engine = Engine({"mine": partial(load_model, tmp_path / "mine")}, precision=precision)
        status, body, headers = asked(FaceService(engine), query)
        engine.close()
        return status, headers.get("X-Faceaug-Digest", ""), body

    SyntheticFaceSource("dcgan-32").save_pretrained(tmp_path / "mine")
    _, first, face = digest_of()
    named = f"seed=5&digest={first}"
    with (tmp_path / "mine" / "README.md").open("a") as card:
        card.write("Another word.")
    assert digest_of(query=named) == (200, first, face)
    config = json.loads((tmp_path / "mine" / "config.json").read_text())
    (tmp_path / "mine" / "config.json").write_text(json.dumps(config | {"license": "CC0-1.0"}))
    assert digest_of()[1] != first
    shutil.rmtree(tmp_path / "mine")
    SyntheticFaceSource("dcgan-32-report").save_pretrained(tmp_path / "mine")
    assert digest_of()[1] != first
    status, _, body = digest_of(query=named)
    document = json.loads(body)
    assert (status, document["parameter"]) == (404, "digest")
    assert first in document["error"]
    assert digest_of("bf16")[1] not in {first, digest_of()[1]}


def test_every_picture_says_that_it_is_synthetic(service: FaceService) -> None:
    with Image.open(io.BytesIO(asked(service, "n=2&seed=5&face=4")[1])) as picture:
        facts = dict(picture.info)
    assert (facts["synthetic"], facts["model"], facts["seed"], facts["key"]) == ("true", "dcgan-32", "5", "4")
    assert facts["license"] == "LicenseRef-CelebA-NonCommercial"
    with Image.open(io.BytesIO(asked(service, "n=2&seed=5&format=webp")[1])) as picture:
        assert "synthetic=true; model=dcgan-32" in picture.getexif()[270]


def test_webp_and_png_hold_the_same_pixels(service: FaceService) -> None:
    png, webp = asked(service, "n=4&seed=5"), asked(service, "n=4&seed=5&format=webp")
    assert webp[2]["Content-Type"] == "image/webp"
    assert np.array_equal(pixels(png[1]), pixels(webp[1]))


def test_a_zip_is_a_folder_of_faces_that_can_be_loaded(service: FaceService, tmp_path: Path) -> None:
    _, body, headers = asked(service, "n=5&seed=7&format=zip")
    assert headers["Content-Disposition"] == 'attachment; filename="faces-7.zip"'
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path)
    rows = list(csv.DictReader((tmp_path / "metadata.csv").read_text().splitlines()))
    assert [row["key"] for row in rows] == ["0", "1", "2", "3", "4"]
    for row in rows:
        assert row["origin"] == "synthetic"
        assert hashlib.sha256((tmp_path / row["file_name"]).read_bytes()).hexdigest() == row["sha256"]
    folder = FaceFolder(tmp_path)
    expected = SyntheticFaceSource("dcgan-32", seed=7).generate(5).permute(0, 2, 3, 1).numpy()
    assert all(np.array_equal(folder[k][0], expected[k]) for k in range(5))


def test_a_zip_of_a_walk_tells_the_steps(service: FaceService) -> None:
    body = asked(service, "seed=7&to=8&steps=4&format=zip")[1]
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read("metadata.csv").decode())))
    assert [(row["step"], row["seed"], row["to_seed"]) for row in rows] == [(str(k), "7", "8") for k in range(4)]


@pytest.mark.parametrize("query", ["n=0", "seed=x", "model=no", "attributes=Smiling:1"])
def test_a_wrong_parameter_is_a_400_in_json_that_names_it(service: FaceService, query: str) -> None:
    status, body, headers = asked(service, query)
    document = json.loads(body)
    assert (status, headers["Content-Type"], headers["Cache-Control"]) == (400, "application/json", "no-store")
    assert document["parameter"] == query.split("=", maxsplit=1)[0]
    assert document["error"]


def test_a_model_without_attributes_says_so(service: FaceService) -> None:
    assert "takes no attributes" in json.loads(asked(service, "attributes=Smiling:1")[1])["error"]


def test_a_request_with_attributes_gets_a_model_that_takes_them(conditional_engine: Engine) -> None:
    service = FaceService(conditional_engine)
    plain, smiling, both = (
        asked(service, f"seed=3&attributes={wish}") for wish in ("", "Smiling:1", "Male:-1,Smiling:1")
    )
    assert len({plain[1], smiling[1], both[1]}) == 3
    assert both[1] == asked(service, "seed=3&attributes=Smiling:1,Male:-1")[1]
    assert [picture_facts(body)["model"] for _, body, _ in (plain, both)] == ["dcgan-32", "tiny-faces"]
    assert picture_facts(both[1])["attributes"] == "Male:-1,Smiling:1"
    refused = json.loads(asked(service, "attributes=Smiling:1&model=dcgan-32")[1])
    assert refused["parameter"] == "attributes"
    assert [model["attributes"] for model in service.meta()["models"]] == [[], list(ATTRIBUTES)]
    with zipfile.ZipFile(io.BytesIO(asked(service, "seed=3&format=zip&attributes=Male:-1")[1])) as archive:
        assert b"requested_Male" in archive.read("metadata.csv")


@pytest.mark.parametrize("unasked", OTHERS)
def test_faces_with_attributes_are_those_of_the_source(
    conditional_engine: Engine, conditional_model: Path, unasked: Others
) -> None:
    query = f"n=5&seed=7&face=2&attributes=Eyeglasses:1,Male:-1&unasked={unasked}"
    status, body, _ = asked(FaceService(conditional_engine), query)
    wanted = {"Eyeglasses": 1, "Male": -1}
    source = SyntheticFaceSource(conditional_model, seed=7, attributes=wanted, unasked=unasked)
    assert status == 200
    assert np.array_equal(tiles(body, 3, 2)[:5], source.generate(5, start=2).permute(0, 2, 3, 1).numpy())
    assert picture_facts(body)["unasked"] == unasked
    assert unasked in UNASKED


def test_a_walk_with_attributes_keeps_them(conditional_engine: Engine) -> None:
    service, wish = FaceService(conditional_engine), "&attributes=Eyeglasses:1&unasked=kept"
    way = tiles(asked(service, f"seed=7&to=9&steps=5{wish}")[1], 5, 1)
    ends = [pixels(asked(service, f"seed={seed}{wish}")[1]) for seed in (7, 9)]
    assert np.array_equal(way[0], ends[0])
    assert np.array_equal(way[-1], ends[1])


def test_a_failure_inside_is_a_500_without_a_trace(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> None:
        raise OSError("secret place")

    engine = Engine({"broken": broken})  # type: ignore[dict-item]
    status, body, _ = asked(FaceService(engine), "seed=1")
    assert (status, "secret" in body.decode(), "Traceback" in body.decode()) == (500, False, False)
    assert "secret place" in caplog.text
    engine.close()


def test_who_gave_up_waiting_is_no_error_and_no_work(caplog: pytest.LogCaptureFixture) -> None:
    gate = threading.Event()

    def slow() -> Model:
        gate.wait(30)
        return load_model("dcgan-32")

    held = Engine({"held": slow})
    service = FaceService(held)
    first, given_up, last = (service.ask(f"seed={k}") for k in range(3))
    time.sleep(0.1)  # the first is being worked on, the others wait
    assert given_up.cancel()
    gate.set()
    assert [first.result(60).status, last.result(60).status] == [200, 200]
    held.close()
    assert held.passes <= 2
    assert caplog.text == ""


def test_meta_describes_the_service(service: FaceService) -> None:
    meta = service.meta()
    assert [model["name"] for model in meta["models"]] == ["dcgan-32", "dcgan-32-report"]
    first = meta["models"][0]
    assert (first["size"], first["attributes"], len(first["sha256"])) == (32, [], 64)
    assert "non-commercial" in first["terms"]
    json.dumps(meta)


def test_the_handler_runs_without_opencv_and_without_a_web_framework() -> None:
    program = """
import sys
sys.modules["cv2"] = sys.modules["uvicorn"] = sys.modules["flask"] = None
from faceaug.serve.function import service
assert service().ask("n=2&seed=1&format=zip").result(60).status == 200
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_faces_in_half_precision_are_those_of_the_source_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "has_bfloat16", lambda device: True)
    engine = bundled(precision="bf16")
    status, body, headers = asked(FaceService(engine), "n=3&seed=7")
    assert status == 200
    expected = SyntheticFaceSource("dcgan-32", seed=7, precision="bf16").generate(3).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(tiles(body, 2, 2)[:3], expected)
    with Image.open(io.BytesIO(body)) as picture:
        assert picture.info["precision"] == "bf16"
    archive = zipfile.ZipFile(io.BytesIO(asked(FaceService(engine), "seed=7&format=zip")[1]))
    with Image.open(archive.open("000000.png")) as picture:
        assert picture.info["precision"] == "bf16"
    exact = bundled()
    assert asked(FaceService(exact), "n=3&seed=7")[2]["ETag"] != headers["ETag"]
    exact.close()
    engine.close()
