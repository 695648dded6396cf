"""Files of an asset pack by purpose, and how its stages are placed, in upstream's layout. Metres."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..grid import Configuration

DATA = Path("ManiSkill2_real2sim/data")
ROBOTS = Path("ManiSkill2_real2sim/mani_skill2_real2sim/assets/descriptions")
SCENE_OFFSET, WIDOWX_SCENE_OFFSET = (-1.6616, -3.0337, 0.0), (-2.0634, -2.8313, 0.0)
"""Upstream's stages are modelled around the point that is the origin of the world frame here."""
STAGE_TURN = (0.707, 0.707, 0.0, 0.0)
"""Quaternion (w x y z) from the stages' y-up to z-up; normalised by SAPIEN."""


def has_cabinet(configuration: Configuration) -> bool:
    """Whether the scene contains the drawers; if so, the stage around them is visual only."""
    return "drawer" in configuration.task


def stage_mesh(pack: Path, configuration: Configuration) -> Path:
    """Mesh of a configuration's stage."""
    return pack / DATA / "hab2_bench_assets/stages" / f"{configuration.scene_name}.glb"


def station_urdf(pack: Path, configuration: Configuration) -> Path:
    """URDF of a configuration's drawers."""
    name = configuration.env_kwargs.get("station_name", "mk_station")
    return custom_folder(pack) / f"{name}.urdf"


def scene_offset(configuration: Configuration) -> tuple[float, float, float]:
    """Negative position of the stage."""
    return WIDOWX_SCENE_OFFSET if configuration.is_widowx else SCENE_OFFSET


def robot_urdf(pack: Path, configuration: Configuration, *, look: bool = False) -> Path:
    """URDF of the robot; `look`: in the configuration's own version, which differs in appearance only."""
    if configuration.is_widowx:
        return pack / ROBOTS / "widowx_description/wx250s.urdf"
    version = configuration.env_kwargs.get("urdf_version") if look else None
    name = "google_robot_meta_sim_fix_wheel_fix_fingertip" + ("" if version in (None, "None", "") else f"_{version}")
    return pack / ROBOTS / "googlerobot_description" / f"{name}.urdf"


def custom_folder(pack: Path) -> Path:
    """Folder of the models, their databases and the cabinets."""
    return pack / DATA / "custom"


def model_folder(pack: Path, model: str) -> Path:
    """Folder of a model's meshes."""
    return custom_folder(pack) / "models" / model


def photograph(pack: Path, name: str) -> Path:
    """Background photograph of a visual-matching episode."""
    return pack / DATA / "real_inpainting" / name
