"""Axes `background` and `appearance`: colours and textures of surfaces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ...named_objects import named_by_appearance
from .edits import Edits
from .objects import ROBOT
from .random import rotation, sign

PATTERN_SIDE = 256
"""Side of a generated texture, px; it is repeated to a texture's own size without smoothing."""
VISIBLE = 1
"""Geom group of what is rendered."""


def background(edits: Edits, scene: Any, values: Mapping[str, float], rng: np.random.Generator) -> None:
    """Mix a generated texture into each texture of the room and of the table."""
    share = values["share"]
    for texture in _textures(scene, _room(scene)):
        present = edits.texture(texture)[..., :3]
        mixed = (1 - share) * present + share * _pattern(rng, *present.shape[:2])
        edits.set_texture(texture, np.rint(mixed).astype(np.uint8))


def appearance(edits: Edits, scene: Any, values: Mapping[str, float], rng: np.random.Generator, instruction: str) -> None:
    """Turn the hue of objects and fixtures and tint them; things of one category stay alike."""
    things = {**scene.inner.objects_dict, **scene.inner.fixtures_dict}
    bodies = {name: body for name, body in scene.inner.obj_body_id.items() if name in things}
    categories = {name: str(things[name].category_name) for name in bodies}
    kept = named_by_appearance(instruction, set(categories.values()))
    for category in sorted(set(categories.values())):
        hue = rotation(np.ones(3) / np.sqrt(3), sign(rng) * np.radians(values["hue"])).astype(np.float32)
        tint, share = rng.uniform(0.0, 1.0, 3), np.float32(values["tint"])
        if category in kept:
            continue
        geoms = _geoms_of(scene, [body for name, body in bodies.items() if categories[name] == category])
        for texture in _textures(scene, geoms):
            present = edits.texture(texture)[..., :3].astype(np.float32)
            edits.set_texture(texture, np.clip((1 - share) * (present @ hue.T) + share * 255 * tint, 0, 255).astype(np.uint8))
        for array, index in _plain_colours(scene, geoms):
            edits.set(array, index, np.clip((1 - share) * (hue @ array[index]) + share * tint, 0, 1))


def _geoms_of(scene: Any, roots: Iterable[int]) -> list[int]:
    """Visible geoms of bodies and everything attached to them."""
    model, wanted = scene.model, set(roots)
    for body in range(model.nbody):
        if int(model.body_parentid[body]) in wanted:
            wanted.add(body)
    return [int(geom) for geom in np.flatnonzero(model.geom_group == VISIBLE) if int(model.geom_bodyid[geom]) in wanted]


def _room(scene: Any) -> list[int]:
    """Visible geoms of everything but the robot, the objects and the fixtures."""
    model = scene.model
    robot = [body for body in range(model.nbody) if model.body(body).name.startswith(ROBOT)]
    things = _geoms_of(scene, [*robot, *scene.inner.obj_body_id.values()])
    return sorted(set(map(int, np.flatnonzero(model.geom_group == VISIBLE))) - set(things))


def _textures(scene: Any, geoms: Iterable[int]) -> list[int]:
    """Textures of the geoms' materials, each once, in the model's order."""
    model = scene.model
    materials = {int(model.geom_matid[geom]) for geom in geoms} - {-1}
    return sorted({int(number) for material in materials for number in np.atleast_1d(model.mat_texid[material])} - {-1})


def _plain_colours(scene: Any, geoms: Iterable[int]) -> Iterator[tuple[np.ndarray, Any]]:
    """Array and index of each colour that is rendered without a texture, once."""
    model, seen = scene.model, set()
    for geom in geoms:
        material = int(model.geom_matid[geom])
        textured = material >= 0 and (np.atleast_1d(model.mat_texid[material]) >= 0).any()
        own = material < 0 or (model.geom_rgba[geom] != DEFAULT_RGBA).any()
        key = ("geom", geom) if own else ("material", material)
        if not textured and key not in seen:
            seen.add(key)
            yield (model.geom_rgba if own else model.mat_rgba), (key[1], slice(0, 3))


DEFAULT_RGBA = np.array([0.5, 0.5, 0.5, 1.0], np.float32)
"""A geom with this colour is rendered in its material's."""


def _pattern(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """[height, width, 3] float: checks, stripes, spots or grain in two random colours, which continues across the edges."""
    side, kind, cells = PATTERN_SIDE, rng.choice(("checks", "stripes", "spots", "grain")), int(rng.choice((4, 8, 16)))
    first, second = rng.uniform(30, 225, (2, 3))
    at = np.arange(side)
    stripes = (at * 2 * cells // side) % 2
    if kind == "stripes":
        share = np.broadcast_to(stripes[:, None] if rng.random() < 0.5 else stripes, (side, side))
    elif kind == "checks":
        share = stripes[:, None] ^ stripes
    else:
        cloud = sum(_periodic(rng, cells * 2**octave) / 2**octave for octave in range(3)) / 1.75
        share = cloud > 0.5 if kind == "spots" else cloud
    small = first + (second - first) * np.asarray(share, float)[..., None]
    return small[(np.arange(height) * side // height)[:, None], np.arange(width) * side // width]


def _periodic(rng: np.random.Generator, cells: int) -> np.ndarray:
    """[PATTERN_SIDE, PATTERN_SIDE] in [0, 1]: random values on a periodic grid, interpolated linearly."""
    grid, at = rng.random((cells, cells)), np.arange(PATTERN_SIDE) * cells / PATTERN_SIDE
    low = at.astype(int)
    share, high = at - low, (low + 1) % cells
    rows = grid[low] * (1 - share)[:, None] + grid[high] * share[:, None]
    return rows[:, low] * (1 - share) + rows[:, high] * share
