"""Backgrounds of the tables: kitchen, living room and study. Without effect on physics.

Everything is modelled where its slot in physics.json puts it; outer sizes follow the official models.
"""

from __future__ import annotations

import numpy as np

from ....standin.mesh import Mesh, Point, disc, join, lathe, loft, sheet, slab, smooth, tube
from ....standin.paint import Array, Canvas, brushed, finish, marble, stone, wood
from .appearance import Colour, GeomAppearance

Scenery = tuple[dict[str, GeomAppearance], dict[str, Array]]
"""Parts and textures by name."""


def _canvas(low: Point, high: Point) -> Mesh:
    """A picture on a stretcher, painted towards +y."""
    return slab(low, high, dict.fromkeys(("left", "right", "top", "bottom"), (0.0, 0.0, 0.03, 0.03)))


# --- kitchen ------------------------------------------------------------------------------------------------------


def kitchen() -> Scenery:
    """Dark units under a black marble worktop; hob, pans, pots and a steel fridge."""
    parts = {
        "units": GeomAppearance(_units(), texture="units", specular=0.3),
        "hob": GeomAppearance(_hob(), texture="hob", specular=0.5),
        "hot_pot": GeomAppearance(_saucepan(), colour=(102, 102, 102), specular=0.7),
        "pot": GeomAppearance(_pots(), colour=(30, 30, 30), specular=0.5),
        "fridge": GeomAppearance(_fridge(), texture="steel", specular=0.4),
    }
    steel = finish(brushed(64, 64, (96, 96, 96), (118, 118, 118), seed=101))
    return parts, {"units": _units_image(), "hob": _hob_image(), "steel": steel}


def _units_image() -> Array:
    """Left half: painted wood; upper right: worktop; lower right: steel."""
    canvas = Canvas(256, 256, (0, 0, 0)).paste(0, 0, wood(128, 256, (36, 37, 28), (52, 53, 41), seed=102, rings=6))
    canvas.paste(128, 0, marble(128, 192, (20, 20, 20), (120, 118, 112), seed=103))
    return canvas.rectangle(128, 192, 265, 265, (150, 150, 150)).done()


def _units() -> Mesh:
    """Base units with six doors, worktop at 0.90 m, splash-back and wall units; fronts towards -x."""
    painted, worktop, steel = (0.02, 0.02, 0.48, 0.98), (0.52, 0.02, 0.98, 0.73), (0.54, 0.8, 0.96, 0.96)
    low, high, doors = -1.80, 1.88, 6
    width = (high - low) / doors
    dark = [slab((-0.2300, low, 0.0), (0.3000, high, 0.1000)), slab((-0.2700, low, 0.1000), (0.3000, high, 0.8600))]
    dark += [slab((-0.0600, low, 1.5000), (0.3000, high, 2.5000))]
    bars = []
    for number in range(doors):
        left, right = low + number * width + 0.006, low + (number + 1) * width - 0.006
        dark += [slab((-0.2900, left, 0.1100), (-0.2700, right, 0.8500), without=["right"])]
        dark += [slab((-0.0800, left, 1.5100), (-0.0600, right, 2.4900), without=["right"])]
        middle = (left + right) / 2
        bars += [slab((-0.3020, middle - 0.11, z), (-0.2900, middle + 0.11, z + 0.014)) for z in (0.7400,)]
        bars += [slab((-0.0920, middle - 0.11, 1.5600), (-0.0800, middle + 0.11, 1.5740))]
    stone_work = [slab((-0.3020, low, 0.8600), (0.3000, high, 0.9000)), slab((0.2850, low, 0.9000), (0.3000, high, 1.5000))]
    return join(
        *(piece.on(painted) for piece in dark), *(piece.on(worktop) for piece in stone_work), *(piece.on(steel) for piece in bars)
    )


def _hob() -> Mesh:
    plate = slab(
        (-0.2860, -0.4010, 0.0),
        (0.2860, 0.4010, 0.0300),
        dict.fromkeys(("front", "back", "left", "right"), (0.0, 0.0, 0.05, 0.05)),
    )
    return plate


def _hob_image() -> Array:
    canvas = Canvas(128, 176, (26, 26, 26))
    for x, y, radius in ((36, 48, 22), (92, 48, 28), (36, 128, 28), (92, 128, 22)):
        for ring in (1.0, 0.7, 0.4):
            canvas.circle(x, y, radius * ring, (74, 74, 74), width=3)
    return canvas.done()


