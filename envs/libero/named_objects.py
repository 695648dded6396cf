"""Objects that an instruction names by colour or material, whose appearance the axis `appearance` leaves."""

from __future__ import annotations

import re
from collections.abc import Iterable

APPEARANCE_WORDS = (
    *("black", "white", "gray", "grey", "red", "green", "blue", "yellow", "brown", "pink", "purple", "golden", "silver"),
    *("wooden", "metal", "steel", "glass", "plastic"),
)
"""Words by which an instruction names an object by colour or material. Names of products are none: orange juice."""


def named_by_appearance(instruction: str, categories: Iterable[str]) -> set[str]:
    """Categories that an instruction names by colour or material, and all others with the same noun: `black bowl` keeps bowls."""
    words = "|".join(APPEARANCE_WORDS)
    nouns = re.findall(rf"\b(?:{words})(?:,? (?:and )?(?:{words}))* (\w+)", instruction)
    return {category for category in categories if any(noun in category.split("_") for noun in nouns)}
