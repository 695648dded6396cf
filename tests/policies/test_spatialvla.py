"""On a tiny checkpoint of SpatialVLA's layout, whose code the test writes; a real one in its own interpreter."""

import json
import os
import subprocess

import numpy as np
import pytest
from nora_bench.envs import protocols
from nora_bench.envs.base import EnvObservation, EpisodeSpec
from nora_bench.envs.errors import PolicyError
from nora_bench.policies.base import Observation, PolicyContext
from nora_bench.policies.checks import check_policy
from nora_bench.policies.images import resize_area
from nora_bench.policies.registry import load

SIMPLER = protocols.get("simpler/spatialvla")
FRACTAL = "fractal20220817_data/0.1.0"
CODE = """
from pathlib import Path
from types import SimpleNamespace
import hashlib
import json

import numpy as np
import torch
from transformers import BatchFeature, PretrainedConfig, PreTrainedModel, ProcessorMixin


class Config(PretrainedConfig):
    model_type = "spatialvla"

    def __init__(self, answer=12, **others):
        self.answer = answer
        super().__init__(**others)


class Model(PreTrainedModel):
    config_class = Config

    def __init__(self, config):
        super().__init__(config)
        self.vision_tower = torch.nn.Linear(3, 12)
        self.post_init()

    def predict_action(self, inputs):
        inputs = inputs.to(torch.bfloat16)
        seen = self.vision_tower(inputs["pixel_values"].mean((2, 3))) + inputs["input_ids"].mean()
        return (seen.float().sigmoid() * 100).long()[:, : self.config.answer]


class Processor(ProcessorMixin):
    attributes = []

    @classmethod
    def from_pretrained(cls, folder, **_):
        made = cls()
        settings = json.loads((Path(folder) / "processor_config.json").read_text())
        made.statistics, made.num_obs_steps = settings["statistics"], settings["num_obs_steps"]
        made.action_chunk_size = settings["action_chunk_size"]
        made.image_processor = SimpleNamespace(size={"height": 224, "width": 224})
        return made

    def __call__(self, images, text, unnorm_key, return_tensors, do_normalize):
        assert (return_tensors, do_normalize) == ("pt", False)
        ids = torch.tensor([[byte / 255 for byte in hashlib.sha256((text + unnorm_key).encode()).digest()]])
        picture = torch.from_numpy(np.array(images[0])).permute(2, 0, 1)[None] / 255
        return BatchFeature({"input_ids": ids, "pixel_values": picture})

    def decode_actions(self, generation_outputs, unnorm_key):
        ids = np.zeros(3 * self.action_chunk_size)
        ids[: generation_outputs.shape[1]] = generation_outputs[0].numpy()
        move, turn, opening = ids.reshape(-1, 3).T / 100
        scale = self.statistics[unnorm_key]["action"]["q99"][0]
        return {"actions": np.stack([move * scale] * 3 + [turn] * 3 + [opening > 0.5], axis=1), "action_ids": ids}
"""


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    """Writes one: `checkpoint(answer=9)` answers with 9 tokens, `checkpoint(num_obs_steps=2)` wants two pictures."""
    pytest.importorskip("transformers", reason="pip install 'nora-bench[nora]'")
    torch = pytest.importorskip("torch", reason="pip install 'nora-bench[nora]'")
    from safetensors.torch import save_file

    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))

    def write(answer=12, num_obs_steps=1):
        folder = tmp_path / "tiny"
        folder.mkdir()
        (folder / "modeling_spatialvla.py").write_text(CODE)
        auto = {"AutoConfig": "Config", "AutoModel": "Model"}
        config = {"model_type": "spatialvla", "answer": answer, "torch_dtype": "bfloat16"}
        config["auto_map"] = {name: f"modeling_spatialvla.{what}" for name, what in auto.items()}
        (folder / "config.json").write_text(json.dumps(config))
        statistics = {name: {"action": {"q99": [high] * 7}} for name, high in {"bridge_orig/1.0.0": 2.0, FRACTAL: 5.0}.items()}
        processor = {"statistics": statistics, "num_obs_steps": num_obs_steps, "action_chunk_size": 4}
        processor |= {"auto_map": {"AutoProcessor": "modeling_spatialvla.Processor"}, "processor_class": "Processor"}
        (folder / "processor_config.json").write_text(json.dumps(processor))
        tensors = {
            "vision_tower.weight": torch.arange(36.0).reshape(12, 3) / 18 - 1,
            "vision_tower.bias": torch.arange(12.0) / 12,
        }
        save_file({name: value.bfloat16() for name, value in tensors.items()}, folder / "model.safetensors", {"format": "pt"})
        return folder

    return write


def started(folder, protocol=SIMPLER):
    policy = load("spatialvla", {"checkpoint": str(folder), "trust_remote_code": "true"})
    policy.setup(PolicyContext(protocol, ("simpler-vm",), 7))
    return policy


def seen(step=0):
    picture = np.random.default_rng(step).integers(0, 256, (512, 640, 3), np.uint8)
    return Observation(
        EpisodeSpec("simpler-vm", 0, 0, 0, SIMPLER.name), step, step, "Pick Can", EnvObservation({"primary": picture})
    )


