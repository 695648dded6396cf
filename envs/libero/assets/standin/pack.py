"""The whole asset tree, in LIBERO's own layout: for the 40 tasks of its four 10-task suites, or for libero_90, too."""

from __future__ import annotations

from pathlib import Path

from ....standin.paint import png
from . import appliances, bottles, furniture, groceries, rooms, tableware
from .model import model_files, physics

MAKERS = groceries.MAKERS | bottles.MAKERS | tableware.MAKERS | furniture.MAKERS | appliances.MAKERS | rooms.MAKERS
"""Class or scene name -> function that makes its appearance."""


LIBERO_90_ONLY = ("new_salad_dressing", "white_bowl", "wooden_tray", "wooden_two_layer_shelf", "yellow_book")
"""Classes that none of the 40 tasks has."""


def pack_files(*, libero_90: bool = False) -> dict[str, bytes]:
    """Path under the asset folder -> content. A function of the code alone: equal bytes on every machine."""
    files = {f"textures/{name}": png(paint()) for name, paint in rooms.TEXTURES.items()}
    for name in physics()["models"]:
        if libero_90 or name not in LIBERO_90_ONLY:
            files |= model_files(name, MAKERS[name]())
    return files


def generate(folder: Path, *, libero_90: bool = False) -> None:
    """Write the asset tree into a folder (created if missing); seconds, about 10 MB."""
    for name, content in pack_files(libero_90=libero_90).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
