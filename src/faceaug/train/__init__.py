"""Train your own generator on any folder of faces."""

from faceaug.train.config import PRESETS, TrainConfig, parse_settings, preset
from faceaug.train.export import export_model
from faceaug.train.keeper import Progress
from faceaug.train.loop import TrainReport, train_gan

__all__ = [
    "PRESETS", "Progress", "TrainConfig", "TrainReport", "export_model", "parse_settings", "preset", "train_gan",
]  # fmt: skip
