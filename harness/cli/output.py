"""Output of the verbs: one JSON object for programs, or lines for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any, TypeVar

Value = TypeVar("Value")


def emit(as_json: bool, value: Value, printer: Callable[[Value], None]) -> None:
    """Print a value on stdout: as JSON, or with the printer. Objects within it become JSON by `to_json()`, or field by field."""
    if as_json:
        print(json.dumps(value, default=as_plain, indent=2, ensure_ascii=False))
    else:
        printer(value)


def as_plain(value: Any) -> Any:
    """A value as JSON holds it: what its `to_json()` returns, else the fields of a dataclass."""
    return value.to_json() if hasattr(value, "to_json") else asdict(value)


def say(lines: str | Iterable[str]) -> None:
    """Print a line, or several, on stdout."""
    for line in [lines] if isinstance(lines, str) else lines:
        print(line)
