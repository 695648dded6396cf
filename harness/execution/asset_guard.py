"""Are the assets that a run is drawn with still those that its records name?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ...envs.errors import SuiteError
from ...envs.packs import pack_files
from ..errors import MissingRequirementError

SHOWN = 3


class AssetGuard:
    """The files of a pack as they were at the start; looking at them again costs milliseconds."""

    def __init__(self, folder: str, fingerprint: str, find: Callable[[], str]) -> None:
        """Look at them.

        Args:
            folder: of the pack; empty for a suite that has none.
            fingerprint: of the pack, as records name it.
            find: the fingerprint that the pack has now; reads all of it.
        """
        self._folder, self._fingerprint, self._find = folder, fingerprint, find
        self._seen = _stamps(folder)

    def require_same(self) -> None:
        """Raises MissingRequirementError where the pack has become another one."""
        now = _stamps(self._folder)
        if now == self._seen:
            return
        if self._now() != self._fingerprint:
            names = sorted(name for name in {**self._seen, **now} if self._seen.get(name) != now.get(name))
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            raise MissingRequirementError(
                f"the assets changed while they were drawn with ({', '.join(names[:SHOWN])}{more} in {self._folder}); no episode "
                "was recorded since. Put them back and go on, or start a new run. Type: nora-bench assets list"
            )
        self._seen = now

    def _now(self) -> str:
        try:
            return self._find()
        except SuiteError:
            return ""


def _stamps(folder: str) -> Mapping[str, tuple[int, int, int]]:
    """File -> size, time of change (ns) and inode."""
    found = {}
    for path in pack_files(Path(folder)) if folder else ():
        stat = path.stat()
        found[path.relative_to(folder).as_posix()] = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
    return found
