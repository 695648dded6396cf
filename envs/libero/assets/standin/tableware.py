"""Bowls, plates, mugs, pans and the basket: turned, handled, woven.

Profiles follow the sizes and section widths of the official models, colours their means (libero_objects.json).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....standin.mesh import Mesh, Point, arc, disc, join, lathe, loft, slab, smooth, tube
from ....standin.paint import Canvas, blend, brushed, finish, noise, woven
from .appearance import Appearance, GeomAppearance, Maker

Profile = Sequence[tuple[float, float]]
"""(z, radius) in metres."""


def _hollow(outside: Profile, wall: float, floor: float, segments: int = 28) -> tuple[Mesh, Mesh]:
    """Outer skin with foot, and inner skin with a rounded floor, of an open vessel; the outside is listed from rim to foot."""
    rim, (low, foot) = outside[0], outside[-1]
    outer = join(lathe(outside, segments), disc(low, foot, up=False, segments=segments))
    inside = [(z, radius - wall) for z, radius in reversed(outside) if z > floor + 0.004]
    floor_radius = inside[0][1] - 0.004
    inner = join(
        lathe(
            [
                (floor, 0.0),
                (floor, floor_radius),
                *inside[:-1],
                (rim[0], rim[1] - wall),
                (rim[0] + 0.0006, rim[1] - wall / 2),
                rim,
            ],
            segments,
        )
    )
    return outer, inner


def akita_black_bowl() -> Appearance:
    """Black glazed bowl on a foot."""
    outside = [
        (0.0522, 0.0537),
        (0.0470, 0.0521),
        (0.0365, 0.0485),
        (0.0261, 0.0443),
        (0.0157, 0.0392),
        (0.0080, 0.0345),
        (0.0040, 0.0320),
        (0.0, 0.0318),
    ]
    return Appearance(
        {"body": GeomAppearance(join(*_hollow(outside, 0.0024, 0.0070)), colour=(18, 18, 20), specular=0.25, shininess=0.6)}
    )


def white_bowl() -> Appearance:
    """White glazed bowl, round, on a small foot."""
    outside = [
        (0.0353, 0.0420),
        (0.0309, 0.0419),
        (0.0221, 0.0416),
        (0.0132, 0.0398),
        (0.0088, 0.0370),
        (0.0044, 0.0325),
        (0.0015, 0.0255),
        (0.0, 0.0230),
    ]
    return Appearance(
        {"body": GeomAppearance(join(*_hollow(outside, 0.0022, 0.0045)), colour=(229, 233, 237), specular=0.4, shininess=0.6)}
    )


def glazed_rim_porcelain_ramekin() -> Appearance:
    """White fluted ramekin with a plain rim."""
    outside = [
        (0.0433, 0.0438),
        (0.0420, 0.0444),
        (0.0370, 0.0441),
        (0.0340, 0.0424),
        (0.0200, 0.0411),
        (0.0050, 0.0398),
        (0.0, 0.0390),
    ]
    outer, inner = _hollow(outside, 0.0040, 0.0050, 32)
    canvas = Canvas(256, 64, (233, 237, 240))
    flutes = np.abs(2 * (canvas.x / 256 * 36 % 1) - 1)
    canvas.shade(np.where((canvas.y > 14) & (canvas.y < 48), 0.86 + 0.14 * flutes, 1.0))
    parts = join(outer.on(canvas.part(0, 0, 256, 50)), inner.on(canvas.part(0, 54, 256, 63)))
    return Appearance({"body": GeomAppearance(parts, texture="glaze")}, {"glaze": canvas.done()})


def plate() -> Appearance:
    """Off-white plate with a red band near the rim."""
    under = [(0.0150, 0.0685), (0.0135, 0.0680), (0.0100, 0.0636), (0.0050, 0.0528), (0.0020, 0.0475), (0.0, 0.0458)]
    above = [
        (0.0046, 0.0),
        (0.0046, 0.0400),
        (0.0056, 0.0455),
        (0.0105, 0.0585),
        (0.0148, 0.0665),
        (0.0160, 0.0680),
        (0.0150, 0.0685),
    ]
    canvas = Canvas(8, 256, (236, 228, 216))
    canvas.rectangle(-9, 206, 17, 238, (188, 62, 52)).rectangle(-9, 146, 17, 148, (206, 196, 182))
    body = join(
        lathe(above, 32), lathe(under, 32).on((0, 0, 1, 0.1)), disc(0.0, 0.0458, up=False, segments=32).on((0, 0, 1, 0.1))
    )
    return Appearance({"body": GeomAppearance(body, texture="glaze")}, {"glaze": canvas.done()})


def _mug(outside: Profile, handle: Sequence[Point], thickness: tuple[float, float], canvas: Canvas) -> Appearance:
    """A mug around the z axis, handle towards +y; the canvas holds outside (rows 0-96), inside (96-112), handle (112-160)."""
    outer, inner = _hollow(outside, 0.0035, 0.0060)
    grip = tube(smooth(handle), *thickness)
    width, _ = canvas.size
    rows = ((outer, 1, 95), (inner, 98, 110), (grip, 113, 159))
    body = join(*(mesh.on(canvas.part(0, top, width, bottom)) for mesh, top, bottom in rows))
    return Appearance({"body": GeomAppearance(body, texture="glaze")}, {"glaze": canvas.done()})


def _placed(appearance: Appearance, degrees: float, x: float, y: float) -> Appearance:
    """The same appearance rotated about z and moved to the official model's position."""
    part = appearance.parts["body"]
    assert part.mesh
    return Appearance({"body": GeomAppearance(part.mesh.turned("z", degrees).moved(x, y), part.texture)}, appearance.textures)


