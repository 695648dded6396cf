"""Stand-in assets for SimplerEnv in upstream's layout: its physics, another appearance (docs/reference/standin_assets.md)."""

from __future__ import annotations

from pathlib import Path

from ....standin.cache import StandInPack


def _generate(folder: Path) -> None:
    from . import pack

    pack.generate(folder)


STANDIN = StandInPack(3, Path(__file__).parent, _generate)
"""SimplerEnv's generated pack on disk."""
