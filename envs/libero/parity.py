"""LIBERO's environment compared with recordings of the original, by replay.

A recording is `<name>.npz` beside `<name>.json` (fields: docs/evidence/parity.md), made with hard resets, robosuite's own
stepping and both cameras on. Compared within 1e-9: states after reset and after the initial state, fixture poses, the
first five steps with their observations and rewards. Later steps are reported only, because contact amplifies the last bits
of another CPU; success must occur within a few steps of the recorded one. Images are compared on the official pack; where the
recording's pack had substitutes for files that the image shows (`recordings/reference_pack.json`), outside these only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
"""Steps that must agree on any CPU."""
SUCCESS_SLACK = 5
"""Largest difference in steps of the success, on another CPU."""
SIZE = 256
"""Recorded images' pixels a side."""
IMAGE_TOLERANCE = 1.0
"""Largest mean absolute difference of an image, in grey levels of 255, on the official pack."""
SUBSTITUTED = "recorded with substitutes"
"""In quantity and note of an image whose recording cannot be compared as a whole."""
CAMERA_FILES = {"primary": "agentview", "wrist": "wrist"}
OBSERVED = ("joint_pos", "eef_pos", "eef_quat", "gripper_qpos")


def recordings(folder: Path) -> list[Path]:
    """The recordings in a folder, as paths without suffix, tasks of one suite together."""
    stems = {path.with_suffix("") for path in folder.glob("*.npz") if path.with_suffix(".json").is_file()}
    return sorted(stems, key=lambda path: (path.name.split("_", 1)[1], path.name))


def compare(folder: Path, options: EnvOptions, *, images: bool) -> Iterator[Check]:
    """Replay every recording of a folder; yields checks case by case.

    Args:
        folder: laid out as docs/evidence/parity.md says.
        options: assets and GL backend to replay with.
        images: compare images too (requires the official pack and GL).

    Raises:
        SuiteError: a recording is unreadable or has another layout.
    """
    import_libero(Path(options.assets), Path(options.cache), gl=options.gl)
    from .sim.scene import LiberoScene  # after the choice of the GL backend, which mujoco reads at import

    built: tuple[str, Any] = ("", None)
    for stem in recordings(folder):
        facts, arrays = _read(stem)
        bddl = f"{facts['suite']}/{facts['bddl']}"
        if built[0] != bddl:
            path = libero_root() / "bddl_files" / bddl
            if not path.is_file():
                raise SuiteError(f"task file {bddl} of {stem.name}.json not found in hf-libero. Layout: docs/evidence/parity.md")
            built = (bddl, LiberoScene(str(path)))
        yield from _replay(stem, facts, arrays, built[1], assets=Path(options.assets), images=images and options.gl != "none")


