"""`--until` while a run goes on: which finished episodes are kept, and when enough are.

Episodes are played by rounds (`results.rounds`). A worker that is ahead of the others brings results of a later
round first; they are kept when the rounds before are complete, and dropped if the rule says enough by then. What a run
keeps is therefore the same for any number of workers, and no table sees more of what ends sooner.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...envs.base import AssetPack, EvalProtocol
from ...results.conditions import Incomparable, require_comparable
from ...results.statistics.rounds import Round
from ...results.statistics.sequential import Rule, Verdict, make_rule, parse, reading
from ...results.store.reader import StoredRun, read_run
from ...results.store.records import EpisodeRecord
from ...results.store.run_metadata import RunMetadata
from ..config import RunConfig
from ..errors import InputError


class EarlyStopping:
    """A rule, and what it lets pass."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._ahead: dict[str, EpisodeRecord] = {}

    @property
    def verdict(self) -> Verdict:
        """What the rule says about what is kept."""
        return self.rule.verdict

    @property
    def should_stop(self) -> bool:
        """Whether no more episodes are needed."""
        return self.rule.verdict.stop

    @property
    def dropped(self) -> list[EpisodeRecord]:
        """Episodes that were played and are not kept."""
        return list(self._ahead.values())

    def load_previous(self, records: Iterable[EpisodeRecord]) -> Verdict:
        """Take in what an earlier session has kept."""
        return self.rule.update({record.key: reading(record) for record in records})

    def accept(self, record: EpisodeRecord) -> Iterator[EpisodeRecord]:
        """The episodes to be kept now that this one is finished: it, later ones that waited for it, or none."""
        self._ahead[record.key] = record
        while not self.should_stop and (due := self._due()):
            yield due
            self.rule.update({due.key: reading(due)})

    def _due(self) -> EpisodeRecord | None:
        """An episode of the round that is being completed."""
        current = self.rule.plan[self.rule.finished : self.rule.finished + 1]
        keys = (spec.key for one in current for entry in one for spec in entry.episodes)
        return next((self._ahead.pop(key) for key in keys if key in self._ahead), None)


def make_early_stopping(
    config: RunConfig, plan: Sequence[Round], protocol: EvalProtocol, assets: AssetPack
) -> EarlyStopping | None:
    """The configuration's rule for a plan, None where it has none; its rival is read from its folder.

    Raises InputError, and StoreError where the folder holds no run.
    """
    if config.until is None:
        return None
    _, rival = parse(config.until)
    other = read_run(rival) if rival else None
    if other:
        _require_same_benchmark(other, protocol, config.max_steps, assets)
    try:
        outcomes = {record.key: reading(record) for record in other.records} if other else None
        return EarlyStopping(make_rule(config.until, plan, outcomes))
    except ValueError as error:
        raise InputError(str(error)) from None


def _require_same_benchmark(rival: StoredRun, protocol: EvalProtocol, max_steps: int | None, assets: AssetPack) -> None:
    """Raises InputError where the rival was played under conditions that forbid a verdict (`results.conditions`)."""
    pack = {"pack": assets.name, "fingerprint": assets.fingerprint}
    facts = {"protocol": protocol.to_json(), "config": {"max_steps": max_steps}, "assets": pack}
    try:
        require_comparable(
            StoredRun(Path("this run"), RunMetadata.from_json(facts), ()),
            rival,
            "Play the rival again under this run's conditions, or give this run its --protocol, --max-steps and --assets.",
        )
    except Incomparable as error:
        raise InputError(f"--until: {error}") from None


def summary(verdict: Mapping[str, Any]) -> str:
    """What the rule came to, for people; from `until` of run.json."""
    played = f"{verdict['episodes']} of {verdict['planned']} episodes"
    if verdict["stop"]:
        how = "given up after" if verdict.get("reason") == "futile" else "settled by"
        return f"{how} {played} ({verdict['saved']:.0%} saved): {verdict['text']}"
    return f"not settled by {played}: {verdict['text']}"
