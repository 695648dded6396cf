"""The whole asset tree, in LIBERO's own layout, for the 40 tasks of its four 10-task suites."""

from __future__ import annotations

from pathlib import Path

from ....standin.paint import png
from . import appliances, bottles, furniture, groceries, rooms, tableware
from .model import model_files, physics

MAKERS = groceries.MAKERS | bottles.MAKERS | tableware.MAKERS | furniture.MAKERS | appliances.MAKERS | rooms.MAKERS
"""Class or scene name -> function that makes its appearance."""


def pack_files() -> dict[str, bytes]:
    """Path under the asset folder -> content. A function of the code alone: equal bytes on every machine."""
    files = {f"textures/{name}": png(paint()) for name, paint in rooms.TEXTURES.items()}
    for name in physics()["models"]:
        files |= model_files(name, MAKERS[name]())
    return files


def generate(folder: Path) -> None:
    """Write the asset tree into a folder (created if missing); seconds, about 10 MB."""
    for name, content in pack_files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