def porcelain_mug() -> Appearance:
    """White tumbler with a hammered surface and a round handle."""
    outside = [
        (0.1146, 0.0470),
        (0.1130, 0.0482),
        (0.0917, 0.0482),
        (0.0688, 0.0477),
        (0.0458, 0.0458),
        (0.0340, 0.0436),
        (0.0229, 0.0404),
        (0.0115, 0.0345),
        (0.0040, 0.0270),
        (0.0, 0.0230),
    ]
    canvas = Canvas(192, 160, (240, 239, 235))
    column, row = canvas.x / 192 * 26, canvas.y / 96 * 12
    column = column + 0.5 * (np.floor(row) % 2)
    dent = (column % 1 - 0.5) ** 2 + (row % 1 - 0.5) ** 2
    canvas.shade(np.where((canvas.y > 8) & (canvas.y < 84), 0.86 + 0.14 * np.clip(4.5 * dent, 0, 1), 1.0))
    grip = arc((0.0, 0.0475, 0.0585), 0.0305, 0.0345, 92, -104, 14)
    return _placed(_mug(outside, grip, (0.0045, 0.0062), canvas), 90, 0.0166, -0.0017)


def red_coffee_mug() -> Appearance:
    """Tall red mug, slightly flared."""
    outside = [
        (0.1349, 0.0444),
        (0.1335, 0.0452),
        (0.1300, 0.0436),
        (0.1079, 0.0420),
        (0.0674, 0.0396),
        (0.0270, 0.0373),
        (0.0060, 0.0364),
        (0.0, 0.0345),
    ]
    grip = [
        (0.0, 0.041, 0.1180),
        (0.0, 0.055, 0.1225),
        (0.0, 0.070, 0.1150),
        (0.0, 0.0770, 0.0980),
        (0.0, 0.0750, 0.0790),
        (0.0, 0.0670, 0.0570),
        (0.0, 0.0540, 0.0370),
        (0.0, 0.0362, 0.0240),
    ]
    appearance = _mug(outside, grip, (0.0045, 0.0080), Canvas(16, 160, (168, 25, 27)))
    return _placed(appearance, 270, -0.0180, -0.0011)


