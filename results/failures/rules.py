"""Rules from features to failure classes, read from `classes.toml`."""

from __future__ import annotations

import operator
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
ABSENT = "absent"
"""Condition that an episode does not have the feature."""
UNITS = {"m": "m", "deg": "deg", "steps": "steps"}
"""End of a feature's name -> the unit that its thresholds are written with; other features have none."""
DEFAULT = "other"


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of a feature with a threshold."""

    feature: str
    operator: str
    threshold: float = 0.0

    def holds(self, features: Mapping[str, float]) -> bool:
        """Whether it holds; false for a feature that is absent, unless that is the condition."""
        if self.operator == ABSENT:
            return self.feature not in features
        return self.feature in features and OPERATORS[self.operator](features[self.feature], self.threshold)


@dataclass(frozen=True, slots=True)
class Rule:
    """A class, and the conditions that must all hold."""

    name: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Ordered rules of one version."""

    version: int
    classes: Mapping[str, str]
    """Class -> its meaning."""
    rules: tuple[Rule, ...]

    def classify(self, features: Mapping[str, float]) -> str:
        """The class of the first rule whose conditions all hold."""
        found = (rule.name for rule in self.rules if all(condition.holds(features) for condition in rule.conditions))
        return next(found, DEFAULT)


@cache
def rule_set() -> RuleSet:
    """The rules of this version of nora-bench."""
    return parse(tomllib.loads(Path(__file__).with_name("classes.toml").read_text(encoding="utf-8")))


def parse(values: Mapping[str, Any]) -> RuleSet:
    """Rules from the parsed file. Raises ValueError for an unknown class, operator or unit."""
    classes = dict(values["classes"])
    rules = tuple(Rule(rule["class"], tuple(map(_condition, rule["when"]))) for rule in values["rules"])
    if unknown := {rule.name for rule in rules} - classes.keys():
        raise ValueError(f"rules give the class {min(unknown)!r}, which is not in [classes]")
    return RuleSet(int(values["version"]), classes, rules)


def _condition(text: str) -> Condition:
    feature, *rest = text.split()
    if rest == [ABSENT]:
        return Condition(feature, ABSENT)
    unit = [UNITS[end]] if (end := feature.rpartition("_")[2]) in UNITS else []
    if len(rest) < 2 or rest[0] not in OPERATORS or rest[2:] != unit:
        raise ValueError(f"condition {text!r} is not `feature OP number {''.join(unit)}`, OP one of {', '.join(OPERATORS)}")
    return Condition(feature, rest[0], float(rest[1]))
