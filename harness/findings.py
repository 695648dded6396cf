"""What an examination of this machine finds: values, each with what mends it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from .mend import Cure


class Status(StrEnum):
    """How bad a finding is."""

    ok = "ok"
    note = "note"
    """Works, but not as well as it could."""
    problem = "problem"
    """Suites cannot be played, or not rightly."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, why it matters, and what mends it."""

    name: str
    status: Status
    found: str
    why: str = ""
    cure: Cure = field(default_factory=Cure)

    def to_json(self) -> dict[str, Any]:
        """JSON-able, the cure as a command to type."""
        return {**asdict(self), "cure": self.cure.command}


def ok(name: str, found: str) -> Finding:
    """Nothing to mend."""
    return Finding(name, Status.ok, found)
