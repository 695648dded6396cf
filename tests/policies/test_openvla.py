"""On a tiny checkpoint of OpenVLA's layout, whose code the test writes; a real one in its own interpreter."""

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
from nora_bench.policies.images import model_image
from nora_bench.policies.registry import load

LIBERO, SIMPLER = (protocols.get(name) for name in ("libero/openvla", "simpler/openvla"))
QUESTION = "In: What action should the robot take to {}?\nOut:"
CODE = """
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from transformers import BatchFeature, PretrainedConfig, PreTrainedModel, ProcessorMixin


class Config(PretrainedConfig):
    model_type = "openvla"

    def __init__(self, norm_stats=None, image_sizes=(224, 224), blind=False, **others):
        self.norm_stats, self.image_sizes, self.blind = norm_stats, image_sizes, blind
        super().__init__(**others)


class Model(PreTrainedModel):
    config_class = Config

    def __init__(self, config):
        super().__init__(config)
        self.norm_stats = config.norm_stats
        self.vision_backbone = torch.nn.Linear(6, 7)
        self.post_init()

    def predict_action(self, input_ids, unnorm_key=None, pixel_values=None, attention_mask=None, do_sample=True):
        assert not do_sample
        stats = self.norm_stats[unnorm_key]["action"]
        seen = torch.zeros(7) if self.config.blind else self.vision_backbone(pixel_values.mean((2, 3)))[0]
        action = torch.tanh(seen + input_ids.float().mean()).numpy()
        low, high = np.array(stats["q01"]), np.array(stats["q99"])
        return np.where(stats["mask"], 0.5 * (action + 1) * (high - low) + low, action)


class Processor(ProcessorMixin):
    attributes = []

    @classmethod
    def from_pretrained(cls, folder, **_):
        return cls()

    def __call__(self, text, image):
        ids = torch.tensor([[byte / 255 for byte in hashlib.sha256(text.encode()).digest()]])
        picture = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255
        both = picture.repeat(1, 2, 1, 1)
        return BatchFeature({"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": both})
"""


def stats(high):
    return {"action": {"q01": [-1.0] * 7, "q99": [high] * 7, "mask": [True] * 6 + [False]}}


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    """Writes one: `checkpoint(blind=True)` leaves the picture out."""
    pytest.importorskip("transformers", reason="pip install 'nora-bench[nora]'")
    torch = pytest.importorskip("torch", reason="pip install 'nora-bench[nora]'")
    from safetensors.torch import save_file

    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))

    def write(**settings):
        folder = tmp_path / f"tiny{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        (folder / "modeling_prismatic.py").write_text(CODE)
        auto = {"AutoConfig": "Config", "AutoModelForVision2Seq": "Model"}
        known = {"libero_goal_no_noops": stats(3.0), "fractal20220817_data": stats(5.0)}
        config = {"model_type": "openvla", "norm_stats": known, **settings}
        config["auto_map"] = {name: f"modeling_prismatic.{what}" for name, what in auto.items()}
        (folder / "config.json").write_text(json.dumps(config))
        processor = {"auto_map": {"AutoProcessor": "modeling_prismatic.Processor"}, "processor_class": "Processor"}
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
        weights = torch.arange(42.0).reshape(7, 6) / 42 - 0.5
        tensors = {"vision_backbone.weight": weights, "vision_backbone.bias": torch.arange(7.0) / 7}
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        return folder

    return write


def started(folder, protocol=LIBERO, suite="libero_goal", **args):
    policy = load("openvla", {"checkpoint": str(folder), "trust_remote_code": "true", **args})
    policy.setup(PolicyContext(protocol, (suite,), 7))
    return policy


def seen(protocol=LIBERO, suite="libero_goal", step=0, shade=256):
    size = (512, 640, 3) if protocol is SIMPLER else (256, 256, 3)
    picture = np.random.default_rng(0).integers(0, shade, size, np.uint8)
    return Observation(
        EpisodeSpec(suite, 0, 0, 0, protocol.name), step, step, "Open the Drawer", EnvObservation({"primary": picture})
    )


