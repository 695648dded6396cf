"""SAPIEN's URDF loader, cut in two: what moves without what is seen (which needs a rendering device), and the other way round."""

from __future__ import annotations

from typing import Any

from sapien.wrapper.urdf_loader import URDFLoader


class PhysicsLoader(URDFLoader):
    """Reads joints, inertias and collision shapes only."""

    def _build_link(self, link: Any, link_builder: Any) -> None:
        link.visuals.clear()
        super()._build_link(link, link_builder)


class VisualLoader(URDFLoader):
    """Reads visuals only. Meshes keep their own materials: upstream's engine did not apply the URDF's colours to them."""

    def _build_link(self, link: Any, link_builder: Any) -> None:
        link.collisions.clear()
        for visual in link.visuals:
            if visual.geometry.mesh:
                visual.material = None
        super()._build_link(link, link_builder)
