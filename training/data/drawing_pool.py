"""The one thread of this process that draws.

A GL context may be current in one thread only, and freed where it is current; a training asks for images from two, the
main one (what an update costs, validation) and the one that reads batches ahead. So neither draws.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class DrawingThread:
    """Runs what it is given, one after the other, always in the same thread. It begins with the first."""

    def __init__(self) -> None:
        self._work: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._begin = threading.Lock()
        self._thread: threading.Thread | None = None

    def call(self, work: Callable[[], T]) -> T:
        """What `work` returns, or raises, in that thread; waits for it."""
        self._start()
        done: Future[T] = Future()
        self._work.put((done, work))
        return done.result()

    def at_exit(self, close: Callable[[], None]) -> None:
        """Have that thread call `close` before the process ends: it frees what only this thread can free.

        To be called once the GL library is loaded, which closes its display at exit as well, after what was registered later.
        """
        atexit.register(lambda: self.call(close))

    def _start(self) -> None:
        with self._begin:
            if self._thread is None:
                # A daemon, because Python waits for other threads before it calls what is registered at exit.
                self._thread = threading.Thread(target=self._run, name="drawing", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            done, work = self._work.get()
            try:
                done.set_result(work())
            except BaseException as error:  # whoever waits for it is the one to raise it
                done.set_exception(error)


DRAWING = DrawingThread()
"""All drawing of a training goes through it."""
