"""Servers for remote policies that fail as ordered (`orders`), each in a process of its own."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import servers
from nora_bench.policies.remote import codec

from . import orders

LIES: dict[str, Callable[[], Any]] = {
    "array larger than its bytes": lambda: codec.pack({"actions": np.ones((1, 1))}).replace(b"\x92\x01\x01", b"\x92\x7f\x7f"),
    "array smaller than its bytes": lambda: codec.pack({"actions": np.ones((4, 1))}).replace(b"\x92\x04\x01", b"\x92\x01\x01"),
    "message above the limit": lambda: bytes(codec.MAX_MESSAGE + 1),
    "half a message": lambda: codec.pack({"actions": np.ones((1, 1))})[:-3],
    "text": lambda: "out of memory",
    "no map": lambda: codec.pack([1, 2, 3]),
    "no actions": lambda: {"action": np.ones((1, 1))},
    "wrong width": lambda: {"actions": np.ones((1, 5))},
    "NaN": lambda: {"actions": np.full((1, 1), np.nan)},
    "nothing at all": lambda: b"",
}
"""Messages sent instead of an answer."""


def honest(folder: Path, port: int, tell: Callable[[int], object]) -> None:
    """`nora-bench serve` with a walking policy."""
    with servers.served(fakes.Walk(), folder, port=port) as (url, _):
        tell(int(url.rpartition(":")[2]))
        time.sleep(3600)


def lying(folder: Path, port: int, tell: Callable[[int], object]) -> None:
    """A server like openpi's with a walking policy; answers the request that the order names with a message of `LIES`."""
    asked = 0

    def answer(message: dict[str, Any]) -> Any:
        nonlocal asked
        asked += 1
        order = orders.due("answer", at=min(asked, _at(folder)))
        shade = float(message["observation/image"][0, 0, 0])
        return LIES[order.deed]() if order else {"actions": np.full((1, 1), -np.sign(shade))}

    with servers.openpi_like(answer, port=port) as url:
        tell(int(url.rpartition(":")[2]))
        time.sleep(3600)


def _at(folder: Path) -> int:
    path = folder / "order.json"
    return json.loads(path.read_text())["at"] if path.exists() else 0


def relay(to: int) -> Callable[[Path, int, Callable[[int], object]], None]:
    """Passes bytes between clients and the server at port `to`, up to the one that the order names."""

    def run(folder: Path, port: int, tell: Callable[[int], object]) -> None:
        with socket.create_server(("127.0.0.1", port)) as door:
            tell(door.getsockname()[1])
            passed = {"question": 0, "answer": 0}
            while True:
                client, _ = door.accept()
                backend = socket.create_connection(("127.0.0.1", to))
                threading.Thread(target=_pass, args=[folder, client, backend, passed], daemon=True).start()

    return run


def _pass(folder: Path, client: socket.socket, backend: socket.socket, passed: dict[str, int]) -> None:
    ways = {client: (backend, "question"), backend: (client, "answer")}
    while True:
        for source in select.select([client, backend], [], [])[0]:
            target, way = ways[source]
            data = source.recv(1 << 16)
            limit = _at(folder) - passed[way]
            if limit < len(data) and (order := orders.due(way, at=_at(folder))):
                target.sendall(data[: max(0, limit)])
                _break(order, client, backend)
                return
            passed[way] += len(data)
            if not data:
                client.close()
                backend.close()
                return
            target.sendall(data)


def _break(order: orders.Order, client: socket.socket, backend: socket.socket) -> None:
    if order.deed == "stall":
        time.sleep(3600)
    if order.deed == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    backend.close()


@contextmanager
def process(run: Callable[[Path, int, Callable[[int], object]], None], folder: Path, port: int = 0) -> Iterator[tuple[int, int]]:
    """One of the above; its port and its process id."""
    result, reference = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            os.environ[orders.FOLDER] = str(folder)
            run(folder, port, lambda bound: os.write(reference, str(bound).encode()))
        finally:
            os._exit(1)
    os.close(reference)
    try:
        assert select.select([result], [], [], 120)[0], "the server did not start"
        yield int(os.read(result, 16)), pid
    finally:
        os.close(result)
        os.kill(pid, signal.SIGKILL)  # not yet waited for, so the number is still its own
        os.waitpid(pid, 0)