def white_yellow_mug() -> Appearance:
    """White mug dipped in yellow up to the middle, handle too."""
    outside = [
        (0.1048, 0.0506),
        (0.1035, 0.0513),
        (0.0943, 0.0503),
        (0.0733, 0.0475),
        (0.0524, 0.0442),
        (0.0314, 0.0412),
        (0.0150, 0.0390),
        (0.0060, 0.0356),
        (0.0, 0.0290),
    ]
    canvas = (
        Canvas(16, 160, (240, 239, 234)).rectangle(-9, 41, 25, 96, (222, 166, 30)).rectangle(-9, 136, 25, 170, (222, 166, 30))
    )
    grip = [
        (0.0, 0.0478, 0.0900),
        (0.0, 0.066, 0.0905),
        (0.0, 0.0785, 0.0870),
        (0.0, 0.0825, 0.0760),
        (0.0, 0.0815, 0.0600),
        (0.0, 0.0790, 0.0400),
        (0.0, 0.0720, 0.0310),
        (0.0, 0.0560, 0.0290),
        (0.0, 0.0394, 0.0285),
    ]
    return _placed(_mug(outside, grip, (0.0040, 0.0075), canvas), 270, -0.0178, -0.0010)


def basket() -> Appearance:
    """Square wicker basket with a rolled rim."""
    walls = [(0.1360, 0.0785), (0.1280, 0.0780), (0.0575, 0.0742), (0.0080, 0.0700), (0.0045, 0.0670)]
    outer = loft([(z, half, half) for z, half in walls], 28, power=7)
    floor, inner = 0.0100, [(z, half - 0.006, half - 0.006) for z, half in reversed(walls[:-2])]
    inside = loft([(floor, 0.0, 0.0), (floor, 0.0630, 0.0630), *inner], 28, power=7)
    roll = [(0.1360, 0.0725), (0.1430, 0.0735), (0.1458, 0.0778), (0.1430, 0.0815), (0.1360, 0.0820), (0.1310, 0.0785)]
    rim = loft([(z, half, half) for z, half in roll], 28, power=7)
    bottom = disc(0.0045, 0.0670, up=False, segments=28, power=7)
    canvas = Canvas(512, 256, (150, 112, 70))
    canvas.paste(0, 0, woven(512, 224, (96, 68, 38), (176, 134, 86), columns=32, rows=14))
    canvas.paste(0, 224, woven(512, 32, (86, 60, 34), (160, 120, 76), columns=48, rows=1))
    weave, roll_weave = canvas.part(0, 0, 512, 224), canvas.part(0, 225, 512, 255)
    body = join(outer.on(weave), inside.on(weave), bottom.on(weave), rim.on(roll_weave))
    return Appearance({"body": GeomAppearance(body, texture="weave", specular=0.1, shininess=0.1)}, {"weave": canvas.done()})


def chefmate_8_frypan() -> Appearance:
    """Dark coated frying pan, grey speckled inside, with a rising handle."""
    outside = [
        (0.0400, 0.1010),
        (0.0390, 0.1022),
        (0.0355, 0.1020),
        (0.0329, 0.0968),
        (0.0219, 0.0922),
        (0.0109, 0.0842),
        (0.0054, 0.0785),
        (0.0, 0.0740),
    ]
    outer, inner = _hollow(outside, 0.0035, 0.0040, 32)
    canvas = Canvas(128, 160, (40, 42, 42))
    canvas.paste(0, 48, blend((40, 42, 42), (78, 80, 79), 0.4 * noise(128, 64, 64, 32, 4) + 0.1))
    canvas.rectangle(-9, 86, 137, 89, (86, 88, 87)).rectangle(-9, 89, 137, 98, (62, 64, 63))
    canvas.rectangle(-9, 98, 137, 104, (96, 98, 97)).rectangle(-9, 112, 137, 170, (30, 31, 31))
    grip = [
        (0.0, 0.095, 0.026),
        (0.0, 0.110, 0.028),
        (0.0, 0.130, 0.033),
        (0.0, 0.165, 0.0435),
        (0.0, 0.205, 0.0490),
        (0.0, 0.245, 0.0500),
        (0.0, 0.2535, 0.0500),
    ]
    handle = tube(smooth(grip, 2), 0.0052, 0.0145, 10, up=(1, 0, 0)).turned("z", 270)
    hole = disc(0.0553, 0.008, 0.004, up=True, segments=10).moved(0.243)
    rivet = slab((0.094, -0.012, 0.020), (0.108, 0.012, 0.032))
    parts = join(
        outer.on(canvas.part(0, 2, 128, 40)),
        inner.on(canvas.part(0, 50, 128, 106)),
        *(piece.on(canvas.part(2, 116, 126, 156)) for piece in (handle, rivet)),
        hole.on(canvas.part(4, 99, 20, 103)),
    )
    return Appearance({"body": GeomAppearance(parts.moved(0.0080), texture="coating", specular=0.4)}, {"coating": canvas.done()})


