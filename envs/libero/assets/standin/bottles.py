"""Bottles: two squeezed ones, a flask of dressing, and wine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ....standin.mesh import Mesh, disc, join, lathe, loft
from ....standin.paint import Array, Canvas, Colour, finish, stone
from .appearance import Appearance, GeomAppearance, Maker

Rows = Sequence[tuple[float, float, float]]
"""Outlines of a bottle from shoulder to foot: z, half width, half depth (m)."""
EXPOSURE = 0.69
"""Exposure of printed labels, as in groceries.py."""


def _squeezed(
    rows: Rows, cap: tuple[float, float], ground: Colour, lid: Colour, label: Callable[[Canvas, float], None]
) -> Appearance:
    """A bottle with a screw cap (radius, top), its label on both broad sides; stands along z."""
    canvas = Canvas(512, 320, ground)
    for x in (128, 384):
        label(canvas, x)
    canvas.rectangle(-9, 260, 521, 330, lid)
    red, green, blue = lid
    for x in range(0, 512, 16):
        canvas.rectangle(x, 280, x + 5, 330, (0.85 * red, 0.85 * green, 0.85 * blue))
    side, thread, top, foot = (
        canvas.part(0, 2, 512, 254),
        canvas.part(0, 286, 512, 318),
        canvas.part(4, 264, 30, 276),
        canvas.part(1, 244, 6, 252),
    )
    radius, height = cap
    neck, low = rows[0][0], rows[-1][0]
    shape = join(
        loft(rows, 24, power=2.3).on(side),
        disc(low, *rows[-1][1:], up=False, segments=24, power=2.3).on(foot),
        lathe([(height - 0.002, radius), (neck, radius)]).on(thread),
        lathe([(height, radius - 0.002), (height - 0.002, radius)]).on(top),
        disc(height, radius - 0.002, up=True).on(top),
        disc(neck, radius, up=False).on(top),
    )
    return Appearance(
        {"body": GeomAppearance(shape, texture="label", specular=0.6, shininess=0.6)}, {"label": canvas.shade(EXPOSURE).done()}
    )


def _lying(appearance: Appearance) -> Appearance:
    """The same bottle laid along y, cap towards +y, a label up."""
    part = appearance.parts["body"]
    assert part.mesh
    return Appearance(
        {"body": GeomAppearance(part.mesh.turned("x", 270), part.texture, specular=part.specular)}, appearance.textures
    )


def ketchup() -> Appearance:
    """Orange-red bottle, white cap, tomato on a pale label."""

    def label(canvas: Canvas, x: float) -> None:
        canvas.rectangle(x - 78, 92, x + 78, 226, (206, 150, 60), radius=40).rectangle(
            x - 72, 98, x + 72, 220, (238, 230, 210), radius=36
        )
        canvas.circle(x, 128, 24, (196, 44, 26)).polygon([(x - 12, 108), (x, 102), (x + 12, 108), (x, 116)], (50, 110, 50))
        canvas.text("TOMATO", x, 168, 18, (60, 60, 60), width=90).text("KETCHUP", x, 196, 26, (170, 34, 20), width=122)

    rows = [(0.0375, 0.0180, 0.0180), (0.035, 0.0200, 0.0196), (0.0248, 0.0242, 0.0210), (0.0124, 0.0273, 0.0212)]
    rows += [(-0.0124, 0.0312, 0.0211), (-0.0372, 0.0323, 0.0213), (-0.0619, 0.0321, 0.0217), (-0.0715, 0.0313, 0.0210)]
    return _lying(_squeezed([*rows, (-0.0743, 0.0285, 0.0185)], (0.0183, 0.0743), (190, 74, 26), (216, 212, 206), label))


def bbq_sauce() -> Appearance:
    """Brown bottle, orange cap, flames on the label; stands along z."""

    def label(canvas: Canvas, x: float) -> None:
        canvas.rectangle(x - 62, 70, x + 62, 216, (220, 170, 50), radius=26).rectangle(
            x - 57, 75, x + 57, 211, (150, 28, 18), radius=22
        )
        for dx, height in ((-30, 34), (0, 52), (30, 38)):
            canvas.polygon([(x + dx, 150 - height), (x + dx + 16, 168), (x + dx - 16, 168)], (236, 130, 30))
            canvas.polygon([(x + dx, 162 - height / 2), (x + dx + 8, 168), (x + dx - 8, 168)], (250, 214, 80))
        canvas.text("BBQ", x, 188, 26, (250, 226, 140), width=76, bold=0.22)

    rows = [(0.0295, 0.0140, 0.0138), (0.0270, 0.0166, 0.0156), (0.0190, 0.0195, 0.0161), (0.0095, 0.0216, 0.0162)]
    rows += [(-0.0095, 0.0243, 0.0162), (-0.0286, 0.0249, 0.0163), (-0.0476, 0.0247, 0.0167), (-0.0550, 0.0242, 0.0164)]
    return _squeezed([*rows, (-0.0571, 0.0225, 0.0145)], (0.0142, 0.0571), (88, 38, 14), (196, 74, 18), label)


def salad_dressing() -> Appearance:
    """White waisted bottle, green cap, leaves on the label."""

    def label(canvas: Canvas, x: float) -> None:
        canvas.ellipse(x, 168, 74, 62, (96, 140, 60)).ellipse(x, 168, 68, 56, (34, 84, 60))
        canvas.text("RANCH", x, 150, 26, (246, 246, 236), width=96).text("DRESSING", x, 182, 15, (236, 222, 120), width=96)
        for dx, dy, colour in (
            (-30, 118, (70, 140, 50)),
            (30, 118, (70, 140, 50)),
            (0, 112, (96, 160, 60)),
            (-14, 206, (206, 80, 40)),
        ):
            canvas.ellipse(x + dx, dy, 18, 10, colour)

    rows = [(0.0400, 0.0178, 0.0178), (0.0290, 0.0186, 0.0183), (0.0180, 0.0200, 0.0192), (0.0060, 0.0232, 0.0206)]
    rows += [(-0.0060, 0.0270, 0.0212), (-0.0184, 0.0306, 0.0214), (-0.0307, 0.0320, 0.0215), (-0.0430, 0.0320, 0.0216)]
    rows += [(-0.0550, 0.0306, 0.0217), (-0.0680, 0.0276, 0.0214)]
    return _lying(_squeezed([*rows, (-0.0737, 0.0235, 0.0180)], (0.0185, 0.0737), (190, 194, 186), (28, 112, 58), label))


def new_salad_dressing() -> Appearance:
    """The same bottle; LIBERO places it by another body."""
    return salad_dressing()


def wine_bottle() -> Appearance:
    """Dark green glass, a cork, a cream label with a vine."""
    glass = [(0.1499, 0.0066), (0.1495, 0.0079), (0.1380, 0.0079), (0.1370, 0.0074), (0.1199, 0.0076), (0.1049, 0.0089)]
    glass += [
        (0.0960, 0.0115),
        (0.0899, 0.0135),
        (0.0820, 0.0165),
        (0.0749, 0.0185),
        (0.0660, 0.0205),
        (0.0580, 0.0215),
        (0.0030, 0.0216),
    ]
    shape = join(lathe([*glass, (0.0, 0.0195)], 24), disc(0.0, 0.0195, up=False, segments=24))
    cork = join(
        lathe([(0.1588, 0.0070), (0.1580, 0.0076), (0.1500, 0.0076), (0.1400, 0.0065)], 12),
        disc(0.1588, 0.0070, up=True, segments=12),
    )
    cork_grain = stone(64, 64, (196, 140, 80), (236, 192, 132), seed=11, cells=12)
    parts = {
        "glass": GeomAppearance(shape, colour=(2, 10, 2), specular=0.6, shininess=0.7),
        "cork": GeomAppearance(cork, texture="cork", specular=0.1),
        "label": GeomAppearance(_paper(), texture="label", specular=0.2),
    }
    return Appearance(parts, {"cork": finish(cork_grain), "label": _wine_label()})


def _paper() -> Mesh:
    """A quarter of a thin cylinder just outside the glass, facing -y."""
    outside = [(0.0610, 0.0214), (0.0610, 0.0218), (0.0071, 0.0218), (0.0071, 0.0214), (0.0610, 0.0214)]
    shape = lathe(outside, 8, (-135, -45)).faceted()
    angle = np.degrees(np.arctan2(shape.vertices[:, 1], shape.vertices[:, 0]))
    uv = np.stack([(angle + 135) / 90, (0.0610 - shape.vertices[:, 2]) / 0.0539], -1)
    return replace(shape, uv=uv)


def _wine_label() -> Array:
    canvas = Canvas(160, 256, (206, 198, 182))
    canvas.rectangle(8, 8, 152, 248, (150, 120, 60)).rectangle(11, 11, 149, 245, (214, 207, 192))
    canvas.line([(80, 40), (80, 96)], 3, (90, 80, 50))
    for x, y in ((68, 58), (92, 58), (62, 74), (80, 74), (98, 74), (70, 90), (90, 90), (80, 104)):
        canvas.circle(x, y, 9, (96, 30, 56))
    canvas.text("VIN", 80, 146, 34, (70, 24, 30), width=70).text("ROUGE", 80, 190, 22, (70, 24, 30), width=96)
    return canvas.line([(40, 222), (120, 222)], 2, (150, 120, 60)).done()


MAKERS: dict[str, Maker] = {
    maker.__name__: maker for maker in (ketchup, bbq_sauce, salad_dressing, new_salad_dressing, wine_bottle)
}
