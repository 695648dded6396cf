"""Names of cameras."""

CAMERAS = {"primary": "agentview", "wrist": "robot0_eye_in_hand"}
"""nora-bench's camera names and LIBERO's."""
