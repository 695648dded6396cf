"""LIBERO's task files (BDDL): their parts, and a copy with further objects."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

Term = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """A task file, in lower case."""

    name: str
    fixtures: dict[str, str]
    """Name -> category."""
    objects: dict[str, str]
    regions: dict[str, Any]
    """Name with its target's, as goals spell it -> definition."""
    init: frozenset[Term]
    goal: tuple[Term, ...]

    def alike(self, name: str) -> int:
        """Objects of the category of one."""
        return list(self.objects.values()).count(self.objects[name])


def read_problem(text: str) -> Problem:
    """The parts of a BDDL file that decide what can be done in its scene."""
    (tree,) = _parse(iter(re.findall(r"[()]|[^\s()]+", text.lower())))
    parts = {part[0]: part[1:] for part in tree[1:]}
    regions = {}
    for name, *fields in parts[":regions"]:
        definition = {field[0]: field[1:] for field in fields}
        regions[f"{definition[':target'][0]}_{name}"] = definition
    (goal,) = parts[":goal"]
    init = frozenset(map(tuple, parts[":init"]))
    return Problem(tree[1][1], _typed(parts[":fixtures"]), _typed(parts[":objects"]), regions, init, tuple(map(tuple, goal[1:])))


def _parse(tokens: Iterator[str]) -> list[Any]:
    found: list[Any] = []
    for token in tokens:
        if token == ")":
            break
        found.append(_parse(tokens) if token == "(" else token)
    return found


def _typed(items: list[str]) -> dict[str, str]:
    """`a b - kind c - kind2` -> name: category."""
    found, names = {}, []
    rest = iter(items)
    for item in rest:
        if item == "-":
            found |= dict.fromkeys(names, next(rest))
            names = []
        else:
            names.append(item)
    return found


def with_objects(text: str, objects: Iterable[tuple[str, str]]) -> str:
    """A task file with further objects (name, category) behind its own, for which LIBERO samples no places."""
    listed = re.search(r"\(:objects[^()]*", text)
    assert listed  # every task has objects
    further = "".join(f"    {name} - {category}\n" for name, category in objects)
    return f"{text[: listed.end()].rstrip()}\n{further}  {text[listed.end() :]}"