def _saucepan() -> Mesh:
    body = join(
        lathe([(0.1120, 0.0920), (0.0, 0.0890)], 20),
        lathe([(0.0040, 0.0), (0.0040, 0.0860), (0.1120, 0.0890), (0.1120, 0.0920)], 20),
    )
    return join(body, tube([(0.090, 0.0, 0.100), (0.160, 0.0, 0.122), (0.239, 0.0, 0.132)], 0.0100, 0.0060, up=(0, 0, 1)))


def _pots() -> Mesh:
    """A casserole with a lid and a lower pot beside it."""
    tall = [
        (0.2710, 0.0120),
        (0.2500, 0.0120),
        (0.2440, 0.0300),
        (0.2200, 0.0800),
        (0.2100, 0.0860),
        (0.0200, 0.0880),
        (0.0, 0.0800),
    ]
    wide = [(0.1900, 0.0100), (0.1800, 0.0600), (0.1650, 0.0860), (0.0200, 0.0880), (0.0, 0.0800)]
    grips = [slab((-0.0250, y - 0.0150, 0.1200), (0.0250, y + 0.0150, 0.1320)) for y in (-0.2730, -0.0780, 0.0400, 0.3000)]
    return join(lathe(tall, 16).moved(y=-0.1750), lathe(wide, 16).moved(y=0.1700), *grips)


def _fridge() -> Mesh:
    """Two doors, bar handles; front towards -x."""
    doors = [slab((-0.1880, -0.4330, low), (-0.1450, 0.4350, high)) for low, high in ((0.0300, 0.7200), (0.7350, 1.7700))]
    bars = [slab((-0.2210, 0.3500, low), (-0.1880, 0.3700, high)) for low, high in ((0.5400, 0.7000), (0.7600, 1.3000))]
    return join(slab((-0.1450, -0.4330, 0.0), (0.2200, 0.4350, 1.7730)), *doors, *bars)


# --- living room --------------------------------------------------------------------------------------------------


def living_room() -> Scenery:
    """Coffee table, picture on the wall, wall unit with a screen and books."""
    dark_wood = wood(512, 512, (78, 52, 39), (112, 82, 66), seed=111, rings=11)
    parts = {
        "table": GeomAppearance(_coffee_table(), texture="dark_wood", specular=0.2, shininess=0.3),
        "picture": GeomAppearance(_canvas((-0.4119, 0.0, -0.5434), (0.4506, 0.0040, 0.4659)), texture="poster", specular=0.1),
        "wall_unit": GeomAppearance(_wall_unit(), texture="unit", specular=0.2),
    }
    return parts, {"dark_wood": finish(dark_wood), "poster": _poster(), "unit": _unit_image()}


def _coffee_table() -> Mesh:
    """A low table with rounded ends on a box-shaped foot; its top at 0.437 m."""
    x, y = -0.2087, -0.0112
    plank = disc(0.4368, 0.8990, 0.5980, up=True, segments=40, power=3.2)
    edge = loft([(0.4368, 0.8990, 0.5980), (0.4000, 0.8990, 0.5980)], 40, power=3.2).on((0.0, 0.0, 1.0, 0.06))
    under = disc(0.4000, 0.8990, 0.5980, up=False, segments=40, power=3.2)
    foot = slab((-0.4400, -0.4300, 0.0), (0.3980, 0.4100, 0.4000), without=["top"])
    return join(*(piece.moved(x, y) for piece in (plank, edge, under)), foot)


def _poster() -> Array:
    """Hills under a pale moon, framed."""
    canvas = Canvas(128, 152, (24, 24, 26)).rectangle(6, 6, 122, 146, (122, 128, 142))
    canvas.circle(88, 40, 15, (214, 210, 196))
    for colour, y, height in (((94, 100, 116), 92, 26), ((70, 74, 86), 112, 30), ((46, 48, 56), 134, 30)):
        for x in (14, 64, 114):
            canvas.polygon([(x - 46, y + height), (x, y - height), (x + 46, y + height)], colour)
    canvas.rectangle(-9, 146, 137, 161, (24, 24, 26)).rectangle(-9, -9, 6, 161, (24, 24, 26)).rectangle(
        122, -9, 137, 161, (24, 24, 26)
    )
    return canvas.done()


