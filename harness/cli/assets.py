"""`nora-bench assets`: the meshes and textures of the suites."""

from __future__ import annotations

import json
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

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


def assets(
    action: Annotated[Action, typer.Argument(metavar="|".join(Action), help="Action.")],
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[libero|simpler|FOLDER]",
            help="Family of suites; with `verify` also one pack's folder.",
            show_default="libero for `fetch`, else all",
        ),
    ] = None,
    revision: Annotated[str, typer.Option(help="With `fetch libero`: branch, tag or commit of the hub's repository.")] = "main",
    out: Annotated[Path, typer.Option(help="With `contact-sheet`: image to write, .jpg or .png.")] = Path("contact_sheet.jpg"),
    pack: Annotated[
        list[str] | None,
        typer.Option(help="With `contact-sheet`: pack to render with; repeatable.", show_default="official, standin"),
    ] = None,
    suite: Annotated[str, typer.Option(help="With `contact-sheet`: suite or group of suites.")] = "libero",
    image_size: Annotated[int, typer.Option(min=16, max=512, help="With `contact-sheet`: height of one image in pixels.")] = 72,
    as_json: Annotated[bool, typer.Option("--json", help="With `list`: JSON on stdout.")] = False,
) -> None:
    """List, verify or fetch the asset packs of LIBERO and SimplerEnv, or render every task with them on one sheet.

    Example: `nora-bench assets fetch simpler`

    Exit code of `verify`: 1 where a file is missing or differs from the pack's manifest.
    """
    if action is Action.list:
        _list(_all_packs(what), as_json)
    elif action is Action.verify:
        _verify(what)
    elif action is Action.fetch:
        _fetch(what or FAMILIES[0], revision)
    else:
        _contact_sheet(out, pack or ["official", "standin"], suite, image_size)


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
        chosen = [(FAMILIES[1] if _packs(FAMILIES[1]).has_pack_layout(folder) else FAMILIES[0], folder)]
    else:
        chosen = [(pack.family, Path(pack.path)) for pack in _all_packs(what) if pack.state != "not there"]
    problems = {path: _packs(family).verify(path) for family, path in chosen}
    for path, wrong in problems.items():
        matches = "as in its manifest" if has_manifest(path) else "present (no manifest: contents unchecked)"
        print(f"{path}: " + (f"{len(wrong)} problems" if wrong else f"every file is {matches}"))
        print("".join(f"  {line}\n" for line in wrong[:20]), end="")
    if not chosen:
        print(f"no packs on this machine. Type: nora-bench assets fetch {what or ''}")
    if any(problems.values()):
        raise typer.Exit(1)


def _fetch(family: str, revision: str) -> None:
    from ...envs.paths import cache_errors

    home = _packs(_known(family)).cache_folder() / "official"
    fetch = import_module(f"...envs.{family}.assets.fetch", __package__).fetch
    with cache_errors(home):
        folder = fetch(home, **({"revision": revision} if family == "libero" else {}))
    print(f"official assets: {folder}")


def _contact_sheet(out: Path, packs: list[str], suite: str, image_size: int) -> None:
    from ...envs import suites
    from ..replay.contact_sheet import contact_sheet

    names = [name for name in suites.expand(suite) if name != "libero_90"]
    contact_sheet(out, [suites.get(names[0]).resolve_assets(pack) for pack in packs], names, image_size)
    print(f"{out}: {', '.join(packs)}")
