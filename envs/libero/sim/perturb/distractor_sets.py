"""Axis `distractors`: the objects that a task's model gets in addition."""

from __future__ import annotations

import re
from functools import cache

import numpy as np

from ....base import EpisodeSpec
from ....perturbations import axes
from ...tasks import load_tasks
from ..install import task_file
from ..problem import read_problem

AXIS = "distractors"
LOOK_ALIKES = (
    ("akita_black_bowl", "glazed_rim_porcelain_ramekin", "white_bowl"),
    ("porcelain_mug", "red_coffee_mug", "white_yellow_mug"),
    ("alphabet_soup", "tomato_sauce"),
    ("milk", "orange_juice"),
    ("bbq_sauce", "ketchup", "salad_dressing", "new_salad_dressing", "wine_bottle"),
    ("butter", "chocolate_pudding", "cookies", "cream_cheese"),
    ("moka_pot", "chefmate_8_frypan"),
)
"""Categories that may be taken for each other: where the goal or the instruction names one of a group, none of it is added."""
CANDIDATES = (
    *("akita_black_bowl", "glazed_rim_porcelain_ramekin", "porcelain_mug", "red_coffee_mug", "white_yellow_mug", "moka_pot"),
    *("alphabet_soup", "tomato_sauce", "milk", "orange_juice", "bbq_sauce", "ketchup", "salad_dressing"),
    *("butter", "chocolate_pudding", "cookies", "cream_cheese"),
)
"""Categories that can be added: objects of the 40 tasks that one hand holds, so that every asset pack has them."""


def added_categories(spec: EpisodeSpec) -> tuple[str, ...]:
    """Categories of one further object each in an episode's model: the same for all episodes of a task and level.

    The first of all that fit the task, in an order that is random for the task: a level has those of the level below.
    """
    if not spec.perturbation or (found := axes.get(spec.perturbation)).axis != AXIS:
        return ()
    return _in_random_order(spec.suite, spec.task_id)[: found.values["count"]]


@cache
def _in_random_order(suite: str, task_id: int) -> tuple[str, ...]:
    fitting = fitting_categories(suite, task_id)
    rng = np.random.default_rng(EpisodeSpec(suite, task_id, 0, 0, "").entropy(f"perturb {AXIS}"))
    return tuple(fitting[number] for number in rng.permutation(len(fitting)))


def fitting_categories(suite: str, task_id: int) -> tuple[str, ...]:
    """The candidates that a task does not have and that neither its goal nor its instruction names, nor a look-alike."""
    task = load_tasks(suite)[task_id]
    problem = read_problem(task_file(suite, task.name).read_text(encoding="utf-8"))
    words = set(re.findall(r"[a-z]+", task.instruction.lower()))
    in_goal = {part for term in problem.goal for part in term[1:]}
    categories = problem.fixtures | problem.objects
    named = {category for name, category in categories.items() if any(part.startswith(name) for part in in_goal)}
    named |= {category for group in LOOK_ALIKES for category in group if words & set(category.split("_"))}
    kept_out = named.union(*(group for group in LOOK_ALIKES if named & set(group)), categories.values())
    return tuple(category for category in CANDIDATES if category not in kept_out)
