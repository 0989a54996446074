"""Train your own generator on any folder of faces."""

from faceaug.train.config import PRESETS, TrainConfig, preset
from faceaug.train.export import export_model
from faceaug.train.loop import Progress, TrainReport, train_gan

__all__ = ["PRESETS", "Progress", "TrainConfig", "TrainReport", "export_model", "preset", "train_gan"]
