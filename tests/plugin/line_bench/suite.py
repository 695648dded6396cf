from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
from nora_bench.envs.base import AssetPack, EnvObservation, EvalProtocol, Reset, Task

PROTOCOL = EvalProtocol(
    name="line/plain",
    version=1,
    family="line",
    source="tests",
    max_steps={"line": 12},
    settle_steps=0,
    settle_action=(0.0,),
    image_size=8,
    rotate_180=False,
    replan_steps=None,
    success="any_step",
)


class Line:
    action_size = 1

    def reset(self, spec, protocol, observation_spec):
        self.place, self.observation_spec = float(spec.init_state + 1), observation_spec
        self._look()
        return Reset(np.array([self.state()]), {})

    def step(self, action, *, observe):
        self.place += float(np.clip(action[0], -1, 1))
        if observe:
            self._look()
        return self.place == 0

    def _look(self):
        images = {camera: np.full((8, 8, 3), int(abs(self.place)), np.uint8) for camera in self.observation_spec.cameras}
        self.seen = EnvObservation(images, {"place": np.array([self.place])} if self.observation_spec.proprio else {})

    def observation(self):
        return self.seen

    def state(self):
        return np.array([self.place])

    def render_seconds(self):
        return 0.0

    def close(self):
        pass


@dataclass(frozen=True)
class LineSuite:
    name: str = "line"
    family: str = "line"
    title: str = "Line"
    default_protocol: str = "line/plain"
    opengl: bool = False
    tasks: tuple = (Task(0, "go_home", "go home", init_states=4, seeded=False),)

    @property
    def protocols(self):
        return {PROTOCOL.name: PROTOCOL}

    def resolve_assets(self, wanted):
        return AssetPack("official", "", "0" * 16)

    def make_env(self, options):
        return Line()

    def versions(self):
        return {"line-bench": version("line-bench")}


line = LineSuite()
