"""The numbers that physics reads, carried over from upstream's files (physics.json). m, kg, rad."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

Bounds = Sequence[Sequence[float]]
"""Lowest and highest corner."""


@cache
def physics() -> Mapping[str, Any]:
    """The content of physics.json: `robot`, `cabinet`, `objects`."""
    return json.loads(Path(__file__).with_name("physics.json").read_text(encoding="utf-8"))


def text(values: Sequence[float]) -> str:
    """Numbers as a URDF writes them, digit for digit."""
    return " ".join(map(repr, values))
