"""Tiny networks: one thread is faster than two that wait for each other, and few faces measure the statistics."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from faceaug.train import export


@pytest.fixture(autouse=True, scope="package")
def small_and_quick() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "_STATISTICS_BATCHES", 2)
        yield
    torch.set_num_threads(threads)
