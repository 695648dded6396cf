"""Versions of installed distributions, for the record of a run."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

MISSING = "missing"


def installed_versions(names: Iterable[str]) -> dict[str, str]:
    """Distribution name -> installed version, or MISSING."""
    return {name: _version(name) for name in names}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return MISSING
