"""The registry of faults: name, phases, and a function that injects the fault into a run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .bench import TOY, Bench, Scenario
from .judge import Strike

Do = Callable[[Bench, np.random.Generator, str], Strike]
"""Injects a fault in a phase; all randomness comes from the generator."""


@dataclass(frozen=True)
class Kind:
    """One kind of fault."""

    name: str
    phases: tuple[str, ...]
    do: Do
    scenarios: tuple[Scenario, ...] = (TOY,)
    """Scenarios that it applies to."""
    share: int = 1
    """Weight in sampling."""
    possible: Callable[[], bool] = lambda: True
    """Whether this machine can inject it."""
    needs: str = ""
    """The missing requirement where it cannot."""


KINDS: dict[str, Kind] = {}


def kind(name: str, *phases: str, **more: object) -> Callable[[Do], Do]:
    """Registers a function as a kind of fault."""

    def register(do: Do) -> Do:
        assert name not in KINDS
        KINDS[name] = Kind(name, phases, do, **more)  # type: ignore[arg-type]
        return do

    return register


@dataclass(frozen=True)
class Case:
    """One fault of a campaign, fully named: equal cases are the same fault."""

    kind: str
    phase: str
    number: int
    scenario: str = TOY.name

    def __str__(self) -> str:
        return f"{self.scenario}/{self.kind}/{self.phase}/{self.number}"

    @classmethod
    def read(cls, text: str) -> Case:
        """Parse its name."""
        scenario, name, phase, number = text.split("/")
        return cls(name, phase, int(number), scenario)

    def rng(self) -> np.random.Generator:
        """The fault's randomness."""
        digest = hashlib.sha256(str(self).encode()).digest()
        return np.random.default_rng(np.frombuffer(digest, np.uint32))


def pairs(scenario: Scenario) -> Iterator[tuple[Kind, str]]:
    """Every fault and phase that can be injected into that scenario on this machine, repeated by share."""
    for one in KINDS.values():
        if scenario in one.scenarios and one.possible():
            for phase in one.phases:
                for _ in range(one.share if scenario is TOY else 1):
                    yield one, phase
