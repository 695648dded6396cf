"""The line at the end of a run that offers a diagnosis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...results.store.records import EpisodeRecord

FLOORS: Mapping[tuple[str, str], tuple[int, int]] = {
    ("libero/openvla", "libero_spatial"): (65, 100),
    ("libero/openvla", "libero_object"): (75, 100),
    ("libero/openvla", "libero_goal"): (61, 100),
    ("libero/openvla", "libero_10"): (19, 100),
}
"""(Protocol, suite) -> successes and episodes of policy `blind`, measured by the command in docs/reference/libero.md."""
FEWEST = 5
"""Scored episodes below which nothing is offered."""
FAMILIES = ("libero/", "simpler/")
"""Protocols of the families that have an expert."""


def offers(run: Mapping[str, Any], records: Sequence[EpisodeRecord]) -> Iterator[str]:
    """One line for each suite of a run in which a policy that sees fails always, or more often than one that does not see."""
    policy, protocol = run["policy"], str(run["protocol"]["name"])
    if not policy["needs"].get("cameras") or not protocol.startswith(FAMILIES):
        return
    for suite in run["suites"]:
        plain = [record for record in records if record.suite == suite and not record.perturbation]
        outcomes = [record.success for record in plain if record.success is not None]
        reason = below(sum(outcomes), len(outcomes), FLOORS.get((protocol, suite)))
        if reason:
            yield f"{suite}: {reason}. If a wrong convention may be the cause, type: {command(run, suite)}"


def below(successes: int, episodes: int, floor: tuple[int, int] | None) -> str:
    """Why a suite's outcome calls for a diagnosis; empty where it does not."""
    if episodes < FEWEST:
        return ""
    if successes == 0:
        return f"0 of {episodes} episodes succeeded"
    if floor is None:
        return ""
    from scipy.stats import binomtest

    share = floor[0] / floor[1]
    if binomtest(successes, episodes, share, alternative="less").pvalue >= 0.025:
        return ""
    return f"{successes} of {episodes} episodes succeeded, fewer than with a blind policy ({share:.0%})"


def command(run: Mapping[str, Any], suite: str) -> str:
    """The command that diagnoses the run's policy on a suite."""
    from ..config import AUTO
    from .report import Request

    policy, config = run["policy"], run.get("config") or {}
    chosen = {"protocol": config.get("protocol"), "assets": config.get("assets") or AUTO, "backend": config.get("backend")}
    return Request(str(policy["name"]), policy.get("args") or {}, suite, **chosen).command()
