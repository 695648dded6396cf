"""Textures made with arithmetic only: shapes, lettering, materials. No fonts, no files, no random state.

Coordinates are pixels, x to the right and y downwards; colours are (r, g, b) from 0 to 255. Only sums, products,
comparisons and square roots decide a pixel, all of them exact in IEEE arithmetic: the same pixels on every machine.
"""

from __future__ import annotations

import itertools
import math
import struct
import zlib
from collections.abc import Sequence

import numpy as np

Array = np.ndarray
Colour = tuple[float, float, float]

STROKES = {
    "A": "06 20 46/14 34", "B": "00 06 36 45 44 33 03/33 42 41 30 00", "C": "41 30 10 01 05 16 36 45",
    "D": "00 06 26 44 42 20 00", "E": "40 00 06 46/03 33", "F": "40 00 06/03 33", "G": "41 30 10 01 05 16 36 45 43 23",
    "H": "00 06/40 46/03 43", "I": "00 06", "J": "40 45 36 16 05", "K": "00 06/40 03 46", "L": "00 06 46",
    "M": "06 00 23 40 46", "N": "06 00 46 40", "O": "10 30 41 45 36 16 05 01 10", "P": "06 00 30 41 42 33 03",
    "Q": "10 30 41 45 36 16 05 01 10/24 46", "R": "06 00 30 41 42 33 03/23 46",
    "S": "41 30 10 01 02 13 33 44 45 36 16 05", "T": "00 40/20 26", "U": "00 05 16 36 45 40", "V": "00 26 40",
    "W": "00 16 22 36 40", "X": "00 46/40 06", "Y": "00 23 40/23 26", "Z": "00 40 06 46", " ": "",
}  # fmt: skip
"""Letters as pen strokes: x 0 to 4 and y 0 to 6 of each corner, strokes parted by a slash."""


