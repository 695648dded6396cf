"""Perturbed episodes that the scripted expert could not solve and that are therefore not run: a table, made by

    nora-bench run --policy scripted --suite libero --perturb robot,layout,distractors --out RUN
    python -m nora_bench.harness.planning.unsolvable RUN envs/libero/unsolvable_perturbations.json

It names the episodes that were examined; all others are run. A table of another version of the levels counts as empty.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from ..base import EpisodeSpec
from ..perturbations import axes

TABLE = "unsolvable_perturbations.json"


def unsolvable(spec: EpisodeSpec) -> str:
    """Why the expert does not solve a perturbed episode; empty where it does, or where that was not examined."""
    return _table().get(scene_key(spec), "")


def scene_key(spec: EpisodeSpec) -> str:
    """Scene and perturbation, under any protocol: `libero_goal/task3/init0/seed0+robot2`."""
    return f"{spec.scene}+{spec.perturbation}"


@cache
def _table() -> Mapping[str, str]:
    table = json.loads(files(__package__ or "").joinpath(TABLE).read_text(encoding="utf-8"))
    return table["unsolvable"] if table["version"] == axes.version() else {}
