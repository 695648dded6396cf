"""In LeRobot's own interpreter (`NORA_BENCH_LEROBOT`), with a tiny checkpoint that its own classes write; the rest anywhere."""

import json
import os
import subprocess
from types import SimpleNamespace

import pytest
from nora_bench.envs.errors import PolicyError
from nora_bench.policies.lerobot import _cameras, scale_of
from nora_bench.policies.registry import load

CHECK = """
import json, sys
import numpy as np
import torch
from lerobot.configs.types import FeatureType, NormalizationMode, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.factory import make_pre_post_processors
from nora_bench.envs import protocols
from nora_bench.envs.base import EpisodeSpec, View
from nora_bench.policies.base import Observation, PolicyContext
from nora_bench.policies.checks import check_policy
from nora_bench.policies.lerobot import LeRobotPolicy

folder = sys.argv[1]
picture = PolicyFeature(FeatureType.VISUAL, (3, 64, 64))
torch.manual_seed(0)
config = ACTConfig(
    input_features={"observation.images.image": picture, "observation.images.image2": picture,
                    "observation.state": PolicyFeature(FeatureType.STATE, (8,))},
    output_features={"action": PolicyFeature(FeatureType.ACTION, (7,))},
    device="cpu", chunk_size=4, n_action_steps=4, dim_model=16, n_heads=2, dim_feedforward=32, n_encoder_layers=1,
    n_vae_encoder_layers=1, latent_dim=4, pretrained_backbone_weights=None,
)
stats = {"action": {"mean": torch.full((7,), 10.0), "std": torch.full((7,), 0.5)},
         "observation.state": {"mean": torch.zeros(8), "std": torch.ones(8)},
         **{name: {"mean": torch.zeros(3, 1, 1), "std": torch.ones(3, 1, 1)} for name in config.image_features}}
ACTPolicy(config).save_pretrained(folder)
for processor in make_pre_post_processors(config, dataset_stats=stats):
    processor.save_pretrained(folder)

build = lambda: LeRobotPolicy(folder, device="cpu")
check_policy(build)
policy = build()
policy.setup(PolicyContext(protocols.get("libero/openvla"), ("libero_goal",), 7))
rng = np.random.default_rng(0)
view = EnvObservation({name: rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for name in ("primary", "wrist")},
            {"eef_pos": np.zeros(3), "eef_quat": np.array([0, 0, 0, 1.0]), "gripper_qpos": np.zeros(2)})
one = Observation(EpisodeSpec("libero_goal", 0, 0, 0, "libero/openvla"), 0, 0, "do it", view)
ours = policy.act([one])[0].actions
batch = {"observation.state": torch.zeros(1, 8), "task": "do it"}
for camera, name in (("primary", "image"), ("wrist", "image2")):
    batch[f"observation.images.{name}"] = torch.from_numpy(view.images[camera]).permute(2, 0, 1)[None] / 255
before, after = make_pre_post_processors(config, folder)
theirs = after(ACTPolicy.from_pretrained(folder).predict_action_chunk(before(batch)))[0].numpy()
print(json.dumps({"same": bool(np.allclose(ours, theirs, atol=1e-6)), "shape": ours.shape, "mean": float(ours.mean()),
                  "stochastic": policy.stochastic, "needs": policy.observation_spec.cameras,
                  "fingerprint": policy.fingerprint()}))
"""


@pytest.mark.slow
def test_a_checkpoint_answers_as_with_lerobots_own_loop(tmp_path):
    python = os.environ.get("NORA_BENCH_LEROBOT")
    if not python:
        pytest.skip("set NORA_BENCH_LEROBOT to the Python of a virtual environment with lerobot and nora-bench in it")
    done = subprocess.run([python, "-c", CHECK, str(tmp_path / "act")], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["same"]
    assert (found["shape"], found["stochastic"], found["needs"]) == ([4, 7], False, ["primary", "wrist"])
    assert abs(found["mean"] - 10) < 3, "un-normalised with the checkpoint's statistics"
    assert "model.safetensors" in found["fingerprint"]["weights"]


def test_without_lerobot_it_says_where_to_read_on(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "lerobot", None)
    monkeypatch.setitem(sys.modules, "lerobot.configs.policies", None)
    with pytest.raises(PolicyError, match=r"interpreter of their own; docs/guide/other_models\.md"):
        load("lerobot", {"path": str(tmp_path)})


@pytest.mark.parametrize(
    ("features", "cameras"),
    [
        (["observation.images.image", "observation.images.image2"], ("image", "image2")),
        (["observation.images.wrist_image", "observation.images.image"], ("image", "wrist_image")),
        (["observation.images.top"], ("top",)),
        (["observation.images.image", "observation.images.empty_camera_0"], ("image",)),
    ],
)
def test_pictures_are_known_by_their_names(features, cameras):
    assert tuple(name.rpartition(".")[2] for name in _cameras(features, None, None).values()) == cameras


def test_images_of_unknown_cameras_are_rejected():
    features = ["left", "right", "wrist"]
    with pytest.raises(PolicyError, match="the camera of right is unknown"):
        _cameras(features, None, None)
    with pytest.raises(PolicyError, match="has no image top"):
        _cameras(features, "top", None)


def unnormaliser(mode, **numbers):
    """What scales actions in a post-processor, as LeRobot's own step keeps it."""
    return SimpleNamespace(norm_map={"ACTION": mode}, stats={"action": numbers} if numbers else {})


@pytest.mark.parametrize(
    "mode, numbers, kind",
    [
        ("MEAN_STD", {"mean": [0.0] * 7, "std": [1.0] * 7}, "mean/std"),
        ("MIN_MAX", {"min": [0.0] * 7, "max": [1.0] * 7, "mean": [0.0] * 7}, "min/max"),
        ("QUANTILES", {"q01": [0.0] * 7, "q99": [1.0] * 7}, "q01/q99"),
    ],
)
def test_what_scales_the_actions_is_recorded(mode, numbers, kind):
    scale = scale_of([SimpleNamespace(), unnormaliser(mode, **numbers)], "mine")
    assert (scale["numbers"], scale["source"]) == (kind, "post-processor")
    assert scale != scale_of([unnormaliser(mode, **{name: [2.0] * 7 for name in numbers})], "mine")


@pytest.mark.parametrize("numbers", [{}, {"min": [0.0] * 7, "max": [1.0] * 7}, {"mean": [0.0] * 7}])
def test_actions_that_nothing_scales_back_are_refused(numbers):
    with pytest.raises(PolicyError, match=r"MEAN_STD.*lacks"):
        scale_of([unnormaliser("MEAN_STD", **numbers)], "mine")


def test_a_checkpoint_that_was_trained_on_unscaled_actions_needs_no_numbers():
    assert scale_of([unnormaliser("IDENTITY")], "mine")["numbers"] == "none"
