"""What a pack must hold: every file that the grid's episodes load. Paths are relative to the pack's folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath

from ..grid import configurations
from ..placements import objects

ROOT = "ManiSkill2_real2sim"
DATA = f"{ROOT}/data"
MODELS = f"{DATA}/custom/models"
ROBOT = f"{ROOT}/mani_skill2_real2sim/assets/descriptions/googlerobot_description/google_robot_meta_sim_fix_wheel_fix_fingertip"
DATABASES = tuple(f"{DATA}/custom/info_pick_custom_{name}.json" for name in ("v0", "baked_tex_v0", "baked_tex_v1"))
LOOKS = ("obj", "dae", "glb")
"""Kinds of file in which an object's looks may be; one of them must be there."""
NAMED = {
    ".urdf": re.compile(rb'<mesh[^>]*\bfilename="([^"]+)"'),
    ".obj": re.compile(rb"^mtllib\s+(\S.*?)\s*$", re.MULTILINE),
    ".mtl": re.compile(rb"^map_Kd\s+(\S.*?)\s*$", re.MULTILINE),
    ".dae": re.compile(rb"<init_from>([^<>]+\.(?:png|jpe?g))</init_from>"),
}
"""Where a kind of file names others."""


def missing_files(folder: Path) -> list[str]:
    """Files that the grid's episodes load and that a pack lacks or that are empty."""
    return [name for name in sorted(needed(folder)) if not _holds(folder / name)]


def needed(folder: Path) -> set[str]:
    """Files that the grid's episodes load: those known by name, and those that these name."""
    files = {*_fixed(), *(_look(folder, model) for model in models())}
    due = list(files)
    while due:
        due = [name for name in _named(folder, due.pop()) if name not in files] + due
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
    looks = {configuration.env_kwargs.get("urdf_version") or "None" for configuration in grid}
    stations = {configuration.env_kwargs.get("station_name", "mk_station") for configuration in grid}
    stages = {configuration.scene_name for configuration in grid} - {"dummy_drawer"}
    photographs = {c.episode(i).rgb_overlay for c in grid for i in range(c.n_episodes)} - {None}
    return frozenset(
        {
            *DATABASES,
            *(f"{ROBOT}{'' if look == 'None' else f'_{look}'}.urdf" for look in looks),
            *(f"{DATA}/custom/{station}.urdf" for station in stations),
            *(f"{DATA}/hab2_bench_assets/stages/{stage}.glb" for stage in stages),
            *(f"{DATA}/real_inpainting/{photograph}" for photograph in photographs),
            *(f"{MODELS}/{model}/collision.obj" for model in models()),
        }
    )


def _look(folder: Path, model: str) -> str:
    """The file with an object's looks: the first that is there."""
    names = [f"{MODELS}/{model}/textured.{kind}" for kind in LOOKS]
    return next((name for name in names if (folder / name).is_file()), names[-1])


def _named(folder: Path, name: str) -> Iterator[str]:
    """Files that a file names."""
    pattern = NAMED.get(PurePosixPath(name).suffix)
    if pattern and (folder / name).is_file():
        for found in pattern.findall((folder / name).read_bytes()):
            yield str(PurePosixPath(name).parent / found.decode("utf-8", "replace"))


def _holds(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0
