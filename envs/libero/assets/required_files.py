"""Files that a pack must contain: all that the 40 tasks of the four 10-task suites load.

The XML files have fixed names, and so have the scenes' wall and floor textures; all others are referenced in the XML files.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

XML_FILES = (
    *(f"stable_hope_objects/{n}/{n}.xml" for n in ("alphabet_soup", "bbq_sauce", "butter", "chocolate_pudding", "cookies")),
    *(f"stable_hope_objects/{n}/{n}.xml" for n in ("cream_cheese", "ketchup", "milk", "orange_juice", "salad_dressing")),
    "stable_hope_objects/tomato_sauce/tomato_sauce.xml",
    *(f"stable_scanned_objects/{n}/{n}.xml" for n in ("akita_black_bowl", "basket", "chefmate_8_frypan", "plate")),
    "stable_scanned_objects/glazed_rim_porcelain_ramekin/glazed_rim_porcelain_ramekin.xml",
    *(f"turbosquid_objects/{n}/{n}.xml" for n in ("black_book", "desk_caddy", "moka_pot", "porcelain_mug")),
    *(f"turbosquid_objects/{n}/{n}.xml" for n in ("red_coffee_mug", "white_yellow_mug", "wine_bottle", "wine_rack")),
    *(f"articulated_objects/{n}.xml" for n in ("flat_stove", "microwave", "white_cabinet", "wooden_cabinet")),
    *(f"scenes/libero_{n}_base_style.xml" for n in ("floor", "kitchen_tabletop", "living_room_tabletop", "study", "tabletop")),
)
"""The XML files that the 40 tasks of the four 10-task suites load, relative to the pack's folder."""


LIBERO_90_XML_FILES = (
    *XML_FILES,
    "stable_hope_objects/new_salad_dressing/new_salad_dressing.xml",
    "stable_scanned_objects/white_bowl/white_bowl.xml",
    *(f"turbosquid_objects/{n}/{n}.xml" for n in ("wooden_tray", "wooden_two_layer_shelf", "yellow_book")),
)
"""The XML files that the 90 tasks of libero_90 and those 40 load."""


REPLACED = ("texplane", "tex-wall")
"""Scene textures that LIBERO's arena code replaces by its own choice of file."""
STYLES = (
    "light-gray-floor-tile",
    "light-gray-plaster",
    "gray_ceramic_tile",
    "yellow_linen_wall_texture",
    "seamless_wood_planks_floor",
)
"""Texture files, in `textures/`."""


def missing_files(folder: Path) -> list[str]:
    """Files of the 40 tasks, relative to the pack's folder, that it lacks or that are empty; XML files first."""
    ordered = [*XML_FILES, *sorted(needed(folder) - set(XML_FILES))]
    return [name for name in ordered if not _has_content(folder / name)]


def needed(folder: Path) -> set[str]:
    """Files, relative to a pack's folder, that the 40 tasks of the four suites load: XML files and all that they reference."""
    files = {f"textures/{name}.png" for name in STYLES} | set(XML_FILES)
    for xml in XML_FILES:
        if (folder / xml).is_file():
            files |= {_normal(Path(xml).parent / name) for name in _references(folder / xml)}
    return files


def _references(xml: Path) -> Iterator[str]:
    """File names in an XML's assets, without those that LIBERO replaces."""
    try:
        assets = ET.parse(xml).getroot().iterfind("./asset/*[@file]")
        yield from (asset.get("file", "") for asset in assets if asset.get("name") not in REPLACED)
    except ET.ParseError:
        yield "unreadable XML"


def _normal(path: Path) -> str:
    """The path without `..` and `.`, as a pack's files are listed."""
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _has_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0
