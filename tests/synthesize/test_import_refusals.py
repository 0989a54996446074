"""Files that are no generator, or not one that faceaug knows, are refused in words that say why and what to do."""

from __future__ import annotations

import contextlib
import pickle
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from torch import Tensor, nn

from faceaug.errors import ArgumentError, FaceAugError, WeightsError
from faceaug.synthesize import build_network, load_model
from faceaug.synthesize.convert import import_state_dict
from tests.synthesize.test_imported_faces import Tutorial, Z, blocks, lively, own, textbook


def refused(value: object, tmp_path: Path) -> str:
    torch.save(value, tmp_path / "net.pth")
    return words(tmp_path / "net.pth", tmp_path)


def words(path: Path, tmp_path: Path) -> str:
    """What the import says about a file; nothing is written."""
    with pytest.raises(FaceAugError) as caught:
        import_state_dict(path, tmp_path / "m")
    assert not (tmp_path / "m").exists()
    assert str(caught.value).startswith(str(path))
    return str(caught.value).removeprefix(f"{path}: ")


def sequence(*layers: nn.Module) -> dict[str, Tensor]:
    return nn.Sequential(*layers).state_dict()


UP = nn.ConvTranspose2d
MAP = nn.Unflatten(1, (32, 4, 4))
OTHERS: dict[str, tuple[Callable[[], object], str]] = {
    "optimizer": (lambda: torch.optim.Adam(own().parameters()).state_dict(), "the state of an optimizer"),
    "nothing": (dict, "holds no tensors by name"),
    "numbers by number": (lambda: {1: torch.zeros(2)}, "holds no tensors by name"),
    "a list": (lambda: [torch.zeros(2)], "found list"),
    "a tensor": (lambda: torch.zeros(2), "found Tensor"),
    "discriminator": (lambda: {"net": build_network(8, 8, Z)[0].state_dict()}, "looks like a discriminator"),
    "textbook discriminator": (
        lambda: sequence(nn.Conv2d(3, 8, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(8, 16, 4, 2, 1), nn.Conv2d(16, 1, 4)),
        "looks like a discriminator",
    ),
    "instance norm": (
        lambda: sequence(UP(Z, 32, 4), nn.InstanceNorm2d(32, affine=True), nn.ReLU(), UP(32, 3, 4, 2, 1)),
        "a norm without running statistics",
    ),
    "kernel": (
        lambda: sequence(UP(Z, 32, 4), nn.ReLU(), UP(32, 16, 5, 2, 2), nn.ReLU(), UP(16, 3, 4, 2, 1)), "2: kernel 5x5",
    ),
    "small": (
        lambda: sequence(UP(Z, 9, 4), nn.ReLU(), UP(9, 8, 4, 2, 1), nn.ReLU(), UP(8, 3, 4, 2, 1)), "makes 16x16 faces",
    ),
    "colours": (lambda: textbook(colours=4).state_dict(), "makes 4 channels"),
    "norm behind the activation": (
        lambda: sequence(UP(Z, 32, 4), nn.ReLU(), nn.BatchNorm2d(32), *textbook(nz=32, ngf=8)[3:]),
        "batch norm behind an activation",
    ),
    "no activation": (
        lambda: sequence(UP(Z, 9, 4), nn.ReLU(), UP(9, 8, 4, 2, 1), UP(8, 8, 4, 2, 1), nn.ReLU(), UP(8, 3, 4, 2, 1)),
        "3: no activation in front of it",
    ),
    "map of 8x8": (
        lambda: sequence(nn.Linear(Z, 2048), nn.Unflatten(1, (32, 8, 8)), UP(32, 8, 4, 2, 1), UP(8, 3, 4, 2, 1)),
        "makes 2048 numbers, expected 512",
    ),
    "last bias": (
        lambda: sequence(nn.Linear(Z, 512), MAP, *list(blocks())[:-2], UP(8, 3, 4, 2, 1)), "a last layer with a bias",
    ),
    "integers": (lambda: {k: v.long() for k, v in own().state_dict().items()}, "int64, expected floating-point"),
    "complex": (lambda: {k: v + 0j for k, v in own().state_dict().items()}, "complex64, expected floating-point"),
    "not finite": (
        lambda: own().state_dict() | {"fc.bias": torch.full((512,), torch.inf)}, "fc.bias: contains NaN or infinite",
    ),
    "twice": (
        lambda: {f"{p}{k}": v for p in ("", "module.") for k, v in own().state_dict().items()}, "is there twice",
    ),
    "an extra layer": (
        lambda: own().state_dict() | {"noise.strength": torch.ones(1)}, "noise: strength belongs to no layer",
    ),
    "parts of a weight": (
        lambda: own().state_dict() | {"t_conv3.0.weight_g": torch.ones(8)}, "parts that do not belong together",
    ),
    "another parametrization": (
        lambda: nn.utils.parametrizations.orthogonal(nn.Linear(4, 4)).state_dict(), "a parametrization other than",
    ),
    "too long a latent vector": (lambda: textbook(nz=5000, ngf=2).state_dict(), "z_size"),
}  # fmt: skip


@pytest.mark.parametrize("other", OTHERS)
def test_other_contents_are_refused_with_the_reason(other: str, tmp_path: Path) -> None:
    make, expected = OTHERS[other]
    assert expected in refused(make(), tmp_path)


def test_a_module_saved_whole_is_refused_with_its_class_and_the_cure(tmp_path: Path) -> None:
    said = refused(textbook(), tmp_path)
    assert "torch.nn.modules.container.Sequential" in said
    assert "torch.save(network.state_dict(), ...)" in said


def test_files_of_other_kinds_are_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "net.pkl"
    path.write_bytes(pickle.dumps({"G": [1, 2]}))
    assert "a plain pickle, which runs code" in words(path, tmp_path)
    path.write_bytes(b"")
    assert words(path, tmp_path) == "is empty"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99))
    assert "neither a file of torch.save nor a safetensors file" in words(path, tmp_path)
    with pytest.raises(ArgumentError, match="a folder; give the file"):
        import_state_dict(tmp_path, tmp_path / "m")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own successor is another format
        torch.jit.trace(lively(Tutorial(textbook())), torch.zeros(1, Z)).save(str(path))
    assert "TorchScript" in words(path, tmp_path)