def by_hand(policy, picture, text, key):
    """As the model's card asks it."""
    import torch
    from PIL import Image

    inputs = policy.processor(text, Image.fromarray(picture)).to(policy.model.device, dtype=torch.float32)
    with torch.no_grad():
        return policy.model.predict_action(**inputs, unnorm_key=key, do_sample=False)


def test_a_checkpoints_code_does_not_run_before_it_is_trusted(tmp_path):
    with pytest.raises(PolicyError, match=r"none of it has been run.*--policy-arg trust_remote_code=true"):
        load("openvla", {"checkpoint": str(tmp_path)})


def test_libero_asks_the_published_question_over_the_cropped_picture(checkpoint):
    policy, one = started(checkpoint()), seen()
    wanted = by_hand(
        policy,
        model_image(one.env_observation.images["primary"], 224, LIBERO.model_image),
        QUESTION.format("open the drawer"),
        "libero_goal_no_noops",
    )
    (chunk,) = policy.act([one])
    assert chunk.actions.shape == (1, 7)
    assert np.array_equal(chunk.actions[0, :6], wanted[:6])
    assert chunk.actions[0, 6] == (-1 if wanted[6] > 0.5 else 1)


def test_simplerenv_asks_the_bare_instruction_with_the_robots_statistics(checkpoint):
    policy, one = started(checkpoint(), SIMPLER, "simpler-vm"), seen(SIMPLER, "simpler-vm")
    picture = model_image(one.env_observation.images["primary"], 224, SIMPLER.model_image)
    wanted = by_hand(policy, picture, "open the drawer", "fractal20220817_data")
    (chunk,) = policy.act([one])
    assert np.array_equal(chunk.actions[0, :3], wanted[:3])
    assert chunk.actions[0, 6] == 0, "no change of the gripper at the first step"


def test_it_keeps_the_contract_of_policies(checkpoint):
    folder = checkpoint()
    check_policy(
        lambda: load("openvla", {"checkpoint": str(folder), "trust_remote_code": "true", "statistics": "libero_goal_no_noops"})
    )


def test_a_fine_tunes_own_statistics_win(checkpoint):
    folder = checkpoint()
    (folder / "dataset_statistics.json").write_text(json.dumps({"libero_goal": stats(9.0)}))
    assert started(folder).fingerprint()["statistics"] == {"libero_goal": "libero_goal"}


@pytest.mark.parametrize(
    "own", [{"libero_4_task_suites_no_noops": stats(9.0)}, {"norm_stats": {"libero": stats(9.0)}}, stats(9.0)]
)
def test_own_statistics_serve_under_the_names_and_layouts_of_others(checkpoint, own):
    folder = checkpoint()
    (folder / "norm_stats.json").write_text(json.dumps(own))
    policy = started(folder)
    (found,) = policy.fingerprint()["statistics_from"].values()
    assert (found["source"], policy.known_statistics()[found["name"]]) == ("norm_stats.json", stats(9.0))


@pytest.mark.parametrize(
    "own, complaint",
    [
        ({"libero_object_no_noops": stats(9.0)}, r"has libero_object_no_noops.*--policy-arg statistics=NAME"),
        ({"libero_goal": {"action": {"mean": [0.0] * 7, "std": [1.0] * 7}}}, "lack q01 and q99"),
    ],
)
def test_own_statistics_that_do_not_fit_or_do_not_say_enough_are_refused(checkpoint, own, complaint):
    folder = checkpoint()
    (folder / "dataset_statistics.json").write_text(json.dumps(own))
    with pytest.raises(PolicyError, match=complaint):
        started(folder)


def rewrite(folder, change):
    from safetensors.torch import load_file, save_file

    save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    "change, complaint",
    [
        (lambda tensors: {"vision_backbone.weight": tensors["vision_backbone.weight"]}, r"lacks vision_backbone\.bias"),
        (lambda tensors: {**tensors, "head.lora_A.weight": tensors["vision_backbone.bias"].clone()}, r"has head\.lora_A\.weight"),
    ],
    ids=["missing", "unknown"],
)
def test_weights_that_the_library_would_draw_or_drop_are_refused_by_name(checkpoint, change, complaint):
    folder = checkpoint()
    rewrite(folder, change)
    with pytest.raises(PolicyError, match=complaint):
        started(folder)


