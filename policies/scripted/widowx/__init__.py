"""The scripted expert for SimplerEnv's WidowX tasks: what differs from the Google robot's."""

from . import motion, plans, scene

__all__ = ["motion", "plans", "scene"]