@pytest.mark.parametrize("old", [False, True])
def test_a_file_that_was_cut_off_is_damaged(old: bool, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(own().state_dict(), path, _use_new_zipfile_serialization=not old)
    path.write_bytes(path.read_bytes()[:-2000])
    assert "damaged" in words(path, tmp_path)


class Calls:
    """Pickled as a call of a function."""

    def __init__(self, function: Callable[..., object], *values: object) -> None:
        self.function, self.values = function, values

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.function, self.values


@pytest.mark.parametrize("old", [False, True])
def test_a_call_that_would_fill_memory_is_not_made(old: bool, tmp_path: Path) -> None:
    torch.save({"fc.weight": Calls(bytearray, 2**40)}, tmp_path / "b.pth", _use_new_zipfile_serialization=not old)
    assert "bytearray" in words(tmp_path / "b.pth", tmp_path)


def test_a_tensor_that_is_larger_than_its_storage_is_not_grown(tmp_path: Path) -> None:
    storage = torch.storage.TypedStorage(
        wrap_storage=torch.zeros(4).untyped_storage(), dtype=torch.float32, _internal=True
    )
    rebuild = torch._utils._rebuild_tensor_v2
    value = Calls(rebuild, storage, 0, (2**28,), (1,), False, OrderedDict())
    said = refused({"fc.weight": value}, tmp_path)
    assert "declares 1,073,741,824 bytes" in said or "damaged" in said  # torch may or may not enlarge the storage


def test_a_tensor_made_by_its_length_alone_is_not_read(tmp_path: Path) -> None:
    said = refused({"fc.weight": Calls(torch.Tensor, 2**28)}, tmp_path)  # 1 GiB of numbers that the file does not hold
    assert "declares 1,073,741,824 bytes" in said


def test_of_weights_and_their_average_the_average_is_taken_and_said(tmp_path: Path) -> None:
    raw, average = own(), lively(build_network(8, 8, Z)[1], seed=1)
    torch.save({"G": raw.state_dict(), "G_ema": average.state_dict()}, tmp_path / "net.pth")
    config = import_state_dict(tmp_path / "net.pth", tmp_path / "m")
    assert config.training["taken"] == "G_ema, an average of weights; not taken: G"
    assert torch.equal(load_model(tmp_path / "m").generator.state_dict()["fc.bias"], half(average, "fc.bias"))
    import_state_dict(tmp_path / "net.pth", tmp_path / "raw", part="G")
    assert torch.equal(load_model(tmp_path / "raw").generator.state_dict()["fc.bias"], half(raw, "fc.bias"))
    assert "| taken | G_ema" in (tmp_path / "m" / "README.md").read_text()


def half(network: nn.Module, name: str) -> Tensor:
    return network.state_dict()[name].half().float()


def test_of_two_generators_one_must_be_chosen(tmp_path: Path) -> None:
    both = {name: lively(build_network(8, 8, Z)[1], seed=k).state_dict() for k, name in enumerate(("G_A", "G_B"))}
    assert "holds 2 generators, G_A, G_B; choose one with --part" in refused(both, tmp_path)
    assert import_state_dict(tmp_path / "net.pth", tmp_path / "m", part="G_B").training["taken"].startswith("G_B")
    with pytest.raises(WeightsError, match="part 'C': its generators are G_A, G_B"):
        import_state_dict(tmp_path / "net.pth", tmp_path / "n", part="C")


def test_a_dead_generator_is_imported_with_a_warning(tmp_path: Path) -> None:
    network = own()
    with torch.no_grad():
        network.get_submodule("t_conv3.0").get_parameter("weight").zero_()
    torch.save(network.state_dict(), tmp_path / "net.pth")
    assert "all alike" in import_state_dict(tmp_path / "net.pth", tmp_path / "m").training["warning"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_gives_a_clear_error_or_a_model(tmp_path: Path, data: st.DataObject) -> None:
    path, out = tmp_path / "net.pth", tmp_path / "m"
    torch.save({"generator": own().state_dict()}, path, _use_new_zipfile_serialization=data.draw(st.booleans()))
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, min(len(damaged), 4000) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged)
    with contextlib.suppress(WeightsError):
        import_state_dict(path, out / str(len(list(out.glob("*")))))


def test_a_network_whose_faces_are_no_numbers_is_refused(tmp_path: Path) -> None:
    state = build_network(4, 4, 8)[1].state_dict()
    state["t_conv1.1.running_var"].fill_(-1.0)
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"net\.pth: makes faces of NaN"):
        import_state_dict(tmp_path / "net.pth", tmp_path / "m")
    assert not (tmp_path / "m").exists()
