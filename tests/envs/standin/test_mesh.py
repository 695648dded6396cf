"""Stand-ins are closed shapes that face outwards, and their files say what the meshes are."""

import numpy as np
import pytest
from nora_bench.envs.libero.assets.standin.pack import MAKERS
from nora_bench.envs.standin import mesh


def volume(shape):
    a, b, c = (shape.vertices[shape.faces[:, corner]] for corner in range(3))
    return np.einsum("ni,ni->", a, np.cross(b, c)) / 6


def can(radius, height):
    sides = mesh.lathe([(height, radius), (0, radius)], 200)
    return mesh.join(sides, *(mesh.disc(z, radius, up=z > 0, segments=200) for z in (0, height)))


def pipe():
    return mesh.tube([(0, 0, 0), (0, 0, 1), (0, 0, 2)], 0.1, 0.2, 100)


SHAPES = {
    "box": (mesh.box(1, 2, 3), 6.0),
    "slab": (mesh.slab((1, 1, 1), (2, 3, 4)), 6.0),
    "can": (can(1, 2), 2 * np.pi),
    "prism": (mesh.prism([(0, 0), (1, 0), (0, 1)], 2), 1.0),
    "pipe": (pipe(), 2 * np.pi * 0.1 * 0.2),
    "turned box": (mesh.box(1, 2, 3).turned("x", 30).moved(1, 2, 3), 6.0),
}


@pytest.mark.parametrize("name", SHAPES)
def test_closed_shape_has_its_volume_and_faces_outwards(name):
    shape, expected = SHAPES[name]
    assert volume(shape) == pytest.approx(expected, rel=2e-3)


def test_profile_that_runs_upwards_is_seen_from_inside():
    assert mesh.lathe([(1, 1), (0, 1)]).normals[0] @ [-1, 0, 0] > 0.9
    assert mesh.lathe([(0, 1), (1, 1)]).normals[0] @ [-1, 0, 0] < -0.9


def test_sides_of_a_box_are_where_their_names_say():
    towards = {"front": (0, -1, 0), "back": (0, 1, 0), "left": (-1, 0, 0), "right": (1, 0, 0)}
    towards |= {"top": (0, 0, 1), "bottom": (0, 0, -1)}
    for name, direction in towards.items():
        side = mesh.box(1, 1, 1, without=[other for other in mesh.SIDES if other != name])
        assert np.allclose(side.normals, direction)


def test_texture_is_upright_on_a_front():
    front = mesh.panel(1, 1)
    upper_left = front.uv[np.lexsort((front.vertices[:, 0], -front.vertices[:, 2]))[0]]
    assert upper_left.tolist() == [0, 0]


def test_quarter_turn_is_exact():
    assert mesh.rotation("z", 90).tolist() == [[0, -1, 0], [1, 0, 0], [0, 0, 1]]


def test_file_holds_counts_vertices_normals_coordinates_faces():
    shape = mesh.box(1, 2, 3)
    content = shape.file()
    vertices, normals, uv, faces = np.frombuffer(content[:16], "<i4")
    numbers = np.frombuffer(content[16:], "<f4", 3 * vertices + 3 * normals + 2 * uv)
    assert (vertices, normals, uv, faces) == (24, 24, 24, 12)
    assert numbers[:72].reshape(-1, 3) == pytest.approx(shape.vertices)
    assert np.frombuffer(content[16 + numbers.nbytes :], "<i4").reshape(-1, 3).tolist() == shape.faces.tolist()


@pytest.mark.parametrize("name", MAKERS)
def test_every_triangle_is_lit_from_the_side_that_it_faces(name):
    for part in MAKERS[name]().parts.values():
        if part.mesh is None:
            continue
        corners = part.mesh.vertices[part.mesh.faces]
        facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        assert (np.einsum("ni,nci->nc", facing, part.mesh.normals[part.mesh.faces]).sum(1) > 0).all()
        assert np.linalg.norm(part.mesh.normals, axis=1) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", MAKERS)
def test_meshes_have_few_triangles(name):
    assert sum(len(part.mesh.faces) for part in MAKERS[name]().parts.values() if part.mesh) < 2500
