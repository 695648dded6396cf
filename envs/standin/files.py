"""Meshes as files that any loader reads: binary glTF for visuals, Wavefront for collisions."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .mesh import Array, Mesh
from .paint import png

LINEAR = tuple[float, float, float]
"""Red, green, blue from 0 to 1, linear."""
FLOATS, INTEGERS, ARRAY_BUFFER, INDEX_BUFFER = 5126, 5125, 34962, 34963
"""glTF's numbers for float32, uint32, vertex data and indices."""


@dataclass(frozen=True)
class Piece:
    """A mesh with one material."""

    mesh: Mesh
    colour: LINEAR = (1.0, 1.0, 1.0)
    """Ignored if the piece has a texture image."""
    image: Array | None = None
    """[height, width, 3] uint8, sRGB."""
    roughness: float = 0.7


def glb(pieces: Sequence[Piece]) -> bytes:
    """A binary glTF 2.0 file with one mesh per piece, not metallic; bytes are a function of the values alone."""
    blob = _Blob()
    meshes, materials, images = [], [], []
    for number, piece in enumerate(pieces):
        shine: dict[str, Any] = {"metallicFactor": 0, "roughnessFactor": piece.roughness}
        if piece.image is None:
            shine["baseColorFactor"] = [*piece.colour, 1]
        else:
            shine["baseColorTexture"] = {"index": len(images)}
            images.append({"bufferView": blob.view(png(piece.image)), "mimeType": "image/png"})
        materials.append({"pbrMetallicRoughness": shine})
        meshes.append({"primitives": [{**blob.primitive(piece.mesh), "material": number}]})
    content: dict[str, Any] = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": list(range(len(meshes)))}],
        "nodes": [{"mesh": number} for number in range(len(meshes))],
        "meshes": meshes,
        "materials": materials,
        "accessors": blob.accessors,
        "bufferViews": blob.views,
        "buffers": [{"byteLength": len(blob.data)}],
    }
    if images:
        content |= {"images": images, "textures": [{"source": number} for number in range(len(images))]}
    text = json.dumps(content, separators=(",", ":")).encode()
    chunks = ((b"JSON", text + b" " * (-len(text) % 4)), (b"BIN\0", bytes(blob.data)))
    body = b"".join(struct.pack("<I", len(data)) + kind + data for kind, data in chunks)
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


class _Blob:
    """The binary part of a glTF file, and the lists that describe its layout."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def view(self, content: bytes, target: int = 0) -> int:
        """Number of a new stretch of the data with that content."""
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(content)})
        if target:
            self.views[-1]["target"] = target
        self.data += content + b"\0" * (-len(content) % 4)
        return len(self.views) - 1

    def primitive(self, mesh: Mesh) -> dict[str, Any]:
        """A mesh as glTF describes it, without its material."""
        places = _rounded(mesh.vertices)
        bounds = {"min": places.min(0).tolist(), "max": places.max(0).tolist()}
        return {
            "attributes": {
                "POSITION": self._accessor(places, "VEC3", FLOATS, ARRAY_BUFFER, bounds),
                "NORMAL": self._accessor(_rounded(mesh.normals), "VEC3", FLOATS, ARRAY_BUFFER),
                "TEXCOORD_0": self._accessor(_rounded(mesh.uv), "VEC2", FLOATS, ARRAY_BUFFER),
            },
            "indices": self._accessor(mesh.faces.astype("<u4").ravel(), "SCALAR", INTEGERS, INDEX_BUFFER),
        }

    def _accessor(self, values: Array, kind: str, number: int, target: int, more: dict[str, Any] | None = None) -> int:
        view = self.view(values.tobytes(), target)
        self.accessors.append({"bufferView": view, "componentType": number, "count": len(values), "type": kind, **(more or {})})
        return len(self.accessors) - 1


def obj(meshes: Sequence[Mesh]) -> bytes:
    """A Wavefront file with one object per mesh: places, each written once, and triangles."""
    lines, start = [], 1
    for number, mesh in enumerate(meshes):
        places: dict[tuple[float, ...], int] = {}
        corners = [places.setdefault(tuple(place), len(places)) for place in _rounded(mesh.vertices).tolist()]
        lines.append(f"o part{number}")
        lines += [f"v {x:.7f} {y:.7f} {z:.7f}" for x, y, z in places]
        faces = [[corners[corner] + start for corner in face] for face in mesh.faces]
        lines += [f"f {a} {b} {c}" for a, b, c in faces if len({a, b, c}) == 3]
        start += len(places)
    return ("\n".join(lines) + "\n").encode()


def _rounded(values: Array) -> Array:
    """float32, rounded to 1e-7 first, so that the last bit of a sine never decides the bytes."""
    return values.round(7).astype("<f4") + 0
