"""An imported generator makes the faces of the module whose weights were saved, however they were wrapped or named."""

from __future__ import annotations

import argparse
import copy
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from faceaug.synthesize import build_network, load_model
from faceaug.synthesize.conditional import build_conditional
from faceaug.synthesize.config import ModelConfig
from faceaug.synthesize.convert import export_folder, export_onnx, import_state_dict
from faceaug.synthesize.render import to_uint8

TOLERANCE = 1  # grey level: weights are stored in half precision where that changes no pixel by more
Z = 12


def lively(network: nn.Module, seed: int = 0) -> nn.Module:
    """Give a network weights and statistics like those of a trained one, so that every part of it matters."""
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.ConvTranspose2d | nn.Linear):
                fan = module.weight[0].numel() if isinstance(module, nn.Linear) else module.weight.shape[0] * 4
                module.weight.copy_(torch.randn(module.weight.shape, generator=draws) * 1.4 / fan**0.5)
                if module.bias is not None:
                    module.bias.copy_(torch.randn(module.bias.shape, generator=draws) * 0.2)
            elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.running_mean is not None:
                assert module.running_var is not None
                module.running_mean.copy_(torch.randn(module.running_mean.shape, generator=draws) * 0.3)
                module.running_var.copy_(torch.rand(module.running_var.shape, generator=draws) + 0.5)
                if module.affine:
                    module.weight.copy_(torch.rand(module.weight.shape, generator=draws) + 0.6)
                    module.bias.copy_(torch.randn(module.bias.shape, generator=draws) * 0.2)
    return network.eval()


def textbook(
    *, nz: int = Z, ngf: int = 8, size: int = 32, colours: int = 3, bias: bool = False, norm: bool = True
) -> nn.Sequential:
    """The generator of the PyTorch tutorial: transposed convolutions from 1x1 on, all in one Sequential."""
    depth = size.bit_length() - 3
    widths = [nz, *(ngf * 2**k for k in reversed(range(depth))), colours]
    layers: list[nn.Module] = []
    for k, (entering, leaving) in enumerate(pairwise(widths)):
        layers.append(nn.ConvTranspose2d(entering, leaving, 4, 2 if k else 1, 1 if k else 0, bias=bias))
        if k < depth:
            layers += [nn.BatchNorm2d(leaving)] if norm else []
            layers.append(nn.ReLU(True))
    return nn.Sequential(*layers, nn.Tanh())


class Tutorial(nn.Module):
    """The same inside a module, as the tutorial has it."""

    def __init__(self, main: nn.Sequential) -> None:
        super().__init__()
        self.main = main

    def forward(self, z: Tensor) -> Tensor:
        return self.main(z[:, :, None, None])


def own(**options: int) -> nn.Module:
    return lively(build_network(8, 8, Z, **options)[1])


def latents(n: int = 32) -> Tensor:
    return torch.randn(n, Z, generator=torch.Generator().manual_seed(7))


@torch.inference_mode()
def assert_same_faces(network: nn.Module, folder: Path) -> None:
    """The network and the imported model make the same faces, which are no constant."""
    found = load_model(folder).generator.eval()(latents())
    expected = network.eval()(latents()).float()
    if expected.shape[1] == 1:
        expected = expected.expand(-1, 3, -1, -1)
    pixels = to_uint8(expected)
    assert pixels.float().std(0).mean() > 10
    assert (to_uint8(found).int() - pixels.int()).abs().max() <= TOLERANCE


def imported(value: object, tmp_path: Path, **options: str) -> ModelConfig:
    torch.save(value, tmp_path / "net.pth")
    return import_state_dict(tmp_path / "net.pth", tmp_path / "m", **options)  # type: ignore[arg-type]


def averaged(network: nn.Module) -> AveragedModel:
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.999), use_buffers=True)
    average.update_parameters(network)  # the first update copies
    return average


