"""The table of scene checks:

    python -m nora_bench.envs.libero.sim.freeze_scene_checks libero_90 ASSETS envs/libero/sim/premises.json 3

measures the entries of one suite anew, here over the first 3 initial states of each task (default: all); ASSETS is a folder that
`nora-bench assets` names.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...base import SimulationError
from ...paths import cache_home
from ...rotations import angle_degrees
from ..init_states import load_init_states
from ..tasks import INIT_STATES, load_tasks
from . import scene_checks
from .fresh_states import REST
from .install import import_libero, init_folder, task_file

Motion = dict[str, tuple[float, float, float]]
"""Object -> rise (mm), distance moved (mm), turn (degrees)."""


def settling(scene: Any, row: np.ndarray) -> tuple[Motion, list[str]]:
    """What settling does to each object of a built task from a state, and what is wrong with the result."""
    scene.reset(0)
    scene.set_state(row)
    before = scene_checks.object_poses(scene)
    try:
        for _ in range(10):
            scene.step(REST)
    except SimulationError as error:
        return {}, [str(error)]
    after = scene_checks.object_poses(scene)
    return {name: _motion(before[name], after[name]) for name in after}, scene_checks.restless(scene)


def _motion(before: np.ndarray, after: np.ndarray) -> tuple[float, float, float]:
    way = 1e3 * (after[:3] - before[:3])
    return float(way[2]), float(np.linalg.norm(way)), angle_degrees(before[3:], after[3:])


def usual(settled: Sequence[tuple[Motion, list[str]]]) -> dict[str, Any]:
    """The entry of a task: the median motion of each object, and the first state in which every object moves so and rests.

    Raises ValueError where no state does.
    """
    stable = [motion for motion, _ in settled if motion]
    objects = {name: [_rounded(np.median([motion[name][k] for motion in stable])) for k in range(3)] for name in stable[0]}
    for state, (motion, notes) in enumerate(settled):
        if motion and not notes and all(_close(motion[name], objects[name]) for name in objects):
            return {"state": state, "objects": objects}
    raise ValueError("no state in which every object settles as usual")


def _rounded(value: Any) -> float:
    return float(f"{float(value):.4g}" if abs(value) >= 1.0 else f"{float(value):.3g}")


def _close(motion: Sequence[float], median: Sequence[float]) -> bool:
    """Within half of what a check allows."""
    return abs(motion[1] - median[1]) < scene_checks.MOVED_MM / 2 and abs(motion[2] - median[2]) < scene_checks.TURNED_DEG / 2


def main(suite: str, assets: str, path: Path, states: int = INIT_STATES) -> None:
    """Write the entries of one suite, over the first so many states, into the table."""
    import_libero(Path(assets), cache_home(), gl="none")
    from .scene import LiberoScene

    table = json.loads(path.read_text(encoding="utf-8"))
    for task in load_tasks(suite):
        scene = LiberoScene(str(task_file(suite, task.name)))
        rows = load_init_states(init_folder(suite) / f"{task.name}.pruned_init", scene.state_size)
        table[f"{suite}/{task.id}"] = usual([settling(scene, row) for row in rows[:states]])
        print(suite, task.id, table[f"{suite}/{task.id}"]["state"], flush=True)
        lines = (f"  {json.dumps(key)}: {json.dumps(entry)}" for key, entry in table.items())
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), *map(int, sys.argv[4:]))
