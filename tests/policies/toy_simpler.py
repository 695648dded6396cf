"""SimplerEnv scenes as an environment's privileged state has them, without a simulator."""

import numpy as np

TABLE = 0.888
STANDING, LYING_ALONG_Y, LYING_ALONG_X = (0.7071068, 0.7071068, 0, 0), (1.0, 0, 0, 0), (0.7071068, 0, 0, 0.7071068)
CAN = (0.033, 0.0615, 0.033)
"""Half sizes; the can's long axis is its y."""
BOTTLE = (0.031, 0.102, 0.033)


def height_of(half, quaternion):
    """World z of the middle of a thing that stands on the table."""
    return TABLE + (half[1] if quaternion is STANDING else half[2])


def toy_view(task, things=(), *, subtask="", source=None, target=None, tcp=(-0.09, 0.42, 1.04), drawers=()):
    """`things`: (half sizes, (x, y), quaternion) each; the hand points down and closes along y."""
    poses = [[*xy, height_of(half, quaternion), *quaternion] for half, xy, quaternion in things]
    bounds = [[[-side for side in half], list(half)] for half, _, _ in things]
    return {
        "tcp": np.array([*tcp, 0.0, 1.0, 0.0, 0.0]),
        "qpos": np.zeros(2),
        "objects": np.array(poses, dtype=float).reshape(-1, 7),
        "coms": np.array(poses, dtype=float).reshape(-1, 7)[:, :3],
        "drawers": np.array(drawers, dtype=float),
        "contacts": [],
        "scene": {
            "task": task,
            "subtask": subtask,
            "joints": ["joint_finger_right", "joint_finger_left"],
            "objects": [f"thing_{k}" for k in range(len(things))],
            "source": source,
            "target": target,
            "bounds": np.array(bounds, dtype=float).reshape(-1, 2, 3),
            "settled": np.array(poses, dtype=float).reshape(-1, 7),
            "robot_base": np.array([0.35, 0.2, 0.079, 0.0, 0.0, 0.0, 1.0]),
        },
    }
