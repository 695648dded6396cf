"""The table of perturbed episodes that the scripted expert cannot solve, from runs of it:

    python -m nora_bench.harness.planning.unsolvable RUN ... envs/libero/unsolvable_perturbations.json

adds the runs' episodes of the axes that move things; see `envs.libero.unsolvable`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...envs.base import SceneCheckError
from ...envs.libero.unsolvable import scene_key
from ...envs.perturbations import axes
from ...results.store.reader import read_run
from ...results.store.records import EpisodeRecord

EXPERT = "scripted"
NO_ROOM = SceneCheckError.__name__
"""In the error of an episode whose scene has no room for its perturbation; other errors say nothing about the scene."""


def examine(table: dict[str, Any], records: Iterable[EpisodeRecord]) -> dict[str, Any]:
    """The table with these episodes; one of another version of the levels is replaced. Raises ValueError for another policy."""
    kept = table if table.get("version") == axes.version() else {"examined": [], "unsolvable": {}}
    examined, causes = set(kept["examined"]), dict(kept["unsolvable"])
    for record in records:
        if record.policy != EXPERT:
            raise ValueError(f"{record.key} was run by {record.policy}, not by {EXPERT}")
        crashed = record.success is None and NO_ROOM not in (record.error or "")
        if crashed or not record.perturbation or not axes.get(record.perturbation).moves:
            continue
        key = scene_key(record.spec)
        examined.add(key)
        causes.pop(key, None)
        if not record.success:
            causes[key] = record.error or f"the expert fails within {record.steps} steps"
    return {"version": axes.version(), "examined": sorted(examined), "unsolvable": dict(sorted(causes.items()))}


def main(runs: Iterable[str], path: Path) -> None:
    """Add the runs' episodes to the table and print the shares."""
    table = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for run in runs:
        table = examine(table, read_run(Path(run)).records)
    path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    for name in sorted({key.rpartition("+")[2] for key in table["examined"]}):
        keys = [key for key in table["examined"] if key.endswith(f"+{name}")]
        print(f"{name}: {len(keys) - sum(key in table['unsolvable'] for key in keys)} of {len(keys)} solved")


if __name__ == "__main__":
    main(sys.argv[1:-1], Path(sys.argv[-1]))
