"""The one thread of this process that renders.

A GL context may be current in one thread only, and must be freed there; training reads images from two threads, the main one
(cost estimate, validation) and the prefetching one. So both hand rendering over to this one.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class RenderThread:
    """Runs functions one after the other in one thread, which starts with the first."""

    def __init__(self) -> None:
        self._work: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._begin = threading.Lock()
        self._thread: threading.Thread | None = None

    def call(self, work: Callable[[], T]) -> T:
        """Run `work` in that thread and wait; returns or raises what it does."""
        self._start()
        future: Future[T] = Future()
        self._work.put((future, work))
        return future.result()

    def at_exit(self, close: Callable[[], None]) -> None:
        """Call `close` in that thread before the process ends, to free its GL resources.

        Register it after the GL library is loaded: handlers run in reverse order, and the library closes its display at exit.
        """
        atexit.register(lambda: self.call(close))

    def _start(self) -> None:
        with self._begin:
            if self._thread is None:
                # A daemon: Python joins other threads before it calls exit handlers.
                self._thread = threading.Thread(target=self._run, name="render", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            future, work = self._work.get()
            try:
                future.set_result(work())
            except BaseException as error:  # raised in the waiting thread
                future.set_exception(error)


RENDER_THREAD = RenderThread()
"""The thread for all rendering of a training."""
