"""Where suites are found by name: built-in ones, plug-ins (entry points `nora_bench.suites`), import paths."""

from __future__ import annotations

from typing import cast

from .base import Suite
from .registry import Registry, load_object
from .source_files import absolute_reference

LIBERO = ("libero_spatial", "libero_object", "libero_goal", "libero_10")

SIMPLER = ("simpler-vm", "simpler-va")

GROUPS: dict[str, tuple[str, ...]] = {"libero": LIBERO, "simpler": SIMPLER}
"""Short names for several suites."""

REGISTRY: Registry[Suite] = Registry(
    "suite",
    "nora_bench.suites",
    {
        **{name: f"nora_bench.envs.libero.suite:{name}" for name in (*LIBERO, "libero_90")},
        **{name: f"nora_bench.envs.simpler.suite:{name.replace('-', '_')}" for name in (*SIMPLER, "simpler-va-camera")},
    },
)


def get(name: str) -> Suite:
    """The suite of that name, `package.module:attribute` or `file.py:attribute`. Raises KeyError naming the nearest."""
    if ":" in name:
        return cast(Suite, load_object(name))
    return REGISTRY.get(name)


def names() -> tuple[str, ...]:
    """All suite names, without groups."""
    return REGISTRY.names()


def expand(name: str) -> tuple[str, ...]:
    """The suites that a name on the command line stands for; one in a file with its absolute path, for workers elsewhere."""
    return GROUPS.get(name, (absolute_reference(name),))
