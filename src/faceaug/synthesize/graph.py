"""Generators as ONNX graphs, built by hand from a dozen node types instead of through an exporter."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from faceaug.synthesize.conditional import FilmGenerator
from faceaug.synthesize.networks import RectifiedGenerator
from faceaug.synthesize.render import fold_batch_norm
from faceaug.synthesize.weights import Model

# Versions of 2022, which every runtime in use reads.
_OPSET = 17
_IR = 8


class _Builder:
    """Collects nodes and weights; every method adds one and returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value: np.ndarray[Any, Any]) -> str:
        """Add a constant; return its name."""
        from onnx import numpy_helper

        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def parameters(self, module: nn.Module, name: str) -> list[str]:
        """Add weight and bias of a module; return their names."""
        return [self.constant(f"{name}.{key}", value.detach().numpy()) for key, value in module.named_parameters()]

    def linear(self, module: nn.Module, x: str, name: str) -> str:
        """Add a linear layer; return the name of its output."""
        return self.node("Gemm", [x, *self.parameters(module, name)], name, transB=1)


def onnx_graph(model: Model) -> Any:
    """Build the network as an onnx.ModelProto with batch norm folded.

    Inputs: float32 ``latents`` (n, z_size) and, for a generator that takes attributes, ``attributes`` (n, 40). Output:
    ``faces`` (n, 3, H, W) in -1..1.
    """
    from onnx import TensorProto, helper

    generator = fold_batch_norm(model.generator)
    config = model.config
    build = _Builder()
    inputs = [("latents", [config.z_size])]
    if isinstance(generator, FilmGenerator):
        inputs.append(("attributes", [len(config.attributes)]))
        _add_film(build, generator)
    else:
        _add_dcgan(build, generator)
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape])
        for name, shape in (*inputs, ("faces", [3, config.size, config.size]))
    ]
    graph = helper.make_graph(build.nodes, config.name, ends[:-1], ends[-1:], build.weights)
    found = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="faceaug")
    found.ir_version = _IR
    facts = {"license": config.license, "crop": config.crop, "latent": config.latent, "synthetic": "true"}
    helper.set_model_props(found, facts | ({"attributes": ",".join(config.attributes)} if config.attributes else {}))
    return found


def _add_dcgan(build: _Builder, generator: nn.Module) -> None:
    x = build.linear(generator.get_submodule("fc"), "latents", "fc")
    if isinstance(generator, RectifiedGenerator):
        x = build.node("Relu", [x], "relu0")
    x = build.node("Reshape", [x, build.constant("shape", np.array([0, -1, 4, 4], np.int64))], "maps")
    depth = int(generator.depth)  # type: ignore[arg-type]
    for k in range(1, depth + 1):
        layer = build.parameters(generator.get_submodule(f"t_conv{k}.0"), f"t_conv{k}")
        x = build.node("ConvTranspose", [x, *layer], f"t_conv{k}", strides=[2, 2], pads=[1, 1, 1, 1])
        x = build.node("Tanh" if k == depth else "Relu", [x], "faces" if k == depth else f"relu{k}")


def _add_film(build: _Builder, generator: FilmGenerator) -> None:
    embedded = build.linear(generator.embed, "attributes", "embed")
    style = build.node("Concat", ["latents", embedded], "style", axis=1)
    x = build.linear(generator.fc, style, "fc")
    x = build.node("Reshape", [x, build.constant("shape", np.array([0, 4, 4, -1], np.int64))], "rows")
    x = build.node("Transpose", [x], "maps", perm=[0, 3, 1, 2])
    axes = build.constant("axes", np.array([2, 3], np.int64))
    for k in range(1, generator.depth + 1):
        x = build.node("DepthToSpace", [x], f"larger{k}", blocksize=2, mode="DCR")
        layer = build.parameters(generator.get_submodule(f"conv{k}.0"), f"conv{k}")
        x = build.node("Conv", [x, *layer], f"conv{k}", pads=[1, 1, 1, 1])
        scale, shift = (
            generator.get_submodule(f"film{k}")
            .get_parameter("weight")
            .detach()
            .numpy()
            .copy()
            .reshape(2, -1, generator.z_size + generator.embed.out_features)
        )
        one = build.constant(f"one{k}", np.ones(len(scale), np.float32))
        scaled = build.node("Gemm", [style, build.constant(f"scale{k}.weight", scale), one], f"scale{k}", transB=1)
        shifted = build.node("Gemm", [style, build.constant(f"shift{k}.weight", shift)], f"shift{k}", transB=1)
        x = build.node("Mul", [x, build.node("Unsqueeze", [scaled, axes], f"scale{k}.map")], f"scaled{k}")
        x = build.node("Add", [x, build.node("Unsqueeze", [shifted, axes], f"shift{k}.map")], f"shifted{k}")
        x = build.node("Relu", [x], f"relu{k}")
    x = build.node("DepthToSpace", [x], "full", blocksize=2, mode="DCR")
    x = build.node("Conv", [x, *build.parameters(generator.paint, "paint")], "paint", pads=[1, 1, 1, 1])
    build.node("Tanh", [x], "faces")
