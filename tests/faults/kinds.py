"""The list of faults: each has a name, the phases in which it strikes, and how it is done to a run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .bench import TOY, Bench, Env
from .judge import Strike

Do = Callable[[Bench, np.random.Generator, str], Strike]
"""Breaks a run in a phase; what it draws comes from the generator."""


@dataclass(frozen=True)
class Kind:
    """One way for things to go wrong."""

    name: str
    phases: tuple[str, ...]
    do: Do
    worlds: tuple[Env, ...] = (TOY,)
    """Which it can be done to."""
    share: int = 1
    """How often it is drawn, next to others."""
    possible: Callable[[], bool] = lambda: True
    """Whether this machine lets it be done."""
    needs: str = ""
    """What is missing where it does not."""


KINDS: dict[str, Kind] = {}


def kind(name: str, *phases: str, **more: object) -> Callable[[Do], Do]:
    """Puts a function into the list."""

    def put(do: Do) -> Do:
        assert name not in KINDS
        KINDS[name] = Kind(name, phases, do, **more)  # type: ignore[arg-type]
        return do

    return put


@dataclass(frozen=True)
class Case:
    """One fault of a campaign, fully named: equal cases are the same fault."""

    kind: str
    phase: str
    number: int
    world: str = TOY.name

    def __str__(self) -> str:
        return f"{self.world}/{self.kind}/{self.phase}/{self.number}"

    @classmethod
    def read(cls, text: str) -> Case:
        """From its name."""
        world, name, phase, number = text.split("/")
        return cls(name, phase, int(number), world)

    def rng(self) -> np.random.Generator:
        """All that the fault draws."""
        digest = hashlib.sha256(str(self).encode()).digest()
        return np.random.default_rng(np.frombuffer(digest, np.uint32))


def pairs(world: Env) -> Iterator[tuple[Kind, str]]:
    """Every fault and phase that can be done here to that world, by share."""
    for one in KINDS.values():
        if world in one.worlds and one.possible():
            for phase in one.phases:
                for _ in range(one.share if world is TOY else 1):
                    yield one, phase
