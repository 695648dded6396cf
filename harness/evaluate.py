"""The Python way to a run: `nora_bench.evaluate(policy, suite="libero_goal", episodes=10)`.

For notebooks and for training loops: the policy may be an object that is alive, whose weights move from call to call. What is
played, kept and recorded is exactly what `nora-bench run` plays, keeps and records.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any

from rich.console import Console

from ..policies.base import Policy
from ..results.run import Run, load_run
from . import lifecycle
from .config import parse
from .planning.resolve import resolve_run


def evaluate(
    policy: str | Policy | Callable[[], Policy],
    suite: str | tuple[str, ...] = "libero",
    episodes: int | None = None,
    *,
    name: str | None = None,
    progress: bool = False,
    **options: Any,
) -> Run:
    """Play episodes with a policy and keep every one; the finished run.

    Args:
        policy: what `--policy` takes; or a policy, which is left open; or what builds one, without arguments.
        suite: names of suites or groups.
        episodes: per task and seed; None for all initial states.
        name: what the run says of a policy that is no name; its class otherwise.
        progress: whether to print how it goes.
        options: the other options of `nora-bench run`, with underscores: `tasks="0,3-5"`, `seeds=3`, `out="runs/a"` ...

    Raises:
        InputError, MissingRequirementError, PolicyError, Interrupted: as the command would end; what had finished is kept.
    """
    built, caller_owns_policy = _build(policy)
    asked = {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in options.items()}
    passed = {name: value for name, value in {"suite": suite, "episodes": episodes, **asked}.items() if value is not None}
    resolved = resolve_run(parse({**passed, "policy": _name(policy, name)}), built, caller_owns_policy=caller_owns_policy)
    console = Console() if progress else Console(quiet=True)
    with lifecycle.create(resolved, passed) as store:
        lifecycle.run_session(resolved, store, lifecycle.find_render_backend(resolved), console)
        folder = store.folder
    return load_run(folder)


def _build(policy: str | Policy | Callable[[], Policy]) -> tuple[Policy | None, bool]:
    """The policy, None for one that is to be looked up by name, and whether it is the caller's to close."""
    if isinstance(policy, str):
        return None, False
    if hasattr(policy, "act") and not inspect.isclass(policy):
        return policy, True  # type: ignore[return-value]
    return policy(), False  # type: ignore[operator, return-value]


def _name(policy: Any, name: str | None) -> str:
    if isinstance(policy, str):
        return policy
    kind = policy if inspect.isclass(policy) or inspect.isfunction(policy) else type(policy)
    return name or f"{kind.__module__}:{kind.__qualname__}"
