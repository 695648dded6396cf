"""Images of demonstrations, rendered from their states on first use as an evaluation renders them.

The cache has one `.npy` file per demonstration, memory-mapped. Several processes may render into one folder: files are written
atomically, and rendering is deterministic.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar
from xml.etree import ElementTree

import numpy as np

from ...envs import suites
from ...envs.base import EnvOptions
from ...envs.paths import cache_home
from ...envs.safe_io import atomic_write
from ...envs.types import Array
from ...harness.execution.signals import die_with_parent
from ...harness.rendering.gl import find_gl
from ...policies.images import model_image
from .demonstrations import DataError, Demonstration

if TYPE_CHECKING:
    from ...envs.libero.sim.restored import StateRenderer, StateRestorer

VERSION = 1
"""Version of the images; a change invalidates the cache."""


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """Image settings: as in an evaluation (`policies.images`), without the crop."""

    size: int = 112
    """Side of the images, pixels."""
    frame_stride: int = 2
    """Control steps from one image to the next; the first is of step 0."""
    camera: str = "primary"
    render_size: int = 256
    """Side of the rendered image, pixels."""
    jpeg: bool = True
    """Whether the rendered image passes one JPEG encode and decode before it is resized."""

    @property
    def name(self) -> str:
        """Name of the cache folder for these settings."""
        # Names of version 1, which existing caches have.
        values = {
            "size": self.size,
            "every": self.frame_stride,
            "camera": self.camera,
            "drawn": self.render_size,
            "jpeg": self.jpeg,
        }
        digest = hashlib.sha256(json.dumps([VERSION, values]).encode()).hexdigest()[:8]
        return f"{self.camera}-{self.size}-every{self.frame_stride}-{digest}"


class ImageCache(ABC):
    """Cache of demonstrations' images in a folder; `make` provides missing ones."""

    def __init__(self, folder: Path, spec: ImageSpec) -> None:
        """`folder` must contain images of this spec and this source only."""
        self.folder = folder
        self.spec = spec

    @abstractmethod
    def make(self, demonstration: Demonstration) -> Array:
        """[images, size, size, 3] uint8."""

    def path(self, demonstration: Demonstration) -> Path:
        """File of a demonstration's images."""
        digest = hashlib.sha256(demonstration.key.encode())
        for part in self.identity(demonstration):
            digest.update(part)
        readable = re.sub(r"[^A-Za-z0-9_]+", "-", demonstration.key)[-80:]
        return self.folder / f"{readable}-{digest.hexdigest()[:12]}.npy"

    def identity(self, demonstration: Demonstration) -> tuple[bytes, ...]:
        """Bytes that its images depend on, besides its key."""
        qpos = demonstration.states if demonstration.seen_qpos is None else demonstration.seen_qpos
        return tuple(np.ascontiguousarray(array).tobytes() for array in (qpos, demonstration.actions))

    def steps(self, demonstration: Demonstration) -> range:
        """Steps that have an image, in the order of the images."""
        return range(0, len(demonstration), self.spec.frame_stride)

    def get(self, demonstration: Demonstration) -> Array:
        """[images, size, size, 3] uint8, made if missing, memory-mapped."""
        path = self.path(demonstration)
        if not path.exists():
            keep_array(path, self.make(demonstration))
        return np.load(path, mmap_mode="r", allow_pickle=False)

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Free rendering resources."""

    def missing(self, demonstrations: Iterable[Demonstration]) -> list[Demonstration]:
        """Demonstrations without images in the cache."""
        return [demonstration for demonstration in demonstrations if not self.path(demonstration).exists()]


def keep_array(path: Path, array: Array) -> None:
    """Write a `.npy` file of a cache, and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as scratch, scratch.open("wb") as handle:
        np.save(handle, array, allow_pickle=False)


T = TypeVar("T")


class RenderThread:
    """Runs functions one after the other in one thread, which starts with the first.

    A GL context may be current in one thread only, and must be freed there; training reads images from two threads, the main one
    (cost estimate, validation) and the prefetching one. So both hand rendering over to this one.
    """

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


