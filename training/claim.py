"""One process per folder of a stage: the second is told, instead of both writing the same checkpoints."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .settings import TrainingError

FILE = ".lock"


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """The folder, made if need be, for this process alone; the system frees it when the process ends, however it ends.

    Raises TrainingError where another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise TrainingError(
                f"{folder} is being written by another process; wait for it (`fuser {path}` finds it), or choose another --out"
            ) from None
        yield
