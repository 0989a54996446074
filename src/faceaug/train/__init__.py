"""Train your own generator on any folder of faces."""

from faceaug.train.blend import blend_models
from faceaug.train.config import PRESETS, TrainConfig, fine_tuning, parse_settings, preset
from faceaug.train.export import export_model
from faceaug.train.loop import train_gan
from faceaug.train.record import choose_config
from faceaug.train.reports import TrainReport

__all__ = [
    "PRESETS",
    "TrainConfig",
    "TrainReport",
    "blend_models",
    "choose_config",
    "export_model",
    "fine_tuning",
    "parse_settings",
    "preset",
    "train_gan",
]
