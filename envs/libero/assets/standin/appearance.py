"""Appearance of an object class or scene, as passed to the writer of the XML files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ....standin.mesh import Mesh
    from ....standin.paint import Array

Colour = tuple[float, float, float]

WHITE: Colour = (255, 255, 255)


@dataclass(frozen=True)
class GeomAppearance:
    """Appearance of one visual geom; without effect on physics."""

    mesh: Mesh | None = None
    """None for geoms that are a plane, box, cylinder or capsule."""
    texture: str | None = None
    """Name among the appearance's textures; multiplied by the colour."""
    colour: Colour = WHITE
    """0 to 255."""
    alpha: float = 1.0
    specular: float = 0.5
    shininess: float = 0.5
    repeat: float = 0.0
    """Textures per metre on a plane or box; 0 stretches one texture over it."""


@dataclass(frozen=True)
class Appearance:
    """Visual geoms of one class or scene, and their textures."""

    parts: Mapping[str, GeomAppearance]
    """Name of a visual geom in physics.json -> its appearance."""
    textures: Mapping[str, Array] = field(default_factory=dict)
    """Name -> [height, width, 3] uint8."""
    cubes: frozenset[str] = frozenset()
    """Textures repeated on all sides of a box."""
    styles: Mapping[str, str] = field(default_factory=dict)
    """Texture requested by name in LIBERO's arena code (`texplane`, `tex-wall`) -> file name in `textures/`."""


Maker = Callable[[], Appearance]
