"""SAPIEN's URDF loader in two halves: physics without visuals (which need a rendering device), and visuals without physics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sapien.physx import get_default_material
from sapien.wrapper.articulation_builder import ArticulationBuilder, LinkBuilder
from sapien.wrapper.urdf_loader import URDFLoader

from .convex import convex_shapes


class PhysicsLoader(URDFLoader):
    """Reads joints, inertias and collision shapes only."""

    def __init__(self) -> None:
        super().__init__()
        self.load_multiple_collisions_from_file = True
        self.set_scene(_NullScene())

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


class _NullScene:
    """Placeholder for a scene while a URDF is read; its builders cut meshes as upstream does."""

    def create_articulation_builder(self) -> ArticulationBuilder:
        """A builder without a scene."""
        return _ArticulationBuilder()


class _ArticulationBuilder(ArticulationBuilder):
    def create_link_builder(self, parent: LinkBuilder | None = None) -> LinkBuilder:
        """A builder of one link below `parent`."""
        builder = _LinkBuilder(len(self.link_builders), parent)
        self.link_builders.append(builder)
        return builder


class _LinkBuilder(LinkBuilder):
    def build_physx_component(self, link_parent: Any = None) -> Any:
        """The link's body with its shapes."""
        every = self.collision_records
        meshes = [record for record in every if record.type == "multiple_convex_meshes" and record.filename.endswith(".obj")]
        self.collision_records = [record for record in every if record not in meshes]
        component = super().build_physx_component(link_parent)
        self.collision_records = every
        for record in meshes:
            for shape in convex_shapes(Path(record.filename), record.material or get_default_material()):
                shape.local_pose = record.pose
                shape.set_collision_groups(self.collision_groups)
                shape.set_density(record.density)
                shape.set_patch_radius(record.patch_radius)
                shape.set_min_patch_radius(record.min_patch_radius)
                component.attach(shape)
        return component
