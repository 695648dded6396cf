"""Stove and microwave: brushed steel, burner rings, a knob, a door with a window.

Outer sizes follow the official models, colours their means (libero_objects.json).
"""

from __future__ import annotations

from ....standin.mesh import Mesh, disc, join, lathe, panel, prism, slab
from ....standin.paint import Array, Canvas, Colour, brushed, finish
from .appearance import Appearance, GeomAppearance, Maker

BLACK: Colour = (50, 50, 50)
STEEL: Colour = (133, 132, 131)
RINGS = ((0.0555, 0.0650), (0.0415, 0.0515), (0.0275, 0.0375), (0.0140, 0.0235))
"""Inner and outer radius of the burner's rings (m); LIBERO's red glow shows between them."""


def flat_stove() -> Appearance:
    """A steel plate with a ringed burner, and a black knob beside it."""
    steel = brushed(256, 256, (142, 143, 145), (178, 179, 181), seed=71)
    parts = {
        "plate": GeomAppearance(texture="steel", specular=0.5, shininess=0.8),
        "burner": GeomAppearance(_burner(), colour=(80, 80, 82), specular=0.5, shininess=0.7),
        "knob": GeomAppearance(_knob(), texture="dial", specular=0.4),
    }
    return Appearance(parts, {"steel": finish(steel), "dial": _dial()})


def _burner() -> Mesh:
    """Flat rings on four spokes; the origin lies on their upper side."""
    profiles = [[(-0.0050, inner), (0.0, inner + 0.0008), (0.0, outer - 0.0008), (-0.0050, outer)] for inner, outer in RINGS]
    rings = [lathe(profile, 28).faceted() for profile in profiles]
    hub = join(lathe([(0.0, 0.0090), (-0.0050, 0.0098)], 16), disc(0.0, 0.0090, up=True, segments=16))
    spokes = [slab((0.0090, -0.0022, -0.0050), (0.0580, 0.0022, -0.0016)).turned("z", 90 * quarter) for quarter in range(4)]
    return join(*rings, hub, *spokes)


def _knob() -> Mesh:
    """A round skirt with a wedge-shaped grip across it; a white line marks the low end of the grip."""
    plain, mark = (0.02, 0.02, 0.48, 0.98), (0.52, 0.02, 0.98, 0.98)
    skirt = [(0.0215, 0.0400), (0.0200, 0.0432), (0.0150, 0.0440), (0.0140, 0.0462), (0.0, 0.0466)]
    side = [
        (-0.0430, 0.0150),
        (0.0490, 0.0150),
        (0.0495, 0.0500),
        (0.0460, 0.0539),
        (-0.0060, 0.0539),
        (-0.0230, 0.0480),
        (-0.0380, 0.0380),
    ]
    grip = prism(side, 0.0270, [plain, plain, plain, plain, mark, plain, plain, plain])
    base = join(lathe(skirt, 28), disc(0.0215, 0.0400, up=True, segments=28)).on(plain)
    return join(base.moved(x=-0.0008, y=0.0032), grip.moved(x=-0.0006))


def _dial() -> Array:
    """Black, and on the right half a white line at the lower end."""
    return Canvas(64, 64, (26, 26, 26)).rectangle(46, 40, 50, 60, (214, 214, 214)).done()


def microwave() -> Appearance:
    """A black oven with a steel handle, a window in the door, keys and a clock beside it."""
    parts = {
        "case": GeomAppearance(_case(), texture="case", specular=0.5, shininess=0.8),
        "buttons": GeomAppearance(slab((0.0938, -0.1124, 0.0117), (0.1581, -0.1081, 0.0303)), colour=STEEL, specular=0.8),
        "feet": GeomAppearance(_feet(), colour=STEEL),
        "door": GeomAppearance(_door(), colour=BLACK, specular=0.5, shininess=0.8),
        "window": GeomAppearance(
            slab((-0.1300, -0.1065, 0.0346), (0.0438, -0.0945, 0.1571)), colour=(102, 102, 102), alpha=0.25, specular=0.9
        ),
        "handle": GeomAppearance(colour=STEEL, specular=0.9, shininess=0.9),
    }
    return Appearance(parts, {"case": _case_image()})


