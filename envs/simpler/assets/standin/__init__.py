"""Stand-in assets for SimplerEnv in upstream's layout: its physics, another appearance (docs/reference/standin_assets.md)."""

from __future__ import annotations

from pathlib import Path

from ....standin.cache import StandInPack


def _generate(folder: Path) -> None:
    """Write the files of both robots into a folder (created if missing); seconds, about 10 MB."""
    from .pack import pack_files
    from .widowx import widowx_files

    for name, content in (widowx_files() | pack_files()).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


STANDIN = StandInPack(3, Path(__file__).parent, _generate)
"""SimplerEnv's generated pack on disk."""