class Canvas:
    """An image under construction; every shape has smooth edges and covers earlier ones."""

    def __init__(self, width: int, height: int, colour: Colour) -> None:
        self.pixels = np.empty((height, width, 3))
        self.pixels[:] = colour
        self.y, self.x = np.mgrid[:height, :width] + 0.5

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def near(self, points: Sequence[tuple[float, float]], margin: float = 0.0) -> Canvas:
        """The part of this canvas around some points, sharing its pixels: small shapes need not visit the whole image."""
        low, high = np.min(points, axis=0) - margin - 1, np.max(points, axis=0) + margin + 2
        (x0, y0), (x1, y1) = np.maximum(low, 0).astype(int), np.maximum(high, 0).astype(int)
        part = object.__new__(Canvas)
        part.pixels, part.x, part.y = (whole[y0:y1, x0:x1] for whole in (self.pixels, self.x, self.y))
        return part

    def fill(self, coverage: Array, colour: Colour | Array) -> None:
        """Blend a colour (or image) in where coverage [height, width] is above 0, fully at 1."""
        weight = np.clip(coverage, 0, 1)[..., None]
        self.pixels += weight * (np.asarray(colour, float) - self.pixels)

    def rectangle(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, *, radius: float = 0.0) -> Canvas:
        """A filled rectangle, its corners rounded by `radius`."""
        part = self.near([(x0, y0), (x1, y1)])
        dx = np.abs(part.x - (x0 + x1) / 2) - (x1 - x0) / 2 + radius
        dy = np.abs(part.y - (y0 + y1) / 2) - (y1 - y0) / 2 + radius
        corner_x, corner_y = np.maximum(dx, 0), np.maximum(dy, 0)
        corner = np.sqrt(corner_x * corner_x + corner_y * corner_y)
        part.fill(0.5 + radius - corner - np.minimum(np.maximum(dx, dy), 0), colour)
        return self

    def ellipse(self, x: float, y: float, radius_x: float, radius_y: float, colour: Colour, *, width: float = 0.0) -> Canvas:
        """A filled ellipse, or with a width the line around it."""
        part = self.near([(x - radius_x, y - radius_y), (x + radius_x, y + radius_y)], width)
        across, down = (part.x - x) / radius_x, (part.y - y) / radius_y
        inside = (1 - np.sqrt(across * across + down * down)) * min(radius_x, radius_y)
        part.fill(0.5 + width / 2 - np.abs(inside) if width else 0.5 + inside, colour)
        return self

    def circle(self, x: float, y: float, radius: float, colour: Colour, *, width: float = 0.0) -> Canvas:
        """A disc, or with a width the line around it."""
        return self.ellipse(x, y, radius, radius, colour, width=width)

    def polygon(self, corners: Sequence[tuple[float, float]], colour: Colour) -> Canvas:
        """A convex polygon, its corners listed clockwise as seen."""
        part = self.near(corners)
        inside = np.full(part.x.shape, np.inf)
        for (x0, y0), (x1, y1) in itertools.pairwise([*corners, corners[0]]):
            dx, dy = x1 - x0, y1 - y0
            distance = (dx * (part.y - y0) - dy * (part.x - x0)) / math.sqrt(dx * dx + dy * dy)
            inside = np.minimum(inside, distance)
        part.fill(0.5 + inside, colour)
        return self

    def line(self, points: Sequence[tuple[float, float]], width: float, colour: Colour) -> Canvas:
        """A polyline with round ends."""
        part = self.near(points, width)
        nearest = np.full(part.x.shape, np.inf)
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            dx, dy = x1 - x0, y1 - y0
            along = np.clip(((part.x - x0) * dx + (part.y - y0) * dy) / max(dx * dx + dy * dy, 1e-9), 0, 1)
            off_x, off_y = part.x - x0 - along * dx, part.y - y0 - along * dy
            nearest = np.minimum(nearest, off_x * off_x + off_y * off_y)
        part.fill(0.5 + width / 2 - np.sqrt(nearest), colour)
        return self

    def text(
        self, words: str, x: float, y: float, height: float, colour: Colour, *, bold: float = 0.2, width: float = 0.0
    ) -> Canvas:
        """Capital letters centred at (x, y); `bold` is the pen's width over the height, `width` fits them in."""
        strokes, total = _layout(words)
        unit = height / 6
        stretch = width / total if width else unit
        for stroke in strokes:
            self.line([(x + (px - total / 2) * stretch, y + (py - 3) * unit) for px, py in stroke], bold * height, colour)
        return self

    def shade(self, factor: Array | float) -> Canvas:
        """Darken or brighten, as a whole or pixel by pixel."""
        self.pixels *= np.asarray(factor)[..., None]
        return self

    def paste(self, x: int, y: int, image: Array) -> Canvas:
        """Put an image's upper left corner at (x, y)."""
        height, width = image.shape[:2]
        self.pixels[y : y + height, x : x + width] = image
        return self

    def part(self, x0: float, y0: float, x1: float, y1: float) -> tuple[float, float, float, float]:
        """A rectangle of this canvas in texture coordinates."""
        width, height = self.size
        return x0 / width, y0 / height, x1 / width, y1 / height

    def done(self) -> Array:
        """[height, width, 3] uint8."""
        return finish(self.pixels)


def finish(pixels: Array) -> Array:
    """[height, width, 3] uint8 of an image in numbers from 0 to 255."""
    return (np.clip(pixels, 0, 255) + 0.5).astype(np.uint8)


def _layout(words: str) -> tuple[list[list[tuple[float, float]]], float]:
    """Strokes of a word in units of a sixth of its height, and its width."""
    strokes, start = [], 0.0
    for letter in words:
        lines = [[(int(corner[0]), int(corner[1])) for corner in line.split()] for line in STROKES[letter].split("/") if line]
        strokes += [[(start + px, float(py)) for px, py in line] for line in lines]
        start += max((px for line in lines for px, _ in line), default=2) + 1.8
    return strokes, start - 1.8