class SimImages(ImageCache):
    """Images rendered from the states, rotated as LIBERO's protocols do: bit-identical to an evaluation's."""

    def __init__(self, folder: Path, spec: ImageSpec, options: EnvOptions) -> None:
        """See `open_sim_images`, which chooses folder and options."""
        super().__init__(folder, spec)
        self.options = options
        self._painter: StateRenderer | None = None

    def make(self, demonstration: Demonstration) -> Array:
        """Render the images, in the render thread."""
        return RENDER_THREAD.call(lambda: self._render(demonstration))

    def _render(self, demonstration: Demonstration) -> Array:
        painter = self._open()
        painter.open(demonstration.suite, demonstration.task)
        painter.place(fixtures_of(demonstration, painter))
        steps = np.asarray(self.steps(demonstration))
        joints = painter.joint_values(demonstration.states)
        qpos = joints if demonstration.seen_qpos is None else demonstration.seen_qpos
        views = painter.render(qpos[steps], joints[np.maximum(steps - 1, 0)], self.spec.camera, self.spec.render_size)
        return np.stack([self._finish(view) for view in views])

    def _finish(self, image: Array) -> Array:
        turned = np.ascontiguousarray(image[::-1, ::-1])
        return model_image(turned, self.spec.size, {"jpeg": self.spec.jpeg, "filter": "lanczos3"})

    def _open(self) -> StateRenderer:
        from ...envs.libero.sim.restored import StateRenderer

        if self._painter is None:
            self._painter = StateRenderer(self.options)
            RENDER_THREAD.at_exit(self._free)
        return self._painter

    def close(self) -> None:
        """Free GL resources."""
        if self._painter is not None:
            RENDER_THREAD.call(self._free)

    def _free(self) -> None:
        if self._painter is not None:
            self._painter.close()
            self._painter = None


class MixedImages(ImageCache):
    """Images rendered with several asset packs: each demonstration with one of them, chosen by its key."""

    def __init__(self, folder: Path, spec: ImageSpec, packs: Sequence[ImageCache]) -> None:
        """`packs` contains the cache of each asset pack; the same one twice gets twice the share."""
        super().__init__(folder, spec)
        self.packs = packs

    def of(self, demonstration: Demonstration) -> ImageCache:
        """The cache of the demonstration's pack."""
        digest = hashlib.sha256(f"assets {demonstration.key}".encode()).digest()
        return self.packs[int.from_bytes(digest[:8], "big") % len(self.packs)]

    def path(self, demonstration: Demonstration) -> Path:
        return self.of(demonstration).path(demonstration)

    def make(self, demonstration: Demonstration) -> Array:
        """Render the images. LIBERO reads the assets of one pack at a time, so the other packs' tasks are closed first."""
        chosen = self.of(demonstration)
        for pack in self.packs:
            if pack is not chosen:
                pack.close()
        return chosen.make(demonstration)

    def close(self) -> None:
        """Free GL resources."""
        for pack in self.packs:
            pack.close()


def fixtures_of(demonstration: Demonstration, restored: StateRestorer) -> Mapping[str, Sequence[float]]:
    """Fixture poses of a demonstration, from its facts or else its model. `restored` has its task open."""
    if "fixtures" in demonstration.facts:
        return demonstration.facts["fixtures"]
    try:
        return restored.fixtures_in(demonstration.model)
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError(f"{demonstration.key}: its model_file is not a MuJoCo model: {error}") from None


def open_sim_images(folder: Path, spec: ImageSpec, assets: str = "standin") -> ImageCache:
    """Images rendered with an asset pack (`standin`, `official` or a folder), cached below `folder`.

    Several packs, separated by commas, share the demonstrations (`MixedImages`). Raises SuiteError, MissingRequirementError if
    rendering is impossible here.
    """
    names = [assets] if Path(assets).is_dir() else [name.strip() for name in assets.split(",")]
    opened = {name: _open_pack(folder, spec, name) for name in names}
    return opened[assets] if assets in opened else MixedImages(folder, spec, [opened[name] for name in names])


def _open_pack(folder: Path, spec: ImageSpec, assets: str) -> SimImages:
    pack = suites.get("libero_object").resolve_assets(assets)
    options = EnvOptions(assets=pack.path, gl=find_gl().name, cache=str(cache_home()))
    return SimImages(folder / f"{spec.name}-{pack.fingerprint}", spec, options)


def render_all(
    images: ImageCache,
    demonstrations: Iterable[Demonstration],
    *,
    workers: int,
    report: Callable[[int], None] = lambda count: None,
) -> int:
    """Render missing images in `workers` processes, one task of one asset pack at a time each.

    Returns the number of images rendered; `report` is called with that of every finished task.
    """
    tasks: dict[tuple[str, str, Path], list[Demonstration]] = {}
    for demonstration in images.missing(demonstrations):
        place = images.path(demonstration).parent
        tasks.setdefault((demonstration.suite, demonstration.task, place), []).append(demonstration)
    count = 0
    with ProcessPoolExecutor(workers, get_context("spawn"), die_with_parent) as pool:
        for job in as_completed([pool.submit(_make, images, missing) for missing in tasks.values()]):
            count += job.result()
            report(job.result())
    return count


def _make(images: ImageCache, missing: Sequence[Demonstration]) -> int:
    """Runs in its own process: several environments in one process are slower and each takes memory."""
    count = sum(len(images.get(demonstration)) for demonstration in missing)
    images.close()
    return count
