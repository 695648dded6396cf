"""Settings of the physics engine: upstream's, as far as PhysX 5 means the same by them."""

from __future__ import annotations

from sapien import physx

PHYSICS_HZ = 513


PLAYING = 25
"""TGS iterations that solve contacts and joints while the robot acts: as upstream."""
SETTLING = 40
"""While objects settle: more than upstream, whose 25 leave some objects a millimetre from where PhysX 4 left them."""


def new_system(iterations: int, *, contact_offset: float) -> physx.PhysxCpuSystem:
    """An empty system. SAPIEN reads settings from globals while it builds shapes, so they are set before every scene.

    Args:
        iterations: PLAYING or SETTLING.
        contact_offset: distance (m) from which shapes feel each other.
    """
    physx.set_scene_config(
        gravity=[0, 0, -9.81],
        bounce_threshold=2.0,
        enable_pcm=False,
        enable_tgs=True,
        enable_ccd=False,
        enable_enhanced_determinism=False,
        enable_friction_every_iteration=True,
    )
    physx.set_body_config(solver_position_iterations=iterations, solver_velocity_iterations=1, sleep_threshold=0.005)
    physx.set_shape_config(contact_offset=contact_offset, rest_offset=0.0)
    physx.set_default_material(1.0, 1.0, 0.0)
    return physx.PhysxCpuSystem()
