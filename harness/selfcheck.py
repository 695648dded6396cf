"""Checks that this installation gives correct results.

For every installed benchmark: the scripted expert succeeds in an episode of each suite (or task), the zero policy in
none, one worker and two give the same trajectories; recordings of LIBERO's own environment replay to the same states.
Every environment checks its initial scenes on the way.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from ..envs import suites
from ..envs.base import AssetPack, EnvOptions
from ..envs.errors import NoraBenchError, SuiteError, UnknownName
from ..envs.paths import cache_home
from ..results.store.records import EpisodeRecord
from .config import parse
from .rendering.gl import Backend


@dataclass(frozen=True, slots=True)
class SuiteFamily:
    """A family of suites, and the part of it that the checks run."""

    name: str
    module: str
    """Module of its simulator."""
    suites: tuple[str, ...]
    tasks: str
    idle: tuple[str, ...]
    """Suites that the zero policy runs."""
    recorded: bool = False
    """Whether the package contains recordings of it."""


FAMILIES = (
    SuiteFamily("libero", "libero", suites.LIBERO, "1", suites.LIBERO[2:3], recorded=True),
    SuiteFamily("simpler", "sapien", suites.SIMPLER[:1], "pick_coke_can,open_drawer,close_drawer", suites.SIMPLER[:1]),
)


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """Outcome of one check of this installation."""

    name: str
    passed: bool
    detail: str
    seconds: float


def families(name: str = "") -> list[SuiteFamily]:
    """The family of that name; without a name, all whose simulator is installed. Raises UnknownName."""
    named = [family for family in FAMILIES if family.name == name]
    if name and not named:
        raise UnknownName("family of suites", name, [family.name for family in FAMILIES])
    return named or [family for family in FAMILIES if find_spec(family.module)] or [*FAMILIES[:1]]


def selfcheck(family: SuiteFamily, assets: str, scratch: Path) -> Iterator[CheckOutcome]:
    """Run all checks of a family, cheapest first; yields each outcome when it is known.

    Args:
        family: suites to check.
        assets: `auto`, `official`, `standin` or a folder.
        scratch: empty folder for the runs.
    """
    pack = suites.get(family.suites[0]).resolve_assets(assets)
    outcomes = partial(_outcomes, family, assets)
    title = f"{family.name}: {{}} ({pack.name} assets)".format
    if family.recorded:
        yield _timed(title("recordings replay to the same states"), partial(_recordings_replay, pack))
    yield _timed(
        title("the scripted expert succeeds"), partial(outcomes, scratch / "one", family.suites, "scripted", expected=True)
    )
    yield _timed(
        title("the zero policy succeeds in none"), partial(outcomes, scratch / "zero", family.idle, "zero", expected=False)
    )
    yield _timed(title("two workers give the same trajectories as one"), partial(_same_with_two_workers, family, assets, scratch))


def _timed(name: str, check: Callable[[], tuple[bool, str]]) -> CheckOutcome:
    started = time.monotonic()
    try:
        passed, detail = check()
    except (SuiteError, NoraBenchError) as error:
        passed, detail = False, str(error)
    return CheckOutcome(name, passed, detail, round(time.monotonic() - started, 1))


def _recordings_replay(pack: AssetPack) -> tuple[bool, str]:
    from ..envs.libero.parity import compare

    with as_file(files("nora_bench.envs.libero").joinpath("recordings")) as folder:
        options = EnvOptions(pack.path, "none", str(cache_home()))
        checks = list(compare(folder, options, images=False))
    failed = [f"{check.case}: {check.quantity} is off by {check.error:.3g}" for check in checks if not check.passed]
    return not failed, "; ".join(failed) or f"{len(checks)} checks within tolerance"


def _same_with_two_workers(family: SuiteFamily, assets: str, scratch: Path) -> tuple[bool, str]:
    from ..results.store.reader import read_run

    before = {record.key: record.trajectory_sha256 for record in read_run(scratch / "one").records}
    again = _run(family, assets, scratch / "two", family.suites, "scripted", workers=2)
    after = {record.key: record.trajectory_sha256 for record in again}
    other = [key for key in before if before[key] is None or before[key] != after.get(key)]
    return bool(before) and not other, f"{', '.join(other)} differ" if other else f"{len(before)} trajectories equal"


def _outcomes(
    family: SuiteFamily, assets: str, folder: Path, names: tuple[str, ...], policy: str, *, expected: bool
) -> tuple[bool, str]:
    return _succeeded(_run(family, assets, folder, names, policy), expected=expected)


def _succeeded(records: list[EpisodeRecord], *, expected: bool) -> tuple[bool, str]:
    successes = sum(record.success is True for record in records)
    errors = [f"{record.key}: {record.error}" for record in records if record.success is None]
    passed = bool(records) and not errors and successes == (len(records) if expected else 0)
    return passed, "; ".join(errors) or f"{successes} of {len(records)} succeeded"


def _run(
    family: SuiteFamily, assets: str, folder: Path, names: tuple[str, ...], policy: str, *, workers: int = 1
) -> list[EpisodeRecord]:
    from . import lifecycle
    from .planning.resolve import resolve_run

    passed = {"suite": list(names), "tasks": family.tasks, "episodes": 1, "policy": policy, "workers": workers}
    config = parse({**passed, "assets": assets, "out": str(folder)})
    resolved = resolve_run(config)
    with lifecycle.create(resolved, passed) as store:
        lifecycle.run_session(resolved, store, Backend("none"), Console(file=io.StringIO()))
        return store.records()
