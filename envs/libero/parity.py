"""Replays recordings of the real LIBERO in our own world and measures how far the two are apart.

A recording is `<name>.npz` beside `<name>.json` (fields: docs/evidence/parity.md), made with hard resets, robosuite's own
stepping and both cameras on. Judged within 1e-9: states after reset and after the initial state, fixture poses, the
first five steps with their observations and rewards. Later steps are reported, because contact makes the last bits of
another CPU grow; a recorded success must come within a few steps of its own. Pictures are judged on the official pack.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..base import EnvOptions
from ..errors import SuiteError
from ..parity import Check, max_abs_difference
from ..safe_io import is_name, read_arrays, read_object
from .sim.install import import_libero, libero_root

TOLERANCE = 1e-9
EARLY = 5
"""Steps within which even another CPU has no excuse."""
SUCCESS_SLACK = 5
"""Steps by which a recorded success may come earlier or later on another CPU."""
PICTURE_MEAN = 1.0
"""Largest mean absolute difference of a picture, in grey levels of 255, on the official pack."""
CAMERA_FILES = {"primary": "agentview", "wrist": "wrist"}
OBSERVED = ("joint_pos", "eef_pos", "eef_quat", "gripper_qpos")


def recordings(folder: Path) -> list[Path]:
    """The recordings in a folder, as paths without suffix, tasks of one suite together."""
    found = {path.with_suffix("") for path in folder.glob("*.npz") if path.with_suffix(".json").is_file()}
    return sorted(found, key=lambda path: (path.name.split("_", 1)[1], path.name))


def compare(folder: Path, options: EnvOptions, *, pictures: bool) -> Iterator[Check]:
    """Replay every recording of a folder; yields checks case by case.

    Args:
        folder: laid out as docs/evidence/parity.md says.
        options: assets and GL backend to replay with.
        pictures: judge pictures too (official pack, GL at hand).

    Raises:
        SuiteError: a recording is not readable or not of this layout.
    """
    import_libero(Path(options.assets), Path(options.cache), gl=options.gl)
    from .sim.scene import LiberoScene  # after the GL backend is chosen, which mujoco reads at import

    built: tuple[str, Any] = ("", None)
    for stem in recordings(folder):
        facts, arrays = _read(stem)
        bddl = f"{facts['suite']}/{facts['bddl']}"
        if built[0] != bddl:
            path = libero_root() / "bddl_files" / bddl
            if not path.is_file():
                raise SuiteError(f"{stem.name}.json names the task file {bddl}, which hf-libero does not have")
            built = (bddl, LiberoScene(str(path)))
        yield from _replay(stem, facts, arrays, built[1], pictures=pictures and options.gl != "none")


def _read(stem: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        facts, arrays = read_object(stem.with_suffix(".json")), read_arrays(stem.with_suffix(".npz"))
        for key in ("suite", "bddl", "init_states_file"):
            if not is_name(facts[key]):
                raise ValueError(f"{key} {facts[key]!r} is no name")
        for key in ("suite", "task", "bddl", "init_states_file", "init_state", "seed"):
            facts[key]
        for key in ("states", "actions", "done", "body_pos", "body_quat", *OBSERVED):
            arrays[key]
    except (OSError, ValueError, KeyError) as error:
        raise SuiteError(f"{stem} is not a LIBERO recording: {error!r}. Layout: docs/evidence/parity.md") from None
    return facts, arrays


def _replay(stem: Path, facts: dict, arrays: dict, scene: Any, *, pictures: bool) -> Iterator[Check]:
    case = stem.name
    reset, body_pos, body_quat, after = _reset(facts, scene)
    theirs = arrays["states"]
    yield Check(case, "state after reset", max_abs_difference(reset, theirs[0]), TOLERANCE)
    yield Check(case, "state after initial state", max_abs_difference(after, theirs[1]), TOLERANCE)
    yield Check(case, "fixture positions (m)", max_abs_difference(body_pos, arrays["body_pos"]), TOLERANCE)
    yield Check(case, "fixture rotations", max_abs_difference(body_quat, arrays["body_quat"]), TOLERANCE)
    wanted = _picture_steps(stem, facts, len(arrays["actions"])) if pictures else {}
    ours = _steps(scene, arrays["actions"], wanted)
    yield from _compare_steps(case, ours, arrays, [reset, after])
    yield from _compare_success(case, facts, ours["done"])
    for label, (picture, path) in ours["pictures"].items():
        yield Check(case, f"picture {label}: mean difference (of 255)", _picture_error(picture, path), PICTURE_MEAN)


def _reset(facts: dict, scene: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    from .init_states import load_init_states

    path = libero_root() / "init_files" / facts["suite"] / facts["init_states_file"]
    states = load_init_states(path, scene.state_size)
    scene.reset(int(facts["seed"]))
    reset, body_pos, body_quat = scene.state(), scene.model.body_pos.copy(), scene.model.body_quat.copy()
    scene.set_state(states[int(facts["init_state"])])
    return reset, body_pos, body_quat, scene.state()


def _picture_steps(stem: Path, facts: dict, steps: int) -> dict[int, list[tuple[str, str, Path]]]:
    """Step -> (label, camera, file) of the pictures recorded after it."""
    out: dict[int, list[tuple[str, str, Path]]] = {}
    for camera, name in CAMERA_FILES.items():
        for moment, step in (("first", int(facts.get("settle_steps", 10)) - 1), ("last", steps - 1)):
            path = stem.with_name(f"{stem.name}_{name}_{moment}.png")
            if path.is_file():
                out.setdefault(step, []).append((f"{name} {moment}", camera, path))
    return out


def _steps(scene: Any, actions: np.ndarray, wanted: dict[int, list[tuple[str, str, Path]]]) -> dict[str, Any]:
    """Play all actions, observing after each; pictures where wanted."""
    from .sim.render import LiberoRenderer

    renderer = LiberoRenderer(scene.model, scene.data, 256) if wanted else None
    out: dict[str, Any] = {"states": [], "done": [], "pictures": {}, **{key: [] for key in OBSERVED}}

    def look(step: int) -> Callable[[], None]:
        def take() -> None:
            for key, value in scene.robot_state().items():
                out[key].append(value)
            for label, camera, path in wanted.get(step, []):
                assert renderer is not None
                out["pictures"][label] = (renderer.render(camera), path)

        return take

    for step, action in enumerate(actions):
        scene.refresh_appearance()
        scene.step(action, look(step))
        out["states"].append(scene.state())
        out["done"].append(scene.goal.holds())
    if renderer:
        renderer.close()
    return out


def _compare_steps(case: str, ours: dict, arrays: dict, rows: list[np.ndarray]) -> Iterator[Check]:
    states, theirs = np.array(ours["states"]), arrays["states"][2:]
    yield Check(case, f"states, first {EARLY} steps", max_abs_difference(states[:EARLY], theirs[:EARLY]), TOLERANCE)
    for key in OBSERVED:
        mine = np.array(ours[key])
        yield Check(case, f"{key}, first {EARLY} steps", max_abs_difference(mine[:EARLY], arrays[key][:EARLY]), TOLERANCE)
    digest = hashlib.sha256(np.concatenate([rows, states]).tobytes()).hexdigest()
    same = digest == str(arrays.get("sha256_states", ""))
    yield Check(case, "states, all steps", max_abs_difference(states, theirs), None, "bit-identical" if same else "")
    early = [a == bool(b) for a, b in zip(ours["done"], arrays["done"], strict=True)][:EARLY]
    yield Check(case, f"done, first {EARLY} steps", float(not all(early)), 0.0)


def _compare_success(case: str, facts: dict, done: list[bool]) -> Iterator[Check]:
    if "success_step" not in facts:
        return
    settle = int(facts.get("settle_steps", 10))
    first = next((step - settle + 1 for step, flag in enumerate(done) if flag), None)
    error = float("inf") if first is None else abs(first - int(facts["success_step"]))
    yield Check(case, "success step", error, SUCCESS_SLACK, f"ours {first}, recorded {facts['success_step']}")


def _picture_error(picture: np.ndarray, path: Path) -> float:
    from PIL import Image

    with Image.open(path) as image:
        theirs = np.asarray(image.convert("RGB"), np.float64)
    if theirs.shape != picture.shape:
        return float("inf")
    return float(np.abs(picture - theirs).mean())
