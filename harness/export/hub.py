"""A run's results as Hugging Face's Hub reads them from a model repository: `.eval_results/NAME.yaml`.

Layout as `huggingface_hub` 1.x and 2.x parse it (`parse_eval_result_entries`; https://huggingface.co/docs/hub/eval-results). Only
results that are the benchmark's are written: whole suites on the benchmark's own assets.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...envs.errors import InputError
from ...results.store.reader import StoredRun
from .publication import SuiteResult, portable_name, suite_results, version_of

FOLDER = ".eval_results"


def write_hub(run: StoredRun, out: Path, *, dataset: str, url: str = "") -> tuple[int, list[str]]:
    """Write one YAML file into `out`/.eval_results. Returns the number of episodes behind it and the omitted suites with reasons.

    Args:
        run: the run.
        out: folder; must not exist. To be copied into the model's repository.
        dataset: `ORGANISATION/NAME` of the benchmark's data set on the Hub; the suites are its tasks.
        url: page with the evaluation's logs, if any.

    Raises InputError without a data set, and where no suite's result is the benchmark's.
    """
    if dataset.count("/") != 1 or not all(dataset.split("/")):
        raise InputError(
            "--format hf needs the benchmark's data set on the Hub, whose leaderboard lists the result. Add --dataset ORG/NAME",
            option="--dataset",
            value=dataset,
        )
    results = list(suite_results(run))
    whole = [result for result in results if not result.shortfall]
    omitted = [f"{result.suite}: {result.shortfall}" for result in results if result.shortfall]
    if not whole:
        raise InputError(
            f"{run.folder} has no result that is the benchmark's: {'; '.join(omitted) or 'no episodes'}. "
            f"For a part or other assets: nora-bench export {run.folder} --format eee"
        )
    import yaml

    entries = [_entry(run, result, dataset, url) for result in whole]
    (out / FOLDER).mkdir(parents=True)
    path = out / FOLDER / f"{portable_name(run.name)}.yaml"
    path.write_text(yaml.safe_dump(entries, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return sum(len(result.records) for result in whole), omitted


def _entry(run: StoredRun, result: SuiteResult, dataset: str, url: str) -> dict[str, Any]:
    """One entry; the value in percent."""
    protocol = run.metadata.protocol or {}
    finished = str(run.metadata.finished or run.metadata.created or "")
    rules = f"protocol {protocol.get('name')} v{protocol.get('version')}, nora-bench {version_of(run)}"
    return {
        "dataset": {"id": dataset, "task_id": result.suite},
        "value": round(100 * result.values["mean"], 2),
        **({"date": finished[:10]} if finished else {}),
        **({"source": {"url": url, "name": "nora-bench run"}} if url else {}),
        "notes": f"success rate in percent, {result.note}; {rules}",
    }
