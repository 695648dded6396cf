"""`nora-bench assets`: the meshes and textures that pictures are drawn with."""

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
    """What can be done with packs."""

    list = "list"
    verify = "verify"
    fetch = "fetch"
    sheet = "sheet"


def assets(
    action: Annotated[Action, typer.Argument(metavar="|".join(Action), help="What to do.")],
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[libero|simpler|FOLDER]",
            help="Whose packs; with `verify` also one pack's folder.",
            show_default="libero for `fetch`, else every one",
        ),
    ] = None,
    revision: Annotated[str, typer.Option(help="With `fetch libero`: branch, tag or commit of the hub's repository.")] = "main",
    out: Annotated[Path, typer.Option(help="With `sheet`: the picture to write, .jpg or .png.")] = Path("contact_sheet.jpg"),
    pack: Annotated[
        list[str] | None,
        typer.Option(help="With `sheet`: draw with this pack; repeat it for several.", show_default="official, standin"),
    ] = None,
    suite: Annotated[str, typer.Option(help="With `sheet`: suite or group of suites.")] = "libero",
    side: Annotated[int, typer.Option(min=16, max=512, help="With `sheet`: pixels of one picture.")] = 72,
    as_json: Annotated[bool, typer.Option("--json", help="With `list`: JSON on stdout.")] = False,
) -> None:
    """List, check or fetch the asset packs of LIBERO and SimplerEnv, or draw every task with them on one sheet.

    Example: `nora-bench assets fetch simpler`

    `verify` ends with 1 where a file is missing or is not what the pack's manifest lists.
    """
    if action is Action.list:
        _list(_found(what), as_json)
    elif action is Action.verify:
        _verify(what)
    elif action is Action.fetch:
        _fetch(what or FAMILIES[0], revision)
    else:
        _sheet(out, pack or ["official", "standin"], suite, side)


def _found(family: str | None) -> list[FoundPack]:
    """Every place of every family, or of one."""
    return [pack for name in ((_known(family),) if family else FAMILIES) for pack in _packs(name).found()]


def _known(family: str) -> str:
    from ..errors import InputError

    if family not in FAMILIES:
        raise InputError(f"{family!r} has no asset packs; those that have: {', '.join(FAMILIES)}")
    return family


def _packs(family: str) -> ModuleType:
    return import_module(f"...envs.{family}.assets.packs", __package__)


def _list(packs: list[FoundPack], as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        print(json.dumps([asdict(one) for one in packs], indent=2))
        return
    for one in packs:
        print(f"{one.family:8} {one.name:9} {one.fingerprint or '-':17} {_state(one):38} {one.path}")


def _state(one: FoundPack) -> str:
    if one.state == "not there":
        return "made in seconds when first asked for" if one.name == "standin" else one.state
    return f"{one.state}, {one.files} files, {one.mb} MB"


def _verify(what: str | None) -> None:
    from ...envs.packs import has_manifest

    if what and what not in FAMILIES:
        folder = Path(what)
        chosen = [(FAMILIES[1] if _packs(FAMILIES[1]).is_ours(folder) else FAMILIES[0], folder)]
    else:
        chosen = [(one.family, Path(one.path)) for one in _found(what) if one.state != "not there"]
    problems = {path: _packs(family).verify(path) for family, path in chosen}
    for path, wrong in problems.items():
        whole = "as its manifest lists" if has_manifest(path) else "there (no manifest: contents unchecked)"
        print(f"{path}: " + (f"{len(wrong)} problems" if wrong else f"every file is {whole}"))
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
        found = fetch(home, **({"revision": revision} if family == "libero" else {}))
    print(f"official assets: {found}")


def _sheet(out: Path, packs: list[str], suite: str, side: int) -> None:
    from ...envs import suites
    from ..replay.contact_sheet import contact_sheet

    names = [name for name in suites.expand(suite) if name != "libero_90"]
    contact_sheet(out, [suites.get(names[0]).resolve_assets(wanted) for wanted in packs], names, side)
    print(f"{out}: {', '.join(packs)}")
