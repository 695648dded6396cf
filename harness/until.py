"""`--until` while a run goes on: which episode comes next, which finished ones are kept, and when enough are.

Episodes are played by rounds (`results.sequential`). A worker that is ahead of the others brings results of a later
round first; they are kept when the rounds before are complete, and dropped if the rule says enough by then. What a run
keeps is therefore the same for any number of workers, and no table sees more of what ends sooner.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from ..envs.base import EpisodeSpec
from ..results.records import EpisodeRecord
from ..results.sequential import Rule, Verdict, make_rule, parse
from ..results.store import load_run
from .errors import InputError
from .schedule import RoundSchedule


class Until:
    """A rule, and what it lets pass."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._ahead: dict[str, EpisodeRecord] = {}

    @property
    def verdict(self) -> Verdict:
        """What the rule says about what is kept."""
        return self.rule.verdict

    @property
    def enough(self) -> bool:
        """Whether no more episodes are needed."""
        return self.rule.verdict.stop

    @property
    def dropped(self) -> list[EpisodeRecord]:
        """Episodes that were played and are not kept."""
        return list(self._ahead.values())

    def episodes(self) -> tuple[EpisodeSpec, ...]:
        """All episodes of the rule's rounds, in the order in which they are played."""
        return tuple(spec for one in self.rule.plan for seeds in one for spec in seeds)

    def schedule(self, episodes: Collection[EpisodeSpec]) -> RoundSchedule:
        """Gives those of the episodes out by rounds."""
        wanted = set(episodes)
        return RoundSchedule([spec for seeds in one for spec in seeds if spec in wanted] for one in self.rule.plan)

    def recall(self, records: Iterable[EpisodeRecord]) -> Verdict:
        """Take in what an earlier sitting has kept."""
        return self.rule.update({record.key: record.success for record in records})

    def admit(self, record: EpisodeRecord) -> Iterator[EpisodeRecord]:
        """The episodes to be kept now that this one is finished: it, later ones that waited for it, or none."""
        self._ahead[record.key] = record
        while not self.enough and (due := self._due()):
            yield due
            self.rule.update({due.key: due.success})

    def _due(self) -> EpisodeRecord | None:
        """An episode of the round that is being completed."""
        current = self.rule.plan[self.rule.finished : self.rule.finished + 1]
        keys = (spec.key for one in current for seeds in one for spec in seeds)
        return next((self._ahead.pop(key) for key in keys if key in self._ahead), None)


def make_until(condition: str, episodes: Collection[EpisodeSpec]) -> Until:
    """The rule for a plan, its rival read from its folder. Raises InputError, and StoreError where that holds no run."""
    _, rival = parse(condition)
    other = {record.key: record.success for record in load_run(rival).records} if rival else None
    try:
        return Until(make_rule(condition, episodes, other))
    except ValueError as error:
        raise InputError(str(error)) from None


def conclusion(verdict: Mapping[str, Any]) -> str:
    """What the rule came to, for people; from `until` of run.json."""
    played = f"{verdict['episodes']} of {verdict['planned']} episodes"
    if verdict["stop"]:
        return f"settled by {played} ({verdict['saved']:.0%} saved): {verdict['text']}"
    return f"not settled by {played}: {verdict['text']}"
