"""Cans, cartons and boxes with invented labels.

Silhouettes follow the sizes and section widths of the official models, colours their means (libero_objects.json).
Objects are modelled along z and then laid along y, as LIBERO expects them, tops towards +y.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ....standin.mesh import Mesh, Rectangle, box, disc, join, lathe, loft, prism
from ....standin.paint import Canvas, Colour, stone
from .appearance import Appearance, GeomAppearance, Maker

# The official textures are photographs in dim light: `exposure` scales bright print to their means.
METAL: Colour = (118, 122, 134)
Label = Callable[[Canvas, float], None]
"""Function that paints one label, 256 x 256 pixels, from x onwards."""


def _thing(mesh: Mesh, canvas: Canvas, exposure: float) -> Appearance:
    return Appearance(
        {"body": GeomAppearance(mesh, texture="label", specular=0.3, shininess=0.3)}, {"label": canvas.shade(exposure).done()}
    )


def _lying(mesh: Mesh) -> Mesh:
    return mesh.turned("x", 270)


# --- cans ---------------------------------------------------------------------------------------------------------


def _can(label: Label, ground: Colour) -> Appearance:
    """A ribbed tin with two labels around it and a pull tab, 66 mm wide and 83 mm high."""
    canvas = Canvas(512, 320, ground)
    for x in (0, 256):
        label(canvas, x)
    canvas.rectangle(-9, 256, 521, 330, METAL)
    canvas.circle(32, 288, 27, (92, 96, 108), width=2).circle(32, 288, 21, (150, 154, 164), width=2)
    side, lid, rim = canvas.part(0, 2, 512, 254), canvas.part(2, 258, 62, 318), canvas.part(80, 270, 120, 310)
    edge = [(0.0412, 0.0312), (0.0412, 0.0331), (0.0395, 0.0331), (0.0388, 0.0323)]
    oval = (0.0085, 0.0124)
    tab = [
        loft([(0.0416, *oval), (0.0406, *oval)], 12),
        disc(0.0416, *oval, up=True, segments=12),
        disc(0.0406, *oval, up=False, segments=12),
    ]
    tin = join(
        lathe([(0.0388, 0.0323), (-0.0388, 0.0323)], 24).on(side),
        *(piece.on(rim) for piece in _rims(edge)),
        disc(0.0395, 0.0312, up=True, segments=24).on(lid),
        disc(-0.0395, 0.0312, up=False, segments=24).on(lid),
        *(piece.moved(y=-0.0260).on(rim) for piece in tab),
    )
    return _thing(_lying(tin).moved(z=-0.003), canvas, 0.73)


def _rims(edge: Sequence[tuple[float, float]]) -> list[Mesh]:
    """Folded edges at both ends of a can, with the inner walls down to the lids."""
    upper = [lathe(edge, 24), lathe([(0.0395, 0.0312), (0.0412, 0.0312)], 24)]
    return upper + [piece.turned("x", 180) for piece in upper]


def alphabet_soup() -> Appearance:
    """Blue can with a bowl of letters."""

    def label(canvas: Canvas, x: float) -> None:
        canvas.rectangle(x - 9, 150, x + 265, 256, (206, 120, 32))
        canvas.ellipse(x + 128, 168, 100, 34, (233, 226, 208)).ellipse(x + 128, 164, 86, 24, (222, 132, 40))
        for letter, dx, dy in (("A", 70, 158), ("B", 104, 170), ("C", 132, 156), ("S", 160, 170), ("Z", 188, 160)):
            canvas.text(letter, x + dx, dy, 15, (250, 226, 150))
        canvas.polygon([(x + 28, 172), (x + 228, 172), (x + 180, 238), (x + 76, 238)], (233, 226, 208))
        canvas.ellipse(x + 128, 166, 86, 8, (214, 124, 36))
        canvas.text("ALPHABET", x + 128, 34, 26, (255, 255, 255), width=180).text(
            "SOUP", x + 128, 92, 54, (250, 214, 60), width=190
        )

    return _can(label, (52, 82, 156))


def tomato_sauce() -> Appearance:
    """Red can with a green band and tomatoes."""

    def label(canvas: Canvas, x: float) -> None:
        canvas.rectangle(x - 9, 0, x + 265, 26, (228, 220, 200)).rectangle(x - 9, 230, x + 265, 256, (228, 220, 200))
        canvas.ellipse(x + 128, 96, 112, 56, (36, 108, 52)).ellipse(x + 128, 96, 104, 49, (44, 126, 60))
        canvas.text("TOMATO", x + 128, 80, 28, (250, 246, 230), width=150).text(
            "SAUCE", x + 128, 116, 24, (250, 222, 90), width=110
        )
        for dx in (60, 128, 196):
            canvas.circle(x + dx, 190, 30, (214, 58, 36)).circle(x + dx - 9, 180, 7, (240, 130, 100))
            canvas.polygon([(x + dx - 14, 163), (x + dx, 157), (x + dx + 14, 163), (x + dx, 172)], (40, 110, 50))

    return _can(label, (172, 38, 28))


# --- gable-top cartons --------------------------------------------------------------------------------------------


def _carton(label: Label, word: str, roof: Colour, fin: Colour) -> Appearance:
    """A litre-carton in small: square body, folded roof, flat fin; label on all four sides, a word on the roof."""
    canvas = Canvas(256, 384, roof)
    label(canvas, 0)
    canvas.rectangle(-9, 256, 265, 330, roof).text(word, 128, 292, 30, (250, 246, 240), width=150)
    canvas.rectangle(-9, 330, 128, 393, fin).rectangle(128, 330, 265, 393, roof)
    front, slope, ridge = canvas.part(1, 1, 255, 255), canvas.part(1, 258, 255, 328), canvas.part(10, 340, 110, 380)
    wall, low, eaves, gable, top = 0.0272, -0.0714, 0.0450, 0.0600, 0.0714
    half = 0.0030
    outline = [(-wall, low), (wall, low), (wall, eaves), (half, gable), (half, top), (-half, top), (-half, gable), (-wall, eaves)]
    plain = canvas.part(140, 340, 240, 380)
    shape = prism(outline, 0.0530, [plain, front, slope, ridge, ridge, ridge, slope, front, plain])
    sides = box(0.0536, 0.0530, eaves - low, {"left": front, "right": front}, without=["front", "back", "top", "bottom"])
    return _thing(_lying(join(shape, sides.moved(z=(eaves + low) / 2))), canvas, 0.66)


def milk() -> Appearance:
    """Red and white carton with a spotted cow on a meadow."""

    def label(canvas: Canvas, x: float) -> None:
        canvas.rectangle(x, 118, x + 256, 256, (150, 178, 206)).ellipse(x + 128, 270, 190, 62, (48, 92, 48))
        canvas.text("MILK", x + 128, 58, 66, (250, 246, 240), width=196, bold=0.17)
        canvas.rectangle(x, 104, x + 256, 118, (244, 240, 234))
        canvas.rectangle(x + 84, 150, x + 182, 200, (244, 242, 238), radius=18).circle(x + 192, 148, 20, (244, 242, 238))
        for dx in (94, 114, 154, 172):
            canvas.rectangle(x + dx - 6, 190, x + dx + 6, 232, (244, 242, 238))
        canvas.ellipse(x + 110, 166, 17, 12, (30, 30, 32)).ellipse(x + 154, 182, 19, 14, (30, 30, 32))
        canvas.ellipse(x + 198, 154, 10, 7, (220, 150, 140)).circle(x + 186, 138, 5, (30, 30, 32))

    return _carton(label, "FRESH", (176, 44, 28), (190, 186, 180))


def orange_juice() -> Appearance:
    """Yellow carton with orange slices."""

    def label(canvas: Canvas, x: float) -> None:
        canvas.text("ORANGE", x + 128, 34, 36, (196, 84, 20), width=200).text("JUICE", x + 128, 86, 42, (52, 96, 40), width=170)
        for dx, dy, radius in ((92, 178, 66), (206, 216, 40)):
            canvas.circle(x + dx, dy, radius, (222, 118, 16)).circle(x + dx, dy, 0.88 * radius, (246, 214, 150))
            canvas.circle(x + dx, dy, 0.80 * radius, (232, 140, 24))
            for cut_x, cut_y in ((1, 0), (0.5, 0.866), (-0.5, 0.866)):
                ends = [(x + dx + sign * 0.8 * radius * cut_x, dy + sign * 0.8 * radius * cut_y) for sign in (-1, 1)]
                canvas.line(ends, radius / 14, (246, 214, 150))

    return _carton(label, "JUICE", (214, 182, 54), (220, 206, 140))


# --- boxes --------------------------------------------------------------------------------------------------------


def _packet(
    width: float, depth: float, height: float, face: Label, long: Label, short: Label, ground: Colour, turned: float = 0
) -> Appearance:
    """A folding box lying flat: its face up and down, name on the long sides, a mark on the short ones."""
    canvas = Canvas(256, 256, ground)
    faces = {"top": (0, 0, 256, 144), "front": (0, 144, 256, 208), "left": (0, 208, 128, 256)}
    images: dict[str, Rectangle] = {name: canvas.part(x0 + 1, y0 + 1, x1 - 1, y1 - 1) for name, (x0, y0, x1, y1) in faces.items()}
    images |= {"bottom": images["top"], "back": images["front"], "right": images["left"]}
    for paint, start in ((face, 0), (long, 144), (short, 208)):
        canvas.rectangle(-9, start, 265, 265, ground)
        paint(canvas, start)
    edges = stone(256, 256, (0.88, 0.88, 0.88), (1.06, 1.06, 1.06), seed=3)[..., 0]
    return _thing(box(width, depth, height, images).turned("z", turned), canvas.shade(edges), 0.78)


def butter() -> Appearance:
    """Red and yellow packet with a meadow."""

    def face(canvas: Canvas, y: float) -> None:
        canvas.rectangle(150, y, 256, y + 144, (70, 130, 190)).ellipse(204, y + 150, 90, 46, (60, 120, 56))
        canvas.circle(226, y + 28, 14, (250, 224, 90)).text("FARM", 74, y + 34, 26, (246, 196, 60), width=110)
        canvas.text("BUTTER", 78, y + 82, 44, (250, 240, 214), width=130, bold=0.18)
        canvas.rectangle(172, y + 80, 216, y + 108, (246, 226, 130), radius=3).rectangle(
            180, y + 72, 224, y + 100, (252, 238, 160), radius=3
        )

    def long(canvas: Canvas, y: float) -> None:
        canvas.text("BUTTER", 128, y + 32, 36, (250, 232, 180), width=200, bold=0.18)

    def short(canvas: Canvas, y: float) -> None:
        canvas.rectangle(14, y + 10, 114, y + 38, (240, 200, 80), radius=10).text(
            "FRESH", 64, y + 24, 14, (150, 40, 20), width=70
        )

    return _packet(0.0774, 0.0396, 0.0179, face, long, short, (178, 48, 24))


def cream_cheese() -> Appearance:
    """Silver-blue packet with a blue oval."""

    def face(canvas: Canvas, y: float) -> None:
        canvas.ellipse(128, y + 70, 112, 54, (58, 70, 142)).ellipse(128, y + 70, 104, 47, (84, 98, 170))
        canvas.text("CREAM", 128, y + 50, 28, (240, 242, 250), width=120).text(
            "CHEESE", 128, y + 88, 28, (240, 242, 250), width=150
        )

    def long(canvas: Canvas, y: float) -> None:
        canvas.rectangle(34, y + 12, 222, y + 52, (70, 84, 156), radius=20)
        canvas.text("CREAM CHEESE", 128, y + 32, 18, (240, 242, 250), width=150)

    def short(canvas: Canvas, y: float) -> None:
        canvas.rectangle(14, y + 12, 114, y + 36, (196, 84, 50), radius=12).text(
            "SOFT", 64, y + 24, 12, (250, 246, 240), width=50
        )

    return _packet(0.0829, 0.0426, 0.0194, face, long, short, (148, 158, 178))


def chocolate_pudding() -> Appearance:
    """Dark brown box with pale blue sides."""

    def face(canvas: Canvas, y: float) -> None:
        canvas.rectangle(0, y + 4, 88, y + 30, (204, 72, 40)).text("INSTANT", 44, y + 17, 12, (250, 236, 220), width=64)
        canvas.text("CHOCOLATE", 128, y + 54, 24, (226, 178, 130), width=200).text(
            "PUDDING", 128, y + 98, 40, (240, 206, 160), width=214
        )

    def long(canvas: Canvas, y: float) -> None:
        canvas.rectangle(0, y, 256, y + 64, (132, 168, 192))
        canvas.text("CHOCOLATE", 128, y + 20, 18, (74, 36, 24), width=170).text(
            "PUDDING", 128, y + 46, 24, (104, 50, 28), width=180
        )

    def short(canvas: Canvas, y: float) -> None:
        canvas.text("PUDDING", 64, y + 24, 18, (226, 178, 130), width=100)

    return _packet(0.0835, 0.0495, 0.0299, face, long, short, (72, 38, 28))


def cookies() -> Appearance:
    """Red chequered box with a heap of cookies."""

    def face(canvas: Canvas, y: float) -> None:
        for number in range(16):
            for row, colour in ((0, (232, 222, 210)), (1, (176, 36, 32))):
                canvas.rectangle(
                    16 * number, y + 16 * ((number + row) % 2), 16 * number + 16, y + 16 * ((number + row) % 2) + 16, colour
                )
        for x, dy in ((60, 78), (118, 96), (92, 62), (150, 70), (196, 92)):
            canvas.circle(x, y + dy, 32, (128, 86, 42)).circle(x, y + dy, 29, (182, 136, 78))
            for dx, ddy in ((-12, -8), (8, -14), (14, 8), (-6, 12)):
                canvas.circle(x + dx, y + dy + ddy, 5, (66, 38, 24))
        canvas.text("COOKIES", 128, y + 128, 22, (250, 240, 226), width=170, bold=0.22)

    def long(canvas: Canvas, y: float) -> None:
        canvas.rectangle(0, y, 256, y + 64, (226, 214, 200)).text("COOKIES", 128, y + 32, 36, (166, 30, 26), width=200, bold=0.22)

    def short(canvas: Canvas, y: float) -> None:
        canvas.text("COOKIES", 64, y + 24, 18, (250, 240, 226), width=100)

    return _packet(0.0836, 0.0614, 0.0200, face, long, short, (160, 44, 36), turned=90)


MAKERS: dict[str, Maker] = {
    maker.__name__: maker
    for maker in (alphabet_soup, tomato_sauce, milk, orange_juice, butter, cream_cheese, chocolate_pudding, cookies)
}
