"""JSON schemas of an episode record and of `run.json`, generated from the types, their hints and their field docstrings.

`python -m nora_bench.results.store.schema record > results/store/record.schema.json` and the same with `run` renew the committed
files, which a test compares. Generated here and not by msgspec, whose versions word the same schema differently.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from types import NoneType, UnionType
from typing import Any, Required, get_args, get_origin, get_type_hints, is_typeddict

from msgspec import UnsetType

from ...envs.field_docs import field_docs
from .records import VERSION, EpisodeRecord
from .run_metadata import FIELDS, RunMetadata

NAMES = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}


def record_schema() -> dict[str, Any]:
    """Schema of one line of `episodes.jsonl`; field docstrings are descriptions."""
    hints = get_type_hints(EpisodeRecord)
    required_first = sorted(fields(EpisodeRecord), key=lambda field: bool(_default(field)))
    properties = {field.name: {**_shape(hints[field.name]), **_default(field)} for field in required_first}
    required = [field.name for field in required_first if not _default(field)]
    return {**_head(EpisodeRecord), **_object(EpisodeRecord, properties), "required": required}


def run_schema() -> dict[str, Any]:
    """Schema of `run.json`; every field may be absent, and others may be present."""
    hints = get_type_hints(RunMetadata, include_extras=True)
    return {**_head(RunMetadata), **_object(RunMetadata, {name: _shape(hints[name]) for name in FIELDS})}


def _head(kind: type) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": f"record format {VERSION}",
        "title": kind.__name__,
        "description": inspect.getdoc(kind),
    }


def _object(kind: type, properties: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Schema of an object; the docstring below a field becomes its description."""
    meanings = {name: {"description": text} for name, text in field_docs(kind).items()}
    return {"type": "object", "properties": {name: {**shape, **meanings.get(name, {})} for name, shape in properties.items()}}


def _shape(hint: Any) -> dict[str, Any]:
    """A type hint as JSON schema. Raises TypeError for a type that no field has had so far."""
    if hint in NAMES:
        return {"type": NAMES[hint]}
    if hint is Any:
        return {}
    if is_typeddict(hint):
        return _typed_dict(hint)
    kind, parts = get_origin(hint), [part for part in get_args(hint) if part is not UnsetType]
    if kind is UnionType:
        return _shape(parts[0]) if len(parts) == 1 else {"anyOf": [_shape(part) for part in parts]}
    if kind in (Mapping, dict) and parts[0] is str:
        values = _shape(parts[1])
        return {"type": "object", **({"additionalProperties": values} if values else {})}
    if (kind is tuple and parts[1:] == [...]) or kind is list:
        return {"type": "array", "items": _shape(parts[0])}
    raise TypeError(f"{hint} of a field has no JSON schema; add it to results/store/schema.py")


def _typed_dict(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    required = [name for name, hint in hints.items() if kind.__total__ or get_origin(hint) is Required]
    properties = {name: _shape(get_args(hint)[0] if get_origin(hint) is Required else hint) for name, hint in hints.items()}
    return {**_object(kind, properties), **({"required": required} if required else {})}


def _default(field: Field[Any]) -> dict[str, Any]:
    """`default` of a field that a record may lack; empty for a required one."""
    if field.default is not MISSING:
        return {"default": list(field.default) if isinstance(field.default, tuple) else field.default}
    return {} if field.default_factory is MISSING else {"default": field.default_factory()}


def text(schema: Mapping[str, Any]) -> str:
    """A schema as its committed file contains it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(text(run_schema() if "run" in sys.argv[1:] else record_schema()), end="")
