"""A scene of boxes as an environment's privileged state has it, without a simulator."""

import numpy as np
from nora_bench.policies.scripted.geometry import frame
from nora_bench.policies.scripted.scene import BOX, FINGER_BODIES, LiberoScene

DOWN = frame(np.array([0.0, 0.0, -1.0]), np.array([0.0, 1.0, 0.0]))
"""Axes of the hand at reset: it points down and closes along y."""
FINGERS = ("left finger", "right finger")
"""What `touching` calls them; each is one geom, of its first body."""


def toy_view(things, goal=(), zones=None, gripper=(0.0, 0.0, 0.4), touching=()):
    """`things`: instance -> (class, half sizes, position); every thing is one box around its origin.

    `touching`: pairs of things, or of a thing and one of `FINGERS`.
    """
    zones = zones or {}
    robot = ["gripper0_hand", *[body for finger in FINGER_BODIES for body in finger]]
    names = ["world", *[f"{name}_main" for name in things], *robot]
    stands = [(*position, 1, 0, 0, 0) for _, _, position in things.values()]
    poses = [(0, 0, 0, 1, 0, 0, 0), *stands, *[(*gripper, 1, 0, 0, 0)] * len(robot)]
    sites = ["gripper0_grip_site", *zones]
    count, shapes = len(things) + len(FINGERS), [*things, *FINGERS]
    fingers = [[f"gripper0_finger_joint{k + 1}", "slide", k, k, len(things) + 1, [0, 1, 0], [-0.04, 0.04]] for k in range(2)]
    return {
        "body_pose": np.array(poses, dtype=float),
        "site_pos": np.array([gripper, *[middle for middle, _ in zones.values()]], dtype=float),
        "site_mat": np.array([DOWN.reshape(9), *[np.eye(3).reshape(9)] * len(zones)]),
        "qpos": np.array([0.04, -0.04]),
        "qvel": np.zeros(2),
        "contacts": np.array([[shapes.index(a), shapes.index(b)] for a, b in touching], dtype=int).reshape(-1, 2),
        "scene": {
            "bodies": names,
            "body_parent": [0] * len(names),
            "sites": sites,
            "site_body": [0] * len(sites),
            "site_size": np.array([(0.01,) * 3, *[half for _, half in zones.values()]]),
            "joints": fingers,
            "geoms": {
                "type": np.full(count, BOX),
                "size": np.array([*[half for _, half, _ in things.values()], *[(0.01,) * 3] * len(FINGERS)], dtype=float),
                "pos": np.zeros((count, 3)),
                "quat": np.tile([1.0, 0.0, 0.0, 0.0], (count, 1)),
                "body": [*range(1, len(things) + 1), *[names.index(finger[0]) for finger in FINGER_BODIES]],
                "group": np.zeros(count, dtype=int),
                "contype": np.ones(count, dtype=int),
                "conaffinity": np.ones(count, dtype=int),
            },
            "objects": {name: kind for name, (kind, _, _) in things.items()},
            "fixtures": {},
            "goal": [list(term) for term in goal],
            "regions": dict.fromkeys(zones, ""),
            "initial": [],
            "eef_site": "gripper0_grip_site",
            "robot_base": [-0.6, 0.0, 0.0],
            "problem": "toy",
        },
    }


def toy_scene(things, **options):
    """The expert's reading of such a view."""
    return LiberoScene(toy_view(things, **options))