def png(pixels: Array) -> bytes:
    """[height, width, 3] uint8 as a PNG file, stored uncompressed: compressors differ, these bytes do not."""
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)
    rows[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", _stored(rows.tobytes())), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _stored(data: bytes) -> bytes:
    """A zlib stream of stored blocks (RFC 1950, RFC 1951 3.2.4)."""
    blocks = [data[start : start + 0xFFFF] for start in range(0, len(data), 0xFFFF)]
    heads = [
        struct.pack("<BHH", number == len(blocks) - 1, len(block), len(block) ^ 0xFFFF) for number, block in enumerate(blocks)
    ]
    body = b"".join(head + block for head, block in zip(heads, blocks, strict=True))
    return b"\x78\x01" + body + struct.pack(">I", zlib.adler32(data))


# Materials: functions of their seed; all images are [height, width, 3], 0 to 255.


def noise(width: int, height: int, columns: int, rows: int, seed: int) -> Array:
    """[height, width] smooth values from 0 to 1 around `columns` x `rows` random ones; its edges meet when tiled."""
    values = _hash(np.arange(rows)[:, None], np.arange(columns)[None, :], seed)
    y, x = (np.arange(height) + 0.5) * rows / height, (np.arange(width) + 0.5) * columns / width
    row, column = y.astype(int), x.astype(int)
    fy, fx = ((part * part * (3 - 2 * part)) for part in ((y - row)[:, None], (x - column)[None, :]))
    corner = [[values[np.ix_((row + j) % rows, (column + i) % columns)] for i in (0, 1)] for j in (0, 1)]
    upper, lower = (side[0] + fx * (side[1] - side[0]) for side in corner)
    return upper + fy * (lower - upper)


def _hash(row: Array, column: Array, seed: int) -> Array:
    """Values from 0 to 1 that look random, one per pair of integers."""
    mixed = (
        row.astype(np.uint64) * 0x9E3779B1 + column.astype(np.uint64) * 0x85EBCA77 + np.uint64(seed * 0xC2B2AE3D)
    ) & 0xFFFFFFFF
    for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39)):
        mixed = ((mixed ^ (mixed >> np.uint64(shift))) * factor) & 0xFFFFFFFF
    return (mixed ^ (mixed >> np.uint64(15))).astype(float) / 0xFFFFFFFF


def _layers(width: int, height: int, columns: int, rows: int, seed: int, octaves: int) -> Array:
    """Noise of ever finer grain, 0 to 1."""
    weights = [0.5**octave for octave in range(octaves)]
    layers = [
        weight * noise(width, height, columns << octave, rows << octave, seed + octave) for octave, weight in enumerate(weights)
    ]
    return sum(layers[1:], layers[0]) / sum(weights)


def blend(low: Colour, high: Colour, amount: Array) -> Array:
    """[height, width, 3] colours between two, by an amount from 0 to 1."""
    return np.asarray(low, float) + np.clip(amount, 0, 1)[..., None] * np.subtract(high, low)


def wood(width: int, height: int, dark: Colour, light: Colour, *, seed: int, rings: int = 9) -> Array:
    """Grain along x: growth rings that wander, and fine pores."""
    wander = _layers(width, height, 2, 4, seed, 3)
    phase = (np.arange(height)[:, None] / height + 0.35 * wander) * rings
    ring = np.abs(2 * (phase - np.floor(phase)) - 1)
    pores = noise(width, height, 8, max(height // 2, 1), seed + 9)
    return blend(dark, light, 0.15 + 0.55 * ring * (0.4 + 0.6 * wander) + 0.45 * pores * wander)


def brushed(width: int, height: int, dark: Colour, light: Colour, *, seed: int) -> Array:
    """Metal brushed along x: fine scratches over a soft sheen."""
    scratches = noise(width, height, 2, height, seed) + noise(width, height, 5, height // 2, seed + 1)
    return blend(dark, light, 0.3 * scratches + 0.4 * noise(width, height, 2, 3, seed + 2))


def stone(width: int, height: int, dark: Colour, light: Colour, *, seed: int, cells: int = 6) -> Array:
    """Plaster, stone, linen at a distance: layered noise."""
    return blend(dark, light, _layers(width, height, cells, cells, seed, 4))


def marble(width: int, height: int, ground: Colour, vein: Colour, *, seed: int) -> Array:
    """Thin bright or dark veins where smooth noise crosses its middle."""
    field = _layers(width, height, 3, 3, seed, 4)
    return blend(vein, ground, np.abs(field - 0.5) * 14)


def woven(width: int, height: int, dark: Colour, light: Colour, *, columns: int, rows: int) -> Array:
    """Wicker: strands over and under, each a bump that catches the light in its middle."""
    x, y = np.meshgrid((np.arange(width) + 0.5) * columns / width, (np.arange(height) + 0.5) * rows / height)
    x = x + 0.5 * (np.floor(y) % 2)
    along, across = 2 * np.abs(x - np.floor(x) - 0.5), 2 * np.abs(y - np.floor(y) - 0.5)
    tint = _hash(np.floor(y).astype(int), np.floor(x).astype(int) % columns, 5)
    return blend(dark, light, (1 - along * along * along) * (1 - across * across) * (0.7 + 0.3 * tint))
