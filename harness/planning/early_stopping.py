"""Early stopping (`--until`): which finished episodes are kept, and when the run stops.

Episodes run by rounds (`results.statistics.rounds`). Episodes of a later round that finish first are kept once the rounds before
are complete, and dropped if the rule stops the run by then. The kept episodes are therefore the same for any number of workers,
and short episodes are not over-represented.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...envs.base import AssetPack, EvalProtocol
from ...envs.errors import InputError
from ...results.comparisons.rounds import Round
from ...results.comparisons.sequential import Rule, Verdict, make_rule, parse, reading
from ...results.conditions import Incomparable, require_comparable
from ...results.store.reader import StoredRun, read_run
from ...results.store.records import EpisodeRecord
from ...results.store.run_metadata import RunMetadata
from ..config import RunConfig


class EarlyStopping:
    """A stopping rule applied to finished episodes."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._ahead: dict[str, EpisodeRecord] = {}

    @property
    def verdict(self) -> Verdict:
        """The rule's verdict on the kept episodes."""
        return self.rule.verdict

    @property
    def should_stop(self) -> bool:
        """Whether no more episodes are needed."""
        return self.rule.verdict.stop

    @property
    def dropped(self) -> list[EpisodeRecord]:
        """Finished episodes that are not kept."""
        return list(self._ahead.values())

    def load_previous(self, records: Iterable[EpisodeRecord]) -> Verdict:
        """Load the episodes that earlier sessions kept."""
        return self.rule.update({record.key: reading(record) for record in records})

    def accept(self, record: EpisodeRecord) -> Iterator[EpisodeRecord]:
        """Take in a finished episode; yields those to be kept now: it, later ones that waited for it, or none."""
        self._ahead[record.key] = record
        while not self.should_stop and (due := self._next_due()):
            yield due
            self.rule.update({due.key: reading(due)})

    def _next_due(self) -> EpisodeRecord | None:
        """A finished episode of the first incomplete round."""
        current = self.rule.plan[self.rule.finished : self.rule.finished + 1]
        keys = (spec.key for episodes in current for entry in episodes for spec in entry.episodes)
        return next((self._ahead.pop(key) for key in keys if key in self._ahead), None)


def make_early_stopping(
    config: RunConfig, plan: Sequence[Round], protocol: EvalProtocol, assets: AssetPack
) -> EarlyStopping | None:
    """The configured rule for a plan, or None; a rival run is read from its folder.

    Raises InputError, and StoreError where the folder contains no run.
    """
    if config.until is None:
        return None
    _, rival = parse(config.until)
    rival_run = read_run(rival) if rival else None
    if rival_run:
        advice = (
            "Run the rival again under this run's conditions, or give this run the rival's --protocol, --max-steps and --assets."
        )
        require_same_benchmark(rival_run, protocol, config.max_steps, assets, option="--until", advice=advice)
    try:
        outcomes = {record.key: reading(record) for record in rival_run.records} if rival_run else None
        return EarlyStopping(make_rule(config.until, plan, outcomes))
    except ValueError as error:
        raise InputError(str(error)) from None


def require_same_benchmark(
    other: StoredRun, protocol: EvalProtocol, max_steps: int | None, assets: AssetPack, *, option: str, advice: str
) -> None:
    """Raises InputError where another run's conditions forbid a comparison with the planned one (`results.conditions`)."""
    pack = {"pack": assets.name, "fingerprint": assets.fingerprint}
    facts = {"protocol": protocol.to_json(), "config": {"max_steps": max_steps}, "assets": pack}
    try:
        require_comparable(StoredRun(Path("this run"), RunMetadata.from_json(facts), ()), other, advice)
    except Incomparable as error:
        raise InputError(f"{option}: {error}", option=option) from None


def summary(verdict: Mapping[str, Any]) -> str:
    """Human-readable conclusion, from `until` of run.json."""
    count = f"{verdict['episodes']} of {verdict['planned']} episodes"
    if verdict["stop"]:
        how = "given up after" if verdict.get("reason") == "futile" else "settled by"
        return f"{how} {count} ({verdict['saved']:.0%} saved): {verdict['text']}"
    return f"not settled by {count}: {verdict['text']}"
