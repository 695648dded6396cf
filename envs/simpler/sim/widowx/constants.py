"""Upstream's WidowX 250s: joints, drives, contact materials and rates. Imports no simulator.

Facts: ManiSkill2_real2sim ef7a4d4f, agents/configs/widowx. Radians, metres, N m, N; JOINTS order.
"""

from __future__ import annotations

from ...widowx_tasks import SINK_ROBOT, TABLE_ROBOT, X_VLA_ROBOT

_JOINTS: tuple[tuple[str, float, float, float], ...] = (
    ("waist", 1169.7891719504198, 330.0, 200.0),
    ("shoulder", 730.0, 180.0, 200.0),
    ("elbow", 808.4601346394447, 152.12036565582588, 100.0),
    ("forearm_roll", 1229.1299089624076, 309.6215302722146, 100.0),
    ("wrist_angle", 1272.2760456418862, 201.04998711007383, 100.0),
    ("wrist_rotate", 1056.3326605132252, 269.51458932695414, 100.0),
    ("left_finger", 1000.0, 200.0, 60.0),
    ("right_finger", 1000.0, 200.0, 60.0),
)
"""Name, and the drive's stiffness, damping and force limit of each joint."""
JOINTS, STIFFNESS, DAMPING, FORCE_LIMIT = zip(*_JOINTS, strict=True)
ARM, FINGERS = [0, 1, 2, 3, 4, 5], [6, 7]
START = {
    TABLE_ROBOT: (-0.01840777, 0.0398835, 0.22242722, -0.00460194, 1.36524296, 0.00153398, 0.037, 0.037),
    SINK_ROBOT: (-0.2600599, -0.12875618, 0.04461369, -0.00652761, 1.7033415, -0.26983038, 0.037, 0.037),
}
START[X_VLA_ROBOT] = START[TABLE_ROBOT]
"""Set-up -> joint positions at reset."""
END_EFFECTOR = "ee_gripper_link"
CONTACT: dict[str, tuple[float, float, float]] = dict.fromkeys(("left_finger_link", "right_finger_link"), (2.0, 2.0, 0.01))
"""Link -> static friction, dynamic friction, torsional patch radius (m); other links have the scene's default."""
GROUPS = {"gripper_bar_link": 3, "left_finger_link": 1, "right_finger_link": 2}
"""Link -> third word of its collision groups: the bar touches neither finger, the fingers touch each other."""
PHYSICS_HZ, SUBSTEPS = 500, 100
"""Physics steps per second, and per control step of 1/5 s."""
CONTACT_OFFSET = 0.005
