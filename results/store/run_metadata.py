"""What `run.json` may hold, as types: what readers of a run rely on, whoever wrote it. Meanings: docs/reference/records.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Required, TypedDict

import msgspec


class PolicyPart(TypedDict, total=False):
    """`policy`."""

    name: str
    args: dict[str, Any]
    marks: list[str]
    fingerprint: dict[str, Any] | None


class ProtocolPart(TypedDict, total=False):
    """`protocol`."""

    name: str
    version: int


class AssetsPart(TypedDict, total=False):
    """`assets`."""

    pack: str | None
    fingerprint: str | None
    path: str | None


class ConfigPart(TypedDict, total=False):
    """`config`, as far as tables read it."""

    max_steps: int | None


class UntilPart(TypedDict, total=False):
    """`until`."""

    stop: Required[bool]
    text: Required[str]
    low: Required[float]
    high: Required[float]
    rounds: int
    episodes: int
    planned: int
    saved: float
    reason: str
    e_better: float
    e_worse: float
    log_wealth_better: list[float]
    log_wealth_worse: list[float]


class UtilisationPart(TypedDict, total=False):
    """`utilisation`."""

    wall_s: float
    policy_s: float
    workers_s: float
    workers: int


class SessionPart(TypedDict, total=False):
    """One of `sessions`."""

    started: str | None
    finished: str | None
    status: str | None
    versions: dict[str, Any] | None
    commit: dict[str, Any] | None
    hardware: dict[str, Any] | None
    platform: dict[str, Any] | None
    gl: dict[str, str | None] | None
    policy_fingerprint: str
    conditions: str


class UnfinishedPart(TypedDict):
    """One of `unfinished`."""

    attempts: int
    policy_losses: int


class MergedPart(TypedDict, total=False):
    """One of `merged`, as far as readers print it."""

    name: str
    folder: str
    status: str | None
    counts: dict[str, int] | None


class RunFile(TypedDict, total=False):
    """`run.json`; fields that are not named here are taken as they are."""

    name: str
    status: str
    created: str | None
    finished: str | None
    suites: list[str]
    backend: str | None
    config: ConfigPart | None
    protocol: ProtocolPart | None
    policy: PolicyPart | None
    assets: AssetsPart | None
    gl: dict[str, str | None] | None
    versions: dict[str, Any] | None
    counts: dict[str, int] | None
    until: UntilPart | None
    order_seed: int
    utilisation: UtilisationPart | None
    resumed: list[str]
    sessions: list[SessionPart]
    unfinished: dict[str, UnfinishedPart]
    merged: list[MergedPart]


def check(run: Mapping[str, Any]) -> None:
    """Raises ValueError naming the field that is not of its type."""
    try:
        msgspec.convert(run, RunFile)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
