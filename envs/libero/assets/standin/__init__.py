"""Stand-in assets for LIBERO: official numbers for physics, generated appearance.

The same actions give bit-identical states on stand-ins and on the official pack; only images differ
(docs/reference/standin_assets.md). physics.json contains the numbers, the other modules generate meshes and textures.
"""

from __future__ import annotations

from pathlib import Path

from ....standin.cache import StandInPack


def _generate(folder: Path) -> None:
    from . import pack

    pack.generate(folder)


def _generate_90(folder: Path) -> None:
    from . import pack

    pack.generate(folder, libero_90=True)


STANDIN = StandInPack(1, Path(__file__).parent, _generate)
"""LIBERO's generated pack on disk, of the four 10-task suites."""
STANDIN_90 = StandInPack(1, Path(__file__).parent, _generate_90, name="standin90")
"""The same with the objects of libero_90. Apart, so that the other pack and its fingerprint do not change."""
