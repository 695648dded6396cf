"""The 20 scenes of libero_90: its tasks in one scene differ in the goal alone."""

import re

from nora_bench.envs.libero.tasks import load_tasks

TASKS = load_tasks("libero_90")


def scene_name(task):
    """`KITCHEN_SCENE10` of `KITCHEN_SCENE10_close_the_top_drawer_of_the_cabinet`."""
    return re.match(r"[A-Z_]+SCENE\d+", task.name)[0]


FIRST = {scene_name(task): task for task in TASKS[::-1]}
"""Scene -> its first task."""
OWN_CLASSES = {40: ("white_bowl", "wooden_two_layer_shelf"), 62: ("new_salad_dressing", "wooden_tray"), 87: ("yellow_book",)}
"""Task -> its classes that no other suite has; together all five."""
