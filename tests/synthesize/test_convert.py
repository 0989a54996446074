from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from faceaug.errors import ArgumentError, RefusedError, WeightsError
from faceaug.storage.locks import claimed_output
from faceaug.synthesize import SyntheticFaceSource, build_network, load_model
from faceaug.synthesize.convert import export_folder, export_onnx, import_state_dict


def written(path: Path, value: object) -> Path:
    torch.save(value, path)
    return path


@pytest.mark.parametrize("size", [32, 64])
def test_a_plain_state_dict_becomes_a_model(tmp_path: Path, size: int) -> None:
    _, generator = build_network(8, 8, 10, size=size)
    config = import_state_dict(written(tmp_path / "net.pth", generator.state_dict()), tmp_path / "m", license="CC0-1.0")
    assert (config.name, config.size, config.z_size, config.conv_dim) == ("net", size, 10, 8)
    found = load_model(tmp_path / "m").generator.state_dict()
    for name, tensor in generator.state_dict().items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("nest", [None, "state_dict", "netG"])
def test_prefixes_and_one_nest_are_taken_off(tmp_path: Path, nest: str | None) -> None:
    _, generator = build_network(8, 8, 10)
    state: dict[str, object] = {f"module.{k}": v for k, v in generator.state_dict().items()}
    path = written(tmp_path / "net.pth", {nest: state, "epoch": 3} if nest else state)
    assert import_state_dict(path, tmp_path / "m", name="mine").name == "mine"


def test_code_in_the_file_is_never_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "executed",)

    path = written(tmp_path / "net.pth", {"fc.weight": Bomb()})
    with pytest.raises(WeightsError, match="not a plain state dict"):
        import_state_dict(path, tmp_path / "m")
    assert not (tmp_path / "executed").exists()
    assert not (tmp_path / "m").exists()


def test_other_networks_and_damaged_files_are_refused_by_name(tmp_path: Path) -> None:
    _, generator = build_network(8, 8, 10)
    state = generator.state_dict()
    cases = {
        "other.pth": nn.Linear(3, 4).state_dict(),
        "list.pth": [1, 2],
        "half.pth": {k: v for k, v in state.items() if "t_conv2.1" not in k},
        "nan.pth": state | {"fc.bias": torch.full_like(state["fc.bias"], torch.nan)},
    }
    for name, value in cases.items():
        with pytest.raises(WeightsError, match=name):
            import_state_dict(written(tmp_path / name, value), tmp_path / "m")
    (tmp_path / "torn.pth").write_bytes((tmp_path / "nan.pth").read_bytes()[:500])
    with pytest.raises(WeightsError, match=r"torn\.pth"):
        import_state_dict(tmp_path / "torn.pth", tmp_path / "m")
    with pytest.raises(ArgumentError, match="no such file"):
        import_state_dict(tmp_path / "absent.pth", tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    _, generator = build_network(8, 8, 10)
    path = written(tmp_path / "net.pth", generator.state_dict())
    import_state_dict(path, tmp_path / "m")
    with pytest.raises(RefusedError, match="is not empty"):
        import_state_dict(path, tmp_path / "m")
    with pytest.raises(RefusedError, match="is not empty"):
        import_state_dict(path, tmp_path)


def test_a_saved_model_is_the_model_bit_for_bit(tmp_path: Path) -> None:
    source = SyntheticFaceSource("dcgan-32", seed=2)
    assert source.save_pretrained(tmp_path / "m").sha256 == source.config.sha256
    again = SyntheticFaceSource.from_pretrained(tmp_path / "m", seed=2)
    assert torch.equal(again.generate(70), source.generate(70))
    with pytest.raises(RefusedError, match="is not empty"):
        export_folder(load_model("dcgan-32"), tmp_path / "m")


def test_onnx_makes_the_same_faces(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    path = tmp_path / "faces.onnx"
    assert export_onnx(load_model("dcgan-32"), path) < 1e-4
    assert export_onnx(load_model("dcgan-32"), path) < 1e-4  # our own, so replaced
    (tmp_path / "mine.onnx").write_bytes(b"\x08\x0a\x12\x07pytorch")
    with pytest.raises(RefusedError, match="exists and is not a model exported by faceaug"):
        export_onnx(load_model("dcgan-32"), tmp_path / "mine.onnx")
    source = SyntheticFaceSource("dcgan-32", seed=8)
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    (faces,) = session.run(None, {"latents": source.latents(5).numpy()})
    pixels = torch.from_numpy(faces).add(1).mul(127.5).round().to(torch.uint8)
    assert (pixels.int() - source.generate(5).int()).abs().max() <= 1


def test_onnx_of_a_conditional_model_has_attributes_as_its_second_input(
    conditional_model: Path, tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    assert export_onnx(load_model(conditional_model), tmp_path / "faces.onnx") < 1e-4
    session = onnxruntime.InferenceSession((tmp_path / "faces.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    assert [(x.name, x.shape) for x in session.get_inputs()] == [("latents", ["n", 12]), ("attributes", ["n", 40])]


def test_onnx_without_its_extra_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(ArgumentError, match=r"pip install 'faceaug\[onnx\]'"):
        export_onnx(load_model("dcgan-32"), tmp_path / "faces.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(1).expand(2**31, 1),  # 8 GiB declared, 4 bytes stored
        torch.zeros(1).expand(2**40, 1),
        torch.eye(4).to_sparse(),
        torch.empty(4, 4, device="meta"),
    ],
    ids=["8 GiB", "4 TiB", "sparse", "meta"],
)
def test_a_file_may_declare_no_more_than_it_holds(tmp_path: Path, tensor: torch.Tensor) -> None:
    torch.save({"fc.weight": tensor}, tmp_path / "odd.pth")
    with pytest.raises(WeightsError, match="fc.weight: sparse, quantized, or declared larger than what the file holds"):
        import_state_dict(tmp_path / "odd.pth", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_another_process_fills_is_refused_in_one_line(tmp_path: Path) -> None:
    model = load_model("dcgan-32")
    path = written(tmp_path / "net.pth", model.generator.state_dict())
    claim = claimed_output(tmp_path / "m", marker="config.json", identity={"import": "net.pth"}, purpose="import-model")
    with claim:
        with pytest.raises(RefusedError, match=r"in use by process \d+ \(faceaug import-model\)"):
            import_state_dict(path, tmp_path / "m")
        with pytest.raises(RefusedError, match=r"in use by process"):
            export_folder(model, tmp_path / "m")
    import_state_dict(path, tmp_path / "m")
    written_files = sorted(entry.name for entry in (tmp_path / "m").iterdir())
    assert written_files == ["README.md", "config.json", "model.safetensors"]
    for again in (lambda: import_state_dict(path, tmp_path / "m"), lambda: export_folder(model, tmp_path / "m")):
        with pytest.raises(RefusedError, match="is not empty"):
            again()


def test_an_archive_that_unpacks_to_far_more_than_itself_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faceaug.synthesize.foreign._PACKED", 2**16)
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/data/0", bytes(2**20))
    with pytest.raises(WeightsError, match="unpacks to 1,048,576 bytes"):
        import_state_dict(tmp_path / "bomb.pth", tmp_path / "out")
