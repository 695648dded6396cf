"""How the expert handles what stands on the table. Drawers are handled alike in every style."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Style:
    """A way of grasping and carrying."""

    lifts: bool = False
    """Carry high above the table and set down, as policies learned from demonstrations do, instead of sliding."""
    squeezes: bool = False
    """Command the fingers to close as long as something is held, instead of easing the grip once."""
    retries: bool = True
    """Take again what was lost."""
    grasp_error: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Error of the grasp: along and across the fingers' pads and upwards (m), and about the vertical (rad)."""


SLIDE = Style()
STYLES = {"slide": SLIDE, "lift": Style(lifts=True), "squeeze": Style(lifts=True, squeezes=True)}
"""Name, as the policy's option `style` takes it -> style."""
