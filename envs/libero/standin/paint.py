"""Textures, painted with arithmetic only: shapes, lettering, wood, stone, metal. No fonts, no files, no random state.

Coordinates are pixels, x to the right and y downwards; colours are (r, g, b) from 0 to 255.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

Array = np.ndarray


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
