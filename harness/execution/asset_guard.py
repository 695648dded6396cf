"""Guard against asset packs that change during a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ...envs.errors import InputError, MissingRequirementError, SuiteError
from ...envs.packs import pack_files

MAX_NAMES = 3


class AssetGuard:
    """The state of a pack's files at the start of a run; checking them again costs milliseconds."""

    def __init__(self, folder: str, fingerprint: str, find: Callable[[], str]) -> None:
        """Read the state of the files.

        Args:
            folder: the pack's folder; empty for a suite without assets.
            fingerprint: the pack's fingerprint, as in the records.
            find: computes the pack's current fingerprint; reads all of it.
        """
        self._folder, self._fingerprint, self._find = folder, fingerprint, find
        self._stamps = _stamps(folder)

    def require_same(self) -> None:
        """Raises MissingRequirementError where the pack has changed."""
        now = _stamps(self._folder)
        if now == self._stamps:
            return
        if self._current_fingerprint() != self._fingerprint:
            names = sorted(name for name in {**self._stamps, **now} if self._stamps.get(name) != now.get(name))
            others = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
            raise MissingRequirementError(
                f"the assets changed during the run ({', '.join(names[:MAX_NAMES])}{others} in {self._folder}); no episode "
                "was recorded since. Restore them and resume, or start a new run. Type: nora-bench assets list"
            )
        self._stamps = now

    def _current_fingerprint(self) -> str:
        try:
            return self._find()
        except (SuiteError, InputError):  # incomplete, or its folder is gone
            return ""


def _stamps(folder: str) -> Mapping[str, tuple[int, int, int]]:
    """File -> size, time of change (ns) and inode."""
    stamps = {}
    for path in pack_files(Path(folder)) if folder else ():
        stat = path.stat()
        stamps[path.relative_to(folder).as_posix()] = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
    return stamps
