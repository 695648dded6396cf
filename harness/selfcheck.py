"""Does this installation give right numbers? A few checks that each would fail if it did not.

Of every benchmark that is installed: the scripted expert wins an episode of each suite (or task), doing nothing wins
none, one worker and two give the same trajectories; recordings of LIBERO's own environment replay to the same states.
Premises (objects stand as they should) are checked by every world that is built on the way.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console

from ..envs import suites
from ..envs.base import AssetPack, EnvOptions
from ..envs.errors import SuiteError
from ..envs.paths import cache_home
from ..results.store.records import EpisodeRecord
from .config import parse
from .errors import InputError, NoraBenchError
from .rendering.gl import Backend


@dataclass(frozen=True, slots=True)
class Subject:
    """A family of suites, and what of it is played."""

    family: str
    module: str
    """What can be imported where its simulator is installed."""
    suites: tuple[str, ...]
    tasks: str
    idle: tuple[str, ...]
    """Suites in which nothing is done."""
    recorded: bool = False
    """Whether the package holds recordings of it."""


SUBJECTS = (
    Subject("libero", "libero", suites.LIBERO, "1", suites.LIBERO[2:3], recorded=True),
    Subject("simpler", "sapien", suites.SIMPLER[:1], "pick_coke_can,open_drawer,close_drawer", suites.SIMPLER[:1]),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One check of this installation."""

    name: str
    passed: bool
    detail: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def subjects(family: str = "") -> list[Subject]:
    """The family of that name; without one, all whose simulator is installed. Raises InputError."""
    if family:
        found = [subject for subject in SUBJECTS if subject.family == family]
        if not found:
            raise InputError(f"there are no checks for {family!r}; there are for {', '.join(s.family for s in SUBJECTS)}")
        return found
    return [subject for subject in SUBJECTS if find_spec(subject.module)] or [*SUBJECTS[:1]]


def selfcheck(subject: Subject, assets: str, scratch: Path) -> Iterator[Verdict]:
    """Run all checks of a family, cheapest first; yields each verdict when it is known.

    Args:
        subject: what is checked.
        assets: `auto`, `official`, `standin` or a folder.
        scratch: empty folder for the runs.
    """
    pack = suites.get(subject.suites[0]).resolve_assets(assets)
    say = f"{subject.family}: {{}} ({pack.name} assets)".format
    if subject.recorded:
        yield _timed(say("recordings replay to the same states"), partial(_recordings, pack))
    yield _timed(say("the scripted expert wins its episodes"), partial(_expert, subject, assets, scratch / "one"))
    yield _timed(say("doing nothing wins none"), partial(_nothing, subject, assets, scratch / "zero"))
    yield _timed(say("two workers give the trajectories of one"), partial(_workers, subject, assets, scratch))


def _timed(name: str, check: Callable[[], tuple[bool, str]]) -> Verdict:
    started = time.monotonic()
    try:
        passed, detail = check()
    except (SuiteError, NoraBenchError) as error:
        passed, detail = False, str(error)
    return Verdict(name, passed, detail, round(time.monotonic() - started, 1))


def _recordings(pack: AssetPack) -> tuple[bool, str]:
    from ..envs.libero.parity import compare

    with as_file(files("nora_bench.envs.libero").joinpath("recordings")) as folder:
        options = EnvOptions(pack.path, "none", str(cache_home()))
        checks = list(compare(folder, options, images=False))
    failed = [f"{check.case}: {check.quantity} is off by {check.error:.3g}" for check in checks if not check.passed]
    return not failed, "; ".join(failed) or f"{len(checks)} checks within tolerance"


def _expert(subject: Subject, assets: str, folder: Path) -> tuple[bool, str]:
    return _won(_play(subject, assets, folder, subject.suites, "scripted", workers=1), wanted=True)


def _nothing(subject: Subject, assets: str, folder: Path) -> tuple[bool, str]:
    return _won(_play(subject, assets, folder, subject.idle, "zero", workers=1), wanted=False)


def _workers(subject: Subject, assets: str, scratch: Path) -> tuple[bool, str]:
    from ..results.store.reader import read_run

    before = {record.key: record.trajectory_sha256 for record in read_run(scratch / "one").records}
    again = _play(subject, assets, scratch / "two", subject.suites, "scripted", workers=2)
    after = {record.key: record.trajectory_sha256 for record in again}
    other = [key for key in before if before[key] is None or before[key] != after.get(key)]
    return bool(before) and not other, f"{', '.join(other)} differ" if other else f"{len(before)} trajectories equal"


def _won(records: list[EpisodeRecord], *, wanted: bool) -> tuple[bool, str]:
    won = sum(record.success is True for record in records)
    errors = [f"{record.key}: {record.error}" for record in records if record.success is None]
    passed = bool(records) and not errors and won == (len(records) if wanted else 0)
    return passed, "; ".join(errors) or f"{won} of {len(records)} won"


def _play(
    subject: Subject, assets: str, folder: Path, names: tuple[str, ...], policy: str, *, workers: int
) -> list[EpisodeRecord]:
    from . import lifecycle
    from .planning.resolve import prepare

    passed = {"suite": list(names), "tasks": subject.tasks, "episodes": 1, "policy": policy, "workers": workers}
    config = parse({**passed, "assets": assets, "out": str(folder)})
    prepared = prepare(config)
    with lifecycle.create(prepared, passed) as store:
        lifecycle.play(prepared, store, Backend("none"), Console(file=io.StringIO()))
        return store.records()
