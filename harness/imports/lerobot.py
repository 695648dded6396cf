"""Results of `lerobot-eval`: `eval_info.json`, with `per_task` (lerobot 0.4) or `per_episode` (earlier, one task).

The file does not name initial states, so none is known. It has no errors either: an evaluation that meets one ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...envs.safe_io import is_finite, read_object
from .episodes import ForeignEpisode, ResultsError, Source
from .fields import flag, number, text

NO_SUCCESS = "the result has no success"


def read_eval_info(path: Path) -> Source:
    """The episodes of the file. Raises ResultsError for anything else."""
    try:
        body = read_object(path)
        episodes = tuple(_of_tasks(body["per_task"]) if "per_task" in body else _of_episodes(body.get("per_episode")))
    except ValueError as error:
        raise ResultsError(f"{path} is not an eval_info.json of lerobot: {error}") from None
    overall = body.get("overall", body.get("aggregated"))
    names = ("pc_success", "n_episodes", "avg_sum_reward", "eval_s")
    facts = {name: overall[name] for name in names if is_finite(overall.get(name))} if isinstance(overall, dict) else {}
    return Source(path=path, tool="lerobot", episodes=episodes, facts=facts)


def _of_tasks(tasks: Any) -> Iterator[ForeignEpisode]:
    for task in _objects(tasks, "per_task"):
        metrics = task.get("metrics")
        successes = metrics.get("successes") if isinstance(metrics, dict) else None
        if not isinstance(successes, list):
            raise ValueError("a task has no list of successes")
        for value in successes:
            success = flag({"success": value}, "success")
            name, suite = str(number(task, "task_id") or 0), text(task, "task_group")
            yield ForeignEpisode(suite=suite, task=name, success=success, error="" if success is not None else NO_SUCCESS)


def _of_episodes(episodes: Any) -> Iterator[ForeignEpisode]:
    for episode in _objects(episodes, "per_episode"):
        success = flag(episode, "success")
        yield ForeignEpisode(task="0", success=success, error="" if success is not None else NO_SUCCESS)


def _objects(values: Any, name: str) -> list[Mapping[str, Any]]:
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise ValueError(f"{name} is not a list of objects")
    return values
