"""Server of the physics process: reads requests, answers with states. Runs in the interpreter of SAPIEN 2; syntax of Python 3.10.

Every episode runs in a fork of this process, which ends with it: SAPIEN 2.2.2 does not free the memory of a scene, and each
episode so starts from the same state, whatever ran before. This process itself only reads mesh files once.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import sys
import traceback
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec, module_from_spec
from typing import Any

PROGRAMS = {"google": "google:GoogleEpisode", "widowx": "widowx:WidowXEpisode"}
"""Name in a request -> module and class of its episodes."""
HEADER = struct.Struct(">I")
"""Length of the message that follows, in bytes."""


class Server:
    """The loop over the requests of one socket."""

    def __init__(self, engine: Any, socket: int) -> None:
        """`socket`: file descriptor."""
        self._engine, self._socket = engine, socket

    def run(self) -> None:
        """Serve until the other end closes the socket."""
        while request := self._receive():
            if request["type"] == "episode":
                self._run_episode(request)
            elif request["type"] == "hello":
                self._send({"versions": versions()})
            elif request["type"] != "end":
                self._send({"error": "no episode is running"})

    def _run_episode(self, request: Mapping[str, Any]) -> None:
        """Run one episode in a fork, up to its `end`."""
        process = os.fork()
        if not process:
            try:
                self._serve_episode(request)
            finally:
                os._exit(0)  # without destructors
        _, status = os.waitpid(process, 0)
        if os.WIFSIGNALED(status):
            self._send({"error": f"SAPIEN 2.2.2 was killed by signal {os.WTERMSIG(status)}"})

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


def versions() -> dict[str, str]:
    """Versions that results depend on."""
    names = ("sapien", "ruckig", "numpy")
    return {"python": sys.version.split()[0], **{name: version(name) for name in names}}


def load_program(name: str) -> Any:
    """The class of the episodes of that program."""
    module, _, attribute = PROGRAMS[name].partition(":")
    return getattr(import_module(f"{__package__}.{module}"), attribute)


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
