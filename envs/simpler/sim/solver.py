"""Settings of the physics engine: upstream's, where PhysX 5 gives them the same meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sapien import physx


@dataclass(frozen=True, slots=True)
class Solver:
    """Settings that differ between control steps and settling, and from upstream's; docs/evidence/simplerenv_parity.md gives the
    reasons."""

    iterations: int
    """TGS iterations for contacts and joints; upstream had 25."""
    persistent: bool
    """Whether contact points persist between steps (PCM); upstream recomputed them."""
    tgs: bool = True
    """TGS, as upstream, or PGS."""


CONTROL_SOLVER = Solver(iterations=25, persistent=True)
SETTLING_SOLVER = Solver(iterations=40, persistent=False)


def new_system(solver: Solver, *, contact_offset: float) -> physx.PhysxCpuSystem:
    """New empty system. SAPIEN reads settings from globals while it builds shapes, so they are set before every scene.

    Args:
        solver: CONTROL_SOLVER or SETTLING_SOLVER.
        contact_offset: distance (m) at which contacts are generated.
    """
    gravity: Any = [0, 0, -9.81]
    physx.set_scene_config(
        gravity=gravity,
        bounce_threshold=2.0,
        enable_pcm=solver.persistent,
        enable_tgs=solver.tgs,
        enable_ccd=False,
        enable_enhanced_determinism=False,
        enable_friction_every_iteration=True,
    )
    physx.set_body_config(solver_position_iterations=solver.iterations, solver_velocity_iterations=1, sleep_threshold=0.005)
    physx.set_shape_config(contact_offset=contact_offset, rest_offset=0.0)
    physx.set_default_material(1.0, 1.0, 0.0)
    return physx.PhysxCpuSystem()
