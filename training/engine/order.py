"""Order of a run's examples, of one data set or of a mixture.

It is a pure function of the seed and the position, so that a resumed run continues it exactly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from ...envs.errors import InputError
from ...envs.types import Array


@dataclass(frozen=True, slots=True)
class MixtureMember:
    """A data set of a mixture."""

    name: str
    indices: Array
    """[examples] int64: its examples."""
    share: float
    """Share of the run's examples that are its own; the shares of a mixture add up to 1."""


def mixture_of(names: Sequence[str], counts: Sequence[int] | Array, weights: Mapping[str, float]) -> list[MixtureMember]:
    """The sets of a mixture; a share is proportional to examples times weight.

    Args:
        names: set of each episode.
        counts: examples of each episode, which follow each other.
        weights: name of a set -> factor; 1 for sets without one, and a set of weight 0 is left out.

    Raises:
        InputError: a weight of a set that does not exist, or no set left.
    """
    known = list(dict.fromkeys(names))
    if unknown := [name for name in weights if name not in known]:
        raise InputError(f"data.weights: no set {unknown[0]!r} among --data; known: {', '.join(known)}")
    of = np.repeat([known.index(name) for name in names], counts)
    indices = {name: np.flatnonzero(of == place) for place, name in enumerate(known)}
    sizes = {name: len(indices[name]) * weights.get(name, 1.0) for name in known}
    total = sum(sizes.values())
    if not total:
        raise InputError("data.weights leave no examples: every set has weight 0")
    return [MixtureMember(name, indices[name], size / total) for name, size in sizes.items() if size]


@runtime_checkable
class MixedExamples(Protocol):
    """Training data that may be a mixture."""

    @property
    def mixture(self) -> Sequence[MixtureMember]:
        """Its sets; empty where all examples count alike."""
        ...


class Order(ABC):
    """Which example stands at a position of the run."""

    @abstractmethod
    def at(self, position: int) -> int:
        """Index of the example at a position of the run."""

    def indices(self, start: int, count: int) -> Array:
        """[count] int64: indices of the run's examples `start`, `start + 1`, ..."""
        return np.array([self.at(position) for position in range(start, start + count)], np.int64)


class ShuffledOrder(Order):
    """A new permutation of all examples per epoch, determined by the seed."""

    def __init__(self, length: int, *seed: int) -> None:
        if length < 1:
            raise InputError("no examples to train on")
        self.length, self.seed = length, seed
        self._epoch, self._permutation = -1, np.empty(0, np.int64)

    def at(self, position: int) -> int:
        epoch, within = divmod(position, self.length)
        if epoch != self._epoch:
            self._epoch, self._permutation = epoch, np.random.default_rng([*self.seed, epoch]).permutation(self.length)
        return int(self._permutation[within])


class MixtureOrder(Order):
    """Examples of several sets in fixed shares; each set is shuffled anew in each of its own epochs.

    The run is cut into blocks. The number of a set's examples up to the end of a block is its share, rounded down (the largest
    set gets the rest); where they are within the block is random.
    """

    def __init__(self, members: Sequence[MixtureMember], seed: int) -> None:
        self.members, self.seed = members, seed
        self.shares = np.array([member.share for member in members])
        self.block = max(1024, len(members) ** 2)
        """Examples per block; with fewer than the square of the number of sets, the rest of the largest could be negative."""
        self._orders = [ShuffledOrder(len(member.indices), seed, place) for place, member in enumerate(members, 1)]
        self._number, self._sets, self._ranks = -1, np.empty(0, np.int64), np.empty(0, np.int64)

    def at(self, position: int) -> int:
        number, within = divmod(position, self.block)
        if number != self._number:
            self._open(number)
        place = int(self._sets[within])
        return int(self.members[place].indices[self._orders[place].at(int(self._ranks[within]))])

    def _open(self, number: int) -> None:
        """The sets of the block's positions, and which of its examples each set gives there."""
        before, after = self._counts(number * self.block), self._counts((number + 1) * self.block)
        sets = np.random.default_rng([self.seed, 0, number]).permutation(np.repeat(np.arange(len(before)), after - before))
        ranks = np.empty(self.block, np.int64)
        for place, first in enumerate(before):
            own = np.flatnonzero(sets == place)
            ranks[own] = first + np.arange(len(own))
        self._number, self._sets, self._ranks = number, sets, ranks

    def _counts(self, position: int) -> Array:
        """[sets] int64: examples of each set before a position."""
        counts = np.floor(self.shares * position).astype(np.int64)
        largest = int(np.argmax(self.shares))
        counts[largest] += position - counts.sum()
        return counts


def order_of(examples: object, length: int, seed: int) -> ShuffledOrder | MixtureOrder:
    """The order of a run's examples."""
    members = examples.mixture if isinstance(examples, MixedExamples) else ()
    return MixtureOrder(members, seed) if members else ShuffledOrder(length, seed)
