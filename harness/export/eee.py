"""A run in the format of Every Eval Ever, schema 0.3.0: one aggregate per run and one sample per episode.

`data/FAMILY/ORGANISATION/MODEL/UUID.json` has a result per suite, `UUID_samples.jsonl` beside it an episode per line that refers
to its suite's result. Written as plain JSON, without the package; tests run the package's own validator on it.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ...envs.errors import InputError
from ...results.conditions import conditions
from ...results.store.reader import StoredRun
from ...results.store.records import EpisodeRecord
from ...results.summary import outcome_name
from .publication import SuiteResult, model_id, policy_name, portable_name, suite_results, version_of

SCHEMA = "0.3.0"
SOURCES = {
    "libero": ["https://github.com/Lifelong-Robot-Learning/LIBERO"],
    "simpler": ["https://github.com/simpler-env/SimplerEnv"],
}
"""Family of protocols -> where its benchmark is published."""


def write_eee(run: StoredRun, out: Path, *, model: str = "", organization: str = "") -> int:
    """Write the two files below `out`, a new folder. Returns the number of samples.

    Args:
        run: the run.
        out: folder; must not exist.
        model: `ORGANISATION/NAME` of the evaluated model.
        organization: who ran the evaluation.

    Raises InputError for a run without episodes.
    """
    results = list(suite_results(run))
    if not results:
        raise InputError(f"{run.folder} has no episodes without a perturbation to export. Type: nora-bench show {run.folder}")
    identity = model_id(run, model)
    family = portable_name(results[0].records[0].protocol.partition("/")[0])
    name = _uuid(run)
    folder = out / "data" / family / Path(*_folders(identity))
    folder.mkdir(parents=True)
    head = {"schema_version": SCHEMA, "evaluation_id": f"{family}/{identity}/{_epoch(run.metadata.created)}"}
    lines = [json.dumps(line, allow_nan=False) for line in _samples(results, head, identity)]
    samples = folder / f"{name}_samples.jsonl"
    samples.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    detail = {
        "format": "jsonl",
        "file_path": samples.relative_to(out).as_posix(),
        "hash_algorithm": "sha256",
        "checksum": hashlib.sha256(samples.read_bytes()).hexdigest(),
        "total_rows": len(lines),
    }
    aggregate = {**head, **_aggregate(run, results, identity, organization), "detailed_evaluation_results": detail}
    (folder / f"{name}.json").write_text(json.dumps(aggregate, indent=2, allow_nan=False), encoding="utf-8")
    return len(lines)


def _folders(identity: str) -> tuple[str, str]:
    """Developer and model of the path: further parts of the identity join with underscores."""
    developer, _, model = identity.partition("/")
    return developer, model.replace("/", "_")


def _uuid(run: StoredRun) -> uuid.UUID:
    """A version 4 UUID that depends on the run's contents alone: exporting a run again gives the same names."""
    digest = hashlib.sha256(str(run.metadata.created).encode())
    for record in run.records:
        digest.update(f"{record.key} {record.success} {record.steps} {record.trajectory_sha256}\n".encode())
    return uuid.UUID(bytes=digest.digest()[:16], version=4)


def _epoch(text: Any) -> str:
    """Unix time of an ISO 8601 text, in seconds; 0 for anything else."""
    try:
        return str(int(datetime.fromisoformat(str(text)).timestamp()))
    except (ValueError, OverflowError, OSError):
        return "0"


def _aggregate(run: StoredRun, results: Sequence[SuiteResult], identity: str, organization: str) -> dict[str, Any]:
    developer = identity.partition("/")[0]
    relationship = "first_party" if organization == developer else "third_party" if organization else "other"
    return {
        "evaluation_timestamp": _epoch(run.metadata.finished or run.metadata.created),
        "retrieved_timestamp": str(int(time.time())),
        "source_metadata": {
            "source_name": "nora-bench",
            "source_type": "evaluation_run",
            "source_organization_name": organization or "not stated",
            "evaluator_relationship": relationship,
        },
        "eval_library": {
            "name": "nora-bench",
            "version": version_of(run),
            "additional_details": _texts({"run": run.name, "commit": run.metadata.commit, "conditions": conditions(run).digest}),
        },
        "model_info": {
            "name": policy_name(run),
            "id": identity,
            "developer": developer,
            "additional_details": {
                "deployment_type": "self_deployed",
                "model_availability": "unknown",
                **_texts((run.metadata.policy or {}).items()),
            },
        },
        "evaluation_results": [_result(run, result) for result in results],
    }


