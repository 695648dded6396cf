"""JSON schema of an episode record, generated from the dataclass, its type hints and its field docstrings.

`python -m nora_bench.results.store.schema > results/store/record.schema.json` renews the committed file; a test compares them.
Made here and not by msgspec, whose versions word the same schema differently.
"""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from .records import VERSION, EpisodeRecord

NAMES = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}


def schema() -> dict[str, Any]:
    """The schema, with each field's meaning as its description."""
    hints, meanings = get_type_hints(EpisodeRecord), _meanings(EpisodeRecord)
    described = {name: {"description": meaning} for name, meaning in meanings.items()}
    properties = {one.name: {**_shape(hints[one.name]), **_default(one), **described.get(one.name, {})} for one in _fields()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": f"record format {VERSION}",
        "title": EpisodeRecord.__name__,
        "description": inspect.getdoc(EpisodeRecord),
        "type": "object",
        "properties": properties,
        "required": [one.name for one in _fields() if not _default(one)],
    }


def _fields() -> list[Field[Any]]:
    """Required ones first."""
    return sorted(fields(EpisodeRecord), key=lambda one: bool(_default(one)))


def _shape(hint: Any) -> dict[str, Any]:
    """A type hint as JSON schema. Raises TypeError for one that a record has not had so far."""
    if hint in NAMES:
        return {"type": NAMES[hint]}
    kind, parts = get_origin(hint), get_args(hint)
    if kind is UnionType:
        return {"anyOf": [_shape(part) for part in parts]}
    if kind is Mapping and parts[0] is str:
        return {"type": "object", "additionalProperties": _shape(parts[1])}
    if kind is tuple and parts[1:] == (...,):
        return {"type": "array", "items": _shape(parts[0])}
    raise TypeError(f"{hint} of a record's field has no JSON schema; give it one in results/store/schema.py")


def _default(one: Field[Any]) -> dict[str, Any]:
    """`default` of a field that a record may lack; empty for a required one."""
    if one.default is not MISSING:
        return {"default": list(one.default) if isinstance(one.default, tuple) else one.default}
    return {} if one.default_factory is MISSING else {"default": one.default_factory()}


def _meanings(record: type) -> dict[str, str]:
    """Field -> the docstring below it, on one line."""
    body = ast.parse(textwrap.dedent(inspect.getsource(record))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[ast.unparse(field.target)] = " ".join(str(below.value.value).split())
    return found


def text() -> str:
    """The schema as the committed file holds it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(text(), end="")