def by_hand(policy, one):
    """The whole chunk, as the published evaluation asks for it."""
    import torch
    from PIL import Image

    picture = Image.fromarray(resize_area(one.env_observation.images["primary"], 224, 224))
    inputs = policy.processor(images=[picture], text="pick can", unnorm_key=FRACTAL, return_tensors="pt", do_normalize=False)
    with torch.no_grad():
        tokens = policy.model.predict_action(inputs)
    return policy.processor.decode_actions(generation_outputs=tokens, unnorm_key=FRACTAL)["actions"]


def test_a_checkpoints_code_does_not_run_before_it_is_trusted(tmp_path):
    with pytest.raises(PolicyError, match=r"none of it has been run.*--policy-arg trust_remote_code=true"):
        load("spatialvla", {"checkpoint": str(tmp_path)})


def test_the_first_action_is_the_chunks_first(checkpoint):
    policy = started(checkpoint())
    (chunk,) = policy.act([seen()])
    assert (len(chunk.actions), chunk.status) == (1, "ok")
    assert np.array_equal(chunk.actions[0, :3], by_hand(policy, seen())[0, :3])


def test_the_second_action_averages_two_chunks_the_newer_e_to_the_08_times_heavier(checkpoint):
    policy = started(checkpoint())
    answers = [policy.act([seen(step)])[0].actions[0] for step in range(2)]
    first, second = by_hand(policy, seen(0)), by_hand(policy, seen(1))
    weight = np.exp(0.8) / (1 + np.exp(0.8))
    assert answers[1][:3] == pytest.approx((1 - weight) * first[1, :3] + weight * second[0, :3])
    assert not np.array_equal(first[1, :3], second[0, :3])


def test_it_keeps_the_contract_of_policies(checkpoint):
    folder = checkpoint()
    context = PolicyContext(SIMPLER, ("simpler-vm",), 7)
    specs = [EpisodeSpec("simpler-vm", task, 0, 0, SIMPLER.name) for task in range(2)]
    shown = [Observation(spec, 0, 0, "pick can", seen(spec.task_id).env_observation) for spec in specs]
    check_policy(lambda: load("spatialvla", {"checkpoint": str(folder), "trust_remote_code": "true"}), context, shown)


def test_an_answer_that_stops_short_is_counted(checkpoint):
    assert started(checkpoint(answer=9)).act([seen()])[0].status == "cut"


def test_a_model_of_several_observations_is_refused(checkpoint):
    with pytest.raises(PolicyError, match="needs the last 2 observations"):
        started(checkpoint(num_obs_steps=2))


CHECK = """
import json, sys
import numpy as np, torch
from PIL import Image
from nora_bench.envs import protocols
from nora_bench.envs.base import EpisodeSpec, View
from nora_bench.policies.base import Observation, PolicyContext
from nora_bench.policies.images import resize_area
from nora_bench.policies.spatialvla import SpatialVLAPolicy

policy, protocol = SpatialVLAPolicy(sys.argv[1], trust_remote_code=True), protocols.get("simpler/spatialvla")
policy.setup(PolicyContext(protocol, ("simpler-vm",), 7))
key = policy.fingerprint()["statistics"]["simpler-vm"]
ours, theirs = [], []
for seed in range(3):
    picture = np.random.default_rng(seed).integers(0, 60 + 90 * seed, (512, 640, 3), dtype=np.uint8)
    spec = EpisodeSpec("simpler-vm", 0, seed, 0, protocol.name)
    one = Observation(spec, 0, 0, "pick coke can", EnvObservation({"primary": picture}))
    ours.append(policy.act([one])[0].actions[0, :3].tolist())
    images = [Image.fromarray(resize_area(picture, 224, 224))]
    inputs = policy.processor(images=images, text="pick coke can", unnorm_key=key, return_tensors="pt", do_normalize=False)
    tokens = policy.model.predict_action(inputs)
    theirs.append(policy.processor.decode_actions(generation_outputs=tokens, unnorm_key=key)["actions"][0, :3].tolist())
print(json.dumps({"ours": ours, "theirs": theirs}))
"""


@pytest.mark.slow
def test_a_checkpoint_with_its_own_code_answers_as_its_card_asks_it(tmp_path):
    python, folder = os.environ.get("NORA_BENCH_SPATIALVLA"), os.environ.get("NORA_BENCH_SPATIALVLA_CHECKPOINT")
    if not python or not folder:
        pytest.skip(
            "set NORA_BENCH_SPATIALVLA to a Python with transformers 4.47, NORA_BENCH_SPATIALVLA_CHECKPOINT to a checkpoint"
        )
    done = subprocess.run([python, "-c", CHECK, folder], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["ours"] == found["theirs"]


def test_a_fine_tunes_own_statistics_win(checkpoint):
    folder = checkpoint()
    (folder / "dataset_statistics.json").write_text(json.dumps({"fractal/0.2.0": {"action": {"q99": [7.0] * 7}}}))
    policy = started(folder)
    (found,) = policy.fingerprint()["statistics_from"].values()
    assert (found["name"], found["source"]) == ("fractal/0.2.0", "dataset_statistics.json")
    assert policy.processor.statistics["fractal/0.2.0"]["action"]["q99"][0] == 7.0
