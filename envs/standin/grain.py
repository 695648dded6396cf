"""Materials as procedural textures: wood, stone, marble, brushed metal, wicker, from noise that is a function of its seed.

Arithmetic as in paint.py: the same pixels on every machine. All images are [height, width, 3], 0 to 255.
"""

from __future__ import annotations

import numpy as np

from .paint import Array, Colour


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