def _result(run: StoredRun, result: SuiteResult) -> dict[str, Any]:
    suite = result.suite
    family = result.records[0].protocol.partition("/")[0]
    urls = SOURCES.get(family)
    source = {"source_type": "url", "url": urls} if urls else {"source_type": "other"}
    return {
        "evaluation_result_id": _result_id(result),
        "evaluation_name": _title(result),
        "source_data": {"dataset_name": suite, **source},
        "evaluation_timestamp": _epoch(run.metadata.finished or run.metadata.created),
        "metric_config": {
            "evaluation_description": f"Mean over the tasks of {suite} of the share of episodes that succeed",
            "metric_id": "success_rate",
            "metric_name": "Success rate",
            "metric_kind": "pass_rate",
            "metric_unit": "proportion",
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": 1.0,
        },
        "score_details": _score(result),
        "generation_config": {"additional_details": _texts((run.metadata.protocol or {}).items())},
    }


def _score(result: SuiteResult) -> dict[str, Any]:
    """The rate with its interval; errors as failures."""
    values = result.values
    return {
        "score": values["mean"],
        "details": _texts(
            {
                "errors": values["errors"],
                "errors_in_score": "counted as failures",
                "score_with_errors_as_successes": values["upper"],
                "successes": values["k"],
                "tasks": len(values["tasks"]),
                "part_of_benchmark": result.shortfall,
            }
        ),
        "uncertainty": {
            "confidence_interval": {
                "lower": values["low"],
                "upper": values["high"],
                "confidence_level": 0.95,
                "method": "stratified by task, clustered by initial state; covers both outcomes of every error",
            },
            "num_samples": len(result.records),
        },
    }


def _result_id(result: SuiteResult) -> str:
    values = result.values
    parts = (result.suite, values["pack"], values["backend"], values["initial_states"])
    return "/".join(portable_name(part) for part in parts if part) + "/success_rate"


def _title(result: SuiteResult) -> str:
    """The suite's name alone only for the benchmark's result: a part or another asset pack is not mistaken for it."""
    return f"{result.suite} ({result.shortfall})" if result.shortfall else result.suite


def _samples(results: Sequence[SuiteResult], head: Mapping[str, str], identity: str) -> Iterator[dict[str, Any]]:
    for result in results:
        refers = {
            **head,
            "model_id": identity,
            "evaluation_name": _title(result),
            "evaluation_result_id": _result_id(result),
        }
        for record in result.records:
            yield {**refers, **_sample(record)}


def _sample(record: EpisodeRecord) -> dict[str, Any]:
    outcome = outcome_name(record)
    executed = {"steps": record.steps, "decisions": record.decisions, "actions_sha256": record.actions_sha256}
    own = ("key", "suite", "task", "variant", "init_set", "init_state", "seed", "protocol", "steps", "decisions", "termination")
    return {
        "sample_id": record.key,
        "sample_hash": hashlib.sha256(f"{record.instruction}success".encode()).hexdigest(),
        "interaction_type": "agentic",
        "input": {"raw": record.instruction, "reference": ["success"]},
        "messages": [
            {"turn_idx": 0, "role": "user", "content": record.instruction},
            {"turn_idx": 1, "role": "assistant", "content": json.dumps(executed)},
        ],
        "answer_attribution": [
            {
                "turn_idx": 1,
                "source": "final state of the environment",
                "extracted_value": outcome,
                "extraction_method": f"success rule of protocol {record.protocol}",
                "is_terminal": True,
            }
        ],
        "evaluation": {"score": float(record.success or 0), "is_correct": bool(record.success)},
        "performance": {
            "latency_ms": 1000 * max(0.0, record.seconds.get("total", 0.0)),
            "generation_time_ms": 1000 * max(0.0, record.seconds.get("policy", 0.0)),
        },
        "error": (record.error or "unknown") if record.success is None else None,
        "metadata": _texts({**{name: getattr(record, name) for name in (*own, "trajectory_sha256")}, **record.assets}),
    }


def _texts(values: Any) -> dict[str, str]:
    """Entries as texts, which is all that the schema takes: JSON for what is no text; empty ones are omitted."""
    entries = {str(name): value for name, value in dict(values).items() if value not in (None, "", [], {}, ())}
    return {name: value if isinstance(value, str) else json.dumps(value, default=str) for name, value in entries.items()}
