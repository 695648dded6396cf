"""`nora-bench assets`: the meshes and textures that pictures are drawn with."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ...envs.libero.packs import FoundPack


class Action(StrEnum):
    """What can be done with packs."""

    list = "list"
    verify = "verify"
    fetch = "fetch"
    sheet = "sheet"


def assets(
    action: Annotated[Action, typer.Argument(metavar="|".join(Action), help="What to do.")],
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="With `verify`: the pack's folder.", show_default="every pack found")
    ] = None,
    revision: Annotated[str, typer.Option(help="With `fetch`: branch, tag or commit of the hub's repository.")] = "main",
    out: Annotated[Path, typer.Option(help="With `sheet`: the picture to write, .jpg or .png.")] = Path("contact_sheet.jpg"),
    pack: Annotated[
        list[str] | None,
        typer.Option(help="With `sheet`: draw with this pack; repeat it for several.", show_default="official, standin"),
    ] = None,
    suite: Annotated[str, typer.Option(help="With `sheet`: suite or group of suites.")] = "libero",
    side: Annotated[int, typer.Option(min=16, max=512, help="With `sheet`: pixels of one picture.")] = 72,
    as_json: Annotated[bool, typer.Option("--json", help="With `list`: JSON on stdout.")] = False,
) -> None:
    """List, check or fetch LIBERO's asset packs, or draw every task with them on one sheet.

    Example: `nora-bench assets fetch`

    `verify` ends with 1 where a file is missing or is not what the pack's manifest lists.
    """
    if action is Action.list:
        _list(as_json)
    elif action is Action.verify:
        _verify(folder)
    elif action is Action.fetch:
        _fetch(revision)
    else:
        _sheet(out, pack or ["official", "standin"], suite, side)


def _list(as_json: bool) -> None:
    from dataclasses import asdict

    from ...envs.libero.packs import found

    packs = found()
    if as_json:
        print(json.dumps([asdict(one) for one in packs], indent=2))
        return
    for one in packs:
        print(f"{one.name:9} {one.fingerprint or '-':17} {_state(one):38} {one.path}")


def _state(one: FoundPack) -> str:
    if one.state == "not there":
        return "made in seconds when first asked for" if one.name == "standin" else one.state
    return f"{one.state}, {one.files} files, {one.mb} MB"


def _verify(folder: Path | None) -> None:
    from ...envs.libero import packs

    chosen = [folder] if folder else [Path(one.path) for one in packs.found() if one.state != "not there"]
    problems = {path: packs.verify(path) for path in chosen}
    for path, wrong in problems.items():
        whole = "as its manifest lists" if packs.has_manifest(path) else "there (no manifest: contents unchecked)"
        print(f"{path}: " + (f"{len(wrong)} problems" if wrong else f"every file is {whole}"))
        print("".join(f"  {line}\n" for line in wrong[:20]), end="")
    if not chosen:
        print("no packs on this machine. Type: nora-bench assets fetch")
    if any(problems.values()):
        raise typer.Exit(1)


def _fetch(revision: str) -> None:
    from ...envs.libero.assets import cache_folder
    from ...envs.libero.fetch import fetch

    print(f"official assets: {fetch(cache_folder() / 'official', revision=revision)}")


def _sheet(out: Path, packs: list[str], suite: str, side: int) -> None:
    from ...envs import suites
    from ..sheet import contact_sheet

    names = [name for name in suites.expand(suite) if name != "libero_90"]
    contact_sheet(out, [suites.get(names[0]).resolve_assets(wanted) for wanted in packs], names, side)
    print(f"{out}: {', '.join(packs)}")
