"""robosuite's functions that numba compiles: with an empty cache, the processes of a run share the work."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from ...paths import file_lock


class _InWork(Exception):
    """Another process compiles the function."""


def compile_helpers() -> None:
    """Compile the functions of LIBERO's controller for its argument types, or load them from numba's cache.

    A function that another process is compiling is left for the end. Which process compiles changes no result. Without a
    writable cache (`robosuite.macros.CACHE_NUMBA`) each process compiles at its first control step.
    """
    from robosuite import macros

    if not macros.CACHE_NUMBA:
        return
    cache = Path(os.environ["NUMBA_CACHE_DIR"])
    postponed = [(name, call) for name, call in _calls() if not _compile(cache / f"{name}.lock", call, wait=False)]
    for name, call in postponed:
        _compile(cache / f"{name}.lock", call, wait=True)


def _compile(lock: Path, call: Callable[[], object], *, wait: bool) -> bool:
    """Whether the function is compiled now."""
    try:
        with file_lock(lock) if wait else file_lock(lock, _give_up):
            call()
    except _InWork:
        return False
    return True


def _give_up() -> None:
    raise _InWork


def _calls() -> Iterator[tuple[str, Callable[[], object]]]:
    """Name and a call of each function; numba compiles for the memory order of the arguments."""
    import numpy as np
    from robosuite.utils import control_utils, transform_utils

    rotation, joints = np.eye(3), np.zeros(7)
    mass, jacobian = np.eye(7, order="F"), np.eye(6, 7, order="F")
    position, orientation = np.eye(3, 7, order="F"), np.eye(3, 7, k=3, order="F")
    yield "opspace_matrices", lambda: control_utils.opspace_matrices(mass, jacobian, position, orientation)
    yield "quat2mat", lambda: transform_utils.quat2mat(np.array([0.0, 0.0, 0.0, 1.0]))
    yield "orientation_error", lambda: control_utils.orientation_error(rotation, rotation)
    yield "mat2quat", lambda: (transform_utils.mat2quat(rotation), transform_utils.mat2quat(np.eye(4)[:3, :3]))
    yield "nullspace_torques", lambda: control_utils.nullspace_torques(mass, np.eye(7), joints, joints, joints)
