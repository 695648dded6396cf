"""The table of fresh initial states:

    python -m nora_bench.envs.libero.sim.freeze_states libero_goal ASSETS envs/libero/fresh_states.json

makes the entries of one suite anew; ASSETS is a folder that `nora-bench assets` names.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ...base import EnvOptions
from ...paths import cache_home
from ..fresh_states import FreshStates, digest, unused_rows
from ..tasks import load_tasks
from .env import LiberoEnv
from .fresh_states import problem, sampled_state
from .install import init_folder

SAMPLED = 100
"""States per task of a suite whose states are sampled."""


def freeze(scene: Any, suite: str, task_id: int) -> FreshStates:
    """The fresh states of a built task: the admitted ones of its unused rows, else of `SAMPLED` sampled ones."""
    name = load_tasks(suite)[task_id].name
    rows = unused_rows(init_folder(suite), name, scene.state_size)
    if rows:
        admitted = {index: row for index, row in rows.items() if not problem(scene, row)}
        return FreshStates("stored", tuple(admitted), tuple(map(digest, admitted.values())))
    attempts, states = [], []
    for number in range(SAMPLED):
        attempt = 0
        while problem(scene, row := sampled_state(scene, suite, task_id, number, attempt)):
            attempt += 1
        attempts.append(attempt)
        states.append(digest(row))
    return FreshStates("sampled", tuple(attempts), tuple(states))


def main(suite: str, assets: str, path: Path) -> None:
    """Write the entries of one suite into the table."""
    env = LiberoEnv(EnvOptions(assets, "none", str(cache_home())))
    table = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for task in load_tasks(suite):
        states = freeze(env.build(suite, task.id), suite, task.id)
        table[f"{suite}/{task.id}"] = {"source": states.source, "rows": states.rows, "sha256": states.digests}
        print(suite, task.id, states.source, len(states.rows), sum(states.rows) if states.source == "sampled" else "", flush=True)
        lines = (f"{json.dumps(key)}: {json.dumps(table[key])}" for key in sorted(table))
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
