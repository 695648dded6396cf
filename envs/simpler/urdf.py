"""SAPIEN's URDF loader without visuals, whose mere creation needs a rendering device."""

from __future__ import annotations

from typing import Any

from sapien.wrapper.urdf_loader import URDFLoader


class PhysicsLoader(URDFLoader):
    """Reads joints, inertias and collision shapes only."""

    def _build_link(self, link: Any, link_builder: Any) -> None:
        link.visuals.clear()
        super()._build_link(link, link_builder)
