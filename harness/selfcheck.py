"""Does this installation give right numbers? A few checks that each would fail if it did not.

Recordings of LIBERO's own environment replay to the same states; the scripted expert wins an episode of each suite;
doing nothing wins none; one worker and two give the same trajectories. Premises (objects stand as they should) are
checked by every world that is built on the way.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from rich.console import Console

from ..envs import suites
from ..envs.base import AssetPack, SuiteError, WorldOptions
from ..envs.paths import cache_home
from ..results.records import EpisodeRecord
from .config import parse
from .errors import BenchError
from .gl import Backend

SUITES = suites.LIBERO
TASK = "1"
"""The task of each suite that the expert plays."""


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


def selfcheck(assets: str, scratch: Path) -> Iterator[Verdict]:
    """Run all checks, cheapest first; yields each verdict when it is known.

    Args:
        assets: `auto`, `official`, `standin` or a folder.
        scratch: empty folder for the runs.
    """
    pack = suites.get(SUITES[0]).resolve_assets(assets)
    yield _timed(f"recordings replay to the same states ({pack.name} assets)", partial(_recordings, pack))
    yield _timed("the scripted expert wins an episode of each suite", partial(_expert, assets, scratch / "one"))
    yield _timed("doing nothing wins none", partial(_nothing, assets, scratch / "zero"))
    yield _timed("two workers give the trajectories of one", partial(_workers, assets, scratch))


def _timed(name: str, check: Callable[[], tuple[bool, str]]) -> Verdict:
    started = time.monotonic()
    try:
        passed, detail = check()
    except (SuiteError, BenchError) as error:
        passed, detail = False, str(error)
    return Verdict(name, passed, detail, round(time.monotonic() - started, 1))


def _recordings(pack: AssetPack) -> tuple[bool, str]:
    from ..envs.libero.parity import compare

    with as_file(files("nora_bench.envs.libero").joinpath("recordings")) as folder:
        options = WorldOptions(pack.path, "none", str(cache_home()))
        checks = list(compare(folder, options, pictures=False))
    failed = [f"{check.case}: {check.quantity} is off by {check.error:.3g}" for check in checks if not check.passed]
    return not failed, "; ".join(failed) or f"{len(checks)} checks within tolerance"


def _expert(assets: str, folder: Path) -> tuple[bool, str]:
    return _won(_play(assets, folder, SUITES, "scripted", workers=1), wanted=True)


def _nothing(assets: str, folder: Path) -> tuple[bool, str]:
    return _won(_play(assets, folder, SUITES[2:3], "zero", workers=1), wanted=False)


def _workers(assets: str, scratch: Path) -> tuple[bool, str]:
    from ..results.store import load_run

    before = {record.key: record.trajectory_sha256 for record in load_run(scratch / "one").records}
    after = {record.key: record.trajectory_sha256 for record in _play(assets, scratch / "two", SUITES, "scripted", workers=2)}
    other = [key for key in before if before[key] is None or before[key] != after.get(key)]
    return bool(before) and not other, f"{', '.join(other)} differ" if other else f"{len(before)} trajectories equal"


def _won(records: list[EpisodeRecord], *, wanted: bool) -> tuple[bool, str]:
    won = sum(record.success is True for record in records)
    errors = [f"{record.key}: {record.error}" for record in records if record.success is None]
    passed = bool(records) and not errors and won == (len(records) if wanted else 0)
    return passed, "; ".join(errors) or f"{won} of {len(records)} won"


def _play(assets: str, folder: Path, names: tuple[str, ...], policy: str, *, workers: int) -> list[EpisodeRecord]:
    from . import session

    passed = {"suite": list(names), "tasks": TASK, "episodes": 1, "policy": policy, "workers": workers}
    config = parse({**passed, "assets": assets, "out": str(folder)})
    prepared = session.prepare(config)
    with session.create(prepared, passed) as store:
        session.play(prepared, store, Backend("none"), Console(file=io.StringIO()))
        return store.records()