def _case() -> Mesh:
    """Five walls around the cavity, and the panel with the keys."""
    plain, grey, keys = (0.02, 0.02, 0.22, 0.98), (0.27, 0.02, 0.47, 0.98), (0.51, 0.01, 0.99, 0.99)
    x0, x1, y0, y1, z0, z1 = -0.1723, 0.1723, -0.0880, 0.1104, 0.0047, 0.1869
    inner_x0, inner_x1, inner_y1, inner_z0, inner_z1 = -0.1435, 0.0635, 0.0805, 0.0240, 0.1680
    outside = join(
        slab((inner_x0, inner_y1, z0), (inner_x1, y1, z1), without=["left", "right", "front"]),
        slab((x0, y0, z0), (inner_x0, y1, z1), without=["right"]),
        slab((inner_x1, y0, z0), (x1, y1, z1), without=["left"]),
        slab((inner_x0, y0, z0), (inner_x1, y1, inner_z0), without=["left", "right", "top"]),
        slab((inner_x0, y0, inner_z1), (inner_x1, y1, z1), without=["left", "right", "bottom"]),
        slab((0.0875, -0.1104, z0), (x1, y0, z1), without=["back"]),
    )
    depth = inner_y1 - y0
    middle = {"y": (y0 + inner_y1) / 2, "z": (inner_z0 + inner_z1) / 2}
    width, height = inner_x1 - inner_x0, inner_z1 - inner_z0
    cavity = join(
        panel(width, height).moved((inner_x0 + inner_x1) / 2, inner_y1, middle["z"]),
        panel(depth, height).turned("z", 90).moved(inner_x0, **middle),
        panel(depth, height).turned("z", 270).moved(inner_x1, **middle),
        panel(width, depth).turned("x", 270).moved((inner_x0 + inner_x1) / 2, middle["y"], inner_z0),
        panel(width, depth).turned("x", 90).moved((inner_x0 + inner_x1) / 2, middle["y"], inner_z1),
    )
    face = panel(0.0820, 0.1450).moved(0.1300, -0.1105, 0.1080)
    return join(outside.on(plain), cavity.on(grey), face.on(keys))


def _case_image() -> Array:
    """Quarters: black for the outside, grey for the cavity; on the right half the keys under a clock."""
    canvas = Canvas(256, 160, BLACK).rectangle(64, -9, 128, 169, (104, 104, 102))
    canvas.rectangle(140, 12, 244, 46, (16, 26, 20), radius=4)
    for x in (162, 180, 206, 224):
        canvas.rectangle(x - 6, 18, x + 6, 40, (84, 190, 130)).rectangle(x - 3, 21, x + 3, 37, (16, 26, 20))
    for row in range(4):
        for column in range(3):
            canvas.rectangle(144 + 36 * column, 58 + 24 * row, 168 + 36 * column, 74 + 24 * row, (120, 120, 120), radius=3)
    return canvas.done()


def _feet() -> Mesh:
    corners = [(x, y) for x in (-0.1497, 0.1513) for y in (-0.0584, 0.0786)]
    return join(*(lathe([(0.0065, 0.0076), (0.0, 0.0076)], 10).moved(x, y) for x, y in corners))


def _door() -> Mesh:
    """A frame around the window, and a slim plate that carries the handle."""
    x0, x1, y0, y1, z0, z1 = -0.1723, 0.0861, -0.1104, -0.0904, 0.0047, 0.1869
    left, right, low, high = -0.1300, 0.0438, 0.0346, 0.1571
    return join(
        slab((x0, y0, z0), (left, y1, z1)),
        slab((right, y0, z0), (x1, y1, z1)),
        slab((left, y0, z0), (right, y1, low), without=["left", "right"]),
        slab((left, y0, high), (right, y1, z1), without=["left", "right"]),
    )


MAKERS: dict[str, Maker] = {maker.__name__: maker for maker in (flat_stove, microwave)}
