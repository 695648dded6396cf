"""Contradictory records of one episode: evidence that a policy, a simulator or a machine is not deterministic.

The true outcome cannot be known, and the order of lines must not decide it: such an episode counts as an error, so that the
bounds for errors cover it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .records import EpisodeRecord


def outcome_fields(record: EpisodeRecord) -> tuple[Any, ...]:
    """The fields in which two records of one episode must agree."""
    return record.success, record.success_any, dict(record.measures)


def same_states(one: EpisodeRecord, other: EpisodeRecord) -> bool:
    """Whether two records have the same trajectory hash, or one of them has none."""
    return not (one.trajectory_sha256 and other.trajectory_sha256) or one.trajectory_sha256 == other.trajectory_sha256


def conflict_record(records: Sequence[EpisodeRecord]) -> EpisodeRecord:
    """The error record of an episode with contradictory records; names every outcome, independent of the order of lines."""
    outcomes = " and ".join(sorted({_outcome_text(record) for record in records}))
    return replace(
        records[0],
        success=None,
        success_any=None,
        measures={},
        termination="error",
        error=f"recorded with different outcomes: {outcomes}",
        cause="policy" if any(record.cause == "policy" for record in records) else "machine",
        attempts=max(record.attempts for record in records),
        policy_losses=max(record.policy_losses for record in records),
        actions=None,
        actions_sha256=None,
        trajectory_sha256=None,
    )


def _outcome_text(record: EpisodeRecord) -> str:
    outcome = {True: "success", False: "failure", None: "error"}[record.success]
    own = {"success_any": record.success_any} if record.success_any not in (None, record.success) else {}
    more = [f"{name} {value}" for name, value in sorted({**own, **record.measures}.items())]
    return f"{outcome} after {record.steps} steps" + (f" ({', '.join(more)})" if more else "")


def outcome_contradictions(records: Iterable[EpisodeRecord]) -> Iterator[str]:
    """A note on seeds of one scene and protocol with bit-identical states and different success."""
    found: dict[tuple[Any, ...], EpisodeRecord] = {}
    pairs: list[tuple[str, str]] = []
    for record in records:
        if record.success is None or not record.trajectory_sha256:
            continue
        scene = (record.trajectory_sha256, *record.scene, record.protocol)
        first = found.setdefault(scene, record)
        if first.success != record.success:
            pairs.append((first.key, record.key))
    if pairs:
        more = f" and {len(pairs) - 1} more such pairs" if len(pairs) > 1 else ""
        yield (
            f"{pairs[0][0]} and {pairs[0][1]} have the same states to the bit and different success{more}: "
            "success does not follow from the states alone"
        )