def lightning(network: nn.Module) -> dict[str, object]:
    discriminator = build_network(8, 8, Z)[0]
    weights = {f"generator.{name}": tensor for name, tensor in network.state_dict().items()}
    weights |= {f"discriminator.{name}": tensor for name, tensor in discriminator.state_dict().items()}
    optimizer = torch.optim.Adam(network.parameters()).state_dict()
    return {"epoch": 3, "global_step": 90, "state_dict": weights, "optimizer_states": [optimizer], "loops": {"a": {}}}


WRAPPED: dict[str, Callable[[nn.Module], object]] = {
    "state dict": lambda net: net.state_dict(),
    "DataParallel": lambda net: nn.DataParallel(net).state_dict(),
    "AveragedModel": lambda net: averaged(net).state_dict(),
    "compiled": lambda net: torch.compile(net).state_dict(),
    "average of a compiled network": lambda net: averaged(torch.compile(net)).state_dict(),
    "average in DataParallel": lambda net: nn.DataParallel(averaged(net)).state_dict(),
    "Lightning": lightning,
    "prefix": lambda net: {f"netG.{k}": v for k, v in net.state_dict().items()},
    "prefixes": lambda net: {f"model.gen.module.{k}": v for k, v in net.state_dict().items()},
    "beside options": lambda net: {"g": net.state_dict(), "args": argparse.Namespace(size=32, betas=(0.5, 0.9))},
    "nested": lambda net: {"models": {"G": net.state_dict(), "D": build_network(8, 8, Z)[0].state_dict()}},
    "beside noise": lambda net: {"fixed_noise": torch.zeros(64, Z, 1, 1), "g": net.state_dict()},
    "parameters": lambda net: {k: nn.Parameter(v) if v.is_floating_point() else v for k, v in net.state_dict().items()},
    "float64": lambda net: copy.deepcopy(net).double().state_dict(),
    "without counters": lambda net: {k: v for k, v in net.state_dict().items() if "tracked" not in k},
    "not contiguous": lambda net: {
        k: v.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0) if v.ndim == 4 else v
        for k, v in net.state_dict().items()
    },
}


@pytest.mark.parametrize("wrapped", WRAPPED)
@pytest.mark.parametrize("kind", ["own", "textbook"])
def test_a_wrapped_generator_makes_its_faces(wrapped: str, kind: str, tmp_path: Path) -> None:
    network = own() if kind == "own" else lively(Tutorial(textbook()))
    config = imported(WRAPPED[wrapped](network), tmp_path)
    assert (config.architecture, config.size, config.z_size) == (
        "dcgan" if kind == "own" else "dcgan-relu", 32, Z,
    )  # fmt: skip
    assert_same_faces(network, tmp_path / "m")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision_are_read(dtype: torch.dtype, tmp_path: Path) -> None:
    network = own().to(dtype)
    imported(network.state_dict(), tmp_path)
    assert_same_faces(network.float(), tmp_path / "m")


@pytest.mark.parametrize("kind", ["own", "textbook", "named"])
def test_safetensors_whose_names_are_sorted_are_read(kind: str, tmp_path: Path) -> None:
    network = own() if kind == "own" else lively(Tutorial(textbook(size=64)) if kind == "textbook" else Named())
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, tmp_path / "g.safetensors")
    import_state_dict(tmp_path / "g.safetensors", tmp_path / "m")
    assert_same_faces(network, tmp_path / "m")


def test_a_file_of_an_old_torch_is_read(tmp_path: Path) -> None:
    network = own()
    torch.save(network.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    import_state_dict(tmp_path / "old.pth", tmp_path / "m")
    assert_same_faces(network, tmp_path / "m")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"size": 64},
        {"size": 128, "ngf": 2},
        {"colours": 1},
        {"bias": True},
        {"bias": True, "norm": False},
        {"ngf": 5, "bias": True, "colours": 1},
    ],
    ids=str,
)
def test_a_textbook_generator_of_any_width_makes_its_faces(options: dict[str, int], tmp_path: Path) -> None:
    network = lively(Tutorial(textbook(**options)))  # type: ignore[arg-type]
    config = imported(network.state_dict(), tmp_path)
    assert config.size == options.get("size", 32)
    assert config.conv_dim == options.get("ngf", 8)
    assert ("colours" in config.training) == ("colours" in options)
    assert_same_faces(network, tmp_path / "m")


