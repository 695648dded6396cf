"""Stand-in assets for LIBERO: the official numbers for physics, our own looks.

The same actions give the same states on stand-ins and on the official pack, bit for bit; only pictures differ
(docs/reference/standin_assets.md). physics.json holds the numbers, the other modules draw.
"""

from __future__ import annotations

from pathlib import Path

from ....standin.cache import StandInPack


def _generate(folder: Path) -> None:
    from . import pack

    pack.generate(folder)


STANDIN = StandInPack(1, Path(__file__).parent, _generate)
"""This family's pack on disk."""
