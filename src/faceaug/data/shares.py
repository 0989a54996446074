"""Assign whole groups of pictures to parts, so that each part gets its share of everything."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from faceaug.draws import permutation

_MOST_MOVES = 1_000  # bounds the refinement, of which the first moves bring the most
_TRIES = 8  # exchanges tried before the refinement ends
_SIZE_WEIGHT = 4.0  # of a part's size, compared with one attribute


def assign_groups(
    group: NDArray[np.int64],
    features: NDArray[np.int8],
    shares: NDArray[np.float64],
    seed: int,
    *,
    on_group: Callable[[], object] = lambda: None,
) -> NDArray[np.int8]:
    """Assign each group to a part.

    Greedy, the largest group first (after Sechidis et al. 2011, "On the stratification of multi-label data", with
    groups in place of rows), then refined by moving or exchanging single groups as long as that helps.

    Args:
        group: (n,), number of each picture's group, 0..g-1.
        features: (n, f), values of which each part should have its share: 1 or 0.
        shares: (p,), sum 1; a part with share 0 stays empty, every other one gets a group.
        seed: decides between equals.
        on_group: called after each group that is assigned.

    Returns:
        int8 (g,), the part of each group.

    Raises:
        ValueError: there are fewer groups than parts to fill.
    """
    sums = _group_sums(group, features)
    parts = np.flatnonzero(shares > 0)
    if len(sums) < len(parts):
        raise ValueError(f"{len(sums)} groups cannot fill {len(parts)} parts")
    problem = _Problem(sums, shares[parts])
    order = permutation(len(sums), seed, slot="split/order")
    order = order[np.argsort(-sums[order, 0], kind="stable")]
    part = problem.greedy(order, on_group)
    problem.fill(part)
    problem.refine(part)
    return parts[part].astype(np.int8)


def _group_sums(group: NDArray[np.int64], features: NDArray[np.int8]) -> NDArray[np.float64]:
    """Of each group the number of pictures, 1, and the sum of each feature: (g, 2 + f)."""
    count = int(group.max()) + 1
    columns = [np.bincount(group, minlength=count), np.ones(count)]
    columns += [np.bincount(group, weights=column, minlength=count) for column in features.T]
    return np.stack(columns, axis=1).astype(np.float64)


class _Problem:
    """Deviations of the parts from their shares, as fractions of each part's size.

    Args:
        sums: (g, 2 + f), sums of each group: pictures, groups and features.
        shares: (p,), all above 0.
    """

    def __init__(self, sums: NDArray[np.float64], shares: NDArray[np.float64]) -> None:
        self.sums = sums
        self.target = shares[:, None] * sums.sum(axis=0)
        weights = np.ones(sums.shape[1])
        weights[0] = _SIZE_WEIGHT
        size = np.repeat(self.target[:, :1], sums.shape[1], axis=1)
        size[:, 1] = self.target[:, 1]  # without its share of groups, a small part would get the large ones
        self.scale = weights / np.maximum(size, 1) ** 2
        self.squares = sums**2 @ self.scale.T
        self.off = -self.target.copy()  # (p, 2 + f), sums of each part minus its target

    def greedy(self, order: NDArray[np.int64], on_group: Callable[[], object]) -> NDArray[np.int64]:
        """Assign the groups in this order, each to the part that needs it most."""
        part = np.empty(len(self.sums), np.int64)
        for k in order.tolist():
            added = self.sums[k]
            # The cost of a part is the sum of (off + added)^2; what does not depend on the part is left out.
            part[k] = best = int(((2 * self.off + added) * added * self.scale).sum(axis=1).argmin())
            self.off[best] += added
            on_group()
        return part

    def fill(self, part: NDArray[np.int64]) -> None:
        """Give each empty part the smallest group of the part that is furthest above its share.

        Where groups are few or large, the greedy pass leaves small parts empty: a whole group is too much for them.
        """
        for empty in range(len(self.target)):
            if (part == empty).any():
                continue
            sole = np.bincount(part, minlength=len(self.target)) < 2
            fullest = int(np.where(sole, -np.inf, self.off[:, 0]).argmax())
            members = np.flatnonzero(part == fullest)
            self._assign(part, int(members[self.sums[members, 0].argmin()]), empty)

    def refine(self, part: NDArray[np.int64]) -> None:
        """Move single groups, or exchange two, as long as the parts come closer to their shares; none becomes empty."""
        for _ in range(_MOST_MOVES):
            if not (self._move(part) or self._exchange(part)):
                return

    def _gains(self, part: NDArray[np.int64]) -> NDArray[np.float64]:
        """The change of cost if a group moves to a part: (g, p), 0 for its own part."""
        twice = 2 * self.sums @ (self.off * self.scale).T
        own = np.arange(len(part)), part
        found = self.squares + twice + (self.squares - twice)[own][:, None]
        found[own] = 0
        return np.asarray(found, np.float64)

    def _move(self, part: NDArray[np.int64]) -> bool:
        gains = self._gains(part)
        group, target = np.unravel_index(int(gains.argmin()), gains.shape)
        if gains[group, target] > -1e-12 or (part == part[group]).sum() == 1:
            return False
        self._assign(part, int(group), int(target))
        return True

    def _exchange(self, part: NDArray[np.int64]) -> bool:
        """Exchange the group that should leave most with the best one of the part that it goes to."""
        gains = self._gains(part)
        gains[np.arange(len(part)), part] = np.inf
        before = self._cost()
        for flat in np.argsort(gains, axis=None, kind="stable")[:_TRIES].tolist():
            group, target = divmod(flat, gains.shape[1])
            origin = int(part[group])
            self._assign(part, group, target)
            back = self._gains(part)[:, origin]
            back[(part != target) | (np.arange(len(part)) == group)] = np.inf
            other = int(back.argmin())
            if np.isfinite(back[other]):
                self._assign(part, other, origin)
                if self._cost() < before - 1e-12:
                    return True
                self._assign(part, other, target)
            self._assign(part, group, origin)
        return False

    def _assign(self, part: NDArray[np.int64], group: int, target: int) -> None:
        self.off[part[group]] -= self.sums[group]
        self.off[target] += self.sums[group]
        part[group] = target

    def _cost(self) -> float:
        return float((self.off**2 * self.scale).sum())
