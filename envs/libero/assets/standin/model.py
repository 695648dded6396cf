"""The XML files: the numbers of physics.json in LIBERO's layout, with an appearance.

What physics reads is copied as text, digit for digit, so that it compiles to the official files' bits. Drawn geoms
keep their place in the order, their group and their contact flags, because geom numbers depend on them.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from ....standin.paint import png
from .appearance import Appearance, GeomAppearance

DRAWN = {"group": "1", "contype": "0", "conaffinity": "0"}
PLACEMENT_SITES = ("bottom_site", "top_site", "horizontal_radius_site")
"""LIBERO's placement samplers read them from the XML; other values would shift every later random number."""


@cache
def physics() -> Mapping[str, Any]:
    """The content of physics.json: `source`, `contact` (settings by name) and `models` (by class or scene name)."""
    return json.loads(Path(__file__).with_name("physics.json").read_text(encoding="utf-8"))


def model_files(name: str, appearance: Appearance) -> dict[str, bytes]:
    """Path under the asset folder -> content, for one class or scene: its XML, meshes and textures."""
    model = physics()["models"][name]
    xml = PurePosixPath(model["file"])
    own = xml.parent if xml.parent.name == name else xml.parent / name
    written = {str(own / f"{part}.msh"): shape.mesh.file() for part, shape in appearance.parts.items() if shape.mesh}
    written |= {str(own / f"{texture}.png"): png(pixels) for texture, pixels in appearance.textures.items()}
    return {str(xml): _document(name, model, appearance, own.relative_to(xml.parent)), **written}


def _document(name: str, model: Mapping[str, Any], appearance: Appearance, folder: PurePosixPath) -> bytes:
    root = ET.Element("mujoco", model=name)
    ET.SubElement(root, "compiler", angle="radian", inertiagrouprange="0 0")  # as in LIBERO's worlds, for other readers
    root.append(_assets(appearance, folder, scene="world" in model))
    world = ET.SubElement(root, "worldbody")
    if "world" in model:
        world.extend([_element(item, appearance) for item in model["world"]])
    else:
        frame = ET.SubElement(world, "body")
        frame.append(_element(model["body"], appearance))
        for site, pos in zip(PLACEMENT_SITES, model["sites"], strict=True):
            ET.SubElement(frame, "site", name=site, pos=pos, size="0.005", rgba="0 0 0 0")
    ET.indent(root)
    return ET.tostring(root) + b"\n"


def _assets(appearance: Appearance, folder: PurePosixPath, *, scene: bool) -> ET.Element:
    assets = ET.Element("asset")
    if scene:
        ET.SubElement(
            assets, "texture", type="skybox", builtin="gradient", rgb1=".9 .9 1", rgb2=".2 .3 .4", width="64", height="64"
        )
    for name, file in appearance.styles.items():
        ET.SubElement(assets, "texture", name=name, type="2d", file=f"../textures/{file}")
    for name in appearance.textures:
        kind = "cube" if name in appearance.cubes else "2d"
        ET.SubElement(assets, "texture", name=f"tex-{name}", type=kind, file=str(folder / f"{name}.png"))
    for name, part in appearance.parts.items():
        assets.append(_material(name, part, appearance))
        if part.mesh:
            ET.SubElement(assets, "mesh", name=name, file=str(folder / f"{name}.msh"))
    return assets


def _material(name: str, part: GeomAppearance, appearance: Appearance) -> ET.Element:
    rgba = " ".join(f"{channel / 255:.4g}" for channel in part.colour) + f" {part.alpha:g}"
    material = ET.Element("material", name=name, rgba=rgba, specular=f"{part.specular:g}", shininess=f"{part.shininess:g}")
    if part.texture:
        material.set("texture", part.texture if part.texture in appearance.styles else f"tex-{part.texture}")
    if part.repeat:
        material.set("texrepeat", f"{part.repeat:g} {part.repeat:g}")
        material.set("texuniform", "true")
    return material


def _element(item: Sequence[Any], appearance: Appearance) -> ET.Element:
    """One entry of physics.json as an XML element."""
    match item:
        case ["body", attributes, children]:
            body = ET.Element("body", attributes)
            body.extend([_element(child, appearance) for child in children])
            return body
        case ["box", contact, pos, quat, size, *rest]:
            place = {"pos": pos, "size": size} | ({"quat": quat} if quat else {})
            return ET.Element(
                "geom", {"type": "box", "group": "0"} | physics()["contact"][contact] | place | (rest[0] if rest else {})
            )
        case ["geom", contact, attributes]:
            return ET.Element("geom", {"group": "0"} | physics()["contact"][contact] | attributes)
        case ["drawn", part, attributes]:
            shape = {"type": "mesh", "mesh": part} if appearance.parts[part].mesh else {}
            return ET.Element("geom", {**DRAWN, **shape, "material": part, **attributes})
        case [tag, attributes]:
            return ET.Element(tag, attributes)
    raise ValueError(f"physics.json has an entry of unknown form: {item!r}")
