"""The sessions of a run (`sessions` of run.json): their differences, and one line of text each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

COMPARED = ("versions", "gl", "commit", "hardware", "platform")
"""Parts of a session that may differ within a run, or between the runs that were merged into one."""


def differences(sessions: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """`part.name` -> values in the order of the sessions, for entries that differ; missing entries are no difference."""
    found: dict[str, list[Any]] = {}
    for part in COMPARED:
        parts = [found_part for one in sessions if isinstance(found_part := one.get(part), Mapping)]
        for name in dict.fromkeys(name for one in parts for name in one):
            values = [one[name] for one in parts if name in one]
            distinct = [json.loads(text) for text in dict.fromkeys(json.dumps(value, sort_keys=True) for value in values)]
            if len(distinct) > 1:
                found[f"{part}.{name}"] = distinct
    return found


def lines(sessions: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One line per session, then one per difference."""
    for number, one in enumerate(sessions, start=1):
        yield f"session {number}  {', '.join(_facts(one))}"
    for name, values in differences(sessions).items():
        yield f"! sessions differ in {name}: {', '.join(map(_text, values))}"


def _facts(session: Mapping[str, Any]) -> Iterator[str]:
    times = " to ".join(str(session[name]) for name in ("started", "finished") if session.get(name))
    yield " ".join(str(part) for part in (session.get("run"), times, session.get("status")) if part)
    for part, name, length in (("versions", "nora-bench", 40), ("commit", "sha", 12)):
        values = session.get(part)
        if isinstance(values, Mapping) and values.get(name):
            yield f"{name if part == 'versions' else part} {str(values[name])[:length]}"
    if conditions := session.get("conditions"):
        yield f"conditions {conditions}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
