"""The whole asset tree in upstream's own layout, for all of the grid and the WidowX."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from ..required_files import DATA, ROBOT, ROOT as UPSTREAM
from .cabinet import cabinet_files
from .objects import object_files
from .photographs import photograph_files
from .robot import robot_files
from .rooms import ROOMS, stage_files
from .widowx import widowx_files


def pack_files() -> dict[str, bytes]:
    """Path under the pack's folder -> content. A function of the code alone: equal bytes on every machine."""
    parts = {
        f"{DATA}/custom": cabinet_files() | object_files(),
        f"{DATA}/hab2_bench_assets/stages": stage_files(),
        f"{DATA}/real_inpainting": photograph_files(ROOMS),
        str(PurePosixPath(ROBOT).parent): robot_files(),
    }
    widowx = {f"{UPSTREAM}/{name}": content for name, content in widowx_files().items()}
    return widowx | {f"{folder}/{name}": content for folder, files in parts.items() for name, content in files.items()}


def generate(folder: Path) -> None:
    """Write the asset tree into a folder (created if missing); seconds, about 10 MB."""
    for name, content in pack_files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
