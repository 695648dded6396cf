"""Pictures of a world, pixel for pixel those that LIBERO's own observation holds, made only when asked for.

Same scene options, buffer and multisampling as robosuite's offscreen renderer. The context is made current before
every picture: with several contexts in one process, robosuite draws all worlds with the meshes of the last one.
"""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

CAMERAS = {"primary": "agentview", "wrist": "robot0_eye_in_hand"}
"""nora-bench's camera names and LIBERO's."""
MAX_GEOMS = 1000


class Renderer:
    """Draws one built model. Costs its textures' memory until closed."""

    def __init__(self, model: Any, data: Any, size: int) -> None:
        """Open a GL context (which backend: the environment variable MUJOCO_GL) for pictures of `size` pixels a side."""
        self.model, self.data, self.size = model, data, size
        model.vis.global_.offwidth = model.vis.global_.offheight = size
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

    def picture(self, camera: str) -> np.ndarray:
        """[size, size, 3] uint8 from `primary` or `wrist`; OpenGL rows, the first is the bottom, as LIBERO returns them."""
        self.gl.make_current()
        self.camera.fixedcamid = self.model.camera(CAMERAS[camera]).id
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self.model, self.data, self.options, self.perturb, self.camera, everything, self.scene)
        mujoco.mjr_render(self.rect, self.scene, self.context)
        image = np.empty((self.size, self.size, 3), np.uint8)
        mujoco.mjr_readPixels(image, None, self.rect, self.context)
        return image

    def close(self) -> None:
        """Free GL memory."""
        self.context.free()
        self.gl.free()


def renderer_name() -> str:
    """What draws (GL_RENDERER of the current context), for the run's record."""
    from OpenGL import GL

    name = GL.glGetString(GL.GL_RENDERER)
    return name.decode() if isinstance(name, bytes) else str(name)
