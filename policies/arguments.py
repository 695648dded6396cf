"""Text to value, by annotation: what `--policy-arg name=text` means."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
PLAIN: dict[type, Callable[[str], Any]] = {str: str, int: int, float: float, Path: Path}


F = TypeVar("F", bound=Callable[..., None])


def takes(config: type) -> Callable[[F], F]:
    """Decorator of `__init__(self, **options)`: its signature, and so `--policy-arg`, is the fields of a dataclass."""

    def declare(init: F) -> F:
        hints = get_type_hints(config)
        fields = [field.replace(annotation=hints[name]) for name, field in inspect.signature(config).parameters.items()]
        own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        init.__signature__ = inspect.Signature([own, *fields])  # type: ignore[attr-defined]
        init.__annotations__ = hints
        return init

    return declare


def convert(text: str, kind: Any) -> Any:
    """`text` as a value of the annotated type; unannotated stays text.

    Knows str, int, float, bool, Path, enums (by value or name), Literal, unions with None, and comma-separated lists
    and tuples of these. Raises ValueError saying what was expected (`not an int`).
    """
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _union(text, get_args(kind))
    if origin is Literal:
        return _choice(text, {str(value): value for value in get_args(kind)})
    if origin in (list, tuple, Sequence):
        return _items(text, origin, get_args(kind))
    if kind in (Any, inspect.Parameter.empty):
        return text
    if kind is bool:
        return _choice(text.lower(), TRUTH)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _choice(text, {**{e.name: e for e in kind}, **{str(e.value): e for e in kind}})
    if kind in PLAIN:
        return _plain(text, kind)
    raise ValueError(f"of type {kind}, which cannot be given as text")


def _plain(text: str, kind: type) -> Any:
    try:
        return PLAIN[kind](text)
    except ValueError:
        raise ValueError(f"not {'an' if kind is int else 'a'} {kind.__name__}") from None


def _choice(text: str, choices: dict[str, Any]) -> Any:
    if text not in choices:
        raise ValueError(f"not one of {', '.join(choices)}")
    return choices[text]


def _union(text: str, arms: tuple[Any, ...]) -> Any:
    if types.NoneType in arms and text.lower() in ("none", ""):
        return None
    problems = []
    for arm in sorted((a for a in arms if a is not types.NoneType), key=lambda a: a is str):
        try:
            return convert(text, arm)
        except ValueError as problem:
            problems.append(str(problem))
    raise ValueError(" and ".join(problems))


def _items(text: str, origin: Any, inner: tuple[Any, ...]) -> Any:
    kinds = [kind for kind in inner if kind is not Ellipsis] or [str]
    parts = [part.strip() for part in text.split(",")] if text else []
    fixed = origin is tuple and Ellipsis not in inner and inner
    if fixed and len(parts) != len(kinds):
        raise ValueError(f"not {len(kinds)} comma-separated values")
    values = [convert(part, kinds[i] if fixed else kinds[0]) for i, part in enumerate(parts)]
    return tuple(values) if origin is tuple else values
