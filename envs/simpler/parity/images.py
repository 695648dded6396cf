"""Rendered images compared with recorded ones, at the recorded joint positions and object poses.

The photograph must equal the recorded one within a grey level, outside a rim of two pixels around the mask where
half-covered pixels are ambiguous; robot, objects and cabinet may differ slightly in the mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...base import EnvOptions
from ...errors import SuiteError
from ...parity import Check
from .. import recordings
from ..grid import EpisodeSetup
from ..placements import objects
from ..sim.render import SimplerRenderer

RIM = 2
"""Pixels."""
BACKGROUND, OVERLAP, TABLE, DRAWERS = 1.0, 0.02, 6.0, 12.0
"""Tolerances: grey levels of 255 (background), share of the union in which masks differ, mean grey levels of the foreground."""


def compare(folder: Path, options: EnvOptions) -> Iterator[Check]:
    """Checks of every recording with images in a folder, with the pack and driver of the options.

    Raises:
        SuiteError: a recording is not of this layout.
    """
    pack = Path(options.assets)
    renderer = SimplerRenderer(pack, options.gl)
    for stem in recordings.stems(folder):
        if Path(f"{stem}_first.png").is_file():
            yield from compare_one(stem, pack, renderer)


def compare_one(stem: Path, pack: Path, renderer: SimplerRenderer) -> Iterator[Check]:
    """Checks of the first and last image of one recording, and of the first mask."""
    recording = recordings.read(stem)
    setup = recording.setup
    renderer.prepare(setup)
    tolerance = DRAWERS if "drawer" in setup.configuration.task else TABLE
    mask = read_image(Path(f"{stem}_mask.png"))[..., 0] > 0
    for moment, row in (("first", 0), ("last", -1)):
        image, rendered = _render_state(recording, setup, pack, renderer, row)
        error = np.abs(image.astype(int) - read_image(Path(f"{stem}_{moment}.png")))
        recorded = mask if moment == "first" else rendered  # no mask was recorded for the last image
        behind = error[~grown(rendered | recorded, RIM)]
        judged = BACKGROUND if setup.rgb_overlay else None
        note = "" if judged else "no photograph: the pack's stage, reported only"
        yield Check(stem.name, f"{moment} image, background (grey levels)", float(behind.max(initial=0)), judged, note)
        yield Check(
            stem.name, f"{moment} image, foreground (mean grey levels)", float(error[rendered & recorded].mean()), tolerance
        )
        if moment == "first":
            yield Check(
                stem.name, "mask (share that differs)", float(1 - (rendered & mask).sum() / (rendered | mask).sum()), OVERLAP
            )


def _render_state(
    recording: recordings.Recording, setup: EpisodeSetup, pack: Path, renderer: SimplerRenderer, row: int
) -> tuple[np.ndarray, np.ndarray]:
    """Image and foreground mask at one recorded state."""
    from ..sim import solver
    from ..sim.kinematics import as_pose
    from ..sim.scene import SimplerScene
    from ..sim.widowx.scene import CONTROL_SOLVER, WidowXScene

    facts, arrays = recording.facts, recording.arrays
    if setup.configuration.is_widowx:
        scene = WidowXScene(pack, setup.configuration, CONTROL_SOLVER)
    else:
        scene = SimplerScene(pack, setup.configuration, solver.CONTROL_SOLVER)
    for placement in objects(setup).placements:
        scene.add_object(placement.model, task_object=True)
    robot = scene.add_robot()
    robot.place(setup.robot, arrays["qpos"][row][[facts["robot_joint_names"].index(name) for name in robot.joints]])
    for index, name in enumerate(facts["object_names"]):
        scene.objects[name].entity.set_pose(as_pose(arrays["obj_pose_world"][row][index]))
    if scene.cabinet:
        scene.cabinet.place(arrays["cabinet_qpos"][row])
    colour, entities = renderer.render_raw(scene)
    return renderer.composite(colour, entities), renderer.foreground(entities)


def grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    """The mask dilated by `pixels`, diagonals included."""
    height, width = mask.shape
    padded = np.pad(mask, pixels)
    shifts = range(2 * pixels + 1)
    return np.any([padded[y : y + height, x : x + width] for y in shifts for x in shifts], axis=0)


def read_image(path: Path) -> np.ndarray:
    """[height, width, 3] uint8 RGB."""
    import cv2

    image = cv2.imread(str(path))
    if image is None:
        raise SuiteError(f"{path} is not a readable image of a recording. Layout: docs/reference/simplerenv.md")
    return image[..., ::-1]
