"""Writes a package that looks like the original SimplerEnv from outside: what our backend asks of it, without a simulator."""

from pathlib import Path

GYMNASIUM = """
from mani_skill2_real2sim.envs import Env
def make(env_id, **arguments):
    return Env(env_id, arguments)
"""
PACKAGE = """
from pathlib import Path
ASSET_DIR = Path(__file__).parent / "data"
"""
BASE = """
class BaseEnv:
    def _setup_cameras(self):
        raise RuntimeError("a camera was built")
    def _clear(self):
        raise RuntimeError("a scene was destroyed")
"""
ENVS = """
import json, os
import numpy as np
from .sapien_env import BaseEnv

class Pose:
    def __init__(self, p=(0.0, 0.0, 0.0), q=(1.0, 0.0, 0.0, 0.0)):
        self.p, self.q = np.array(p, np.float32), np.array(q, np.float32)
    def inv(self):
        return Pose(-self.p, self.q)
    def __mul__(self, other):
        return Pose(self.p + other.p, other.q)

class Robot:
    pose = Pose((0.35, 0.2, 0.079))
    def get_qpos(self): return np.zeros(11)
    def get_qvel(self): return np.zeros(11)

class Agent:
    robot = Robot()

class Can:
    name = "opened_coke_can"
    pose, velocity, angular_velocity = Pose((-0.35, -0.02, 0.92)), np.zeros(3), np.zeros(3)

class Env(BaseEnv):
    agent, tcp = Agent(), type("Tcp", (), {"pose": Pose()})()
    def __init__(self, env_id, arguments):
        self.arguments, self.unwrapped, self.steps = {"env_id": env_id, **arguments}, self, 0
        self._setup_cameras()
        self.obj = Can() if "Grasp" in env_id else None
        self.distractor_objs = []
        self.art_obj = None
    def reset(self, options):
        plain = lambda v: v.tolist() if isinstance(v, np.ndarray) else v
        options = {name: {k: plain(v) for k, v in part.items()} for name, part in options.items()}
        with open(os.environ["STUB_LOG"], "a") as log:
            log.write(json.dumps({"made": self.arguments, "reset": options}) + "\\n")
        self._clear()
        self.agent = Agent()
        return self._seen(), {}
    def get_language_instruction(self):
        return os.environ.get("STUB_SAYS", "pick coke can")
    def step(self, action):
        action[0] += 0.0
        self.steps += 1
        held = self.steps >= 3
        stats = {"n_lift_significant": self.steps, "consec_grasp": False, "grasped": np.bool_(held)}
        return self._seen(), 0.0, held, False, {"episode_stats": stats}
    def _seen(self):
        if self.arguments["obs_mode"] == "none":
            return {}
        return {"image": {"overhead_camera": {"rgb": np.full((512, 640, 3), self.steps, np.uint8)}}}
    def close(self):
        pass
"""


def write(site: Path) -> None:
    """Put the package and a `gymnasium` that makes its environments into a site-packages folder."""
    package = site / "mani_skill2_real2sim"
    (package / "envs").mkdir(parents=True)
    (package / "__init__.py").write_text(PACKAGE)
    (package / "envs" / "__init__.py").write_text(ENVS)
    (package / "envs" / "sapien_env.py").write_text(BASE)
    (site / "gymnasium.py").write_text(GYMNASIUM)
