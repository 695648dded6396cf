"""Output of the verbs: one JSON object for programs, or lines for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Value = TypeVar("Value")


def emit(as_json: bool, value: Value, printer: Callable[[Value], None]) -> None:
    """Print a value on stdout: as JSON (its `to_json()`, where it has one), or with the printer."""
    if as_json:
        to_json: Callable[[], Any] | None = getattr(value, "to_json", None)
        print(json.dumps(to_json() if to_json else value, indent=2, ensure_ascii=False))
    else:
        printer(value)


def say(lines: str | Iterable[str]) -> None:
    """Print a line, or several, on stdout."""
    for line in [lines] if isinstance(lines, str) else lines:
        print(line)
