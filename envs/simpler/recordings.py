"""Recordings of upstream SimplerEnv: one episode is `<name>.npz` beside `<name>.json` (docs/reference/simplerenv.md)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SuiteError
from ..safe_io import read_arrays, read_object
from .grid import Configuration, EpisodeSetup, RobotInit, configurations
from .widowx_tasks import RECORDED_NAMES

ORIENTATIONS = {"upright": "standing", "laid_vertically": "vertical", "lr_switch": "horizontal"}
"""Upstream's switch -> name of the can's orientation, in upstream's order of preference."""
FACTS = ("task", "setting", "env_id", "env_kwargs", "scene_name", "robot_init", "obj_init", "object_names", "instruction")
ARRAYS = ("actions", "qpos", "terminated", "info_success")


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One recorded episode."""

    name: str
    facts: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    """Rows of states are one more than actions: the first is the state after the reset."""

    @property
    def setup(self) -> EpisodeSetup:
        """The recorded episode in the grid's terms; its configuration need not be in the grid."""
        start, robot = self.facts["obj_init"], self.facts["robot_init"]
        pose = RobotInit((robot["x"], robot["y"]), robot["yaw"])
        xy = start.get("init_xy") and (start["init_xy"][0], start["init_xy"][1])
        return EpisodeSetup(_configuration(self.facts, pose, xy, start.get("episode_id")), pose, xy, start.get("episode_id"))

    @property
    def infos(self) -> dict[str, np.ndarray]:
        """Flag or number of upstream's `info` -> [steps] its values; and `subtask`, where the instruction changes."""
        flags = {name.removeprefix("info_"): row for name, row in self.arrays.items() if name.startswith("info_")}
        return flags | {name: self.arrays[name] for name in ("subtask",) if name in self.arrays}


def _configuration(
    facts: Mapping[str, Any], pose: RobotInit, xy: tuple[float, float] | None, episode_id: int | None
) -> Configuration:
    common = configurations()[0]
    return Configuration(
        task=RECORDED_NAMES.get(name := str(facts["task"]), name),
        setting=facts["setting"],
        variant="recorded",
        axis="",
        subtask=_subtask(facts),
        env_id=facts["env_id"],
        scene_name=facts["scene_name"],
        rgb_overlay=facts.get("rgb_overlay"),
        env_kwargs=facts["env_kwargs"],
        instruction=facts["instruction"],
        robot_init=(pose,),
        obj_init=() if xy is None else (xy,),
        episode_ids=() if episode_id is None else (episode_id,),
        max_episode_steps=facts["max_episode_steps"],
        counted=False,
        robot=facts.get("robot", common.robot),
        control_mode=facts.get("control_mode", common.control_mode),
        control_freq=facts["control_freq"],
        sim_freq=facts["sim_freq"],
    )


def _subtask(facts: Mapping[str, Any]) -> str:
    drawer = re.search(r"(Top|Middle|Bottom)Drawer", facts["env_id"])
    if drawer:
        return drawer[1].lower()
    return next((name for switch, name in ORIENTATIONS.items() if facts["env_kwargs"].get(switch)), "")


def stems(folder: Path) -> list[Path]:
    """The recorded episodes of a folder, as paths without suffix; empty if none has this layout."""
    return sorted(
        path.with_suffix("") for path in folder.glob("*.json") if path.with_suffix(".npz").is_file() and _is_recording(path)
    )


def _is_recording(path: Path) -> bool:
    try:
        facts = read_object(path)
    except (OSError, ValueError):
        return False
    return {"env_id", "robot_init"} <= set(facts)


def read(stem: Path) -> Recording:
    """The recording at that path without suffix. Raises SuiteError for another layout."""
    try:
        facts, arrays = read_object(stem.with_suffix(".json")), read_arrays(stem.with_suffix(".npz"))
        for name in FACTS:
            facts[name]
        for name in ARRAYS:
            arrays[name]
    except (OSError, ValueError, KeyError) as error:
        raise SuiteError(f"{stem} is not a SimplerEnv recording: {error!r}. Layout: docs/reference/simplerenv.md") from None
    return Recording(stem.name, facts, arrays)


def read_all(folder: Path) -> Iterator[Recording]:
    """All recorded episodes of a folder, by name."""
    return map(read, stems(folder))


def centres_of_mass(folder: Path) -> dict[str, np.ndarray]:
    """Model -> [3] centre of mass in its own frame, from the folder's `physical_properties.json`; empty without one."""
    try:
        objects = read_object(folder / "physical_properties.json")["objects"]
        return {name: np.array(values["com_pose"][:3], float) for name, values in objects.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
