"""One process per folder of a stage: the second is told, instead of both writing the same checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..results.locking import hold
from ..results.reading import StoreLocked
from .settings import TrainingError

FILE = ".lock"


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """The folder, made if need be, for this process alone. Raises TrainingError where another process has it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    with path.open("w") as file:
        try:
            release = hold(file, path)
        except StoreLocked as error:
            raise TrainingError(str(error)) from None
        try:
            yield
        finally:
            release()
