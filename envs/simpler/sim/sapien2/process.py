"""Client of the physics process: starts it, restarts it after a crash, exchanges messages. Runs in nora-bench's interpreter."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ....base import SimulationError
from ....bridge import bridge
from ....errors import SuiteError
from ...interpreter import VERSIONS, find_interpreter, problem, remedy
from .server import HEADER

SERVER = "nora_bench.envs.simpler.sim.sapien2.server"
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
"""The process forks, which threads of a numerical library would not survive."""


class PhysicsProcess:
    """One process that runs one episode at a time."""

    def __init__(self, cache: Path) -> None:
        """`cache`: writable folder. Raises SuiteError where the interpreter is missing or does not start."""
        python = find_interpreter()
        if python is None:
            raise SuiteError(f"backend sapien2: {problem()}")
        self._python, self._cache = python, cache
        self._process: subprocess.Popen[bytes] | None = None
        self._start()

    def begin(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Start an episode, ending the one before; its facts and first state.

        Args:
            request: `program` and what it needs (`server.PROGRAMS`).

        Raises:
            SimulationError: the episode could not be built.
        """
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._start()
        self._send({"type": "end"})
        return self._ask({"type": "episode", **request})

    def step(self, action: list[float]) -> dict[str, Any]:
        """Execute one control step; its facts and the state after it. Raises SimulationError."""
        return self._ask({"type": "step", "action": action})

    def close(self) -> None:
        """End the process."""
        if self._process is None:
            return
        self._socket.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=2)
        self._process.kill()
        self._process.wait()
        self._process = None

    def _start(self) -> None:
        self._socket, inherited = socket.socketpair()
        with inherited:
            self._process = subprocess.Popen(
                [self._python, "-m", SERVER, str(inherited.fileno()), str(vulkan_loader() or "")],
                stdin=subprocess.DEVNULL,
                pass_fds=[inherited.fileno()],
                env={**os.environ, **ONE_THREAD, "PYTHONPATH": str(bridge(self._cache)), "PYTHONWARNINGS": "ignore"},
                cwd="/",
            )
        try:
            versions = self._ask({"type": "hello"})["versions"]
        except SimulationError as error:
            raise SuiteError(f"SAPIEN 2.2.2 cannot be started with {self._python}: {error}. Type: {remedy()}") from None
        if versions != VERSIONS:
            raise SuiteError(f"backend sapien2 needs {VERSIONS}; {self._python} has {versions}. Type: {remedy()}")

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self._send(request)
        answer = self._receive()
        if "error" in answer:
            raise SimulationError(answer["error"])
        return answer

    def _send(self, message: Mapping[str, Any]) -> None:
        data = json.dumps(message).encode()
        try:
            self._socket.sendall(HEADER.pack(len(data)) + data)
        except OSError:
            self._fail()

    def _receive(self) -> dict[str, Any]:
        size = HEADER.unpack(self._read(HEADER.size))[0]
        return json.loads(self._read(size))

    def _read(self, size: int) -> bytes:
        parts = []
        while size:
            try:
                part = self._socket.recv(size)
            except OSError:
                part = b""
            if not part:
                self._fail()
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _fail(self) -> None:
        """Report that the process has ended; the next episode starts another."""
        assert self._process is not None
        self._socket.close()
        self._process.kill()
        code = self._process.wait()
        self._process = None
        raise SimulationError(f"the process of SAPIEN 2.2.2 ended unexpectedly (exit code {code})")


def vulkan_loader() -> Path | None:
    """The Vulkan loader that SAPIEN 3 brings along; SAPIEN 2.2.2 links one, although physics never calls it."""
    from importlib.util import find_spec

    spec = find_spec("sapien")
    folder = Path(spec.origin).parent / "vulkan_library" if spec and spec.origin else None
    return next(iter(sorted(folder.glob("libvulkan.so.1*"))), None) if folder else None
