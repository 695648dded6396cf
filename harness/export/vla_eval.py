"""A run in the format of `vla-eval` 0.8: a result file per suite, and a row of its leaderboard.

As there, an episode that ended in an error has `failure_reason` and counts as a failure in `mean_success`; `num_errors` has their
number. Further fields of an episode (`key`, `init_state`, ...) are what `nora-bench import` reads the scenes from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from ...envs.errors import InputError
from ...envs.suites import LIBERO
from ...results.store.reader import StoredRun
from ...results.store.records import EpisodeRecord
from .publication import SuiteResult, model_id, policy_name, portable_name, suite_results, version_of

BENCHMARKS = {"libero": "LIBEROBenchmark", "simpler": "SimplerEnvBenchmark"}
"""Family of protocols -> the benchmark's name there."""
LEADERBOARD = {"libero": "libero", "simpler": "simpler_env"}
"""Family of protocols -> key of the benchmark in the leaderboard."""
METRICS = {"success": "mean"}


def write_vla_eval(run: StoredRun, out: Path, *, model: str = "") -> tuple[int, list[str]]:
    """Write the files into `out`, a new folder: `BENCHMARK_SUITE.json` each, `leaderboard.json` for whole suites.

    Args:
        run: the run.
        out: folder; must not exist.
        model: `ORGANISATION/NAME` of the evaluated model.

    Returns the number of episodes, and the suites that are omitted from the leaderboard's row, with reasons.
    Raises InputError for a run without episodes.
    """
    results = list(suite_results(run))
    if not results:
        raise InputError(f"{run.folder} has no episodes without a perturbation to export. Type: nora-bench show {run.folder}")
    out.mkdir(parents=True)
    names: set[str] = set()
    for result in results:
        body = benchmark_result(run, result)
        stem = portable_name(f"{body['benchmark']}_{result.suite}")
        stem = f"{stem}_{portable_name(result.values['pack'] or 'other')}{len(names)}" if stem in names else stem
        names.add(stem)
        (out / f"{stem}.json").write_text(json.dumps(body, indent=2, allow_nan=False), encoding="utf-8")
    whole = [result for result in results if not result.shortfall]
    if whole:
        row = leaderboard_row(run, whole, model)
        board = {"last_updated": row["date_added"], "results": [row]}
        (out / "leaderboard.json").write_text(json.dumps(board, indent=2, allow_nan=False), encoding="utf-8")
    omitted = [f"leaderboard row, {result.suite}: {result.shortfall}" for result in results if result.shortfall]
    return sum(len(result.records) for result in results), omitted


def benchmark_result(run: StoredRun, result: SuiteResult) -> dict[str, Any]:
    """The result file of one suite."""
    by_task: dict[str, list[EpisodeRecord]] = {}
    for record in result.records:
        by_task.setdefault(record.task, []).append(record)
    tasks = [_task(records) for records in by_task.values()]
    family = result.records[0].protocol.partition("/")[0]
    return {
        "benchmark": BENCHMARKS.get(family, family),
        "mode": "sync",
        "harness_version": f"nora-bench {version_of(run)}",
        "created_at": str(run.metadata.finished or run.metadata.created or "1970-01-01T00:00:00+00:00"),
        "tasks": tasks,
        "config": {
            "benchmark": BENCHMARKS.get(family, family),
            "params": {"suite": result.suite},
            "nora_bench": {
                **run.metadata.select(("protocol", "policy", "assets", "versions")),
                "run": run.name,
                "part_of_benchmark": result.shortfall,
            },
        },
        "num_errors": sum(task.get("num_errors", 0) for task in tasks),
        "metric_keys": METRICS,
        "mean_success": _mean_success(result.records),
    }


def _task(records: Sequence[EpisodeRecord]) -> dict[str, Any]:
    errors = sum(record.success is None for record in records)
    return {
        "task": records[0].task,
        "episodes": [_episode(number, record) for number, record in enumerate(records)],
        "num_episodes": len(records),
        "avg_steps": sum(record.steps for record in records) / len(records),
        **({"num_errors": errors} if errors else {}),
        "mean_success": _mean_success(records),
    }


def _mean_success(records: Iterable[EpisodeRecord]) -> float:
    return round(fmean(bool(record.success) for record in records), 4)


def _episode(number: int, record: EpisodeRecord) -> dict[str, Any]:
    values = {
        "episode_id": number,
        "metrics": {"success": bool(record.success)},
        "steps": record.steps,
        "elapsed_sec": record.seconds.get("total", 0.0),
        "suite": record.suite,
        "task_id": record.task_id,
        "task_description": record.instruction,
        "variant": record.variant,
        "init_set": record.init_set,
        "init_state": record.init_state,
        "seed": record.seed,
        "key": record.key,
        "trajectory_sha256": record.trajectory_sha256,
    }
    if record.success is None:
        error = record.error or "unknown"
        values |= {"failure_reason": error.partition(":")[0] or "unknown", "failure_detail": error, "cause": record.cause}
    return values


def leaderboard_row(run: StoredRun, results: Sequence[SuiteResult], model: str) -> dict[str, Any]:
    """One row of the leaderboard; scores in percent.

    `overall_score` is null unless all suites of LIBERO are in it, as the leaderboard's rules ask.
    """
    scores = {result.suite: round(100 * result.values["mean"], 2) for result in results}
    family = results[0].records[0].protocol.partition("/")[0]
    complete = set(LIBERO) <= scores.keys()
    notes = "; ".join(f"{result.suite}: {result.note}" for result in results)
    finished = str(run.metadata.finished or run.metadata.created or datetime.now(UTC).isoformat())
    return {
        "model": model_id(run, model).rpartition("/")[2],
        "display_name": model or policy_name(run),
        "benchmark": LEADERBOARD.get(family, family),
        "overall_score": round(fmean(scores[suite] for suite in LIBERO), 2) if complete else None,
        "suite_scores": scores,
        "curated_by": "nora-bench-api",
        "date_added": finished[:10],
        "weight_type": "finetuned" if len(scores) == 1 else "shared",
        "notes": f"{notes}; protocol {results[0].records[0].protocol}, nora-bench {version_of(run)}",
    }
