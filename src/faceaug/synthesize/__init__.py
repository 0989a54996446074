"""Synthetic faces from pretrained generators."""

from faceaug.synthesize.config import ModelConfig
from faceaug.synthesize.networks import Discriminator, Generator, build_network, conv, deconv
from faceaug.synthesize.source import SynthesisReport, SyntheticFaceSource
from faceaug.synthesize.toggles import toggle_sheet
from faceaug.synthesize.weights import Model, bundled_models, load_model, save_model

__all__ = [
    "Discriminator",
    "Generator",
    "Model",
    "ModelConfig",
    "SynthesisReport",
    "SyntheticFaceSource",
    "build_network",
    "bundled_models",
    "conv",
    "deconv",
    "load_model",
    "save_model",
    "toggle_sheet",
]
