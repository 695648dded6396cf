"""The scripted expert for SimplerEnv's Google-robot tasks: what differs from LIBERO's."""

from . import motion, plans, scene

__all__ = ["motion", "plans", "scene"]
