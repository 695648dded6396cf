"""The sessions of a run (`sessions` of run.json): time, place and conditions of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, cast

from msgspec import UNSET

from ..results.store.records import now
from ..results.store.run_metadata import PolicyFields, RunMetadata, SessionFields
from .planning import provenance

PLACE = ("versions", "commit", "hardware", "platform")
"""Fields of a session that run.json repeats for the first session."""
KILLED = "killed"
"""Status of a session whose process was ended from outside."""


def begin() -> SessionFields:
    """A new session on this machine, started now."""
    return {
        "started": now(),
        "finished": None,
        "status": "running",
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        "hardware": provenance.hardware(),
        "platform": provenance.host(),
    }


def of(run: RunMetadata) -> list[SessionFields]:
    """The sessions of a run; runs of earlier versions of nora-bench record only the first, at the top level."""
    if run.sessions is not UNSET:
        return run.sessions
    first = SessionFields(started=run.created or None, finished=run.finished or None, status=run.status or None)
    return [cast(SessionFields, {**first, **run.select((*PLACE, "gl"))})]


def earlier(run: RunMetadata) -> list[SessionFields]:
    """The sessions of a run that is resumed; one without an end was killed."""
    return [{**session, "status": KILLED} if session.get("status") == "running" else session for session in of(run)]


def with_arguments(fingerprint: Mapping[str, Any], policy: PolicyFields) -> dict[str, Any]:
    """A policy's fingerprint, with its arguments: they may change its actions even where the fingerprint omits them."""
    arguments = policy.get("args")
    return {**fingerprint, **({"args": dict(arguments)} if arguments else {})}


def conditions(run: RunMetadata, gl: Mapping[str, str | None], versions: Mapping[str, str]) -> str:
    """Digest (16 hex digits) of everything that can change results: equal digests mean equal conditions.

    Args:
        run: run.json, with the policy's fingerprint.
        gl: `backend` and `renderer` that render the images.
        versions: package versions in the interpreters of runner and workers.
    """
    policy = run.policy or {}
    counted = {
        "protocol": run.protocol or None,
        "max_steps": (run.config or {}).get("max_steps"),
        "assets": (run.assets or {}).get("fingerprint"),
        "backend": None if run.backend is UNSET else run.backend,
        "versions": deciding(versions),
        "gl": dict(gl),
        "policy": {name: policy.get(name) for name in ("name", "args", "fingerprint")},
    }
    return short_digest(counted)


def short_digest(value: Any) -> str:
    """16 hex digits of the SHA-256 of a JSON-able value; the order of names does not count."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def deciding(versions: Mapping[str, str]) -> dict[str, str]:
    """The versions that all sessions of a run must share."""
    return {name: version for name, version in versions.items() if name not in ("nora-bench", "msgpack", "cpu")}
