"""lerobot's environment interface on the toy suite; with a stub of its base classes where lerobot is not installed."""

import importlib
import sys
import types
from dataclasses import dataclass, field

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium", reason="pip install 'nora-bench[libero]'")


def stub(monkeypatch):
    """The parts of lerobot 0.4.4 that the plug-in imports: a registry of configurations, and features."""

    @dataclass
    class EnvConfig:
        task: str | None = None
        fps: int = 30
        features: dict = field(default_factory=dict)
        features_map: dict = field(default_factory=dict)
        known = {}  # noqa: RUF012

        @classmethod
        def register_subclass(cls, name):
            return lambda kind: cls.known.setdefault(name, kind)

    feature = types.SimpleNamespace(ACTION="ACTION", STATE="STATE", VISUAL="VISUAL")
    kinds = types.ModuleType("lerobot.configs.types")
    kinds.FeatureType, kinds.PolicyFeature = (
        feature,
        dataclass(type("PolicyFeature", (), {"__annotations__": {"type": str, "shape": tuple}})),
    )
    configs = types.ModuleType("lerobot.envs.configs")
    configs.EnvConfig = EnvConfig
    packages = {name: types.ModuleType(name) for name in ("lerobot", "lerobot.configs", "lerobot.envs")}
    for name, module in {**packages, "lerobot.configs.types": kinds, "lerobot.envs.configs": configs}.items():
        monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def plugin(monkeypatch, tmp_path):
    """The plug-in, as lerobot imports it."""
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path / "cache"))
    name = "nora_bench.harness.environments.lerobot_plugin"
    try:
        import lerobot.envs.configs  # noqa: F401
    except ImportError:
        stub(monkeypatch)
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module(name)


def test_configuration_creates_a_vector_environment_per_task(plugin):
    envs = plugin.NoraBenchEnv(task="fakes:toy/task1,fakes:toy/task2").create_envs(n_envs=2)
    assert {suite: list(tasks) for suite, tasks in envs.items()} == {"fakes:toy": [1, 2]}
    for env in envs["fakes:toy"].values():
        env.close()


def test_observations_and_attributes_are_those_that_lerobot_reads(plugin):
    (env,) = plugin.NoraBenchEnv(task="fakes:toy/task1", image_size=8).create_envs(n_envs=2)["fakes:toy"].values()
    observation, _ = env.reset(seed=[1000, 1001])
    assert observation["pixels"]["image"].shape == (2, 8, 8, 3)
    assert observation["pixels"]["image"].dtype == np.uint8
    assert observation["agent_pos"].shape == (2, 1)
    assert env.call("task_description") == ("go home, number 1",) * 2
    assert hasattr(env.envs[0], "task")
    assert env.call("_max_episode_steps")[0] == 20
    env.close()


def test_success_is_in_the_final_info_of_the_step_that_ends_an_episode(plugin):
    (env,) = plugin.NoraBenchEnv(task="fakes:toy/task1", image_size=8).create_envs(n_envs=2)["fakes:toy"].values()
    start = env.reset(seed=[0, 1])[0]["agent_pos"][:, 0]
    *_, terminated, _, info = env.step(np.array([[-start[0]], [1.0]]))
    assert terminated.tolist() == [True, False]
    assert info["final_info"]["is_success"].tolist() == [True, False]
    env.close()


def test_gymnasium_id_of_lerobot_0_4_makes_one_task_without_wrappers(plugin):
    config = plugin.NoraBenchEnv(task="fakes:toy/task1")
    env = gymnasium.make(config.gym_id, disable_env_checker=True, **config.gym_kwargs)
    assert hasattr(env, "task_description")
    env.close()


def test_features_map_libero_to_its_data_sets_names(plugin):
    config = plugin.NoraBenchEnv()
    assert config.features.keys() == config.features_map.keys()
    assert config.features["pixels/image"].shape == (256, 256, 3)
    assert config.features_map["pixels/image2"] == "observation.images.image2"
