"""`run.json` as one type: written by runs, merges and trials, read by every reader. Reference: docs/reference/records.md.

A field that a file lacks is `UNSET`, which is falsy and stays absent when the file is written again. Unknown fields (of a newer
version) are kept: in `other` at the top level, in place in nested objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Required, Self, TypedDict

import msgspec
from msgspec import UNSET, UnsetType

Json = dict[str, Any]
IMPORTED = "imported"
"""Tag (`marks` of the policy) of results of another tool."""


class PolicyFields(TypedDict, total=False):
    """`policy`."""

    name: str
    args: Json
    """Arguments given with `--policy-arg`."""
    marks: list[str]
    """Tags such as `untrained`, `privileged`."""
    fingerprint: Json | None
    """The policy's own description of itself; absent until it was first loaded."""


class ProtocolFields(TypedDict, total=False):
    """`protocol`, besides its numbers."""

    name: str
    version: int
    source: str


class AssetsFields(TypedDict, total=False):
    """`assets`."""

    pack: str | None
    fingerprint: str | None
    """16 hex digits."""
    path: str | None
    """Folder of the pack."""


class ConfigFields(TypedDict, total=False):
    """`config`, besides options that readers here do not use."""

    suite: Any
    max_steps: int | None


class UntilFields(TypedDict, total=False):
    """`until`: the verdict of `results.statistics.sequential`."""

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


class LatencyFields(TypedDict, total=False):
    """`latency`."""

    policy_ms: list[float]
    """Wall milliseconds of single decisions of the policy."""


class UtilisationFields(TypedDict, total=False):
    """`utilisation`; seconds."""

    wall_s: float
    policy_s: float
    workers_s: float
    workers: int


class SessionFields(TypedDict, total=False):
    """One of `sessions`."""

    started: str | None
    finished: str | None
    status: str | None
    """Status of the run, or `killed`."""
    versions: Json | None
    commit: Json | None
    hardware: Json | None
    platform: Json | None
    gl: dict[str, str | None] | None
    policy_fingerprint: str
    """Digest."""
    conditions: str
    """Digest of everything that can change results."""


class StartCounts(TypedDict):
    """One of `unfinished`."""

    attempts: int
    policy_losses: int


class SourceFields(TypedDict, total=False):
    """One of `merged`."""

    name: str
    folder: str
    status: str | None
    counts: dict[str, int] | None
    until: UntilFields | None


class ImportedFields(TypedDict, total=False):
    """`imported`."""

    tool: str
    """`vla-eval`, `lerobot` or `csv`."""
    file: str
    """Name of the imported file."""
    sha256: str
    """Of that file."""
    replayable: bool
    """Always false: there are no actions."""
    keyed: bool
    """Whether the initial states of all episodes are known."""
    facts: Json
    """What the file says on its evaluation."""


class RunMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """Configuration, versions, hardware and counts of a run: the contents of `run.json`."""

    version: int | UnsetType = UNSET
    """Record format."""
    name: str | UnsetType = UNSET
    """Folder name."""
    status: str | UnsetType = UNSET
    """`running`, `finished`, `interrupted` or `failed`."""
    created: str | UnsetType | None = UNSET
    """UTC time, ISO 8601."""
    finished: str | UnsetType | None = UNSET
    """UTC time, ISO 8601; null while the run is unfinished."""
    command: Any = UNSET
    """Command line as typed."""
    passed: Any = UNSET
    """Options given."""
    config: ConfigFields | UnsetType | None = UNSET
    """Options in force; can be fed back with `--config`."""
    suites: list[str] | UnsetType = UNSET
    """Suite names."""
    backend: str | UnsetType | None = UNSET
    """Simulator backend of the suite; empty where it has only one."""
    protocol: ProtocolFields | UnsetType | None = UNSET
    """The complete protocol."""
    policy: PolicyFields | UnsetType | None = UNSET
    """Name, arguments and fingerprint of the policy."""
    assets: AssetsFields | UnsetType | None = UNSET
    """Asset pack."""
    gl: dict[str, str | None] | UnsetType | None = UNSET
    """`backend` and `renderer` that rendered the images."""
    versions: Json | UnsetType | None = UNSET
    """Package versions of the first session."""
    commit: Any = UNSET
    """Git commit of nora-bench in the first session."""
    hardware: Any = UNSET
    """Hardware of the first session."""
    platform: Any = UNSET
    """Operating system and Python of the first session."""
    counts: dict[str, int] | UnsetType | None = UNSET
    """Episodes `planned`, `done`, `errors`, and `repeated`: planned seeds that can only repeat others."""
    order_seed: int | UnsetType = UNSET
    """Seed of the order of initial states of a run by rounds."""
    latency: LatencyFields | UnsetType | None = UNSET
    """Decision times measured at the start of a run with `--perturb latency:measured`; each decision's delay is one of them."""
    utilisation: UtilisationFields | UnsetType | None = UNSET
    """Seconds of wall clock, policy and workers."""
    resumed: list[str] | UnsetType = UNSET
    """UTC times at which the run was resumed."""
    sessions: list[SessionFields] | UnsetType = UNSET
    """The first session and one per `--resume`."""
    unfinished: dict[str, StartCounts] | UnsetType = UNSET
    """Key -> starts of an episode that has no record."""
    until: UntilFields | UnsetType | None = UNSET
    """Last verdict of `--until`."""
    merged: list[SourceFields] | UnsetType = UNSET
    """Runs that `nora-bench merge` joined."""
    imported: ImportedFields | UnsetType | None = UNSET
    """Source of a run that `nora-bench import` made of another tool's results."""
    other: Json = {}
    """Fields that this version does not know; not a field of the file."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The metadata in a parsed `run.json`. Raises ValueError naming the field that has another type."""
        known = {name: value for name, value in values.items() if name in FIELDS}
        try:
            msgspec.convert(known, cls)  # checks the types; its result lacks unknown fields of nested objects
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from None
        return cls(**known, other={name: value for name, value in values.items() if name not in FIELDS})

    def to_json(self) -> Json:
        """JSON-able, without the fields that are not set."""
        return {**self.select(FIELDS), **self.other}

    def select(self, names: Iterable[str]) -> Json:
        """Named fields that are set: name -> value."""
        return {name: value for name in names if (value := getattr(self, name)) is not UNSET}

    def update(self, **fields: Any) -> Self:
        """A copy with other values in some fields."""
        return msgspec.structs.replace(self, **fields)


FIELDS = tuple(name for name in RunMetadata.__struct_fields__ if name != "other")
"""Names of the fields of `run.json`."""
