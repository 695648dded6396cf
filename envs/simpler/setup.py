"""From an episode's key to the episode of SimplerEnv's grid behind it."""

from functools import cache

from ..base import EpisodeSpec
from ..errors import SuiteError
from .grid import Configuration, EpisodeSetup, configurations

TASKS = ("pick_coke_can", "move_near", "open_drawer", "close_drawer")
"""Those of the papers' tables, in their order; a task's id is its place here."""


@cache
def _configurations(setting: str, counted: bool) -> dict[str, tuple[Configuration, ...]]:
    """Task -> its configurations, subtask by subtask and look by look."""
    chosen = [c for c in configurations() if c.setting == setting and c.counted == counted]
    return {task: found for task in TASKS if (found := tuple(c for c in chosen if c.task == task))}


SETTINGS = {
    "simpler-vm": ("visual_matching", True),
    "simpler-va": ("variant_aggregation", True),
    "simpler-va-camera": ("variant_aggregation", False),
}
"""Suite -> (setting of the grid, whether published averages contain its configurations)."""


def suite_configurations(suite: str) -> dict[str, tuple[Configuration, ...]]:
    """Task -> its configurations in that suite. Raises SuiteError for a name that is no suite of SimplerEnv."""
    if suite not in SETTINGS:
        raise SuiteError(f"{suite} is no suite of SimplerEnv; there are {', '.join(SETTINGS)}")
    return _configurations(*SETTINGS[suite])


def setup_of(spec: EpisodeSpec) -> EpisodeSetup:
    """The grid's episode behind a spec of any suite of SimplerEnv. Raises SuiteError for one that the grid does not have."""
    task = TASKS[spec.task_id] if 0 <= spec.task_id < len(TASKS) else ""
    for configuration in suite_configurations(spec.suite).get(task, ()):
        if configuration.name == spec.variant and 0 <= spec.init_state < configuration.n_episodes:
            return configuration.episode(spec.init_state)
    raise SuiteError(f"SimplerEnv's grid has no episode {spec.scene}; see `nora-bench list tasks --suite {spec.suite}`")
