"""Targets of the auxiliary losses: object positions at each step of a demonstration, from its states.

Training only; a policy never receives them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from ...envs.types import Array
from .demonstrations import DataError, Demonstration

KINDS = 64
"""Maximum number of object categories."""
FACTS = 16
"""Maximum number of values predicted from the prompt's last token."""
THINGS = 24
"""Maximum number of objects per scene."""
REACH = 0.2
"""Metres per unit of the facts."""
FINGER = 0.04
"""Opening of one finger, m."""
HAND = "hand"
CATEGORIES = (
    *(HAND, "akita_black_bowl", "alphabet_soup", "basket", "bbq_sauce", "black_book", "butter", "chefmate_8_frypan"),
    *("chocolate_pudding", "cookies", "cream_cheese", "desk_caddy", "flat_stove", "glazed_rim_porcelain_ramekin", "ketchup"),
    *("microwave", "milk", "moka_pot", "orange_juice", "plate", "porcelain_mug", "red_coffee_mug", "salad_dressing"),
    *("tomato_sauce", "white_cabinet", "white_yellow_mug", "wine_bottle", "wine_rack", "wooden_cabinet"),
)
"""Categories, in the order of the auxiliary head."""


@dataclass(frozen=True, slots=True)
class SceneTargets:
    """Object positions in the scenes of a batch."""

    places: Array
    """[B, things, 2] float32: row and column in the image, 0 to 1; NaN for padding."""
    kinds: Array
    """[B, things] int64 category of each object, below KINDS."""
    facts: Array
    """[B, at most FACTS] float32, of the order of 1; NaN where undefined."""


@dataclass(frozen=True, slots=True)
class SceneCamera:
    """A fixed camera: position, axes as columns (right, up, backwards), field of view in degrees."""

    position: Array
    axes: Array
    fovy: float

    def place(self, points: Array) -> Array:
        """[..., 2] row and column, 0 to 1, in a square image, rotated as LIBERO's protocols do."""
        right, up, back = np.moveaxis((points - self.position) @ self.axes, -1, 0)
        focal = 0.5 / np.tan(np.radians(self.fovy) / 2)
        return np.stack([0.5 + focal * up / back, 0.5 + focal * right / back], axis=-1)


def camera_of(model: str, name: str = "agentview") -> SceneCamera:
    """A camera of a MuJoCo model (XML). Raises DataError for an unknown name."""
    try:
        found = next((c for c in ElementTree.fromstring(model).iter("camera") if c.get("name") == name), None)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DataError(f"the demonstration's model is not XML: {error}") from None
    if found is None:
        raise DataError(f"the demonstration's model has no camera {name}")
    try:
        position, quaternion, fovy = (np.array((found.get(key) or "45").split(), float) for key in ("pos", "quat", "fovy"))
    except ValueError:
        position = quaternion = fovy = np.zeros(0)
    if (position.shape, quaternion.shape, fovy.shape) != ((3,), (4,), (1,)) or not np.linalg.norm(quaternion) > 0:
        raise DataError(f"the demonstration's model has no valid pose of camera {name}")
    return SceneCamera(position, _axes(quaternion / np.linalg.norm(quaternion)), float(fovy[0]))


def _axes(q: Array) -> Array:
    w, x, y, z = q
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def targets(demonstration: Demonstration, camera: SceneCamera) -> SceneTargets:
    """Per step: image positions of gripper and objects, and ten facts.

    The facts, in units of REACH: the gripper above the lowest point of its path, the fingers' opening (-1 to 1), and the vectors
    from the gripper to the task's first and second object of interest.
    """
    things = positions(demonstration)
    hand = demonstration.robot_states[:, 2:5]
    points = np.stack([hand, *things.values()], axis=1)[:, :THINGS]
    places = np.full((len(demonstration), THINGS, 2), np.nan, np.float32)
    places[:, : points.shape[1]] = camera.place(points)
    kinds = np.zeros((len(demonstration), THINGS), np.int64)
    kinds[:, : points.shape[1]] = [_category(name) for name in [HAND, *things]][:THINGS]
    centre = [0.0, 0.0, hand[:, 2].min() + REACH / 2]
    fingers = demonstration.robot_states[:, :1] / (FINGER / 2) - 1
    away = [(things[name] - hand) / REACH for name in pair_of(demonstration, things)] or [np.full((len(hand), 6), np.nan)]
    facts = np.concatenate([(hand - centre) / REACH, fingers, *away], axis=1)
    return SceneTargets(places, kinds, np.clip(facts, -4, 4).astype(np.float32))


def require_scenes(demonstrations: Sequence[Demonstration]) -> None:
    """Raise DataError where demonstrations lack the object positions that the auxiliary losses need; names the remedy."""
    lacking = [d for d in demonstrations if not ({"columns", "fixtures"} <= d.facts.keys() and d.robot_states.shape[1] >= 5)]
    if not lacking:
        return
    source = next((d.source for d in lacking if d.source and d.model), None)
    place = source and source.place.parent
    remedy = (
        f"Type: nora-bench data regenerate --data {place} --out no_noops, and train on no_noops; or take" if place else "Take"
    )
    raise DataError(
        "the recipe's auxiliary losses (detection_weight, regression_weight) need demonstrations with object positions; "
        f"{len(lacking)} of {len(demonstrations)} have none, such as {lacking[0].key}. {remedy} "
        "a recipe without these losses: --recipe nano-plain"
    )


def positions(demonstration: Demonstration) -> dict[str, Array]:
    """Object -> [steps, 3] m, world frame: movable objects from the states, fixtures from their poses."""
    out: dict[str, Array] = {}
    for joint, column in demonstration.facts["columns"].items():
        name = joint.removesuffix("_joint0")
        if name != joint:
            out[name] = demonstration.states[:, column : column + 3]
    for name, pose in demonstration.facts["fixtures"].items():
        out[name] = np.tile(np.asarray(pose[:3], float), (len(demonstration), 1))
    return out


def pair_of(demonstration: Demonstration, things: Iterable[str]) -> list[str]:
    """The task's two objects of interest; empty for an unknown task."""
    return _wanted(demonstration.suite, demonstration.task, tuple(things))


def _category(name: str) -> int:
    """Index of an object's category; unknown ones share the index after the last."""
    category = re.sub(r"_\d+$", "", name)
    return CATEGORIES.index(category) if category in CATEGORIES else len(CATEGORIES)


@cache
def _wanted(suite: str, task: str, things: Sequence[str]) -> list[str]:
    """The first two objects of interest of the task file (a single one twice); empty for an unknown task."""
    from ...envs.libero.sim.install import task_file

    return words_of(task_file(suite, task), things)


def words_of(file: Path, things: Sequence[str]) -> list[str]:
    """The objects that a task file (BDDL) lists first, two or none. Raises DataError for an unreadable file."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read as a task file: {error}") from None
    listed = re.search(r"\(:obj_of_interest\s+([^)]*)\)", text)
    names = [thing for word in (listed[1].split() if listed else []) for thing in things if word.startswith(thing)]
    return (names + names[-1:])[:2] if len(names) < 2 else names[:2]