def _read(stem: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        facts, arrays = read_object(stem.with_suffix(".json")), read_arrays(stem.with_suffix(".npz"))
        for key in ("suite", "bddl", "init_states_file"):
            if not is_name(facts[key]):
                raise ValueError(f"{key} {facts[key]!r} is not a file name")
        for key in ("suite", "task", "bddl", "init_states_file", "init_state", "seed"):
            facts[key]
        for key in ("states", "actions", "done", "body_pos", "body_quat", *OBSERVED):
            arrays[key]
    except (OSError, ValueError, KeyError) as error:
        raise SuiteError(f"{stem} is not a LIBERO recording: {error!r}. Layout: docs/evidence/parity.md") from None
    return facts, arrays


def _replay(stem: Path, facts: dict, arrays: dict, scene: Any, *, assets: Path, images: bool) -> Iterator[Check]:
    case = stem.name
    reset, body_pos, body_quat, after = _reset(facts, scene)
    recorded = arrays["states"]
    yield Check(case, "state after reset", max_abs_difference(reset, recorded[0]), TOLERANCE)
    yield Check(case, "state after initial state", max_abs_difference(after, recorded[1]), TOLERANCE)
    yield Check(case, "fixture positions (m)", max_abs_difference(body_pos, arrays["body_pos"]), TOLERANCE)
    yield Check(case, "fixture rotations", max_abs_difference(body_quat, arrays["body_quat"]), TOLERANCE)
    image_steps = _image_steps(stem, facts, len(arrays["actions"])) if images else {}
    replayed = _steps(scene, arrays["actions"], image_steps, assets)
    yield from _compare_steps(case, replayed, arrays, [reset, after])
    yield from _compare_success(case, facts, replayed["done"])
    for label, rendered in replayed["images"].items():
        yield from _compare_image(case, label, rendered)


@dataclass(frozen=True)
class _Rendered:
    """One rendered image and its recording."""

    image: np.ndarray
    path: Path
    """The recorded image."""
    substituted: list[str]
    """Files that are drawn in it and for which the recording's pack may have had substitutes."""
    covered: np.ndarray
    """Pixels where these can appear."""


def _reset(facts: dict, scene: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    from .init_states import load_init_states

    path = libero_root() / "init_files" / facts["suite"] / facts["init_states_file"]
    states = load_init_states(path, scene.state_size)
    scene.reset(int(facts["seed"]))
    reset, body_pos, body_quat = scene.state(), scene.model.body_pos.copy(), scene.model.body_quat.copy()
    scene.set_state(states[int(facts["init_state"])])
    return reset, body_pos, body_quat, scene.state()


def _image_steps(stem: Path, facts: dict, steps: int) -> dict[int, list[tuple[str, str, Path]]]:
    """Step -> (label, camera, file) of the images recorded after it."""
    out: dict[int, list[tuple[str, str, Path]]] = {}
    for camera, name in CAMERA_FILES.items():
        for moment, step in (("first", int(facts.get("settle_steps", 10)) - 1), ("last", steps - 1)):
            path = stem.with_name(f"{stem.name}_{name}_{moment}.png")
            if path.is_file():
                out.setdefault(step, []).append((f"{name} {moment}", camera, path))
    return out


def _steps(scene: Any, actions: np.ndarray, image_steps: dict[int, list[tuple[str, str, Path]]], assets: Path) -> dict[str, Any]:
    """Execute all actions, observing after each; render the requested images."""
    from .sim.drawn_files import covered, drawn_files
    from .sim.render import LiberoRenderer

    renderer = LiberoRenderer(scene.model, scene.data, SIZE) if image_steps else None
    substitutes = _substitutes() if image_steps else set()
    substituted = {geom: files & substitutes for geom, files in drawn_files(scene.model, assets).items() if files & substitutes}
    out: dict[str, Any] = {"states": [], "done": [], "images": {}, **{key: [] for key in OBSERVED}}

    def observer(step: int) -> Callable[[], None]:
        def observe() -> None:
            for key, value in scene.robot_state().items():
                out[key].append(value)
            for label, camera, path in image_steps.get(step, []):
                assert renderer is not None
                masks = {geom: covered(scene.model, scene.data, camera, geom, SIZE) for geom in substituted}
                out["images"][label] = _Rendered(
                    image=renderer.render(camera),
                    path=path,
                    substituted=sorted({name for geom, mask in masks.items() if mask.any() for name in substituted[geom]}),
                    covered=np.any([np.zeros((SIZE, SIZE), bool), *masks.values()], axis=0),
                )

        return observe

    for step, action in enumerate(actions):
        scene.refresh_appearance()
        scene.step(action, observer(step))
        out["states"].append(scene.state())
        out["done"].append(scene.goal.holds())
    if renderer:
        renderer.close()
    return out


def _compare_steps(case: str, replayed: dict, arrays: dict, rows: list[np.ndarray]) -> Iterator[Check]:
    states, recorded = np.array(replayed["states"]), arrays["states"][2:]
    yield Check(case, f"states, first {EARLY} steps", max_abs_difference(states[:EARLY], recorded[:EARLY]), TOLERANCE)
    for key in OBSERVED:
        values = np.array(replayed[key])
        yield Check(case, f"{key}, first {EARLY} steps", max_abs_difference(values[:EARLY], arrays[key][:EARLY]), TOLERANCE)
    digest = hashlib.sha256(np.concatenate([rows, states]).tobytes()).hexdigest()
    same = digest == str(arrays.get("sha256_states", ""))
    yield Check(case, "states, all steps", max_abs_difference(states, recorded), None, "bit-identical" if same else "")
    early = [a == bool(b) for a, b in zip(replayed["done"], arrays["done"], strict=True)][:EARLY]
    yield Check(case, f"done, first {EARLY} steps", float(not all(early)), 0.0)


def _compare_success(case: str, facts: dict, done: list[bool]) -> Iterator[Check]:
    if "success_step" not in facts:
        return
    settle = int(facts.get("settle_steps", 10))
    first = next((step - settle + 1 for step, flag in enumerate(done) if flag), None)
    error = float("inf") if first is None else abs(first - int(facts["success_step"]))
    yield Check(case, "success step", error, SUCCESS_SLACK, f"replayed {first}, recorded {facts['success_step']}")


def _substitutes() -> set[str]:
    """Files for which the pack of the reference recordings had substitutes."""
    return set(read_object(Path(__file__).parent / "recordings" / "reference_pack.json")["substitutes"])


def _compare_image(case: str, label: str, rendered: _Rendered) -> Iterator[Check]:
    """The image's check; where it differs and the recording's pack had substitutes, the check of the other pixels."""
    difference = _difference(rendered)
    error = float(difference.mean())
    quantity = f"image {label}: mean difference (of 255)"
    if error <= IMAGE_TOLERANCE or not rendered.substituted or difference.shape != rendered.covered.shape:
        yield Check(case, quantity, error, IMAGE_TOLERANCE)
        return
    rest = difference[~rendered.covered]
    yield Check(case, f"{quantity}, {SUBSTITUTED}", error, None, f"{SUBSTITUTED} for {', '.join(rendered.substituted)}")
    if rest.size:
        share = f"{100 * rest.size / difference.size:.0f} % of the image"
        yield Check(case, f"{quantity}, outside the substitutes", float(rest.mean()), IMAGE_TOLERANCE, share)


def _difference(rendered: _Rendered) -> np.ndarray:
    """[rows, columns] mean absolute difference of the colours; one infinite number where the sizes differ."""
    from PIL import Image

    with Image.open(rendered.path) as file:
        recorded = np.asarray(file.convert("RGB"), np.float64)
    if recorded.shape != rendered.image.shape:
        return np.array([np.inf])
    return np.abs(rendered.image - recorded).mean(-1)
