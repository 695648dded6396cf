"""Plans: from a SimplerEnv task to sequences of skills. Success counts at the last step, so every plan ends in keeping still."""

from __future__ import annotations

from collections.abc import Callable, Generator

from ..steps import Steps, Target, hold
from .carrying import KEEP, move_near, pick_up
from .drawers import close_drawer, open_drawer
from .placing import place_in_drawer
from .scene import GoogleRobotScene
from .styles import SLIDE, Style


def solve(scene: GoogleRobotScene, style: Style = SLIDE) -> Generator[Target, None, None]:
    """Work on the task until it is done, then keep still."""
    yield from PLANS[scene.task](scene, style)
    while True:
        yield from hold(scene, KEEP, 1000)


PLANS: dict[str, Callable[[GoogleRobotScene, Style], Steps]] = {
    "pick_coke_can": pick_up,
    "move_near": move_near,
    "open_drawer": lambda scene, _: open_drawer(scene),
    "close_drawer": lambda scene, _: close_drawer(scene),
    "place_apple_in_closed_top_drawer": place_in_drawer,
}
"""Task -> plan."""
