"""Public Python names: evaluate a robot policy and read its results. Each name is imported when it is first looked at.

import nora_bench

run = nora_bench.evaluate(policy, suite="libero_goal", episodes=10)
run.rates(), run.frame()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .envs.checks import check_suite as check_suite
    from .harness.environments.make import make as make, make_vec as make_vec
    from .harness.evaluate import evaluate as evaluate
    from .policies.base import (
        ActionChunk as ActionChunk,
        BasePolicy as BasePolicy,
        Observation as Observation,
        ObservationSpec as ObservationSpec,
    )
    from .policies.checks import check_policy as check_policy
    from .results.run import Run as Run, load_run as load_run

_HOMES = {
    "ActionChunk": "policies.base",
    "BasePolicy": "policies.base",
    "Observation": "policies.base",
    "ObservationSpec": "envs.base",
    "Run": "results.run",
    "check_policy": "policies.checks",
    "check_suite": "envs.checks",
    "evaluate": "harness.evaluate",
    "load_run": "results.run",
    "make": "harness.environments.make",
    "make_vec": "harness.environments.make",
}
"""Name -> the module it lives in."""

__all__ = tuple(sorted(_HOMES))


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
