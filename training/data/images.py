"""Images on demand: what a policy would have been shown at a step of a demonstration, drawn from its stored state.

Drawn images are kept on the disk, one `.npy` file per demonstration, and mapped into memory. Any number of processes may
draw into one folder: a file appears whole or not at all, and two that draw the same write the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from ...envs import suites
from ...envs.base import EnvOptions
from ...envs.paths import cache_home
from ...envs.types import Array
from ...harness.execution.signals import die_with_parent
from ...harness.rendering.gl import choose_gl
from ...policies.images import model_image
from .demonstrations import DataError, Demonstration
from .drawing_pool import DRAWING

if TYPE_CHECKING:
    from ...envs.libero.sim.restored import Painter, Restored

VERSION = 1
"""Of what is drawn; a change makes every kept image old."""


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """How images are made: as an evaluation makes them for its model (`policies.images`), less the crop."""

    size: int = 112
    """Side of the images, pixels."""
    every: int = 2
    """Steps from one image to the next; the first is of step 0."""
    camera: str = "primary"
    drawn: int = 256
    """Side of the image that the world draws."""
    jpeg: bool = True
    """Whether it goes through one JPEG encode and decode before it is made smaller."""

    @property
    def name(self) -> str:
        """A folder for images of this spec."""
        digest = hashlib.sha256(json.dumps([VERSION, asdict(self)]).encode()).hexdigest()[:8]
        return f"{self.camera}-{self.size}-every{self.every}-{digest}"


class ImageCache(ABC):
    """Images of demonstrations in a folder. What is missing is made by `make` when it is asked for."""

    def __init__(self, folder: Path, spec: ImageSpec) -> None:
        """`folder` is for images of this spec and this source alone."""
        self.folder = folder
        self.spec = spec

    @abstractmethod
    def make(self, demonstration: Demonstration) -> Array:
        """[images, size, size, 3] uint8."""

    def path(self, demonstration: Demonstration) -> Path:
        """Where a demonstration's images are, or will be."""
        digest = hashlib.sha256(demonstration.key.encode())
        for part in self.identity(demonstration):
            digest.update(part)
        readable = re.sub(r"[^A-Za-z0-9_]+", "-", demonstration.key)[-80:]
        return self.folder / f"{readable}-{digest.hexdigest()[:12]}.npy"

    def identity(self, demonstration: Demonstration) -> tuple[bytes, ...]:
        """What its images depend on, beside its key."""
        shown = demonstration.states if demonstration.seen_qpos is None else demonstration.seen_qpos
        return tuple(np.ascontiguousarray(array).tobytes() for array in (shown, demonstration.actions))

    def steps(self, demonstration: Demonstration) -> range:
        """The steps that have an image, in the order of the images."""
        return range(0, len(demonstration), self.spec.every)

    def get(self, demonstration: Demonstration) -> Array:
        """[images, size, size, 3] uint8, made if not yet there, and mapped."""
        path = self.path(demonstration)
        if not path.exists():
            self._keep(path, self.make(demonstration))
        return np.load(path, mmap_mode="r", allow_pickle=False)

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Free what is held to make images."""

    def missing(self, demonstrations: Iterable[Demonstration]) -> list[Demonstration]:
        """Those whose images are not there yet."""
        return [demonstration for demonstration in demonstrations if not self.path(demonstration).exists()]

    def _keep(self, path: Path, images: Array) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
        with scratch.open("wb") as handle:
            np.save(handle, images, allow_pickle=False)
        scratch.replace(path)


class SimImages(ImageCache):
    """Images drawn from the states, turned as LIBERO's protocols turn them: to the bit what an evaluation shows."""

    def __init__(self, folder: Path, spec: ImageSpec, options: EnvOptions) -> None:
        """See `open_frames`, which finds the folder and the options."""
        super().__init__(folder, spec)
        self.options = options
        self._painter: Painter | None = None

    def make(self, demonstration: Demonstration) -> Array:
        """Draw them, in the thread that draws."""
        return DRAWING.call(lambda: self._draw(demonstration))

    def _draw(self, demonstration: Demonstration) -> Array:
        painter = self._open()
        painter.open(demonstration.suite, demonstration.task)
        painter.place(fixtures_of(demonstration, painter))
        steps = np.asarray(self.steps(demonstration))
        joints = painter.joint_values(demonstration.states)
        shown = joints if demonstration.seen_qpos is None else demonstration.seen_qpos
        views = painter.draw(shown[steps], joints[np.maximum(steps - 1, 0)], self.spec.camera, self.spec.drawn)
        return np.stack([self._finish(view) for view in views])

    def _finish(self, image: Array) -> Array:
        turned = np.ascontiguousarray(image[::-1, ::-1])
        return model_image(turned, self.spec.size, {"jpeg": self.spec.jpeg, "filter": "lanczos3"})

    def _open(self) -> Painter:
        from ...envs.libero.sim.restored import Painter

        if self._painter is None:
            self._painter = Painter(self.options)
            DRAWING.at_exit(self._free)
        return self._painter

    def close(self) -> None:
        """Free what GL holds."""
        if self._painter is not None:
            DRAWING.call(self._free)

    def _free(self) -> None:
        if self._painter is not None:
            self._painter.close()
            self._painter = None


def fixtures_of(demonstration: Demonstration, restored: Restored) -> Mapping[str, Sequence[float]]:
    """Where a demonstration's fixtures stood: as it says, or as its model has them. `restored` has its task open."""
    if "fixtures" in demonstration.facts:
        return demonstration.facts["fixtures"]
    try:
        return restored.fixtures_in(demonstration.model)
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError(f"{demonstration.key}: its model_file is no model of MuJoCo: {error}") from None


def open_sim_images(folder: Path, spec: ImageSpec, assets: str = "standin") -> SimImages:
    """The images of a spec, drawn with an asset pack (`standin`, `official` or a folder), below a folder for all.

    Raises SuiteError, MissingRequirementError where nothing can be drawn here and some images would have to be.
    """
    pack = suites.get("libero_object").resolve_assets(assets)
    options = EnvOptions(assets=pack.path, gl=choose_gl(), cache=str(cache_home()))
    return SimImages(folder / f"{spec.name}-{pack.fingerprint}", spec, options)


def render_all(
    images: ImageCache,
    demonstrations: Iterable[Demonstration],
    *,
    workers: int,
    report: Callable[[int], None] = lambda made: None,
) -> int:
    """Make whatever the demonstrations lack, those of a task at a time in each of `workers` processes.

    Returns the number of images made; `report` is called with that of every task that is done.
    """
    tasks: dict[tuple[str, str], list[Demonstration]] = {}
    for demonstration in images.missing(demonstrations):
        tasks.setdefault((demonstration.suite, demonstration.task), []).append(demonstration)
    made = 0
    with ProcessPoolExecutor(workers, get_context("spawn"), die_with_parent) as pool:
        for job in as_completed([pool.submit(_make, images, lacking) for lacking in tasks.values()]):
            made += job.result()
            report(job.result())
    return made


def _make(images: ImageCache, lacking: Sequence[Demonstration]) -> int:
    """In a process of its own: several worlds in one process are slower, and cost each its memory."""
    made = sum(len(images.get(demonstration)) for demonstration in lacking)
    images.close()
    return made
