"""A folder of recordings of the released models, which tracks the arrays that were read."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from ....envs.safe_io import read_arrays
from ..checkpoint import read_json
from ..weights import CheckpointError

TENSORS = ".safetensors"


def is_recorded(folder: Path) -> bool:
    """Whether the folder is laid out like recordings of the NORA family."""
    return any(folder.glob("fast_cases*.json")) or all(
        (folder / f"{name}{TENSORS}").is_file() for name in ("weights", "inference")
    )


class Recordings:
    """Reads recorded arrays by file and name, and lists those that were never read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[str, set[str]] = {}
        self._files: dict[str, dict[str, Any]] = {}

    @cached_property
    def config(self) -> dict[str, Any]:
        """Sizes and statistics of the recorded model."""
        return read_json(self.folder / "config.json")

    def names(self, file: str) -> list[str]:
        """Names of the arrays in a file; none where there is no such file."""
        return list(self._open(file))

    def matching(self, file: str, prefix: str, suffix: str = "") -> Iterator[tuple[str, Any]]:
        """(middle of the name, array) of all arrays of a file whose names begin and end so; marks them as read."""
        for name in self.names(file):
            if name.startswith(prefix) and name.endswith(suffix) and len(name) > len(prefix) + len(suffix):
                yield name[len(prefix) : len(name) - len(suffix)], self.get(file, name)

    def get(self, file: str, name: str) -> Any:
        """One array (a torch tensor, or numpy of an .npz), marked as read. Raises KeyError."""
        value = self._open(file)[name]
        self._read.setdefault(file, set()).add(name)
        return value

    def all_of(self, file: str) -> dict[str, Any]:
        """Every array of a file by name, marked as read; nothing where there is no such file."""
        return {name: self.get(file, name) for name in self.names(file)}

    def unread(self) -> dict[str, list[str]]:
        """File -> names of recorded arrays that no check has read. Weights count as one."""
        left = {}
        for path in sorted(self.folder.iterdir()):
            if path.suffix not in (TENSORS, ".npz") or path.stem == "weights":
                continue
            if rest := sorted(set(self.names(path.name)) - self._read.get(path.name, set())):
                left[path.name] = ["all of it"] if path.stem.endswith("weights") else rest
        return left

    def _open(self, file: str) -> dict[str, Any]:
        if file not in self._files and (self.folder / file).is_file():
            self._files[file] = _tensors(self.folder / file)
        return self._files.get(file, {})


def _tensors(path: Path) -> dict[str, Any]:
    """Tensors of a file by name. Raises CheckpointError."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return read_arrays(path) if path.suffix == ".npz" else load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
