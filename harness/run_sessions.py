"""The sessions of a run, as `sessions` of run.json: when and where each was, and under which conditions it played."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .planning import provenance

PLACE = ("versions", "commit", "hardware", "platform")
"""Parts of a session that run.json also has, as they were in the first."""
KILLED = "killed"
"""Status of a session that left none: its process was ended from outside."""


def now() -> str:
    """UTC time, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def begin() -> dict[str, Any]:
    """A session that begins now, on this machine."""
    return {
        "started": now(),
        "finished": None,
        "status": "running",
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        "hardware": provenance.hardware(),
        "platform": provenance.host(),
    }


def of(run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The sessions of a run; one of an earlier version of nora-bench tells of its first alone."""
    if run.get("sessions") is not None:
        return [dict(one) for one in run["sessions"]]
    first = {"started": run.get("created"), "finished": run.get("finished"), "status": run.get("status")}
    return [{**first, **{name: run[name] for name in (*PLACE, "gl") if name in run}}]


def earlier(run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The sessions of a run that is to go on: one that had no end was killed."""
    return [{**one, "status": KILLED} if one.get("status") == "running" else one for one in of(run)]


def with_arguments(fingerprint: Mapping[str, Any], policy: Mapping[str, Any]) -> dict[str, Any]:
    """A policy's fingerprint with the arguments that it was built with: they may change its answers, whatever it says itself."""
    return {**fingerprint, **({"args": dict(policy["args"])} if policy.get("args") else {})}


def conditions(run: Mapping[str, Any], gl: Mapping[str, str], versions: Mapping[str, str]) -> str:
    """Digest (16 hex digits) of everything that can change results: equal ones, equal conditions.

    Args:
        run: run.json, with the policy's fingerprint.
        gl: what draws.
        versions: of the interpreters of runner and workers.
    """
    counted = {
        "protocol": run["protocol"],
        "max_steps": run["config"].get("max_steps"),
        "assets": run["assets"]["fingerprint"],
        "backend": run.get("backend"),
        "versions": deciding(versions),
        "gl": dict(gl),
        "policy": {name: run["policy"].get(name) for name in ("name", "args", "fingerprint")},
    }
    return short_digest(counted)


def short_digest(value: Any) -> str:
    """16 hex digits of the SHA-256 of a JSON-able value; the order of names does not count."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def deciding(versions: Mapping[str, str]) -> dict[str, str]:
    """Versions without which two sessions may differ and still belong to one run."""
    return {name: version for name, version in versions.items() if name not in ("nora-bench", "msgpack", "cpu")}
