"""Rendering on request, pixel for pixel equal to LIBERO's own observation.

Same scene options and multisampling as robosuite's offscreen renderer. The context is made current before every
image: with several contexts in one process, robosuite renders all environments with the meshes of the last one.

Software rendering spends most time on transforming triangles outside the image, above all the arm seen from its own
wrist. Shapes are therefore omitted if their bounding sphere, and its reflection in every visible mirror, lies outside the
camera's frustum; no pixel changes (tests/envs/libero/sim/test_render.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...base import SimulationError
from .camera_names import CAMERAS
from .memory import mujoco, trim_memory

MAX_GEOMS = 1000
HIDDEN_GROUP = 5
"""A geom group that is not rendered and that no LIBERO file uses."""


class LiberoRenderer:
    """Renderer of one built model. Occupies its textures' memory until closed."""

    def __init__(self, model: Any, data: Any, size: int) -> None:
        """Open a GL context (which backend: the environment variable MUJOCO_GL) for images of `size` pixels a side."""
        self.model, self.data, self.size = model, data, size
        model.vis.global_.offwidth = model.vis.global_.offheight = size
        if not model.light_castshadow.any():
            model.vis.quality.shadowsize = 0  # nothing casts a shadow; the unused map takes 64 MB
        self.mirrors = _mirrors(model)
        self.gl = mujoco.GLContext(size, size)
        self.gl.make_current()
        self.scene = mujoco.MjvScene(model, maxgeom=MAX_GEOMS)
        self.options = mujoco.MjvOption()
        self.options.geomgroup[0] = 0
        self.options.geomgroup[1] = 1
        self.perturb = mujoco.MjvPerturb()
        self.perturb.skinselect = -1
        self.camera = mujoco.MjvCamera()
        self.camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self.context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_150)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self.context)
        self.rect = mujoco.MjrRect(0, 0, size, size)
        trim_memory()  # used by the upload of textures and meshes

    def render(self, camera: str) -> np.ndarray:
        """[size, size, 3] uint8 from `primary` or `wrist`; OpenGL rows, the first is the bottom, as LIBERO returns them."""
        self.gl.make_current()
        self.camera.fixedcamid = self.model.camera(CAMERAS[camera]).id
        self._update_scene()
        mujoco.mjr_render(self.rect, self.scene, self.context)
        image = np.empty((self.size, self.size, 3), np.uint8)
        mujoco.mjr_readPixels(image, None, self.rect, self.context)
        if not image.any():
            raise SimulationError(f"the {camera} camera's image is black: the GL context is lost. Type: nora-bench doctor")
        return image

    def _update_scene(self) -> None:
        """Fill the scene with all shapes that the camera can see."""
        groups = self.model.geom_group.copy()
        self.model.geom_group[self._outside(self.camera.fixedcamid)] = HIDDEN_GROUP
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self.model, self.data, self.options, self.perturb, self.camera, everything, self.scene)
        self.model.geom_group[:] = groups

    def _outside(self, camera: int) -> np.ndarray:
        """[geoms] bool: invisible to the camera, both directly and in every visible mirror."""
        data = self.data
        outside = self._beyond(camera, data.geom_xpos)
        for mirror in self.mirrors[~outside[self.mirrors]]:
            normal = data.geom_xmat[mirror].reshape(3, 3)[:, 2]
            box = self.model.geom_type[mirror] == mujoco.mjtGeom.mjGEOM_BOX
            surface = data.geom_xpos[mirror] + normal * (self.model.geom_size[mirror, 2] if box else 0.0)
            images = data.geom_xpos - 2 * np.outer((data.geom_xpos - surface) @ normal, normal)
            outside &= self._beyond(camera, images)
        return outside

    def _beyond(self, camera: int, centres: np.ndarray) -> np.ndarray:
        """[geoms] bool: bounding sphere beyond one of the four side planes of the camera's frustum."""
        model, data = self.model, self.data
        half = np.radians(model.cam_fovy[camera]) / 2
        x, y, z = ((centres - data.cam_xpos[camera]) @ data.cam_xmat[camera].reshape(3, 3)).T
        distance = np.maximum(np.abs(x), np.abs(y)) * np.cos(half) + z * np.sin(half)
        return (model.geom_rbound > 0) & (distance > model.geom_rbound * 1.001 + 1e-4)

    def close(self) -> None:
        """Free GL memory."""
        self.context.free()
        self.gl.free()


def _mirrors(model: Any) -> np.ndarray:
    """Indices of the visible planes and boxes that reflect the scene (MuJoCo renders all shapes a second time for them)."""
    flat = np.isin(model.geom_type, (mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_BOX))
    shine = np.append(model.mat_reflectance, 0.0)[model.geom_matid]
    return np.flatnonzero(flat & (shine > 0) & (model.geom_group == 1))
