"""A run as a log of Inspect (`inspect_ai`): one sample per scene, one epoch per seed, `success` as its score.

Written as plain JSON, log version 2, without the package; tests read it with the package.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from ...envs.errors import InputError
from ...results import summary
from ...results.conditions import conditions
from ...results.store.reader import StoredRun
from ...results.store.records import EpisodeRecord

SCORER = "success"
STATUS = {"finished": "success", "interrupted": "cancelled", "failed": "error", "running": "started"}


def write_inspect(run: StoredRun, out: Path) -> int:
    """Write the log (suffix .json). Returns the number of samples. Raises InputError for another suffix."""
    if out.suffix != ".json":
        raise InputError(f"--out {out}: Inspect needs the suffix .json")
    with out.open("x", encoding="utf-8") as handle:
        json.dump(_log(run), handle, allow_nan=False)
    return len(run.records)


def _log(run: StoredRun) -> dict[str, Any]:
    scored = [record for record in run.records if record.success is not None]
    status = STATUS.get(run.metadata.status or "", "started")
    failed = {"message": "the run has failed", "traceback": "", "traceback_ansi": ""}
    return {
        "version": 2,
        "status": status,
        "eval": _eval(run),
        "plan": {"name": "plan", "steps": [], "config": {}},
        "results": {
            "total_samples": int((run.metadata.counts or {}).get("planned", len(run.records))),
            "completed_samples": len(scored),
            "scores": [_score(run, scored)] if scored else [],
        },
        "stats": {"started_at": run.metadata.created or "", "completed_at": run.metadata.finished or "", "model_usage": {}},
        **({"error": failed} if status == "error" else {}),
        "samples": [_sample(record) for record in run.records],
    }


def _eval(run: StoredRun) -> dict[str, Any]:
    protocol, policy = run.metadata.protocol or {}, run.metadata.policy or {}
    scenes = dict.fromkeys(_scene(record) for record in run.records)
    suites = "+".join(run.metadata.suites or dict.fromkeys(record.suite for record in run.records))
    return {
        "run_id": run.name,
        "created": run.metadata.created or "1970-01-01T00:00:00+00:00",
        "task": f"nora_bench/{suites}",
        "task_id": run.name,
        "task_version": protocol.get("version", 0),
        "task_args": {"protocol": protocol.get("name")},
        "dataset": {"name": suites, "samples": len(scenes), "sample_ids": list(scenes)},
        "model": f"nora_bench/{policy.get('name', 'unknown')}",
        "model_args": dict(policy.get("args") or {}),
        "config": {"epochs": max((record.seed for record in run.records), default=0) + 1},
        "packages": {name: str(text) for name, text in (run.metadata.versions or {}).items()},
        "metadata": {
            **run.metadata.select(("protocol", "policy", "assets", "commit")),
            "conditions": conditions(run).to_json(),
        },
    }


def _score(run: StoredRun, scored: list[EpisodeRecord]) -> dict[str, Any]:
    """Per suite the mean over tasks with its interval, as `nora-bench show` prints it, and the mean of the suites as accuracy.

    Episodes that could have ended either way count as failures in `mean` and in the accuracy, as successes in `upper`: over
    scored episodes alone, a policy that loses failing episodes would have 100 %. Perturbed episodes have metrics of their own,
    outside the accuracy. A suite with several asset packs has metrics for each of them; such a run has no accuracy.
    """
    every = summary.suites(run)
    found = [suite for suite in every if not suite["perturbation"]]
    packs = Counter(suite["suite"] for suite in found)
    values = {"accuracy": fmean(suite["mean"] for suite in found)} if found and len(packs) == len(found) else {}
    for suite in every:
        parts = (suite["suite"], suite["pack"], suite["backend"]) if packs[suite["suite"]] > 1 else (suite["suite"],)
        name = "_".join(filter(None, (*parts, suite["perturbation"])))
        values |= {f"{name}_{end}": suite[end] for end in ("mean", "upper", "low", "high")}
    metrics = {name: {"name": name, "value": value} for name, value in values.items()}
    return {"name": SCORER, "scorer": SCORER, "scored_samples": len(scored), "metrics": metrics}


def _sample(record: EpisodeRecord) -> dict[str, Any]:
    values = record.to_json()
    own = {name: values[name] for name in ("key", "steps", "decisions", "termination", "warnings", "trajectory_sha256")}
    sample = {
        "id": _scene(record),
        "epoch": record.seed + 1,
        "input": record.instruction,
        "target": "the protocol's success rule holds",
        "metadata": {**own, "task": record.task, "suite": record.suite},
        "started_at": None,
        "completed_at": record.finished or None,
        "total_time": record.seconds.get("total"),
    }
    if record.success is None:
        return {**sample, "error": {"message": record.error or "unknown", "traceback": "", "traceback_ansi": ""}}
    return {**sample, "scores": {SCORER: _value(record, values)}}


def _value(record: EpisodeRecord, values: Mapping[str, Any]) -> dict[str, Any]:
    """1 or 0, with the other outcomes beside it."""
    more = {"success_any": record.success_any, **values["measures"]}
    return {"value": int(bool(record.success)), "explanation": "; ".join(summary.remarks(record)), "metadata": more}


def _scene(record: EpisodeRecord) -> str:
    """An episode's key without protocol and seed; with its perturbation."""
    scene = record.key.partition("@")[0].rpartition("/seed")[0]
    return f"{scene}+{record.perturbation}" if record.perturbation else scene
