"""Demonstrations from wherever they are: ours, LIBERO's own HDF5 sets, LeRobot-format sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from .demonstrations import Demonstration, read_files, task_files
from .lerobot import Gripper, is_lerobot, open_lerobot


def read_folders(folders: Sequence[Path], *, gripper: Gripper = "command") -> Iterator[Demonstration]:
    """The demonstrations of several folders, or single HDF5 files, one after the other.

    Args:
        folders: a LeRobot-format set goes under its folder's name as suite; other folders are searched for HDF5 files.
        gripper: what the last number of an action is in LeRobot-format sets.

    Raises:
        DataError: a folder without demonstrations.
    """
    for folder in folders:
        if is_lerobot(folder):
            yield from open_lerobot(folder, folder.name, gripper).demonstrations()
        else:
            yield from read_files(task_files([folder]))
