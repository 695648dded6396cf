"""Reads LIBERO's stored initial states without running anything that they contain.

The `.pruned_init` files are zip archives written by `torch.save`: one pickle with one numpy array. The unpickler
here admits the four globals that such an array needs and no others, so a file that wants more is refused, not run.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ..base import SuiteError

REINSTALL = "Type: pip install --force-reinstall --no-deps hf-libero==0.1.4"

MAX_BYTES = 64 * 2**20
"""An initial-state file of 50 states takes about 50 kB; anything near this is not one."""


def _globals() -> dict[tuple[str, str], Any]:
    import _codecs

    from numpy._core import multiarray

    return {
        ("numpy.core.multiarray", "_reconstruct"): multiarray._reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): multiarray._reconstruct,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _codecs.encode,
    }


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _globals()[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no array needs") from None


def load_init_states(path: Path, length: int) -> np.ndarray:
    """The states of one task: [states, length] float64, each row time, qpos, qvel.

    Raises:
        SuiteError: the file is missing, is not such an archive, wants to run code, or holds another shape,
            another type, or numbers that are not finite.
    """
    try:
        array = _ArrayUnpickler(io.BytesIO(_pickle_bytes(path))).load()
    except (OSError, zipfile.BadZipFile, pickle.UnpicklingError, ValueError, TypeError, KeyError, EOFError, IndexError) as error:
        raise SuiteError(f"initial states {path} cannot be read: {error}. {REINSTALL}") from None
    if not isinstance(array, np.ndarray) or array.dtype != np.float64 or array.ndim != 2:
        raise SuiteError(f"initial states {path} hold {type(array).__name__}, not one float64 matrix. {REINSTALL}")
    if array.shape[1] != length:
        raise SuiteError(
            f"initial states {path} have rows of {array.shape[1]} numbers; this task's state has {length}. {REINSTALL}"
        )
    if not np.isfinite(array).all():
        raise SuiteError(f"initial states {path} hold numbers that are not finite. {REINSTALL}")
    return np.ascontiguousarray(array)


def _pickle_bytes(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        members = [m for m in archive.infolist() if m.filename.endswith("/data.pkl")]
        if len(members) != 1:
            raise ValueError("no single data.pkl inside")
        if members[0].file_size > MAX_BYTES:
            raise ValueError(f"data.pkl has {members[0].file_size} bytes")
        return archive.read(members[0])
