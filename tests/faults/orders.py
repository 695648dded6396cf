"""Orders: what fails, where and how often; one order per run, read by all its processes.

The order is in `order.json` in the folder that the variable `FAULTS` names. How often it has struck is counted in files
beside it, so across processes and restarts.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

FOLDER = "FAULTS"
"""Environment variable."""
GL_FAILS = "gladLoadGL error: no OpenGL context could be created"


@dataclass(frozen=True)
class Order:
    """One fault."""

    phase: str
    """boot, reset, step, draw, greet, send (workers); setup, act, end_episode, fingerprint, close (policy)."""
    deed: str
    scene: str = ""
    """The episode's scene; empty for phases outside an episode."""
    at: int = 0
    """Which step, decision or frame of the episode."""
    times: int = 1
    cut: float = 0.5
    """Share of a frame that is sent before the fault."""

    def write(self, folder: Path) -> None:
        """Write the order."""
        (folder / "order.json").write_text(json.dumps(asdict(self)))

    def withdraw(self, folder: Path) -> None:
        """Remove the order; nothing fails from now on."""
        (folder / "order.json").unlink(missing_ok=True)


def due(phase: str, scene: str = "", at: int = 0) -> Order | None:
    """The order, where it strikes here and now; it is then counted."""
    folder = Path(os.environ[FOLDER])
    try:
        order = Order(**json.loads((folder / "order.json").read_text()))
    except FileNotFoundError:
        return None
    if (order.phase, order.scene, order.at) != (phase, scene, at):
        return None
    return order if any(_mark(folder / f"struck-{number}") for number in range(order.times)) else None


def struck(folder: Path) -> int:
    """How often an order was carried out."""
    return len([*folder.glob("struck-*")])


def _mark(path: Path) -> bool:
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


# Faults of this process


def hang() -> None:
    """Hang; the note makes the deadlines of `sessions` expire at once."""
    (Path(os.environ[FOLDER]) / f"hung-{os.getpid()}").touch()
    time.sleep(3600)


def exhaust() -> None:
    """Ask for more memory than this process may have."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), resource.RLIM_INFINITY))
    np.ones(1 << 28)


def fail() -> None:
    """Raise what a broken simulator might."""
    raise RuntimeError("the world broke")


def fail_to_draw() -> None:
    """Raise what a missing driver makes MuJoCo raise."""
    raise RuntimeError(GL_FAILS)


def _signal(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


DEEDS: dict[str, Callable[[], None]] = {
    "kill": _signal(signal.SIGKILL),
    "stop": _signal(signal.SIGSTOP),
    "segfault": _signal(signal.SIGSEGV),
    "exit": lambda: os._exit(3),
    "hang": hang,
    "memory": exhaust,
    "raise": fail,
    "gl": fail_to_draw,
}
