"""Wordings of the instructions of LIBERO's four suites: one TOML file per suite."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from ...perturbations.wordings import Wordings, read_wordings


@cache
def load_wordings(suite: str) -> Wordings | None:
    """The wordings of a suite; None for one without (libero_90)."""
    path = files(__name__).joinpath(f"{suite}.toml")
    return read_wordings(path.read_text(encoding="utf-8"), path.name) if path.is_file() else None
