"""A checkpoint's own statistics, in the layouts that training codes write.

OpenVLA and NORA: data set -> {"action": ...}, in `dataset_statistics.json`, `norm_stats.json` or `config.json` (`norm_stats`).
openpi: {"norm_stats": {"actions": ...}} in `assets/<data set>/norm_stats.json`. LeRobot: feature -> ... in `stats.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...envs.errors import PolicyError
from ...envs.safe_io import read_object
from .action_stats_names import UNNAMED

FILES = ("dataset_statistics.json", "norm_stats.json", "stats.json", "meta/stats.json")
"""Next to the weights, in order of precedence: a fine-tune writes the first one, whichever it inherited."""
ASSETS = "assets"
"""openpi's folder: data set (with its owner) / `norm_stats.json`."""
ACTIONS = ("action", "actions")
"""Names of an action's entry."""
NUMBERS = frozenset({"q01", "q99", "min", "max", "mean", "std"})


@dataclass(frozen=True, slots=True)
class OwnStatistics:
    """A checkpoint's own action statistics."""

    table: Mapping[str, Any]
    """Data set -> {"action": numbers}; empty where it has none."""
    source: str
    """The file, relative to the checkpoint's folder."""


def own_statistics(folder: Path, config: Mapping[str, Any]) -> OwnStatistics:
    """The statistics of the checkpoint in that folder, whose `config.json` contains `config`. Raises PolicyError."""
    for file in FILES:
        if (folder / file).is_file():
            return OwnStatistics(table(_read(folder / file)), file)
    assets = sorted((folder / ASSETS).rglob("norm_stats.json"))
    if assets:
        return OwnStatistics(_assets(folder / ASSETS, assets), ", ".join(str(path.relative_to(folder)) for path in assets))
    return OwnStatistics(table(config.get("norm_stats") or {}), "config.json")


def table(entries: Any) -> dict[str, Any]:
    """Data set -> {"action": numbers}, from any of the layouts; other entries are kept, to be rejected by name."""
    if not isinstance(entries, Mapping):
        raise PolicyError(f"statistics must be an object by data set, not {type(entries).__name__}")
    if set(entries) == {"norm_stats"}:
        return table(entries["norm_stats"])
    if NUMBERS & set(entries):
        return {UNNAMED: {"action": entries}}
    features = [name for name in ACTIONS if isinstance(entries.get(name), Mapping) and NUMBERS & set(entries[name])]
    if not features:
        return {name: _entry(value) for name, value in entries.items()}
    named = {name: _entry(value) for name, value in entries.items() if isinstance(value, Mapping) and set(ACTIONS) & set(value)}
    return {**named, UNNAMED: {"action": entries[features[0]]}}


def _entry(value: Any) -> Any:
    """One data set's statistics with its action under `action`."""
    if not isinstance(value, Mapping):
        return value
    if isinstance(value.get("norm_stats"), Mapping):
        value = value["norm_stats"]
    if NUMBERS & set(value):
        return {"action": value}
    return {**{k: v for k, v in value.items() if k != "actions"}, "action": value["actions"]} if "actions" in value else value


def _assets(root: Path, files: list[Path]) -> dict[str, Any]:
    """openpi's files by the names of their folders; one in the root has none."""
    entries: dict[str, Any] = {}
    for path in files:
        name = "/".join(path.parent.relative_to(root).parts)
        for inner, entry in table(_read(path)).items():
            entries[name if inner == UNNAMED and name else inner] = entry
    return entries


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_object(path)
    except (OSError, ValueError) as error:
        raise PolicyError(f"{path} cannot be read as JSON: {error}") from None
