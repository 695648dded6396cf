"""Files that a pack must contain: all that the episodes of one robot load. Paths are relative to the pack's folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath

from ..grid import configurations
from ..placements import objects
from ..widowx_grid import configurations as widowx_configurations
from ..widowx_tasks import SINK, TASKS

VARIABLE = "NORA_BENCH_SIMPLER_ASSETS"
"""Environment variable that names a folder with the official pack."""
FETCH = "nora-bench assets fetch simpler"
ROOT = "ManiSkill2_real2sim"
DATA = f"{ROOT}/data"
MODELS = f"{DATA}/custom/models"
WIDOWX_ROBOT = f"{ROOT}/mani_skill2_real2sim/assets/descriptions/widowx_description/wx250s.urdf"
ROBOT = f"{ROOT}/mani_skill2_real2sim/assets/descriptions/googlerobot_description/google_robot_meta_sim_fix_wheel_fix_fingertip"
DATABASES = tuple(f"{DATA}/custom/info_pick_custom_{name}.json" for name in ("v0", "baked_tex_v0", "baked_tex_v1"))
VISUAL_SUFFIXES = ("obj", "dae", "glb")
"""Formats of an object's visual mesh; one must exist."""
NAMED = {
    ".urdf": re.compile(rb'<mesh[^>]*\bfilename="([^"]+)"'),
    ".obj": re.compile(rb"^mtllib\s+(\S.*?)\s*$", re.MULTILINE),
    ".mtl": re.compile(rb"^map_Kd\s+(\S.*?)\s*$", re.MULTILINE),
    ".dae": re.compile(rb"<init_from>([^<>]+\.(?:png|jpe?g))</init_from>"),
}
"""Suffix -> pattern of the file names in such a file."""


def missing_files(folder: Path) -> list[str]:
    """Files that the Google robot's episodes load and that a pack lacks or that are empty."""
    return [name for name in sorted(needed(folder)) if not _has_content(folder / name)]


def missing_widowx_files(folder: Path) -> list[str]:
    """The same for the WidowX."""
    return [name for name in sorted(needed_by_widowx(folder)) if not _has_content(folder / name)]


def missing_from_pack(folder: Path) -> list[str]:
    """The same for every robot that the pack has: one of the Google robot alone is complete too."""
    return missing_files(folder) + (missing_widowx_files(folder) if (folder / WIDOWX_ROBOT).is_file() else [])


def needed(folder: Path) -> set[str]:
    """Files that the Google robot's episodes load: those with fixed names, and those that they reference."""
    return _with_references(folder, {*_fixed(), *(_visual_mesh(folder, model) for model in models())})


def needed_by_widowx(folder: Path) -> set[str]:
    """The same for the WidowX."""
    grid = widowx_configurations()
    names = [*dict.fromkeys(name for task in TASKS.values() for name in (task.source, task.target)), SINK[0]]
    files = {
        WIDOWX_ROBOT,
        *(f"{DATA}/hab2_bench_assets/stages/{configuration.scene_name}.glb" for configuration in grid),
        *(f"{DATA}/real_inpainting/{configuration.rgb_overlay}" for configuration in grid),
        *(f"{MODELS}/{model}/collision.obj" for model in names),
        *(_visual_mesh(folder, model) for model in names),
    }
    return _with_references(folder, files)


def _with_references(folder: Path, files: set[str]) -> set[str]:
    due = list(files)
    while due:
        due = [name for name in _references(folder, due.pop()) if name not in files] + due
        files.update(due)
    return files


@cache
def models() -> tuple[str, ...]:
    """Model ids of all objects of the grid."""
    episodes = (configuration.episode(index) for configuration in configurations() for index in range(configuration.n_episodes))
    return tuple(sorted({placement.model for episode in episodes for placement in objects(episode).placements}))


@cache
def _fixed() -> frozenset[str]:
    grid = configurations()
    versions = {configuration.env_kwargs.get("urdf_version") or "None" for configuration in grid}
    stations = {configuration.env_kwargs.get("station_name", "mk_station") for configuration in grid}
    stages = {configuration.scene_name for configuration in grid} - {"dummy_drawer"}
    photographs = {c.episode(i).rgb_overlay for c in grid for i in range(c.n_episodes)} - {None}
    return frozenset(
        {
            *DATABASES,
            *(f"{ROBOT}{'' if version == 'None' else f'_{version}'}.urdf" for version in versions),
            *(f"{DATA}/custom/{station}.urdf" for station in stations),
            *(f"{DATA}/hab2_bench_assets/stages/{stage}.glb" for stage in stages),
            *(f"{DATA}/real_inpainting/{photograph}" for photograph in photographs),
            *(f"{MODELS}/{model}/collision.obj" for model in models()),
        }
    )


def _visual_mesh(folder: Path, model: str) -> str:
    """An object's visual mesh: the first that exists."""
    names = [f"{MODELS}/{model}/textured.{kind}" for kind in VISUAL_SUFFIXES]
    return next((name for name in names if (folder / name).is_file()), names[-1])


def _references(folder: Path, name: str) -> Iterator[str]:
    pattern = NAMED.get(PurePosixPath(name).suffix)
    if name.endswith("/collision.obj"):
        return  # materials are for rendering, and upstream's repository lacks some
    if pattern and (folder / name).is_file():
        for reference in pattern.findall((folder / name).read_bytes()):
            yield str(PurePosixPath(name).parent / reference.decode("utf-8", "replace"))


def _has_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0
