"""`nora-bench parity`: compare this machine with recordings of the reference implementations."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ...envs.parity import Check


def parity(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="Recordings in the layout of docs/evidence/parity.md, or a folder of such folders.",
            show_default="those of LIBERO in the package",
        ),
    ] = None,
    assets: Annotated[str, typer.Option(envvar="NORA_BENCH_ASSETS", help="auto, official, standin or a folder.")] = "auto",
    images: Annotated[bool, typer.Option(help="Compare images too, on the official pack.")] = True,
    every: Annotated[bool, typer.Option("--all", help="Print every check instead of the worst of each quantity.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per check on stdout.")] = False,
) -> None:
    """Replay reference recordings here and print, per quantity, the largest error, the tolerance and the verdict.

    Example: `nora-bench parity golden/libero --assets official`

    Exit code 1 where any check fails.
    """
    checks = []
    for check in _checks(folder or _own_recordings(), assets, images=images):
        checks.append(check)
        if as_json:
            print(json.dumps(check.to_json()), flush=True)
        elif sys.stderr.isatty():
            print(f"\r{len(checks)} checks, {check.case:60.60}", end="", file=sys.stderr, flush=True)
    if not as_json:
        _print(checks, every=every)
    if not all(check.passed for check in checks):
        raise typer.Exit(1)


def _own_recordings() -> Path:
    from importlib.resources import files

    return Path(str(files("nora_bench.envs.libero").joinpath("recordings")))


def _checks(folder: Path, assets: str, *, images: bool) -> Iterator[Check]:
    """All checks of all recordings. Raises InputError where no layout is recognised."""
    from ...envs.errors import InputError
    from ...envs.simpler.recordings import stems
    from ...policies.nora.parity.recordings import is_recorded

    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder. Type: nora-bench parity FOLDER (layout: docs/evidence/parity.md)")
    places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    libero = [place for place in places if any(place.glob("*_libero_*.npz"))]
    simpler = [place for place in places if stems(place)]
    nora = [place for place in places if is_recorded(place)]
    if not libero and not simpler and not nora:
        raise InputError(f"{folder} contains no recordings in a known layout (docs/evidence/parity.md)")
    for place in libero:
        yield from _libero(place, assets, images=images)
    for place in simpler:
        yield from _simpler(place, assets, images=images)
    for place in nora:
        yield from _nora(place)


def _libero(folder: Path, assets: str, *, images: bool) -> Iterator[Check]:
    from ...envs import suites
    from ...envs.base import EnvOptions
    from ...envs.libero import official_images
    from ...envs.libero.parity import compare
    from ...envs.paths import cache_home
    from ..rendering.gl import find_gl

    pack = suites.get("libero_goal").resolve_assets(assets)
    official = pack.name == "official"
    if images and not official:
        print(f"images are not compared: assets are {pack.name} ({pack.fingerprint}), not official", file=sys.stderr)
    gl = find_gl().name if images and official else "none"
    options = EnvOptions(pack.path, gl, str(cache_home()))
    yield from compare(folder, options, images=official)
    if gl != "none" and (folder / official_images.NAME).is_file():
        yield from official_images.compare(folder / official_images.NAME, options)


def _simpler(folder: Path, assets: str, *, images: bool) -> Iterator[Check]:
    from ...envs import suites
    from ...envs.base import EnvOptions
    from ...envs.paths import cache_home
    from ...envs.simpler import interpreter
    from ...envs.simpler.parity import rules
    from ..rendering.backend import find_driver

    yield from rules.compare(folder)
    suite = suites.get("simpler-vm")
    pack = suite.resolve_assets(assets)
    if pack.name == "standin":
        print("SimplerEnv's physics is not compared: generated assets have other shapes", file=sys.stderr)
    else:
        from ...envs.simpler.parity import physics

        yield from physics.compare(folder, Path(pack.path))
        if missing := interpreter.problem():
            print(f"backend sapien2 is not compared: {missing}", file=sys.stderr)
        else:
            from ...envs.simpler.parity import exact

            gl = find_driver(suite).name if images else "none"
            yield from exact.compare(folder, EnvOptions(pack.path, gl, str(cache_home())))
    if not images or pack.name == "standin":
        print("SimplerEnv's images are not compared: --no-images, or the official pack is missing", file=sys.stderr)
        return
    from ...envs.simpler.parity import images as image_checks

    yield from image_checks.compare(folder, EnvOptions(pack.path, find_driver(suite).name, str(cache_home())))


def _nora(folder: Path) -> Iterator[Check]:
    from importlib import import_module

    from ...envs.errors import InputError
    from ...policies.nora.parity.recordings import Recordings
    from . import COMPARISONS

    recordings = Recordings(folder)
    try:
        for module in COMPARISONS["nora"]:
            yield from import_module(module).compare(recordings)
    except ImportError as error:
        raise InputError(f"{folder} needs {error.name}. Type: pip install 'nora-bench[nora]'") from None
    for file, names in recordings.unread().items():
        print(f"not compared yet: {folder.name}/{file}: {', '.join(names)}", file=sys.stderr)


def _print(checks: list[Check], *, every: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{len({check.case for check in checks})} recordings, {len(checks)} checks")
    table.add_column("quantity", ratio=2)
    table.add_column("largest error", justify="right", no_wrap=True)
    table.add_column("tolerance", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("case" if every else "worst case", ratio=2)
    for check in checks if every else _worst(checks):
        tolerance = "-" if check.tolerance is None else f"{check.tolerance:g}"
        verdict = "reported" if check.tolerance is None else "pass" if check.passed else "FAIL"
        note = f" ({check.note})" if check.note else ""
        table.add_row(check.quantity, f"{check.error:.3g}", tolerance, verdict, check.case + note)
    console = Console()
    console.print(table)
    for note, cases in _substituted(checks).items():
        console.print(f"{note}: images of {', '.join(cases)}", soft_wrap=True)
    failed = sum(not check.passed for check in checks)
    console.print(f"{failed} of {len(checks)} checks failed" if failed else f"all {len(checks)} checks passed")


def _substituted(checks: list[Check]) -> dict[str, list[str]]:
    """Files of which the recordings' pack had substitutes -> the cases whose images differ where they are."""
    from ...envs.libero.parity import SUBSTITUTED

    cases: dict[str, list[str]] = {}
    for check in checks:
        if check.note.startswith(SUBSTITUTED) and check.case not in cases.setdefault(check.note, []):
            cases[check.note].append(check.case)
    return cases


def _worst(checks: list[Check]) -> list[Check]:
    """Every failed check, and of each other quantity the largest error with the case it comes from."""
    worst: dict[str, Check] = {}
    for check in checks:
        if check.passed and (check.quantity not in worst or check.error > worst[check.quantity].error):
            worst[check.quantity] = check
    return [*worst.values(), *(check for check in checks if not check.passed)]
