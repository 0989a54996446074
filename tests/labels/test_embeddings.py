from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faceaug import SyntheticFaceSource
from faceaug.data.image import WHITE, encode_png
from faceaug.errors import ArgumentError, WeightsError
from faceaug.labels import embeddings
from faceaug.labels.embeddings import DLIB, FaceJob, choose_model, embed_photo, open_embedding

# Eyes, nose and corners of the mouth of a generated face of 64 pixels, roughly.
POINTS = (24.8, 32.4, 38.8, 32.4, 31.8, 41.2, 25.5, 47.5, 37.8, 47.5)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("embeddings") / "faces"
    SyntheticFaceSource("faces-64", seed=0).save(folder, 3)
    return [str(path) for path in sorted(folder.glob("*.png"))]


def averages(path: Path, *, shape: tuple[int | str, ...] = (1, 3, 16, 12)) -> Path:
    """An ONNX model whose vector is the picture itself."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    values = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_graph([onnx.helper.make_node("Flatten", ["x"], ["y"])], "g", [values], [result])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def test_a_model_of_the_users_embeds_an_aligned_face(tmp_path: Path, photos: list[str]) -> None:
    model = choose_model(averages(tmp_path / "mine.onnx"))
    assert model is not None
    vectors = [embed_photo(FaceJob(model, WHITE), (photo, POINTS)) for photo in photos]
    assert all(vector is not None and vector.shape == (3 * 16 * 12,) for vector in vectors)
    assert [round(float(np.linalg.norm(vector)), 6) for vector in vectors if vector is not None] == [1, 1, 1]


def test_a_file_that_is_no_model_of_faces_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(WeightsError, match=r"broken\.onnx: onnxruntime cannot read it"):
        choose_model(broken)
    with pytest.raises(WeightsError, match="expected one input of float32"):
        choose_model(averages(tmp_path / "flat.onnx", shape=(1, 7)))


def test_without_the_extra_there_is_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "find_spec", lambda _: None)
    assert choose_model(None) is None
    with pytest.raises(ArgumentError, match=r"faceaug\[identities\]"):
        open_embedding.__wrapped__(DLIB)


def test_unreadable_pictures_and_pictures_without_a_face_have_no_vector(tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(b"no picture")
    (tmp_path / "sky.png").write_bytes(encode_png(np.full((64, 64, 3), 200, np.uint8)))
    job = FaceJob(DLIB, WHITE)
    assert embed_photo(job, (str(tmp_path / "torn.png"), POINTS)) is None
    assert embed_photo(job, (str(tmp_path / "sky.png"), ())) is None


def test_dlib_finds_a_picture_and_its_darker_copy_alike(photos: list[str], tmp_path: Path) -> None:
    pytest.importorskip("dlib")
    if choose_model(None) is None:
        pytest.skip("face_recognition_models is not installed")
    from faceaug.data.image import read_image

    darker = tmp_path / "darker.png"
    darker.write_bytes(encode_png((read_image(photos[0]) * 0.8).astype(np.uint8)))
    job = FaceJob(DLIB, WHITE)
    one, same, other = (embed_photo(job, (path, POINTS)) for path in (photos[0], str(darker), photos[1]))
    assert one is not None
    assert same is not None
    assert other is not None
    assert one.shape == (128,)
    assert np.linalg.norm(one) == pytest.approx(1)
    assert one @ same > one @ other


def test_a_picture_of_one_colour_is_no_reason_to_divide_by_zero() -> None:
    assert embeddings._unit(np.zeros(4)).tolist() == [0, 0, 0, 0]
