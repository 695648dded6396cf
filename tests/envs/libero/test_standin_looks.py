"""Stand-ins have the outlines and the mean colours of the things that they stand for."""

import json
from pathlib import Path

import numpy as np
import pytest
from nora_bench.envs.libero.assets.standin.model import model_files, physics
from nora_bench.envs.libero.assets.standin.pack import MAKERS

OFFICIAL = json.loads(Path(__file__).with_name("official_looks.json").read_text(encoding="utf-8"))["classes"]
COLOURED = [(name, part) for name, facts in OFFICIAL.items() for part in facts["rgb"] if name != "black_book"]
"""The official book's mean is that of its many pages, which lie closed between black covers."""


def compiled(name, folder):
    """The class alone, as LIBERO would load it, joints at zero."""
    mujoco = pytest.importorskip("mujoco")
    for path, content in model_files(name, MAKERS[name]()).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    model = mujoco.MjModel.from_xml_path(str(folder / physics()["models"][name]["file"]))
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    return model, data


def drawn_points(model, data):
    """Corners of all drawn meshes, and of the boxes around drawn capsules, in the frame of the object."""
    frame, origin = data.body("object").xmat.reshape(3, 3), data.body("object").xpos
    for geom in np.flatnonzero((model.geom_group == 1) & (model.geom_contype == 0)):
        mesh = model.geom_dataid[geom]
        start, centre, half = model.mesh_vertadr[mesh], *model.geom_aabb[geom].reshape(2, 3)
        corners = model.mesh_vert[start : start + model.mesh_vertnum[mesh]] if mesh >= 0 else centre + np.array([-half, half])
        yield (corners @ data.geom_xmat[geom].reshape(3, 3).T + data.geom_xpos[geom] - origin) @ frame


@pytest.mark.libero
@pytest.mark.parametrize("name", OFFICIAL)
def test_outline_is_the_official_one_to_four_millimetres(name, tmp_path):
    points = np.concatenate(list(drawn_points(*compiled(name, tmp_path))))
    assert np.abs([points.min(0), points.max(0)] - np.array(OFFICIAL[name]["bbox"])).max() < 0.004


@pytest.mark.parametrize(("name", "part"), COLOURED, ids=[f"{name}-{part}" for name, part in COLOURED])
def test_mean_colour_is_near_the_official_one(name, part):
    appearance = MAKERS[name]()
    assert np.abs(mean_colour(appearance, appearance.parts[part]) - OFFICIAL[name]["rgb"][part]).max() < 35


def mean_colour(appearance, part):
    """Mean over the surface of what a part's texture and colour show."""
    if part.texture is None or part.mesh is None:
        return np.array(part.colour)
    corners, uv = part.mesh.vertices[part.mesh.faces], part.mesh.uv[part.mesh.faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    weights = np.random.default_rng(0).dirichlet((1, 1, 1), 64)
    image = appearance.textures[part.texture]
    height, width = image.shape[:2]
    u, v = np.moveaxis(np.einsum("kc,fcd->fkd", weights, uv), -1, 0)
    shown = image[(v * height).astype(int) % height, (u * width).astype(int) % width].mean(1)
    return np.average(shown, axis=0, weights=area) * np.array(part.colour) / 255
