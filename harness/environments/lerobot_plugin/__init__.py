"""Suites as an environment of lerobot: `--env.discover_packages_path=nora_bench.harness.environments.lerobot_plugin`.

Importing it registers the environment type `nora_bench` and the gymnasium id that lerobot 0.4 builds it by; lerobot from 0.5 on
calls `create_envs`. Runs in lerobot's interpreter, with nora-bench and the suite's simulator installed there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gymnasium
from lerobot.configs.types import FeatureType, PolicyFeature  # pyright: ignore[reportMissingImports]  in its own interpreter
from lerobot.envs.configs import EnvConfig  # pyright: ignore[reportMissingImports]

from ....envs import suites
from ..make import make, parse_name

GYM_ID = "nora_bench/Task-v0"


def lerobot_task(name: str, **options: Any) -> Any:
    """The environment of a task in lerobot's layout; `options` are those of `nora_bench.make`."""
    return make(name, layout="lerobot", **options)


@EnvConfig.register_subclass("nora_bench")
@dataclass
class NoraBenchEnv(EnvConfig):
    """lerobot's configuration of nora-bench's suites: `--env.type=nora_bench --env.task=libero_goal/task3`."""

    task: str = "libero_goal/task0"
    """`suite/taskN`, or from lerobot 0.5 on also whole suites, separated by commas."""
    fps: int = 20
    """Control steps per second: LIBERO's."""
    protocol: str | None = None
    init_set: str = ""
    image_size: int = 256
    """Side of the images, pixels."""
    assets: str = "auto"
    worker: bool = False
    features: dict[str, PolicyFeature] = field(default_factory=dict)
    features_map: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Features of LIBERO's observations and actions, unless they are given."""
        if not self.features:
            shape = (self.image_size, self.image_size, 3)
            images = {name: PolicyFeature(type=FeatureType.VISUAL, shape=shape) for name in ("pixels/image", "pixels/image2")}
            action = PolicyFeature(type=FeatureType.ACTION, shape=(7,))
            self.features = {"action": action, "agent_pos": PolicyFeature(type=FeatureType.STATE, shape=(8,)), **images}
        if not self.features_map:
            images = {f"pixels/{name}": f"observation.images.{name}" for name in ("image", "image2")}
            self.features_map = {"action": "action", "agent_pos": "observation.state", **images}

    @property
    def package_name(self) -> str:
        """Module that registers `gym_id`."""
        return __name__

    @property
    def gym_id(self) -> str:
        """The id that lerobot 0.4 gives to gymnasium."""
        return GYM_ID

    @property
    def options(self) -> dict[str, Any]:
        """Options of `nora_bench.make`."""
        names = ("protocol", "init_set", "image_size", "assets", "worker")
        return {name: getattr(self, name) for name in names}

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        """Arguments of the gymnasium id: the name of one task, and options."""
        return {"name": self.task, **self.options}

    def create_envs(self, n_envs: int, use_async_envs: bool = False) -> dict[str, dict[int, gymnasium.vector.VectorEnv]]:
        """Suite -> task -> vector environment, restarted in the step that ends an episode, as lerobot expects."""
        kind = gymnasium.vector.AsyncVectorEnv if use_async_envs else gymnasium.vector.SyncVectorEnv
        out: dict[str, dict[int, gymnasium.vector.VectorEnv]] = {}
        for name in _task_names(self.task):
            suite, task, _ = parse_name(name)
            builders = [partial(lerobot_task, name, **self.options)] * n_envs
            out.setdefault(suite, {})[task] = kind(builders, autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP)
        return out


def make_env(n_envs: int = 1, use_async_envs: bool = False, cfg: Any = None) -> dict[str, dict[int, gymnasium.vector.VectorEnv]]:
    """Entry point of lerobot's EnvHub: environments of a configuration, by default those of `NoraBenchEnv`."""
    return (cfg or NoraBenchEnv()).create_envs(n_envs, use_async_envs)


def _task_names(given: str) -> list[str]:
    """`suite/taskN` for every task of a list of suites and tasks, separated by commas."""
    names: list[str] = []
    for part in filter(None, map(str.strip, given.split(","))):
        named = "/task" in part
        names += [part] if named else [f"{one}/task{task.id}" for one in suites.expand(part) for task in suites.get(one).tasks]
    return list(dict.fromkeys(names))


if GYM_ID not in gymnasium.registry:
    gymnasium.register(GYM_ID, entry_point=lerobot_task, order_enforce=False, disable_env_checker=True)