class Named(nn.Module):
    """Layers by name, norms made behind all convolutions."""

    def __init__(self) -> None:
        super().__init__()
        widths = [Z, 24, 16, 8, 3]
        for k in range(4):
            self.add_module(f"deconv{k}", nn.ConvTranspose2d(widths[k], widths[k + 1], 4, 2 if k else 1, 1 if k else 0))
        for k in range(3):
            self.add_module(f"bn{k}", nn.BatchNorm2d(widths[k + 1]))

    def forward(self, z: Tensor) -> Tensor:
        x = z[:, :, None, None]
        for k in range(3):
            x = torch.relu(self.get_submodule(f"bn{k}")(self.get_submodule(f"deconv{k}")(x)))
        return torch.tanh(self.get_submodule("deconv3")(x))


def blocks(*first: nn.Module, affine: bool = True) -> nn.Sequential:
    """A generator with this beginning, which makes a map of 32 x 4 x 4."""
    layers = list(first)
    for entering, leaving in ((32, 16), (16, 8)):
        layers += [nn.ConvTranspose2d(entering, leaving, 4, 2, 1), nn.BatchNorm2d(leaving, affine=affine), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(8, 3, 4, 2, 1, bias=False), nn.Tanh())


BEGINNINGS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "names": (Named, "dcgan-relu"),
    "linear, map": (lambda: blocks(nn.Linear(Z, 512), nn.Unflatten(1, (32, 4, 4))), "dcgan"),
    "linear, ReLU, map": (lambda: blocks(nn.Linear(Z, 512), nn.ReLU(), nn.Unflatten(1, (32, 4, 4))), "dcgan-relu"),
    "linear, norm of numbers, ReLU, map": (
        lambda: blocks(nn.Linear(Z, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Unflatten(1, (32, 4, 4))), "dcgan-relu",
    ),
    "linear, map, norm of channels, ReLU": (
        lambda: blocks(nn.Linear(Z, 512), nn.Unflatten(1, (32, 4, 4)), nn.BatchNorm2d(32), nn.ReLU()), "dcgan-relu",
    ),
    "linear, map, norm of channels": (
        lambda: blocks(nn.Linear(Z, 512), nn.Unflatten(1, (32, 4, 4)), nn.BatchNorm2d(32)), "dcgan",
    ),
    "norms that learn nothing": (
        lambda: blocks(nn.Linear(Z, 512), nn.Unflatten(1, (32, 4, 4)), affine=False), "dcgan",
    ),
}  # fmt: skip


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_the_names_say_what_follows_the_first_layer(beginning: str, tmp_path: Path) -> None:
    build, architecture = BEGINNINGS[beginning]
    network = lively(build())
    assert imported(network.state_dict(), tmp_path).architecture == architecture
    assert_same_faces(network, tmp_path / "m")


