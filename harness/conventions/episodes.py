"""Episodes beside a run: the same suite, protocol and assets, another policy, nothing kept but what the caller takes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from ...envs.base import EpisodeSpec
from ...policies.base import Policy
from ...results.store.records import EpisodeRecord
from .. import lifecycle
from ..planning.plan import Plan
from ..planning.resolve import ResolvedRun


def run_episodes(
    resolved: ResolvedRun, policy: Policy, specs: Sequence[EpisodeSpec], on_record: Callable[[EpisodeRecord], None]
) -> None:
    """Run the episodes in worker processes, without output. Raises what `lifecycle.run_session` raises."""
    with tempfile.TemporaryDirectory(prefix="nora-bench-episodes-") as scratch:
        run = replace(
            resolved,
            config=replace(resolved.config, out=str(Path(scratch) / "run"), policy_check=False),
            policy=policy,
            plan=Plan(tuple(specs), 0),
            workers=min(resolved.workers, len(specs)),
            caller_owns_policy=True,
        )
        with lifecycle.create(run, {}) as store:
            lifecycle.run_session(run, store, lifecycle.find_render_backend(run), Console(quiet=True), on_record)