def _wall_unit() -> Mesh:
    """A sideboard, two towers of shelves and a screen between them; front towards -x."""
    board, screen, books = (0.02, 0.02, 0.48, 0.98), (0.52, 0.02, 0.98, 0.48), (0.52, 0.53, 0.98, 0.97)
    low, high = -1.1550, 1.1760
    pieces = [slab((-0.1750, low, 0.0), (0.2100, high, 0.4200)), slab((0.1900, low, 0.4200), (0.2100, high, 1.5960))]
    pieces += [
        slab((-0.1000, y, 0.4200), (0.1900, y + 0.0300, 1.5960)) for y in (low, low + 0.5200, high - 0.5500, high - 0.0300)
    ]
    pieces += [
        slab((-0.1000, y, z), (0.1900, y + 0.5500, z + 0.0300)) for y in (low, high - 0.5500) for z in (0.8000, 1.1800, 1.5660)
    ]
    rows = [
        slab((0.0200, y + 0.0500, z), (0.1800, y + 0.4700, z + 0.2300), without=["back", "bottom"])
        for y in (low, high - 0.5500)
        for z in (0.4200, 0.8300, 1.2100)
    ]
    television = slab((0.0600, -0.5600, 0.5000), (0.1000, 0.5800, 1.2200))
    return join(*(piece.on(board) for piece in pieces), *(row.on(books) for row in rows), television.on(screen))


def _unit_image() -> Array:
    """Left: pale board; upper right: dark screen in its frame; lower right: book spines."""
    canvas = Canvas(256, 256, (0, 0, 0)).paste(0, 0, wood(128, 256, (176, 166, 156), (206, 197, 188), seed=112, rings=6))
    canvas.rectangle(128, 0, 265, 128, (22, 22, 24)).rectangle(134, 6, 250, 122, (58, 62, 68))
    _spines(canvas, 128, 128, 128)
    return canvas.done()


def _spines(canvas: Canvas, left: int, top: int, size: int) -> None:
    """A row of books seen from their backs, `size` pixels wide and high."""
    colours: list[Colour] = [(120, 42, 36), (44, 70, 110), (196, 178, 132), (52, 92, 70), (70, 54, 92), (182, 120, 52)]
    canvas.rectangle(left, top, left + size, top + size, (66, 58, 50))
    step = size // 12
    for number in range(12):
        x, short = left + number * step, top + (number * 7 % 5) * size / 32
        canvas.rectangle(x + 0.5, short, x + step - 0.5, top + size, colours[number * 5 % 6])
        canvas.rectangle(x + 2, short + size / 6, x + step - 2, short + size / 5, (214, 200, 160))


# --- study --------------------------------------------------------------------------------------------------------


def study() -> Scenery:
    """Oak desk, painting, desk lamp, potted plant, white bookshelf; the two black books are added in rooms.py."""
    oak = wood(512, 512, (176, 126, 68), (222, 172, 108), seed=121, rings=9)
    parts = {
        "desk": GeomAppearance(_desktop(), texture="oak", specular=0.2, shininess=0.3),
        "painting": GeomAppearance(_canvas((-0.4840, -0.0484, 0.0), (0.4950, -0.0056, 0.9789)), texture="painting", specular=0.1),
        "lamp": GeomAppearance(_lamp(), colour=(33, 33, 33), specular=0.5),
        "plant": GeomAppearance(_plant(), texture="plant", specular=0.1),
        "bookshelf": GeomAppearance(_bookshelf(), texture="shelf", specular=0.2),
    }
    return parts, {
        "oak": finish(oak.transpose(1, 0, 2)),
        "painting": _painting(),
        "plant": _leaves(),
        "shelf": _shelf_image(),
    }


def _desktop() -> Mesh:
    """A thick top on two frames; its surface at 0.885 m."""
    top = slab((-0.6990, -1.4000, 0.8130), (0.7060, 1.4030, 0.8850))
    legs = [
        slab((x - 0.0200, y - 0.0500, 0.0055), (x + 0.0200, y + 0.0500, 0.8130), without=["top"])
        for x in (-0.4800, 0.4770)
        for y in (-0.7000, 0.7000)
    ]
    bars = [slab((-0.5000, y - 0.0500, 0.0055), (0.4970, y + 0.0500, 0.0450)) for y in (-0.7000, 0.7000)]
    return join(top, *legs, *bars)


def _painting() -> Array:
    """A field at dusk."""
    canvas = Canvas(128, 128, (216, 152, 70)).rectangle(-9, 70, 137, 137, (120, 86, 40)).circle(84, 64, 18, (240, 204, 120))
    canvas.rectangle(-9, 70, 137, 137, (120, 86, 40))
    for number in range(9):
        canvas.line([(64, 70), (16 * number, 130)], 2.5, (160, 122, 58))
    frame: Colour = (58, 34, 18)
    for side in ((-9, -9, 137, 6), (-9, 122, 137, 137), (-9, -9, 6, 137), (122, -9, 137, 137)):
        canvas.rectangle(*side, frame)
    return canvas.done()


