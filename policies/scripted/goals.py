"""The goal's terms: whether one holds, and in which order they are worked on.

LIBERO's own predicates, read from the same poses, contacts and joint values.
"""

from __future__ import annotations

import numpy as np

from .scene import LiberoScene

Term = tuple[str, ...]
"""A predicate and its arguments, lower case: `("on", "plate_1", "flat_stove_1_cook_region")`."""

ORDER = {"open": 0, "turnon": 0, "turnoff": 0, "on": 1, "in": 1, "close": 2}
"""What is opened or turned comes first, what is closed last."""
OPENED, KNOB_ON, KNOB_OFF = -0.14, 0.5, 0.0
OPENED_BELOW = {"microwave": -1.3}
"""Joint value below which a class counts as open; `OPENED` elsewhere."""
CLOSED_ABOVE = {"microwave": -0.005}
"""Joint value above which a class counts as closed; 0 elsewhere (drawers must be pushed past zero)."""


def unmet(scene: LiberoScene) -> list[Term]:
    """The terms that do not hold, in the order to work on them: nothing is put on a thing that is still to be moved."""
    terms = [term for term in scene.goal if not holds(scene, term)]
    moved = {term[1] for term in terms if term[0] in ("on", "in")}
    return sorted(terms, key=lambda term: (ORDER.get(term[0], 1), term[-1] in moved and len(term) > 2))


def holds(scene: LiberoScene, term: Term) -> bool:
    """Whether a term of the goal is true now."""
    predicate, *names = term
    if predicate in ("on", "in"):
        return (_on if predicate == "on" else _in)(scene, *names)
    values = [scene.angle(joint) for joint in scene.joints(names[0])]
    if predicate == "open":
        return any(value < OPENED_BELOW.get(scene.kind(names[0]), OPENED) for value in values)
    if predicate == "turnon":
        return any(value >= KNOB_ON for value in values)
    if predicate == "turnoff":
        return any(value < KNOB_OFF for value in values)
    return all(value > CLOSED_ABOVE.get(scene.kind(names[0]), 0.0) for value in values)


def _on(scene: LiberoScene, upper: str, lower: str) -> bool:
    point = scene.pose(upper).position
    if not scene.is_site(lower):
        apart = point - scene.pose(lower).position
        return bool(apart[2] >= 0.0 and np.hypot(apart[0], apart[1]) < 0.03 and scene.touching(upper, lower))
    site, half = scene.site(lower), scene.site_half(lower)
    apart = site.rotation @ (point - site.position)  # LIBERO turns it the wrong way; this repeats it
    inside = bool((np.abs(apart[:2]) < half[:2]).all() and half[2] - 0.005 < apart[2] < half[2] + 0.10)
    parent = scene.owner(lower)
    return inside and (not scene.has_body(parent) or scene.touching(upper, parent))


def _in(scene: LiberoScene, inner: str, region: str) -> bool:
    site = scene.site(region)
    half = np.abs(site.rotation @ scene.site_half(region))
    apart = scene.pose(inner).position - site.position
    return bool((np.abs(apart[:2]) < half[:2]).all() and -half[2] - 0.01 < apart[2] < half[2])
