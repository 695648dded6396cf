"""JSON schema of an episode record, generated from the dataclass and its field docstrings.

`python -m nora_bench.results.schema > results/record.schema.json` renews the committed file; a test compares them.
"""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from typing import Any

import msgspec

from .records import VERSION, EpisodeRecord


def schema() -> dict[str, Any]:
    """The schema, with each field's meaning as its description."""
    made = msgspec.json.schema(EpisodeRecord)["$defs"]["EpisodeRecord"]
    for name, meaning in _meanings(EpisodeRecord).items():
        made["properties"][name]["description"] = meaning
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$comment": f"record format {VERSION}"}
    return {**head, **made}


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
