"""One thread renders, for every thread that requests images."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from nora_bench.envs.base import EnvOptions
from nora_bench.training.data.images import ImageSpec, RenderThread, SimImages

from ..made import made


class Watched:
    """A state renderer that records in which threads it is used."""

    def __init__(self, threads):
        self.threads = threads

    def open(self, suite, task):
        self.threads.add(threading.get_ident())

    def place(self, fixtures):
        pass

    def joint_values(self, states):
        return states[:, :4]

    def render(self, states, before, camera, size):
        self.threads.add(threading.get_ident())
        return [np.zeros((size, size, 3), np.uint8) for _ in states]

    def close(self):
        self.threads.add(threading.get_ident())


def test_context_is_created_used_and_freed_in_one_thread(tmp_path):
    threads: set[int] = set()
    frames = SimImages(tmp_path, ImageSpec(size=8, render_size=8, jpeg=False), EnvOptions("", "none", ""))
    painter: Any = Watched(threads)
    frames._painter = painter
    frames.get(made(0))
    with ThreadPoolExecutor(2) as pool:
        [*pool.map(lambda number: frames.get(made(number)), (1, 2))]
    frames.close()
    assert len(threads) == 1 and threading.get_ident() not in threads


def test_error_in_the_render_thread_is_raised_in_the_caller():
    drawing = RenderThread()
    with pytest.raises(ZeroDivisionError):
        drawing.call(lambda: 1 // 0)
    assert drawing.call(lambda: SimpleNamespace(still="alive")).still == "alive"
