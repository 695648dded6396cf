"""Episode specs resolved to episodes of SimplerEnv's grid."""

from functools import cache

from ..base import EpisodeSpec
from ..errors import SuiteError, UnknownName
from .grid import Configuration, EpisodeSetup, configurations
from .widowx_grid import configurations as widowx_configurations

AVERAGED = ("pick_coke_can", "move_near", "open_drawer", "close_drawer")
"""Tasks of NORA's averages."""
PLACE = ("place_apple_in_closed_top_drawer",)
TASKS = (*AVERAGED, *PLACE)
"""Tasks in the order of the papers' tables; a task's id is its index here."""


@cache
def _configurations(setting: str, counted: bool, tasks: tuple[str, ...]) -> dict[str, tuple[Configuration, ...]]:
    """Task -> its configurations, subtask by subtask and variant by variant."""
    chosen = [c for c in configurations() if c.setting == setting and c.counted == counted]
    by_task = {task: tuple(c for c in chosen if c.task == task) for task in tasks}
    return {task: members for task, members in by_task.items() if members}


SETTINGS = {
    "simpler-vm": ("visual_matching", True, AVERAGED),
    "simpler-va": ("variant_aggregation", True, AVERAGED),
    "simpler-va-camera": ("variant_aggregation", False, AVERAGED),
    "simpler-vm-place": ("visual_matching", True, PLACE),
    "simpler-va-place": ("variant_aggregation", True, PLACE),
}
"""Suite of the Google robot -> (setting of the grid, whether published averages contain its configurations, tasks)."""
WIDOWX = "simpler-widowx"
"""Suite of the WidowX."""


def suite_configurations(suite: str) -> dict[str, tuple[Configuration, ...]]:
    """Task -> its configurations in that suite. Raises UnknownName."""
    if suite == WIDOWX:
        return {configuration.task: (configuration,) for configuration in widowx_configurations()}
    if suite not in SETTINGS:
        raise UnknownName("SimplerEnv suite", suite, (*SETTINGS, WIDOWX))
    return _configurations(*SETTINGS[suite])


def task_ids(suite: str) -> dict[str, int]:
    """Task -> its id in that suite."""
    if suite == WIDOWX:
        return {task: index for index, task in enumerate(suite_configurations(suite))}
    return {task: TASKS.index(task) for task in suite_configurations(suite)}


def setup_of(spec: EpisodeSpec) -> EpisodeSetup:
    """The grid's episode behind a spec of any suite of SimplerEnv. Raises SuiteError if the grid does not have it."""
    tasks = {number: task for task, number in task_ids(spec.suite).items()}
    for configuration in suite_configurations(spec.suite).get(tasks.get(spec.task_id, ""), ()):
        if configuration.name == spec.variant and 0 <= spec.init_state < configuration.n_episodes:
            return configuration.episode(spec.init_state)
    raise SuiteError(f"episode {spec.scene} not found in SimplerEnv's grid. Type: nora-bench list tasks --suite {spec.suite}")
