"""The asset tree of the Google robot's grid in upstream's own layout."""

from __future__ import annotations

from pathlib import PurePosixPath

from ..required_files import DATA, ROBOT
from .cabinet import cabinet_files
from .objects import object_files
from .photographs import photograph_files
from .robot import robot_files
from .rooms import ROOMS, stage_files


def pack_files() -> dict[str, bytes]:
    """Path under the pack's folder -> content. A function of the code alone: equal bytes on every machine."""
    parts = {
        f"{DATA}/custom": cabinet_files() | object_files(),
        f"{DATA}/hab2_bench_assets/stages": stage_files(),
        f"{DATA}/real_inpainting": photograph_files(ROOMS),
        str(PurePosixPath(ROBOT).parent): robot_files(),
    }
    return {f"{folder}/{name}": content for folder, files in parts.items() for name, content in files.items()}
