"""Checks of the asset packs, one per family of suites."""

from __future__ import annotations

from dataclasses import dataclass

from ...envs import suites
from ...envs.errors import SuiteError
from ...envs.libero.assets.packs import VARIABLE
from ...envs.simpler.assets import packs as simpler
from .checks import CheckResult, Fix, Status, ok


@dataclass(frozen=True, slots=True)
class Family:
    """Assets of a family of suites."""

    check: str
    """Name of the check."""
    suite: str
    """A suite of the family; all share the pack."""
    variable: str
    """Environment variable that names the pack's folder."""
    fix: Fix
    """Download of the official pack."""
    faithful: str
    """Properties that generated assets share with the official ones."""


FAMILIES = {
    "libero": Family(
        "assets",
        "libero_spatial",
        VARIABLE,
        Fix(fetch=("assets", "fetch"), manual=f"357 MB; or export {VARIABLE}=FOLDER"),
        "physics is LIBERO's own",
    ),
    "simpler": Family(
        "simpler assets",
        "simpler-vm",
        simpler.VARIABLE,
        Fix(manual=f"{simpler.FETCH}   (or export {simpler.VARIABLE}=FOLDER)"),
        "sizes and masses are upstream's",
    ),
}


def assets(family: str) -> CheckResult:
    """The official meshes and textures of a family, or the generated ones in their place."""
    checked = FAMILIES[family]
    try:
        pack = suites.get(checked.suite).resolve_assets("official")
    except SuiteError as error:
        return _without_official(checked, str(error))
    return ok(checked.check, f"official, fingerprint {pack.fingerprint}, {pack.path}")


def _without_official(checked: Family, problem: str) -> CheckResult:
    if problem.startswith(f"{checked.variable}="):
        reason = f"with {checked.variable} set, no other folder is searched"
        return CheckResult(checked.check, Status.problem, problem, reason, Fix(manual=f"unset {checked.variable}"))
    try:
        pack = suites.get(checked.suite).resolve_assets("standin")
    except (SuiteError, OSError) as error:
        return CheckResult(checked.check, Status.problem, f"{problem}; {error}", "environments need meshes", checked.fix)
    reason = f"{checked.faithful}, images are not: such results are tagged and never share a table cell with official ones"
    return CheckResult(checked.check, Status.note, f"stand-ins ({pack.fingerprint}); no official pack", reason, checked.fix)