def _lamp() -> Mesh:
    """A round foot, a bent arm and a shade."""
    foot = join(lathe([(0.0200, 0.0000), (0.0180, 0.1100), (0.0, 0.1250)], 20))
    arm = tube(
        smooth([(0.0, 0.0, 0.015), (-0.100, 0.0, 0.420), (-0.040, 0.0, 0.700), (0.100, 0.0, 0.720)], 4),
        0.0090,
        0.0090,
        up=(0, 1, 0),
    )
    shade = join(
        lathe([(0.7460, 0.0300), (0.6300, 0.1200)], 20),
        lathe([(0.6300, 0.1180), (0.7440, 0.0280)], 20),
        disc(0.7460, 0.0300, up=True),
    )
    return join(foot, arm, shade.moved(x=0.1300))


def _plant() -> Mesh:
    """A grey pot with three stems, each crowned by arching blades."""
    leaf, soil, pot = (0.05, 0.05, 0.45, 0.95), (0.55, 0.55, 0.95, 0.95), (0.55, 0.05, 0.95, 0.45)
    vessel = lathe([(0.3800, 0.1420), (0.3600, 0.1450), (0.0200, 0.1130), (0.0, 0.1050)], 20).on(pot)
    earth = disc(0.3700, 0.1400, up=True).on(soil)
    pieces = [vessel, earth]
    for number, (x, y, height) in enumerate(((0.00, 0.00, 0.92), (0.07, 0.05, 0.72), (-0.05, -0.06, 0.60))):
        pieces.append(tube([(0.3 * x, 0.3 * y, 0.36), (x, y, height)], 0.012, 0.012, 6).on(soil))
        pieces += [
            _blade((x, y, height), 30 * turn + 17 * number, 0.22 + 0.05 * (turn % 3), 0.10 + 0.09 * (turn % 4)).on(leaf)
            for turn in range(12)
        ]
    return join(*pieces).moved(0.0123, -0.0026)


def _blade(root: Point, degrees: float, reach: float, rise: float) -> Mesh:
    """One pointed leaf that arches outwards; seen from both sides."""
    along = np.linspace(0, 1, 5)
    half = 0.020 * np.array([0.5, 1.0, 0.9, 0.6, 0.02])
    height = rise * (2.2 * along - 1.7 * along**2)
    left, right = (np.stack([reach * along, side * half, height], -1) for side in (1, -1))
    leaf = join(sheet(np.stack([left, right], 1)), sheet(np.stack([right, left], 1)))
    return leaf.turned("z", degrees).moved(*root)


def _leaves() -> Array:
    """Left: a striped leaf; upper right: the pot; lower right: earth and stems."""
    canvas = Canvas(128, 128, (74, 108, 44))
    for x in range(8, 64, 8):
        canvas.rectangle(x, -9, x + 2, 137, (104, 136, 62))
    canvas.paste(64, 0, stone(64, 64, (150, 150, 146), (180, 180, 176), seed=122))
    return canvas.paste(64, 64, stone(64, 64, (72, 56, 38), (104, 84, 58), seed=123)).done()


def _bookshelf() -> Mesh:
    """White boards, five tiers, some with books; front towards +y."""
    board, books = (0.02, 0.02, 0.48, 0.98), (0.52, 0.52, 0.98, 0.98)
    low, high, back, front = -0.6160, 0.6060, -0.1700, 0.1440
    pieces = [slab((x, back, 0.0), (x + 0.0250, front, 1.7930)) for x in (low, -0.0170, high - 0.0250)]
    pieces += [slab((low, back, z), (high, front, z + 0.0250)) for z in (0.0400, 0.3900, 0.7400, 1.0900, 1.4400, 1.7680)]
    pieces.append(slab((low, back, 0.0), (high, back + 0.0100, 1.7930)))
    rows = [
        slab((x, -0.1400, z), (x + 0.4200, 0.0400, z + 0.2500), without=["bottom", "front"])
        for x, z in ((0.0600, 0.4150), (-0.5600, 1.1150), (0.0900, 1.4650), (-0.5500, 0.0650))
    ]
    return join(*(piece.on(board) for piece in pieces), *(row.on(books) for row in rows))


def _shelf_image() -> Array:
    canvas = Canvas(128, 128, (248, 247, 243))
    _spines(canvas, 64, 64, 64)
    return canvas.done()