def test_tensors_that_a_model_computes_for_itself_may_lie_in_old_files(checkpoint):
    folder = checkpoint()
    rewrite(folder, lambda tensors: {**tensors, "rotary_emb.inv_freq": tensors["vision_backbone.bias"].clone()})
    started(folder)


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "action_head--150000_checkpoint.pt"])
def test_weights_beside_the_model_are_not_left_out(checkpoint, file):
    folder = checkpoint()
    (folder / file).write_bytes(b"")
    with pytest.raises(PolicyError, match=file):
        started(folder)


def test_code_that_does_not_use_the_image_is_rejected(checkpoint):
    policy = started(checkpoint(blind=True))
    with pytest.raises(PolicyError, match=r"without using the image.*transformers 4\.40\.1"):
        policy.act([seen()])


def test_the_record_tells_weights_and_code_apart(checkpoint):
    one = started(checkpoint()).fingerprint()
    folder = checkpoint()
    (folder / "modeling_prismatic.py").write_text(CODE + "# another\n")
    other = started(folder).fingerprint()
    assert one["weights_sha256"] == other["weights_sha256"]
    assert one["code_sha256"] != other["code_sha256"]


def test_what_foreign_code_raises_names_the_version_that_it_was_written_for(checkpoint):
    folder = checkpoint()
    (folder / "modeling_prismatic.py").write_text("from transformers import NoSuchThing\n")
    with pytest.raises(PolicyError, match=r"NoSuchThing.*written for transformers 4\.40\.1"):
        started(folder)


CHECK = """
import json, sys
import numpy as np, torch
from PIL import Image
from nora_bench.envs import protocols
from nora_bench.envs.base import EpisodeSpec, View
from nora_bench.policies.base import Observation, PolicyContext
from nora_bench.policies.images import model_image
from nora_bench.policies.openvla import OpenVLAPolicy

policy, protocol = OpenVLAPolicy(sys.argv[1], trust_remote_code=True), protocols.get("libero/openvla")
policy.setup(PolicyContext(protocol, ("libero_goal",), 7))
answers, theirs = [], []
for seed in range(3):
    picture = np.random.default_rng(seed).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    spec = EpisodeSpec("libero_goal", seed, 0, 0, protocol.name)
    one = Observation(spec, 0, 0, "Open the drawer", EnvObservation({"primary": picture}))
    answers.append(policy.act([one])[0].actions[0].tolist())
    image = Image.fromarray(model_image(picture, 224, protocol.model_image))
    inputs = policy.processor("In: What action should the robot take to open the drawer?\\nOut:", image)
    inputs = inputs.to(policy.model.device, dtype=policy.model.dtype)
    key = policy.fingerprint()["statistics"]["libero_goal"]
    action = policy.model.predict_action(**inputs, unnorm_key=key, do_sample=False)
    theirs.append([*action[:6].tolist(), -1.0 if action[6] > 0.5 else 1.0])
print(json.dumps({"ours": answers, "theirs": theirs, "fingerprint": policy.fingerprint()}))
"""


@pytest.mark.slow
def test_a_checkpoint_with_its_own_code_answers_as_its_card_asks_it(tmp_path):
    python, folder = os.environ.get("NORA_BENCH_OPENVLA"), os.environ.get("NORA_BENCH_OPENVLA_CHECKPOINT")
    if not python or not folder:
        pytest.skip("set NORA_BENCH_OPENVLA to a Python with transformers 4.40.1, NORA_BENCH_OPENVLA_CHECKPOINT to a checkpoint")
    done = subprocess.run([python, "-c", CHECK, folder], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["ours"] == found["theirs"]
    assert found["fingerprint"]["transformers"] == "4.40.1"
