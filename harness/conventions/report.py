"""Request and report of a diagnosis, and the report as text for a terminal of 80 columns."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..config import AUTO
from .confirmation import Confirmation
from .diagnosis import FOUND, NOTHING, Diagnosis, Scored
from .scoring import LEVEL

WIDTH = 80
SHOWN = 5
"""Hypotheses in the table."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to diagnose, as options of `nora-bench run`."""

    policy: str
    policy_arg: Mapping[str, str]
    suite: str
    protocol: str | None = None
    assets: str = AUTO
    workers: int | str = AUTO
    backend: str | None = None
    confirm: int = 4
    """Pairs of episodes with and without the best correction; 0 for none."""

    def command(self, verb: str = "diagnose") -> str:
        """A command of nora-bench with these options, as typed in a shell."""
        words = ["nora-bench", verb, "--policy", self.policy]
        for name, value in self.policy_arg.items():
            words += ["--policy-arg", f"{name}={value}"]
        words += ["--suite", self.suite]
        for name, value in (("protocol", self.protocol), ("assets", self.assets), ("backend", self.backend)):
            if value not in (None, AUTO):
                words += [f"--{name}", str(value)]
        return shlex.join(words)


@dataclass(frozen=True, slots=True)
class Report:
    """A diagnosis with what surrounds it."""

    request: Request
    diagnosis: Diagnosis
    assets: str
    confirmation: Confirmation | None
    note: str = ""
    """Why nothing was confirmed, where it was wanted."""

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        request = self.request
        return {
            "policy": request.policy,
            "policy_arg": dict(request.policy_arg),
            "suite": request.suite,
            "assets": self.assets,
            **self.diagnosis.to_json(),
            "confirmation": self.confirmation.to_json() if self.confirmation else None,
            "note": self.note,
        }


def lines(report: Report) -> Iterator[str]:
    """Verdict with its evidence, what to type, and the first hypotheses."""
    diagnosis = report.diagnosis
    yield from _wrapped(
        f"{report.request.policy} on {report.request.suite} ({report.assets} assets): {diagnosis.moments} moments of "
        f"{diagnosis.episodes} expert episodes, {diagnosis.passes} queries"
    )
    yield from _wrapped(_as_it_is(diagnosis))
    yield ""
    yield from _verdict(report)
    if diagnosis.ranked:
        yield ""
        yield from _table(diagnosis)


def _as_it_is(diagnosis: Diagnosis) -> str:
    skill = diagnosis.skill
    return (
        f"as it is: error {diagnosis.error:.2f} of the expert's spread, skill {skill.mean:.2f} "
        f"[{skill.low:.2f}, {skill.high:.2f}] (1: acts as the expert, 0: its actions have nothing to do with the moment)"
    )


def _verdict(report: Report) -> Iterator[str]:
    diagnosis = report.diagnosis
    if diagnosis.verdict == NOTHING:
        yield from _wrapped(
            "Nothing found: the policy resembles the expert, and no correction of a convention makes it resemble the expert "
            "clearly more. Failures have another cause: see the videos (nora-bench run --video failures)."
        )
        return
    if diagnosis.verdict != FOUND:
        yield from _wrapped(
            "The policy does not resemble the expert under any hypothesis: its actions have nothing to do with the moment. It "
            "may be untrained, of another robot or suite, or have several faults at once."
        )
        return
    assert diagnosis.best is not None
    yield from _named("Found", diagnosis.best)
    if diagnosis.equally_good:
        yield from _wrapped(f"  as good on these moments: {', '.join(diagnosis.equally_good)}")
    if diagnosis.second:
        yield from _named("Also", diagnosis.second)
    yield from _confirmation(report)


def _named(title: str, found: Scored) -> Iterator[str]:
    gain = found.improvement
    yield from _wrapped(f"{title}: {found.hypothesis.fault}.")
    skill = f", skill {found.skill.mean:.2f}" if found.skill else ""
    yield from _wrapped(
        f"  evidence: with the correction the error falls from {gain.before:.2f} to {gain.after:.2f}{skill} "
        f"(gain {gain.gain.mean:.2f}, {LEVEL:.0%} interval {gain.gain.low:.2f} to {gain.gain.high:.2f}, {found.moments} moments)"
    )
    yield f"  fix: {found.fix}"


def _confirmation(report: Report) -> Iterator[str]:
    tried = report.confirmation
    if tried and not tried.episodes:
        yield from _wrapped(f"  not confirmed: the paired episodes ended in errors. Type: {report.request.command('run')}")
    elif tried:
        yield from _wrapped(
            f"  confirmed in paired episodes: {tried.successes_before} of {tried.episodes} succeeded as it is, "
            f"{tried.successes_after} of {tried.episodes} with the correction"
            if tried.successes_after > tried.successes_before
            else f"  not confirmed in episodes: {tried.successes_before} of {tried.episodes} succeeded as it is, "
            f"{tried.successes_after} of {tried.episodes} with the correction; more episodes: --confirm 20"
        )
    elif report.note:
        yield from _wrapped(f"  {report.note}")
    else:
        yield from _wrapped(f"  confirm it in episodes: {report.request.command()} --confirm 20")


def _table(diagnosis: Diagnosis) -> Iterator[str]:
    yield f"{'hypothesis':<34}{'error':>7}{'after':>7}{'gain':>7}  {'interval of gain':<20}"
    for one in diagnosis.ranked[:SHOWN]:
        gain = one.improvement
        interval = f"{gain.gain.low:+.2f} to {gain.gain.high:+.2f}"
        yield f"{one.hypothesis.name[:33]:<34}{gain.before:>7.2f}{gain.after:>7.2f}{gain.gain.mean:>+7.2f}  {interval:<20}"
    yield from _wrapped(f"{len(diagnosis.ranked)} hypotheses; errors are over the numbers of an action that a correction changes")


def _wrapped(text: str) -> list[str]:
    indent = " " * (len(text) - len(text.lstrip()))
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent + "  ", break_long_words=False, break_on_hyphens=False)
