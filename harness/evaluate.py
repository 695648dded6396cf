"""Runs from Python: `nora_bench.evaluate(policy, suite="libero_goal", episodes=10)`.

For notebooks and training loops: the policy may be an existing object whose weights change from call to call. Episodes, records
and files are those of `nora-bench run`.
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
    """Run episodes with a policy; the finished run.

    Args:
        policy: a value of `--policy`; a policy, which is not closed; or a function without arguments that builds one.
        suite: names of suites or groups.
        episodes: per task and seed; None for all initial states.
        name: the policy's name in the run, where `policy` is no string; its class by default.
        progress: whether to print progress.
        options: the other options of `nora-bench run`, with underscores: `tasks="0,3-5"`, `seeds=3`, `out="runs/a"` ...

    Raises:
        InputError, MissingRequirementError, PolicyError, Interrupted: as the command would; finished episodes are kept.
    """
    built, caller_owns_policy = _build(policy)
    given = {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in options.items()}
    passed = {name: value for name, value in {"suite": suite, "episodes": episodes, **given}.items() if value is not None}
    resolved = resolve_run(parse({**passed, "policy": _name(policy, name)}), built, caller_owns_policy=caller_owns_policy)
    console = Console() if progress else Console(quiet=True)
    with lifecycle.create(resolved, passed) as store:
        lifecycle.run_session(resolved, store, lifecycle.find_render_backend(resolved), console)
        folder = store.folder
    return load_run(folder)


def _build(policy: str | Policy | Callable[[], Policy]) -> tuple[Policy | None, bool]:
    """The policy (None for one to look up by name), and whether the caller closes it."""
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
