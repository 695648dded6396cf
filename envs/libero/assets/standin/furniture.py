"""Cabinets, wine rack, desk caddy, tray, shelf and books: planks, drawers, handles, covers.

Outer sizes follow the official models, colours their means (libero_objects.json).
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from ....standin.mesh import Mesh, box, join, prism, slab, tube
from ....standin.paint import Array, Canvas, Colour, brushed, finish, wood
from .appearance import Appearance, GeomAppearance, Maker

STEEL: tuple[Colour, Colour] = ((96, 96, 96), (134, 134, 134))


# --- cabinets -----------------------------------------------------------------------------------------------------

DRAWERS = {"top": (0.1483, 0.2165, 0.18393), "middle": (0.0784, 0.1475, 0.11041), "bottom": (0.0088, 0.0780, 0.04114)}
"""Name -> lower and upper edge of the front, height of the handle (m)."""


def _cabinet(grain: Array) -> Appearance:
    """A chest of three drawers, fronts towards -y; every drawer slides as a piece of its own."""
    parts = {"case": GeomAppearance(_case(), texture="wood", specular=0.2, shininess=0.2)}
    for name, (low, high, handle) in DRAWERS.items():
        parts[name] = GeomAppearance(_drawer(low, high), texture="wood", specular=0.2, shininess=0.2)
        parts[f"{name}_handle"] = GeomAppearance(_handle().moved(z=handle), texture="steel", specular=0.6)
    steel = finish(brushed(64, 64, *STEEL, seed=31))
    return Appearance(parts, {"wood": finish(grain), "steel": steel})


def _case() -> Mesh:
    """Top, bottom, sides and back."""
    return join(
        slab((-0.1247, -0.0790, 0.2180), (0.1318, 0.1110, 0.2216)),
        slab((-0.1180, -0.0733, 0.0046), (0.1250, 0.1090, 0.0082)),
        slab((-0.1174, -0.0790, 0.0082), (-0.1076, 0.1090, 0.2180), without=["top", "bottom"]),
        slab((0.1147, -0.0790, 0.0082), (0.1245, 0.1090, 0.2180), without=["top", "bottom"]),
        slab((-0.1174, 0.1076, 0.0046), (0.1245, 0.1117, 0.2180), without=["top", "bottom"]),
    )


def _drawer(low: float, high: float) -> Mesh:
    """An open tray behind a front."""
    floor = low + 0.0060
    return join(
        slab((-0.1072, -0.0780, low), (0.1146, -0.0725, high)),
        slab((-0.1045, 0.0872, floor), (0.1112, 0.0945, high - 0.004), without=["bottom"]),
        slab((-0.1045, -0.0725, floor), (-0.0995, 0.0872, high - 0.004), without=["front", "back", "bottom"]),
        slab((0.1065, -0.0725, floor), (0.1112, 0.0872, high - 0.004), without=["front", "back", "bottom"]),
        slab((-0.1045, -0.0725, low), (0.1112, 0.0945, floor), without=["front"]),
    )


def _handle() -> Mesh:
    """A round bar on two posts in front of the drawer."""
    bar = tube([(-0.0470, -0.1019, 0.0), (0.0418, -0.1019, 0.0)], 0.0082, 0.0082, 12, up=(0, 0, 1))
    posts = [tube([(x, -0.1000, 0.0), (x, -0.0728, 0.0)], 0.0055, 0.0055, 8, up=(0, 0, 1)) for x in (-0.0356, 0.0292)]
    return join(bar, *posts)


def wooden_cabinet() -> Appearance:
    """Cabinet of dark wood."""
    return _cabinet(wood(256, 256, (40, 33, 28), (64, 57, 50), seed=41, rings=14))


def white_cabinet() -> Appearance:
    """Cabinet of white-washed wood."""
    return _cabinet(wood(256, 256, (204, 202, 203), (226, 224, 225), seed=42, rings=14))


# --- wine rack ----------------------------------------------------------------------------------------------------

TILT = 29.5
"""Degrees by which the shelves rise towards the back."""
SHELVES = ((-0.0051, 0.2520), (-0.0414, 0.1266))
RAILS = ((-0.0745, 0.2210), (-0.1091, 0.0969))
"""y and z of their centres (m)."""


def wine_rack() -> Appearance:
    """Two slanted shelves of light planks on a leaning post and an arched foot of mahogany; clear stoppers in front."""
    shelf = box(0.2700, 0.1515, 0.0090).turned("x", TILT)
    rail = box(0.2700, 0.0022, 0.0174).turned("x", TILT)
    post = prism([(-0.0480, 0.0063), (-0.0270, 0.0063), (0.0451, 0.3200), (0.0300, 0.3236)], 0.0180)
    parts = {
        "slats": GeomAppearance(join(*(shelf.moved(y=y, z=z) for y, z in SHELVES)), texture="planks", specular=0.3),
        "stoppers": GeomAppearance(join(*(rail.moved(y=y, z=z) for y, z in RAILS)), colour=(0, 88, 139), alpha=0.1),
        "stand": GeomAppearance(join(_foot(), post), texture="mahogany", specular=0.4),
    }
    planks = Canvas(256, 256, (0, 0, 0)).paste(0, 0, wood(256, 256, (196, 156, 116), (230, 196, 158), seed=51, rings=20))
    for row in range(5):
        planks.rectangle(-9, 51.2 * row - 1.5, 265, 51.2 * row + 1.5, (150, 112, 76))
    return Appearance(
        parts, {"planks": planks.done(), "mahogany": finish(wood(128, 128, (58, 16, 4), (94, 32, 10), seed=52, rings=8))}
    )


def _foot() -> Mesh:
    """An arched board."""
    y = np.linspace(-0.1315, 0.1341, 9)
    top = 0.0215 - 0.0209 * ((y - 0.0013) / 0.1328) ** 2
    low = np.maximum(top - 0.0060, 0.0)
    edge = list(zip(y, low, top, strict=True))
    pieces = [prism([(y0, l0), (y1, l1), (y1, t1), (y0, t0)], 0.1800) for (y0, l0, t0), (y1, l1, t1) in itertools.pairwise(edge)]
    return join(*pieces).moved(x=0.0010)


# --- desk caddy ---------------------------------------------------------------------------------------------------


def desk_caddy() -> Appearance:
    """Wooden organiser: a tall box on the left, shallow trays, and a slot for books along the back."""
    thick = 0.0072
    tall, back = 0.1660, 0.1683
    slope = [
        (-0.0706, 0.0139),
        (0.0706, 0.0139),
        (0.0706, 0.1560),
        (0.0706, back),
        (0.0450, 0.1440),
        (-0.0100, 0.0980),
        (-0.0706, 0.0740),
    ]
    wing = prism(slope, thick).turned("z", 270)
    body = join(
        slab((-0.0786, -0.2196, 0.0), (0.0786, 0.2204, 0.0138)),
        slab((0.0628, -0.2140, 0.0138), (0.0720, 0.2140, back)),
        slab((-0.0720, -0.2140, 0.0138), (-0.0628, 0.2140, 0.0740)),
        slab((-0.0720, -0.2160, 0.0740), (-0.0628, -0.0640, tall)),
        *(slab((-0.0706, y - 0.0062, 0.0138), (0.0706, y + 0.0062, tall)) for y in (-0.2094, -0.0680)),
        slab((-0.0056, -0.0660, 0.0138), (0.0025, 0.0690, 0.0986)),
        *(wing.moved(y=y) for y in (0.0706, 0.2084)),
    )
    return Appearance(
        {"body": GeomAppearance(body, texture="wood", specular=0.2, shininess=0.2)},
        {"wood": finish(wood(256, 256, (128, 92, 58), (170, 130, 88), seed=61, rings=10))},
    )


# --- tray and shelf -----------------------------------------------------------------------------------------------


def wooden_tray() -> Appearance:
    """Long tray of light planks with corner posts and raised ends."""
    ends = [
        part
        for x in (-0.1366, 0.1508)
        for part in (
            slab((x - 0.0040, -0.0833, 0.0053), (x + 0.0040, 0.0734, 0.0545)),
            slab((x - 0.0047, -0.0833, 0.0740), (x + 0.0047, 0.0734, 0.0814)),
            *(slab((x - 0.0047, y - 0.0050, -0.0007), (x + 0.0047, y + 0.0050, 0.0800)) for y in (-0.0825, 0.0720)),
        )
    ]
    sides = [slab((-0.1360, y - 0.0023, 0.0033), (0.1520, y + 0.0023, 0.0620)) for y in (-0.0845, 0.0751)]
    floor = slab((-0.1360, -0.0845, 0.0), (0.1520, 0.0751, 0.0072))
    planks = Canvas(256, 256, (0, 0, 0)).paste(0, 0, wood(256, 256, (116, 92, 58), (166, 138, 98), seed=71, rings=16))
    for row in range(4):
        planks.rectangle(-9, 64 * row - 1.5, 265, 64 * row + 1.5, (78, 56, 38))
    return Appearance(
        {"body": GeomAppearance(join(floor, *sides, *ends), texture="planks", specular=0.2, shininess=0.2)},
        {"planks": planks.done()},
    )


def wooden_two_layer_shelf() -> Appearance:
    """Open shelf of dark wood with a board in the middle, its back towards +y."""
    body = join(
        *(slab((x - 0.0072, -0.0792, 0.0002), (x + 0.0072, 0.1117, 0.2050)) for x in (-0.1545, 0.1636)),
        slab((-0.1702, -0.0792, 0.2050), (0.1803, 0.1117, 0.2093)),
        slab((-0.1473, -0.0707, 0.0692), (0.1564, 0.1080, 0.0709)),
        slab((-0.1473, 0.1076, 0.0002), (0.1564, 0.1117, 0.2050)),
    )
    grain = finish(wood(256, 256, (46, 39, 33), (58, 51, 45), seed=72, rings=12))
    return Appearance({"body": GeomAppearance(body, texture="wood", specular=0.2, shininess=0.2)}, {"wood": grain})


# --- book ---------------------------------------------------------------------------------------------------------


def book() -> Mesh:
    """A closed book standing on its end, spine towards +y, 30 x 113 x 138 mm; wears `book_cover`."""
    cover, pages, spine = (0.02, 0.02, 0.45, 0.98), (0.55, 0.05, 0.95, 0.95), (0.465, 0.02, 0.495, 0.98)
    edges = dict.fromkeys(("front", "back", "top", "bottom"), spine)
    boards = [
        slab((x, -0.0687, 0.0), (x + 0.0030, 0.0446, 0.1382), {"left": cover, "right": cover, **edges}) for x in (-0.0155, 0.0116)
    ]
    back = slab((-0.0155, 0.0409, 0.0), (0.0146, 0.0446, 0.1382)).on(spine)
    return join(*boards, back, slab((-0.0125, -0.0651, 0.0030), (0.0116, 0.0409, 0.1352)).on(pages))


def black_book() -> Appearance:
    """Black cover with a thin gold frame, cream pages."""
    return Appearance({"body": GeomAppearance(book(), texture="cover", specular=0.2)}, {"cover": book_cover()})


def yellow_book() -> Appearance:
    """A smaller book with a pale yellow cover."""
    shape = book()
    low, high = shape.vertices.min(0), shape.vertices.max(0)
    own_low, own_high = np.array([-0.0107, -0.0514, 0.0]), np.array([0.0162, 0.0499, 0.1235])
    shape = replace(shape, vertices=own_low + (shape.vertices - low) * (own_high - own_low) / (high - low))
    cover = book_cover((234, 222, 176), (196, 160, 70), (150, 110, 40))
    return Appearance({"body": GeomAppearance(shape, texture="cover", specular=0.2)}, {"cover": cover})


def book_cover(ground: Colour = (14, 13, 12), frame: Colour = (96, 82, 44), ink: Colour = (150, 130, 76)) -> Array:
    """Cover on the left half, the edge of the pages on the right."""
    canvas = Canvas(256, 128, ground).rectangle(12, 8, 106, 120, frame).rectangle(14, 10, 104, 118, ground)
    canvas.text("NOTES", 59, 44, 14, ink, width=56)
    canvas.rectangle(128, 0, 265, 137, (222, 216, 200))
    for y in range(0, 128, 4):
        canvas.rectangle(128, y, 265, y + 1.2, (176, 168, 150))
    return canvas.done()


MAKERS: dict[str, Maker] = {
    maker.__name__: maker
    for maker in (
        wooden_cabinet, white_cabinet, wine_rack, desk_caddy, wooden_tray, wooden_two_layer_shelf, black_book, yellow_book,
    )
}  # fmt: skip
