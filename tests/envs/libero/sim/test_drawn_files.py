"""Which files a model draws, and where in an image."""

import numpy as np
import pytest

SIZE = 256
XML = """
<mujoco>
  <asset>
    <texture name="paint" type="2d" file="textures/paint.png"/>
    <texture name="plain" type="2d" builtin="flat" width="2" height="2"/>
    <material name="painted" texture="paint"/>
    <material name="plain" texture="plain"/>
    <mesh name="part" file="meshes/part.obj"/>
  </asset>
  <worldbody>
    <camera name="agentview" pos="0 0 1" fovy="90"/>
    <geom name="painted" type="box" size=".1 .05 .01" pos=".5 .25 0" material="painted" group="1"/>
    <geom name="mesh" type="mesh" mesh="part" material="painted" group="1"/>
    <geom name="plain" type="box" size=".1 .1 .1" material="plain" group="1"/>
    <geom name="collision" type="box" size=".1 .1 .1" material="painted" group="0"/>
    <geom name="behind" type="box" size=".1 .1 .1" pos="0 0 3" material="painted" group="1"/>
    <geom name="around" type="box" size=".1 .1 .1" pos="0 0 1" material="painted" group="1"/>
  </worldbody>
</mujoco>
"""
TETRAHEDRON = "v 0 0 0\nv .1 0 0\nv 0 .1 0\nv 0 0 .1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"


def drawn():
    """The module, imported here because it imports MuJoCo (see `conftest.libero_that_renders`)."""
    from nora_bench.envs.libero.sim import drawn_files

    return drawn_files


@pytest.fixture
def model(tmp_path):
    mujoco, image = pytest.importorskip("mujoco"), pytest.importorskip("PIL.Image")
    for name in ("textures", "meshes"):
        (tmp_path / name).mkdir()
    image.new("RGB", (2, 2)).save(tmp_path / "textures" / "paint.png")
    (tmp_path / "meshes" / "part.obj").write_text(TETRAHEDRON)
    xml = XML.replace('file="', f'file="{tmp_path}/')
    return mujoco.MjModel.from_xml_string(xml)


@pytest.fixture
def data(model):
    import mujoco

    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return data


def test_drawn_files_are_those_of_visible_shapes(model, tmp_path):
    named = {model.geom(geom).name: files for geom, files in drawn().drawn_files(model, tmp_path).items()}
    paint = "textures/paint.png"
    assert named == {"painted": {paint}, "mesh": {paint, "meshes/part.obj"}, "behind": {paint}, "around": {paint}}


def test_files_outside_the_pack_are_not_listed(model, tmp_path):
    assert drawn().drawn_files(model, tmp_path / "elsewhere") == {}


def test_mask_is_the_rectangle_around_the_shape(model, data):
    mask = drawn().covered(model, data, "primary", model.geom("painted").id, SIZE)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    # At 1 m and 90 degrees an image shows 2 m: 128 pixels per metre from the centre, 10 % and 3 pixels around the shape.
    assert abs(columns.min() - (128 + 128 * 0.39 - 3)) <= 2
    assert abs(columns.max() - (128 + 128 * 0.61 * 1.02 + 3)) <= 2
    assert abs(rows.min() - (128 + 128 * 0.195 - 3)) <= 2
    assert abs(rows.max() - (128 + 128 * 0.305 * 1.02 + 3)) <= 2


@pytest.mark.parametrize(("name", "share"), [("behind", 0.0), ("around", 1.0)])
def test_shape_behind_the_camera_covers_nothing_and_around_it_all(model, data, name, share):
    assert drawn().covered(model, data, "primary", model.geom(name).id, SIZE).mean() == share