def moka_pot() -> Appearance:
    """Eight-sided aluminium pot with a spout; black handle and knob."""
    lower = [(-0.0020, 0.0330), (-0.0640, 0.0402), (-0.0671, 0.0395)]
    upper = [(0.0610, 0.0424), (0.0580, 0.0424), (0.0090, 0.0370), (0.0040, 0.0340)]
    belt = [(0.0050, 0.0345), (0.0040, 0.0352), (-0.0040, 0.0350), (-0.0050, 0.0338)]
    lid = [(0.0712, 0.0060), (0.0690, 0.0180), (0.0625, 0.0410), (0.0605, 0.0428)]
    spout = _spout()
    valve = tube([(0.0, 0.030, -0.022), (0.0, 0.0409, -0.022)], 0.0060, 0.0060, up=(1, 0, 0))
    hinge = slab((-0.008, 0.034, 0.046), (0.008, 0.052, 0.066))
    body = join(
        *(lathe(profile, 8).faceted().turned("z", 22.5) for profile in (lower, upper, lid)),  # flat sides, one towards -y
        lathe(belt, 24),
        disc(-0.0671, 0.0395, up=False, segments=8).turned("z", 22.5),
        spout, valve, hinge,
    )  # fmt: skip
    grip = [
        (0.0, 0.044, 0.0540),
        (0.0, 0.060, 0.0610),
        (0.0, 0.0755, 0.0560),
        (0.0, 0.0780, 0.0420),
        (0.0, 0.0720, 0.0260),
        (0.0, 0.0650, 0.0110),
        (0.0, 0.0600, -0.0020),
        (0.0, 0.0530, -0.0060),
    ]
    knob = lathe([(0.0870, 0.0), (0.0869, 0.0072), (0.0850, 0.0078), (0.0770, 0.0052), (0.0700, 0.0060)], 12)
    metal = brushed(128, 128, (198, 195, 192), (224, 221, 218), seed=21)
    parts = {
        "body": GeomAppearance(body, texture="metal", specular=0.7, shininess=0.6),
        "handle": GeomAppearance(join(tube(smooth(grip), 0.0062, 0.0060, 8), knob), colour=(30, 30, 30), specular=0.3),
    }
    return Appearance(parts, {"metal": finish(metal)})


def _spout() -> Mesh:
    """A pouring lip towards -y, widening upwards."""
    rows = [(0.0605, 0.0130, 0.0240), (0.0560, 0.0120, 0.0215), (0.0300, 0.0090, 0.0075), (0.0150, 0.0050, 0.0010)]
    return join(loft(rows, 10).moved(y=-0.0365), disc(0.0605, 0.0130, 0.0240, up=True, segments=10).moved(y=-0.0365))


MAKERS: dict[str, Maker] = {
    maker.__name__: maker
    for maker in (
        akita_black_bowl, white_bowl, glazed_rim_porcelain_ramekin, plate, porcelain_mug, red_coffee_mug, white_yellow_mug,
        basket, chefmate_8_frypan, moka_pot,
    )
}  # fmt: skip
