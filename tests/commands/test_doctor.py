from __future__ import annotations

import hashlib
import json

import pytest

from faceaug.commands import doctor
from faceaug.errors import FaceAugError, WeightsError
from faceaug.synthesize.hub import fetch_model
from faceaug.synthesize.weights import BUNDLED, BUNDLED_FOLDER, CONFIG, WEIGHTS


def test_a_sound_installation_has_no_trouble() -> None:
    found = doctor.examine()
    assert found.trouble == ()
    assert "missing" not in found.versions.values()
    assert {model.name for model in found.models} == {"dcgan-32", "dcgan-32-report", "faces-64", "attributes-64"}
    assert "no known trouble" in found.summary()


def test_json_and_summary_name_each_models_licence_and_both_hashes() -> None:
    found = doctor.examine()
    document = json.loads(json.dumps(found.to_json()))
    for model in found.models:
        files = BUNDLED_FOLDER / model.name
        pin, weights = (hashlib.sha256((files / name).read_bytes()).hexdigest() for name in (CONFIG, WEIGHTS))
        assert document["models"][model.name] == {
            "license": model.license,
            "sha256": pin,
            "weights_sha256": weights,
            "size": model.size,
        }
        assert f"SHA-256 of config.json, to pin the model: {pin}" in found.summary()
        assert f"SHA-256 of model.safetensors, as config.json records it: {weights}" in found.summary()
        assert model.license in found.summary()


def test_the_hash_that_is_shown_is_the_one_that_a_pin_takes() -> None:
    pins = doctor.examine().pins
    assert {name: pins[name] for name in BUNDLED} == BUNDLED
    for name in BUNDLED:
        assert fetch_model(name, sha256=pins[name]).config.name == name


def test_two_opencv_packages_are_trouble_with_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_opencv_packages", lambda: ["opencv-python", "opencv-python-headless"])
    found = doctor.examine()
    assert "overwrite each other's files: pip uninstall opencv-python opencv-python-headless" in found.trouble[0]
    assert "trouble: opencv-python and opencv-python-headless" in found.summary()


def test_opencv_that_cannot_be_loaded_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise FaceAugError("OpenCV cannot be loaded (libGL.so.1)")

    monkeypatch.setattr(doctor, "load_cv2", fail)
    assert doctor.examine().trouble == ("OpenCV cannot be loaded (libGL.so.1)",)


def test_a_damaged_model_is_trouble_and_the_others_are_still_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    load = doctor.load_model

    def fail(name: str) -> object:
        if name == "dcgan-32":
            raise WeightsError("model.safetensors: damaged")
        return load(name)

    monkeypatch.setattr(doctor, "load_model", fail)
    found = doctor.examine()
    assert [model.name for model in found.models] == ["dcgan-32-report", "faces-64", "attributes-64"]
    assert found.trouble == ("model.safetensors: damaged; install faceaug again",)


def test_a_package_that_is_not_there_is_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_opencv_packages", list)
    monkeypatch.setattr(doctor, "_EXTRAS", {"datasets": ("no-such-package-at-all",)})
    found = doctor.examine()
    assert found.extras == {"datasets": False}
    assert "opencv-python" in found.versions
    assert "not installed" in found.summary()


def test_the_extras_of_the_server_and_the_function_are_shown() -> None:
    found = doctor.examine()
    assert {"serve", "cloud"} <= set(found.extras)
    assert "extra serve" in found.summary()
