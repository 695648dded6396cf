"""The five scenes: floors, walls, tables and their backgrounds (backdrops.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ....standin.paint import Array, Canvas, Colour, blend, finish, noise, stone, wood
from . import backdrops
from .appearance import Appearance, GeomAppearance, Maker
from .furniture import book, book_cover

STYLES = {
    "tabletop": ("light-gray-floor-tile.png", "light-gray-plaster.png"),
    "floor": ("light-gray-floor-tile.png", "light-gray-plaster.png"),
    "study": ("light-gray-floor-tile.png", "light-gray-plaster.png"),
    "kitchen": ("gray_ceramic_tile.png", "yellow_linen_wall_texture.png"),
    "living_room": ("seamless_wood_planks_floor.png", "light-gray-plaster.png"),
}
"""Room -> floor and wall texture: the names are fixed in LIBERO's arena code."""


def _room(style: str, *, floor_repeat: float, wall_repeat: float = 3.0) -> tuple[dict[str, GeomAppearance], dict[str, str]]:
    parts = {
        "floor": GeomAppearance(texture="texplane", specular=0.0, shininess=0.0, repeat=floor_repeat),
        "wall": GeomAppearance(texture="tex-wall", specular=0.8, shininess=0.1, repeat=wall_repeat),
    }
    return parts, dict(zip(("texplane", "tex-wall"), STYLES[style], strict=True))


def _table() -> tuple[dict[str, GeomAppearance], dict[str, Array]]:
    """A plain table of light wood."""
    plank = wood(512, 512, (180, 160, 140), (214, 198, 181), seed=81, rings=7)
    parts = {
        "table": GeomAppearance(texture="wood", specular=0.2, shininess=0.0),
        "leg": GeomAppearance(texture="wood", specular=0.2),
    }
    return parts, {"wood": finish(plank)}


def libero_tabletop_base_style() -> Appearance:
    """Wooden table in a plastered room."""
    (room, styles), (table, textures) = _room("tabletop", floor_repeat=3.0), _table()
    return Appearance(room | table, textures, cubes=frozenset(textures), styles=styles)


def libero_floor_base_style() -> Appearance:
    """Tiled floor in a plastered room."""
    room, styles = _room("floor", floor_repeat=3.0)
    return Appearance(room, styles=styles)


def libero_kitchen_tabletop_base_style() -> Appearance:
    """Wooden table before a dark kitchen."""
    (room, styles), (table, textures) = _room("kitchen", floor_repeat=3.0), _table()
    parts, more = backdrops.kitchen()
    return Appearance(room | table | parts, textures | more, cubes=frozenset(textures), styles=styles)


def libero_living_room_tabletop_base_style() -> Appearance:
    """Low dark coffee table before a wall unit."""
    room, styles = _room("living_room", floor_repeat=3.0)
    parts, textures = backdrops.living_room()
    return Appearance(room | parts, textures, styles=styles)


def libero_study_base_style() -> Appearance:
    """Oak desk before a bookshelf and a plant."""
    room, styles = _room("study", floor_repeat=3.0)
    parts, textures = backdrops.study()
    small = book()
    tall = replace(small, vertices=small.vertices * 1.75)  # 242 mm
    parts["book"], textures["cover"] = GeomAppearance(tall, texture="cover", specular=0.2), book_cover()
    return Appearance(room | parts, textures, styles=styles)


# --- textures that LIBERO's arena code asks for by name -----------------------------------------------------------


def _planks(rows: int, dark: Colour, light: Colour, gap: Colour) -> Array:
    """Boards along x, neighbours shifted by half a length, each with its own tint; tiles without a seam."""
    size = 512
    width = size // rows
    tint = 0.94 + 0.12 * noise(size, size, 2, rows, 7)
    canvas = Canvas(size, size, gap)
    for row in range(rows):
        canvas.paste(0, row * width, wood(size, width, dark, light, seed=90 + row, rings=4))
    canvas.shade(tint)
    for row in range(rows):
        joint = size // 2 if row % 2 else 1.5
        canvas.rectangle(joint - 1.5, row * width, joint + 1.5, (row + 1) * width, gap)
        canvas.rectangle(-9, row * width - 1.5, size + 9, row * width + 1.5, gap)
    return canvas.done()


def _ceramic_tiles() -> Array:
    """Square tiles with dark grout."""
    canvas = Canvas(512, 512, (0, 0, 0)).paste(0, 0, stone(512, 512, (168, 152, 136), (206, 191, 176), seed=95))
    for line in range(0, 513, 256):
        canvas.rectangle(line - 2, -9, line + 2, 521, (128, 118, 108)).rectangle(-9, line - 2, 521, line + 2, (128, 118, 108))
    return canvas.done()


def _linen() -> Array:
    """Cloth: threads across threads."""
    weave = 0.5 * noise(256, 256, 128, 8, 97) + 0.5 * noise(256, 256, 8, 128, 98)
    return finish(blend((206, 198, 164), (234, 228, 197), weave))


TEXTURES: Mapping[str, Callable[[], Array]] = {
    "light-gray-floor-tile.png": lambda: _planks(4, (182, 172, 163), (214, 205, 197), (228, 224, 218)),
    "light-gray-plaster.png": lambda: finish(stone(256, 256, (214, 210, 203), (231, 227, 221), seed=96, cells=8)),
    "gray_ceramic_tile.png": _ceramic_tiles,
    "yellow_linen_wall_texture.png": _linen,
    "seamless_wood_planks_floor.png": lambda: _planks(8, (230, 195, 130), (254, 224, 162), (186, 150, 94)),
}

MAKERS: dict[str, Maker] = {
    maker.__name__: maker
    for maker in (
        libero_tabletop_base_style, libero_floor_base_style, libero_kitchen_tabletop_base_style,
        libero_living_room_tabletop_base_style, libero_study_base_style,
    )
}  # fmt: skip
