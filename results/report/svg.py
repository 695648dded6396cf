"""What the plots of a report have in common."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def legend(names: Sequence[str]) -> str:
    """Coloured squares with names."""
    return "".join(
        f'<span class="key" style="background:var(--run{number % 6})"></span>{escape(name)}' for number, name in enumerate(names)
    )
