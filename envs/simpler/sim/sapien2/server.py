"""Server of the physics process: reads requests, answers with states. Runs in the interpreter of SAPIEN 2; syntax of Python 3.10.

Every episode runs in a fork of this process, which ends with it: no scene's memory stays behind, a crash ends one
episode only, and each starts from the same state, whatever ran before. This process loads engine and programs once.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

PROGRAMS = {"google": ".google:GoogleEpisode", "widowx": ".widowx:WidowXEpisode"}
"""Name in a request -> module and class of its episodes."""
HEADER = struct.Struct(">I")
"""Length of the message that follows, in bytes."""


class Server:
    """The loop over the requests of one socket."""

    def __init__(self, engine: Any, socket: int) -> None:
        """`socket`: file descriptor."""
        self._engine, self._socket = engine, socket
        self._stages: dict[str, str] = {}

    def run(self) -> None:
        """Serve until the other end closes the socket."""
        with tempfile.TemporaryDirectory() as folder:
            self._folder = Path(folder)
            self._serve()

    def _serve(self) -> None:
        while request := self._receive():
            if request["type"] == "episode":
                self._run_episode(request)
            elif request["type"] == "hello":
                self._send({"versions": versions()})
            elif request["type"] != "end":
                self._send({"error": "no episode is running"})

    def _run_episode(self, request: Mapping[str, Any]) -> None:
        """Run one episode in a fork, up to its `end`."""
        arena = request.get("arena") or {}
        if arena.get("stage"):
            request = {**request, "arena": {**arena, "stage": self._cached_stage(arena["stage"])}}
        with suppress(Exception):  # imported once instead of in every fork, which reports errors
            load_program(request["program"])
        if signal := run_in_fork(lambda: self._serve_episode(request)):
            self._send({"error": f"SAPIEN 2.2.2 was killed by signal {signal}"})

    def _cached_stage(self, stage: str) -> str:
        """A link to a stage in this process's own folder, with SAPIEN's cache file beside it.

        SAPIEN 2.2.2 writes STAGE.nonconvex.stl when it first loads a stage, and reads that file from then on, with the triangles
        in another order, which changes contacts by micrometres. Episodes always read that file, as the original's did on
        all but its very first load, and a file in the asset pack is neither read nor written.
        """
        if stage not in self._stages:
            link = self._folder / str(len(self._stages)) / Path(stage).name
            link.parent.mkdir()
            link.symlink_to(stage)
            run_in_fork(lambda: import_module(".world", __package__).load_stage(self._engine, str(link)))
            self._stages[stage] = str(link)
        return self._stages[stage]

    def _serve_episode(self, request: Mapping[str, Any]) -> None:
        try:
            episode = load_program(request["program"])(self._engine, request)
            self._send({**episode.facts(), "state": episode.state()})
            while (request := self._receive() or {"type": "end"})["type"] == "step":
                facts = episode.step(request["action"])
                self._send({**facts, "state": episode.state()})
        except Exception as error:
            traceback.print_exc()
            self._send({"error": f"{type(error).__name__}: {error}"})
            while (self._receive() or {"type": "end"})["type"] != "end":
                self._send({"error": "the episode has failed"})

    def _receive(self) -> dict[str, Any]:
        """The next request; empty at the end."""
        header = self._read(HEADER.size)
        return json.loads(self._read(HEADER.unpack(header)[0])) if header else {}

    def _read(self, size: int) -> bytes:
        """So many bytes, unbuffered, because forks read from the same socket; empty at the end."""
        parts = []
        while size:
            part = os.read(self._socket, size)
            if not part:
                return b""
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _send(self, answer: Mapping[str, Any]) -> None:
        message = json.dumps(answer).encode()
        message = HEADER.pack(len(message)) + message
        while message:
            message = message[os.write(self._socket, message) :]


def run_in_fork(work: Callable[[], None]) -> int:
    """Run a function in a fork of this process; the signal that ended the fork, 0 for none."""
    process = os.fork()
    if not process:
        try:
            work()
        finally:
            os._exit(0)  # without destructors
    _, status = os.waitpid(process, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def versions() -> dict[str, str]:
    """Versions that results depend on, of which `interpreter.VERSIONS` are required."""
    return {name: version(name) for name in ("sapien", "ruckig", "numpy")}


def load_program(name: str) -> Any:
    """The class of the episodes of that program."""
    module, _, attribute = PROGRAMS[name].partition(":")
    return getattr(import_module(module, __package__), attribute)


def make_engine(vulkan: str) -> Any:
    """SAPIEN's engine without a renderer.

    Args:
        vulkan: file of the Vulkan loader, which SAPIEN 2.2.2 links although physics never calls it; empty for the system's.
    """
    if vulkan:
        ctypes.CDLL(vulkan, ctypes.RTLD_GLOBAL)
    # Without the package's own __init__, which imports OpenCV and others that physics does not use.
    spec = find_spec("sapien")
    assert spec is not None, "sapien is not installed"
    sys.modules["sapien"] = module_from_spec(spec)
    engine = import_module("sapien.core").Engine()
    engine.set_log_level("error")
    return engine


if __name__ == "__main__":
    Server(make_engine(sys.argv[2]), int(sys.argv[1])).run()
