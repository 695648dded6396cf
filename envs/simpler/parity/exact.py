"""Backend sapien2 compared with recordings of upstream: whole episodes from their reset on, every number of every state.

Nothing is taken from a recording but the episode's name and its actions. All tolerances are zero but those of images, which
SAPIEN 3 renders.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ...base import EnvOptions
from ...parity import Check, max_abs_difference
from .. import recordings
from ..recordings import Recording
from ..sim.env import start_drawers, start_position
from ..sim.render import SimplerRenderer
from ..sim.sapien2.process import PhysicsProcess
from ..sim.sapien2.scene import RemotePhysics
from ..sim.sapien2.scene_widowx import RemoteWidowXPhysics
from .images import DRAWERS, TABLE, read_image
from .rules import differences

RemoteEpisode = RemotePhysics | RemoteWidowXPhysics
"""One episode in the physics process."""


def compare(folder: Path, options: EnvOptions) -> Iterator[Check]:
    """Checks of all recordings in a folder, with the pack of the options and, unless `gl` is none, its driver.

    Raises:
        SuiteError: SAPIEN 2.2.2's interpreter is missing or does not start.
    """
    pack = Path(options.assets)
    renderer = None if options.gl == "none" else SimplerRenderer(pack, options.gl)
    process = PhysicsProcess(Path(options.cache))
    try:
        for stem in recordings.stems(folder):
            yield from compare_one(stem, process, pack, renderer)
    finally:
        process.close()


def compare_one(stem: Path, process: PhysicsProcess, pack: Path, renderer: SimplerRenderer | None = None) -> Iterator[Check]:
    """Checks of one recording; of its images only with a renderer."""
    recording = recordings.read(stem)
    setup, name = recording.setup, recording.name
    physics: RemoteEpisode
    if setup.configuration.is_widowx:
        physics = RemoteWidowXPhysics(process, pack, setup)
    else:
        physics = RemotePhysics(process, pack, setup, start_position(setup), start_drawers(setup))
    recorded = recorded_states(recording, physics.robot.joints)
    if renderer:
        renderer.prepare(setup)
        yield from compare_image(stem, "first", physics, renderer)
    yield Check(name, "sapien2: state after the reset", max_abs_difference(physics.scene.state(), recorded[0]), 0.0)
    error, other_plans = 0.0, 0
    wrong: dict[str, int] = dict.fromkeys(recording.infos, 0)
    for step, action in enumerate(np.asarray(recording.arrays["actions"], np.float64)):
        physics.step(action)
        error = max(error, max_abs_difference(physics.scene.state(), recorded[step + 1]))
        other_plans += physics.ik_success != bool(recording.arrays["ik_success"][step])
        for flag, differs in differences(physics.rule.facts(), recording, step):
            wrong[flag] += differs
    yield Check(name, "sapien2: states after every step", error, 0.0, f"{len(recorded) - 1} steps")
    yield Check(name, "sapien2: inverse kinematics, different outcomes", float(other_plans), 0.0)
    yield Check(name, "sapien2: flags of all steps that differ", float(sum(wrong.values())), 0.0)
    if renderer:
        yield from compare_image(stem, "last", physics, renderer)
    same = physics.rule.statistics() == recording.facts["final_episode_stats"]
    yield Check(name, "sapien2: episode_stats", float(not same), 0.0)


def compare_image(stem: Path, moment: str, physics: RemoteEpisode, renderer: SimplerRenderer) -> Iterator[Check]:
    """Check of the recorded `first` or `last` image, where there is one, at the simulated poses."""
    path = Path(f"{stem}_{moment}.png")
    if not path.is_file():
        return
    colour, entities = renderer.render_raw(physics.scene)
    error = np.abs(renderer.composite(colour, entities).astype(int) - read_image(path))
    tolerance = DRAWERS if "drawer" in physics.setup.configuration.task else TABLE
    mean = float(error[renderer.foreground(entities)].mean())
    yield Check(stem.name, f"sapien2: {moment} image, foreground (mean grey levels)", mean, tolerance)


def recorded_states(recording: Recording, joints: Sequence[str]) -> np.ndarray:
    """[1 + steps, numbers] float64: the states as `RemoteScene.state` gives them."""
    arrays = recording.arrays
    rows = len(arrays["qpos"])
    order = [recording.facts["robot_joint_names"].index(name) for name in joints]
    parts = [np.asarray(arrays[name], np.float64)[:, order] for name in ("qpos", "qvel")]
    for index in range(len(recording.facts["object_names"])):
        parts += [np.asarray(arrays[name], np.float64)[:, index] for name in ("obj_pose_world", "obj_vel")]
    if recording.facts["cabinet_joint_names"]:
        parts += [np.asarray(arrays[name], np.float64) for name in ("cabinet_qpos", "cabinet_qvel")]
    return np.concatenate([part.reshape(rows, -1) for part in parts], axis=1)
