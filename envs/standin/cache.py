"""A generated pack on disk: made once, whole or not at all, by whoever comes first.

It is written to a folder of its own and renamed, so a reader never sees half of it; a lock lets later processes wait
instead of generating too. Where a file has gone (a cleaner of temporary folders), the pack is made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from ..manifest import lacking, write_manifest


def fingerprint(folder: Path) -> str:
    """First 16 hex digits of the SHA-256 over a generator's code and data and this package's, which decide every byte."""
    total = hashlib.sha256()
    for source in (folder, Path(__file__).parent):
        for path in sorted(source.iterdir()):
            if path.suffix in (".py", ".json"):
                total.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    return total.hexdigest()[:16]


def ensure(home: Path, generate: Callable[[Path], None], source: str) -> Path:
    """The folder `home/assets`, filled by `generate` where it is not yet whole; `source` goes into its manifest.

    Raises:
        OSError: the folder cannot be written.
    """
    if lacking(home):
        home.parent.mkdir(parents=True, exist_ok=True)
        with _locked(home.parent / ".standin.lock"):
            if lacking(home):
                _make(home, generate, source)
    return home / "assets"


def _make(home: Path, generate: Callable[[Path], None], source: str) -> None:
    scratch = Path(tempfile.mkdtemp(prefix=".standin-", dir=home.parent))
    try:
        generate(scratch / "new" / "assets")
        write_manifest(scratch / "new", source=source)
        if home.exists():
            home.rename(scratch / "broken")
        (scratch / "new").rename(home)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for a lock that the system frees when its holder ends, however it ends."""
    try:
        import fcntl
    except ImportError:  # Windows: the rename alone keeps packs whole
        yield
        return
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
