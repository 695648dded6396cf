"""`nora_bench.make` and `make_vec`: environments by name."""

from __future__ import annotations

import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

from ...envs import suites
from ...envs.base import FRESH, EnvOptions, ObservationSpec
from ...envs.errors import InputError, MissingRequirementError
from ...envs.paths import ensure_cache_home
from ..config import parse
from ..planning.plan import EvalSetup, resolve_setup
from ..planning.resolve import find_assets
from ..planning.run_settings import WorkerSetup
from ..rendering.backend import find_driver
from .sessions import LocalSession, WorkerSession

NAME = re.compile(r"(?P<suite>.+?)/task(?P<task>[0-9]{1,9})(?:/(?P<variant>.+))?")
"""Name of an environment, the start of its episodes' keys."""
MOST_ENVS = 10_000
LONGEST_CHUNK = 10_000
"""Steps of an action chunk, at most."""


def make(
    name: str,
    *,
    protocol: str | None = None,
    cameras: tuple[str, ...] | None = None,
    image_size: int | None = None,
    proprio: bool = True,
    init_set: str = "",
    chunk: int | None = None,
    max_steps: int | None = None,
    worker: bool = False,
    assets: str = "auto",
    backend: str | None = None,
    python: str | None = None,
    layout: str = "nora-bench",
    render_mode: str | None = "rgb_array",
) -> Any:
    """A `gymnasium.Env` of one task: the scenes, states and success of `nora-bench run`, bit for bit. See `SuiteEnv`.

    Args:
        name: `libero_goal/task3`, or `simpler-vm/task0/VARIANT` for one variant; the suite may be a plug-in's.
        protocol: as `--protocol`; None for the suite's default.
        cameras: names; None for all of the suite's, `()` for none, which renders nothing.
        image_size: side of the images in pixels; None for the protocol's.
        proprio: whether observations contain the robot's state.
        init_set: `fresh` for initial states that no published evaluation used (`docs/guide/fresh_states.md`).
        chunk: None for single actions; n for action chunks of up to n steps.
        max_steps: control steps of an episode; None for the protocol's.
        worker: run the simulator in a process of its own.
        assets: as `--assets`.
        backend: as `--backend`.
        python: interpreter of the worker, for a backend that has its own.
        layout: `nora-bench`, or `lerobot` for lerobot's observation keys (`pixels`, `agent_pos`).
        render_mode: `rgb_array`, or None.

    Raises:
        InputError: an unknown name or value.
        MissingRequirementError, SuiteError: something is not installed; the message has the command that helps.
    """
    try:
        from .layouts import LAYOUTS
        from .suite_env import TaskEpisodes
    except ImportError:
        raise MissingRequirementError("environments need gymnasium. Type: pip install 'gymnasium>=0.29,<2'") from None
    if layout not in LAYOUTS:
        raise InputError(f"layout must be one of {', '.join(LAYOUTS)}, not {layout!r}", option="layout", value=layout)
    if render_mode not in (None, "rgb_array"):
        raise InputError(f"render_mode must be 'rgb_array' or None, not {render_mode!r}", option="render_mode", value=render_mode)
    for option, value, most in (("chunk", chunk, LONGEST_CHUNK), ("max_steps", max_steps, 2**31)):
        if value is not None and not _is_count(value, most):
            message = f"{option} must be a whole number from 1 to {most}, or None, not {value!r}"
            raise InputError(message, option=option, value=value)
    reference, task_id, variant = parse_name(name)
    setup = _setup(reference, protocol, backend, python)
    suite = setup.suites[0]
    task = next((task for task in suite.tasks if task.id == task_id), None)
    if task is None:
        raise InputError(f"{suite.name} has tasks 0-{len(suite.tasks) - 1}, not {task_id}", option="name", value=name)
    if variant and variant not in task.variants:
        raise InputError(f"{suite.name}/task{task_id} has no variant {variant!r}; see `nora-bench list tasks`", value=name)
    episodes = TaskEpisodes(suite, task, setup.protocol, variant, init_set, max_steps)
    if init_set not in ("", FRESH) or not episodes.scenes:
        raise InputError(f"{suite.name} task {task_id} has no initial states of the set {init_set!r}", option="init_set")
    if isinstance(cameras, list):
        cameras = tuple(cameras)
    seen = ObservationSpec(suite.cameras if cameras is None else cameras, image_size, proprio)
    session = _session(setup, seen, assets, worker=worker or setup.python != sys.executable)
    try:
        return LAYOUTS[layout](session, episodes, chunk, render_mode)
    except BaseException:
        session.close()
        raise


def make_vec(name: str, num_envs: int, *, asynchronous: bool = True, **options: Any) -> Any:
    """Several environments of one task as a `gymnasium.vector.VectorEnv`, with gymnasium's default autoreset.

    Args:
        name: as for `make`.
        num_envs: number of environments.
        asynchronous: each in a process of its own, stepped at the same time; else one after the other in this process.
        options: those of `make`.
    """
    import gymnasium

    if not _is_count(num_envs, MOST_ENVS):
        message = f"num_envs must be a whole number from 1 to {MOST_ENVS}, not {num_envs!r}"
        raise InputError(message, option="num_envs", value=num_envs)
    builders = [partial(make, name, **options)] * num_envs
    if asynchronous:
        return gymnasium.vector.AsyncVectorEnv(builders, context="spawn")
    return gymnasium.vector.SyncVectorEnv(builders)


def _is_count(value: Any, most: int) -> bool:
    """Whether it is a whole number from 1."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def parse_name(name: str) -> tuple[str, int, str]:
    """Suite, task and variant of an environment's name. Raises InputError."""
    parts = NAME.fullmatch(name) if isinstance(name, str) else None
    if parts is None:
        raise InputError(
            f"an environment is named like libero_goal/task3, not {str(name)[:80]!r}; see `nora-bench list tasks`", value=name
        )
    return parts["suite"], int(parts["task"]), parts["variant"] or ""


def _setup(reference: str, protocol: str | None, backend: str | None, python: str | None) -> EvalSetup:
    if reference in suites.GROUPS:
        raise InputError(f"{reference} is a group of suites; name one of {', '.join(suites.GROUPS[reference])}")
    given = {"suite": reference, "protocol": protocol, "backend": backend}
    config = {name: value for name, value in given.items() if value is not None}
    if python:
        config["python"] = f"{suites.get(reference).family}={python}"
    return resolve_setup(parse(config))


def _session(setup: EvalSetup, seen: ObservationSpec, assets: str, *, worker: bool) -> LocalSession | WorkerSession:
    suite, pack = setup.suites[0], find_assets(assets, setup)
    if problem := seen.problem():
        raise InputError(problem)
    if unknown := set(seen.cameras) - set(suite.cameras):
        raise InputError(f"{suite.name} has no camera {min(unknown)!r}; it has {', '.join(suite.cameras)}", option="cameras")
    gl = find_driver(suite, foreign=setup.python != sys.executable).name if seen.cameras else "none"
    path = pack.path and str(Path(pack.path).absolute())
    options = EnvOptions(assets=path, gl=gl, cache=str(ensure_cache_home().absolute()), backend=setup.backend)
    worker_setup = WorkerSetup(setup.references[0], options, setup.protocol, seen, setup.python)
    return WorkerSession(worker_setup) if worker else LocalSession(suite, worker_setup)
