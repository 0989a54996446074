from __future__ import annotations

import hashlib
import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from faceaug.errors import ArgumentError, FaceAugError, WeightsError
from faceaug.synthesize import SyntheticFaceSource


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_names_and_folders_need_no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    SyntheticFaceSource("dcgan-32").save_pretrained(tmp_path / "owner" / "model")
    monkeypatch.chdir(tmp_path)
    for name in ("dcgan-32", tmp_path / "owner" / "model", "owner/model"):
        assert SyntheticFaceSource.from_pretrained(name).config.name == "dcgan-32"


def test_an_unknown_name_is_no_hub_id() -> None:
    with pytest.raises(ArgumentError, match="neither a bundled model"):
        SyntheticFaceSource.from_pretrained("nonsense")
    with pytest.raises(ArgumentError, match="neither a bundled model"):
        SyntheticFaceSource("owner/model")


def test_without_the_extra_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ArgumentError, match=r"pip install 'faceaug\[hub\]'"):
        SyntheticFaceSource.from_pretrained("owner/model")


def test_the_hub_is_only_contacted_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ArgumentError, match="not in the local cache of the Hugging Face hub.*download=True"):
        SyntheticFaceSource.from_pretrained("owner/model")


def test_a_cached_model_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    blobs, asked = tmp_path / "blobs", []
    SyntheticFaceSource("dcgan-32").save_pretrained(blobs)
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for file in blobs.iterdir():  # as the cache does it
        (snapshot / file.name).symlink_to(file)

    def fetched(model: str, **options: Any) -> str:
        asked.append((model, options["local_files_only"], sorted(options["allow_patterns"])))
        return str(snapshot)

    monkeypatch.setattr(hub, "snapshot_download", fetched)
    source = SyntheticFaceSource.from_pretrained("owner/model", revision="v1", download=True, seed=3)
    assert torch.equal(source.generate(3), SyntheticFaceSource("dcgan-32", seed=3).generate(3))
    assert asked == [("owner/model", False, ["README.md", "config.json", "model.safetensors"])]


def test_a_hub_that_does_not_answer_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")

    def fail(*_: object, **__: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr(hub, "snapshot_download", fail)
    with pytest.raises(FaceAugError, match="the hub refused the download"):
        SyntheticFaceSource.from_pretrained("owner/model", download=True)


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the hub gives for any model."""
    hub = pytest.importorskip("huggingface_hub")
    SyntheticFaceSource("dcgan-32").save_pretrained(tmp_path / "cached")
    monkeypatch.setattr(hub, "snapshot_download", lambda *_, **__: str(tmp_path / "cached"))
    return tmp_path / "cached"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_pinned_model_is_loaded_and_a_changed_config_is_not(cached: Path) -> None:
    pin = digest(cached / "config.json")
    assert SyntheticFaceSource.from_pretrained("owner/model", sha256=f" {pin.upper()}").config.name == "dcgan-32"
    config = json.loads((cached / "config.json").read_text())
    (cached / "config.json").write_text(json.dumps(config | {"crop": "none", "latent": "uniform"}))
    with pytest.raises(WeightsError, match=f"expected {pin}: altered or another model"):
        SyntheticFaceSource.from_pretrained("owner/model", sha256=pin)


def test_changed_weights_are_refused_by_the_same_pin_and_a_changed_card_is_not(cached: Path) -> None:
    pin = digest(cached / "config.json")
    (cached / "README.md").write_text("another card")
    assert SyntheticFaceSource.from_pretrained("owner/model", sha256=pin).config.name == "dcgan-32"
    data = bytearray((cached / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (cached / "model.safetensors").write_bytes(data)
    with pytest.raises(WeightsError, match="damaged or altered"):
        SyntheticFaceSource.from_pretrained("owner/model", sha256=pin)


def test_the_hash_of_the_weights_is_refused_with_the_one_to_pin(cached: Path) -> None:
    old, pin = digest(cached / "model.safetensors"), digest(cached / "config.json")
    with pytest.raises(WeightsError, match=rf"{old} is the SHA-256 of model\.safetensors alone.*pin .*{pin}"):
        SyntheticFaceSource.from_pretrained("owner/model", sha256=old)


@pytest.mark.parametrize("text", ["", "abc", "g" * 64, "0" * 63])
def test_a_pin_that_is_no_sha256_is_refused_before_anything_is_fetched(text: str) -> None:
    with pytest.raises(ArgumentError, match="64 hexadecimal digits"):
        SyntheticFaceSource.from_pretrained("owner/model", sha256=text, download=True)


def test_folders_and_bundled_models_can_be_pinned_too(cached: Path) -> None:
    for model in (cached, "dcgan-32"):
        with pytest.raises(WeightsError, match="altered or another model"):
            SyntheticFaceSource.from_pretrained(model, sha256="0" * 64)