def reparametrized(network: nn.Module, norm: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """Divide the weights of every layer; train-mode passes move the vectors of a spectral norm."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of torch's old weight norm
        for module in list(network.modules()):
            if isinstance(module, nn.ConvTranspose2d | nn.Linear):
                norm(module)
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(latents())
        for name, parameter in network.named_parameters():
            if name.endswith(("weight_g", "original0")):
                parameter.mul_(1.3)
            if name.endswith("bias"):
                parameter.add_(0.1)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.mul_(4)  # divided weights make pale faces
        network.eval()(latents())  # the old weight norm computes its weights here
    return network


NORMS: dict[str, tuple[Callable[[nn.Module], nn.Module], str]] = {
    "spectral": (nn.utils.spectral_norm, "spectral norm"),
    "spectral, as a parametrization": (nn.utils.parametrizations.spectral_norm, "spectral norm"),
    "weight": (nn.utils.weight_norm, "weight norm"),
    "weight over all": (lambda module: nn.utils.weight_norm(module, dim=None), "weight norm"),
    "weight by output": (lambda module: nn.utils.weight_norm(module, dim=1), "weight norm"),
    "weight, as a parametrization": (nn.utils.parametrizations.weight_norm, "weight norm"),
}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", ["own", "textbook"])
def test_divided_weights_are_folded_as_torch_computes_them(norm: str, kind: str, tmp_path: Path) -> None:
    divide, words = NORMS[norm]
    network = reparametrized(own() if kind == "own" else lively(Tutorial(textbook(bias=True))), divide)
    weights = [(name, m.weight.detach()) for name, m in network.named_modules() if isinstance(m, nn.ConvTranspose2d)]
    config = imported(averaged(network).state_dict() if norm == "spectral" else network.state_dict(), tmp_path)
    assert config.training["folded"] == words
    assert_same_faces(network, tmp_path / "m")
    if kind == "own":  # nothing else is folded into these weights, so they are torch's, rounded at most once
        for name, weight in weights:
            found = load_model(tmp_path / "m").generator.state_dict()[f"{name}.weight"]
            assert torch.equal(found.half(), weight.half())


def test_a_spectral_norm_of_torch_before_1_0_is_read(tmp_path: Path) -> None:
    network = reparametrized(own(), nn.utils.spectral_norm)
    old = {name: tensor for name, tensor in network.state_dict().items() if not name.endswith("weight_v")}
    for name, module in network.named_modules():
        if isinstance(module, nn.ConvTranspose2d | nn.Linear):
            old[f"{name}.weight"] = module.weight.detach()
    imported(old, tmp_path)
    assert_same_faces(network, tmp_path / "m")


def test_faceaugs_own_conditional_generator_is_read(tmp_path: Path) -> None:
    _, network = build_conditional(4, 8, Z, size=32, embedding=6)
    lively(network)
    config = imported({"generator": averaged(network).state_dict()}, tmp_path)
    assert (config.architecture, config.z_size, config.conv_dim, config.embedding) == ("film-subpixel", Z, 8, 6)
    asked = torch.sign(torch.randn(32, 40, generator=torch.Generator().manual_seed(1)))
    with torch.inference_mode():
        networks = (network, load_model(tmp_path / "m").generator)
        expected, found = (to_uint8(one.eval()(latents(), asked)) for one in networks)
    assert (expected.int() - found.int()).abs().max() <= TOLERANCE


@pytest.mark.parametrize("scale", [3e-7, 4e5])
def test_weights_beyond_half_precision_are_kept_in_float32(scale: float, tmp_path: Path) -> None:
    network = own()
    with torch.no_grad():  # batch norm takes the scale away again
        network.get_submodule("t_conv1.0").get_parameter("weight").mul_(scale)
        network.get_submodule("t_conv1.1").get_buffer("running_mean").mul_(scale)
        norm = network.get_submodule("t_conv1.1")
        norm.get_buffer("running_var").mul_(scale**2)
        norm.get_parameter("weight").mul_((norm.get_buffer("running_var") + 1e-5).sqrt() / scale)
    imported(network.state_dict(), tmp_path)
    assert load_model(tmp_path / "m").generator.state_dict()["t_conv1.0.weight"].abs().max() > 0
    assert_same_faces(network, tmp_path / "m")


def test_where_rounding_changes_the_faces_all_weights_are_kept_in_float32(tmp_path: Path) -> None:
    network = own()
    with torch.no_grad():  # differences of large numbers: each fits in half precision, their sum does not survive it
        norm = network.get_submodule("t_conv2.1")
        scale = norm.get_parameter("weight") / (norm.get_buffer("running_var") + 1e-5).sqrt()
        norm.get_parameter("bias").add_(900.0)
        norm.get_buffer("running_mean").add_(900.0 / scale)
    config = imported(network.state_dict(), tmp_path)
    assert "float32" in config.training["precision"]
    assert_same_faces(network, tmp_path / "m")
    export_folder(load_model(tmp_path / "m"), tmp_path / "copy")
    assert_same_faces(network, tmp_path / "copy")


def test_an_imported_textbook_generator_runs_in_onnx_too(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    imported(lively(Tutorial(textbook())).state_dict(), tmp_path)
    assert export_onnx(load_model(tmp_path / "m"), tmp_path / "faces.onnx") < 1e-4
