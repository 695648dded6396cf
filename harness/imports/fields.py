"""Fields of a JSON object from another program, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ...envs.safe_io import is_finite


def text(values: Mapping[str, Any], name: str) -> str:
    """A text; empty where it is absent or null. Raises ValueError for anything else."""
    value = values.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{name} is {str(value)[:80]!r}, not a text")
    return value


def number(values: Mapping[str, Any], name: str) -> int | None:
    """A whole number; None where it is absent or null. Raises ValueError for anything else."""
    value = values.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is not None and type(value) is not int:
        raise ValueError(f"{name} is {str(value)[:80]!r}, not a whole number")
    return value


def flag(values: Mapping[str, Any], name: str) -> bool | None:
    """A truth value, also as 0 or 1; None where it is absent, null or NaN. Raises ValueError for anything else."""
    value = values.get(name)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if value not in (0, 1):
        raise ValueError(f"{name} is {str(value)[:80]!r}, not true or false")
    return bool(value)


def seconds(values: Mapping[str, Any], name: str) -> float:
    """A duration; 0 where it is absent, null or no finite number from 0."""
    value = values.get(name)
    if not is_finite(value):
        return 0.0
    return float(value) if 0 <= value < 1e12 else 0.0
