"""Real, augmented and synthetic faces as one torch dataset, or as a new folder.

Names load on first use because the processes that write files need no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faceaug.mix.attributes import attribute_targets as attribute_targets
    from faceaug.mix.augmented import AugmentedDataset as AugmentedDataset
    from faceaug.mix.expand import ExpandedDataset as ExpandedDataset, expand_dataset as expand_dataset
    from faceaug.mix.replay import Replayed as Replayed, replay_row as replay_row
    from faceaug.mix.report import ExpandReport as ExpandReport
    from faceaug.mix.save import save_dataset as save_dataset

_HOME = {
    "AugmentedDataset": "augmented",
    "attribute_targets": "attributes",
    "ExpandedDataset": "expand",
    "expand_dataset": "expand",
    "Replayed": "replay",
    "replay_row": "replay",
    "ExpandReport": "report",
    "save_dataset": "save",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    return value
