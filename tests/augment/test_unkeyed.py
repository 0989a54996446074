"""Calls without a key, in processes that were forked from one another."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from faceaug.augment import Compose, Twist
from faceaug.augment.seeding import torch_seeded
from faceaug.augment.unkeyed import any_seed

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here"),
    pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning"),
]


def some(count: int) -> tuple[int, ...]:
    return tuple(any_seed() for _ in range(count))


def seeded(seed: int) -> tuple[int, ...]:
    torch.manual_seed(seed)
    return some(3)


def keyed(threads: int) -> tuple[int, ...]:
    """Sums of pictures from a step of ours inside one of torchvision's, then a seed without a key."""
    levels = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    compose = Compose([v2.RandomApply([Twist(30)], p=0.9)])
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        each = (pool.map if threads else map)(lambda key: compose(levels, key=key), range(8))
        return (*(int(one.sum()) for one in each), any_seed())


def forked(function: object, given: list[int]) -> list[tuple[int, ...]]:
    """One process for each."""
    with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        return pool.map(function, given, chunksize=1)


def test_forked_processes_draw_apart_from_one_another_and_from_their_parent() -> None:
    torch.manual_seed(3)
    here = some(3)
    torch.manual_seed(3)
    seen = [here, *forked(some, [3] * 4)]
    assert len({number for numbers in seen for number in numbers}) == 15
    assert some(3) == here


def test_a_forked_process_that_seeds_torch_repeats() -> None:
    torch.manual_seed(3)
    assert len(set(forked(seeded, [8, 8, 8]))) == 1
    assert forked(seeded, [8])[0] == seeded(8)


@pytest.mark.parametrize("threads", [0, 3])
def test_forked_processes_draw_by_the_key_alone_and_stay_apart_without_one(threads: int) -> None:
    here = keyed(0)
    seen = forked(keyed, [threads] * 3)
    assert {numbers[:-1] for numbers in seen} == {here[:-1]}
    assert len({numbers[-1] for numbers in seen}) == 3


def test_a_draw_by_key_is_the_same_while_another_thread_has_seeded_a_block() -> None:
    alone = keyed(0)[:-1]
    begun, over = threading.Event(), threading.Event()

    def hold() -> None:
        with torch_seeded(1):
            begun.set()
            over.wait(60)

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(hold)
        begun.wait(60)
        try:
            beside = keyed(0)[:-1]
        finally:
            over.set()
        held.result()
    assert beside == alone


def beside_a_seeded_block(_: int) -> tuple[int, ...]:
    """Seeds drawn by another thread while this one has seeded torch's generator, then some of this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(any_seed).result()
        with torch_seeded(5):
            beside = pool.submit(some, 3).result()
            expected = float(torch.rand(()))
    with torch_seeded(5):
        assert float(torch.rand(())) == expected, "nothing was drawn from the block's generator"
    return (*beside, *some(3))


def test_seeds_drawn_beside_a_seeded_block_are_nobody_else_s_and_neither_are_those_after_it() -> None:
    torch.manual_seed(3)
    seen = [beside_a_seeded_block(0), *forked(beside_a_seeded_block, [0] * 3)]
    assert len({number for numbers in seen for number in numbers}) == 24


def drawn_by_threads(threads: int, each: int) -> list[int]:
    with ThreadPoolExecutor(threads) as pool:
        start = threading.Barrier(threads)

        def draw() -> tuple[int, ...]:
            start.wait(60)
            return some(each)

        return sorted(number for one in [pool.submit(draw) for _ in range(threads)] for number in one.result())


def test_threads_together_draw_the_numbers_that_one_would_draw() -> None:
    torch.manual_seed(3)
    expected = sorted(some(2000))
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # seconds; threads meet within a draw
    try:
        torch.manual_seed(3)
        found = drawn_by_threads(4, 500)
    finally:
        sys.setswitchinterval(before)
    assert found == expected


def test_numbers_drawn_beside_a_seeded_block_are_those_of_the_generator_as_it_was() -> None:
    torch.manual_seed(3)
    expected = some(6)
    torch.manual_seed(3)
    with ThreadPoolExecutor(1) as pool, torch_seeded(5):
        with torch_seeded(6):
            beside = pool.submit(some, 3).result()
        within = float(torch.rand(()))
    assert (*beside, *some(3)) == expected
    with torch_seeded(5):
        assert float(torch.rand(())) == within


class Flips(torch.utils.data.Dataset[float]):
    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> float:
        return float(any_seed() % 1000)


def test_workers_of_a_loader_repeat_after_torch_manual_seed_and_differ_from_each_other() -> None:
    def numbers() -> list[float]:
        torch.manual_seed(11)
        loader = DataLoader(Flips(), num_workers=2, multiprocessing_context="fork")
        return [float(one) for one in loader]

    first = numbers()
    assert numbers() == first
    assert len(set(first)) > 30


def test_a_seed_is_a_number_that_a_stream_takes() -> None:
    assert all(0 <= number < 2**63 for number in (*some(100), *forked(some, [100])[0]))
