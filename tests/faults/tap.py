"""A callback at one moment of one write of the store, in this process."""

from __future__ import annotations

import io
import os
import pathlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from nora_bench.results.store import writer

FILES = {"line": "episodes.jsonl", "actions": ".npy.", "run.json": "run.json."}
"""Kind of write -> part of its path."""
MOMENTS = ("before", "middle of", "after")


class Tap:
    """Intercepts the store's writes and calls `act` once."""

    def __init__(self, what: str, moment: str, number: int, cut: float, act: Callable[[], None]) -> None:
        """Set it up.

        Args:
            what: of `FILES`.
            moment: of `MOMENTS`, or `renaming`: when a new file is whole and has not yet its name.
            number: which of those writes, from 1.
            cut: the share of the bytes written in the middle.
            act: the callback.
        """
        self._mark, self._moment, self._left, self._cut, self._act = FILES[what], moment, number, cut, act
        self._open, self._replace = io.open, pathlib.Path.replace
        writer.os = self
        io.open = self._opened
        pathlib.Path.replace = lambda path, target: self._renamed(path, target)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, descriptor: int, data: Any) -> int:
        """As `os.write`."""
        return self.put(_path(descriptor), partial(os.write, descriptor), data)

    def fsync(self, descriptor: int) -> None:
        """As `os.fsync`."""
        os.fsync(descriptor)
        path = _path(descriptor)
        self._reach(path, "after" if path.endswith(FILES["line"]) else "renaming")

    def put(self, path: str, write: Callable[[Any], int], data: Any) -> int:
        """Write to a file of that path."""
        self._left -= self._mark in path
        self._reach(path, "before")
        part = bytes(data)[: int(self._cut * len(data))]
        self._reach(path, "middle of", lambda: write(part))
        return write(data)

    def _opened(self, file: Any, mode: str = "r", *args: Any, **more: Any) -> Any:
        if mode == "wb" and self._mark in str(file):
            return _Tapped(self._open(file, mode, 0), str(file), self)
        return self._open(file, mode, *args, **more)

    def _renamed(self, path: Path, target: Path) -> Path:
        found = self._replace(path, target)
        self._reach(str(path), "after")
        return found

    def _reach(self, path: str, moment: str, first: Callable[[], object] = lambda: None) -> None:
        if self._mark in path and self._left == 0 and self._moment == moment:
            self._left = -1
            first()
            self._act()


class _Tapped:
    """A file whose writes go through the tap."""

    def __init__(self, handle: Any, path: str, tap: Tap) -> None:
        self._handle, self._path, self._tap = handle, path, tap

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handle, name)

    def __enter__(self) -> _Tapped:
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.close()

    def write(self, data: Any) -> int:
        return self._tap.put(self._path, self._handle.write, data)


def _path(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())
