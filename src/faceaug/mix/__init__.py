"""Real, augmented and synthetic faces as one torch dataset, or as a new folder."""

from faceaug.mix.augmented import AugmentedDataset
from faceaug.mix.expand import ExpandedDataset, expand_dataset
from faceaug.mix.save import ExpandReport, save_dataset

__all__ = ["AugmentedDataset", "ExpandReport", "ExpandedDataset", "expand_dataset", "save_dataset"]
