import json
import shutil

import numpy as np
import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[nora]'")
import torch
from nora_bench.policies.images import resize_lanczos3
from nora_bench.policies.nora.checkpoint import open_checkpoint
from nora_bench.policies.nora.nano import write_nano
from nora_bench.policies.nora.parity.compare import compare, greedy
from nora_bench.policies.nora.parity.recordings import Recordings
from nora_bench.policies.nora.pixels import patches
from nora_bench.policies.nora.prompt import Prompter, rotary_positions
from safetensors.torch import load_file, save_file

OF_TRAINING = {"dpo.safetensors", "dpo_policy_weights.safetensors", "world_model.safetensors", "world_model_weights.safetensors"}
"""Compared by `training.parity`."""


def failed(recordings):
    return {check.quantity for check in compare(recordings) if not check.passed}


def test_recorded_quantities_are_within_tolerance_or_listed_as_unread(golden):
    recordings = Recordings(golden / "nora")
    assert failed(recordings) == set()
    assert recordings.unread().keys() <= OF_TRAINING


@pytest.mark.parametrize(
    ("size", "off", "wrong"),
    [
        ((8, 8), 1, set()),
        ((8, 8), 2, {"resized image, share of values"}),
        ((64, 64), 1, set()),
        ((64, 64), 2, {"resized image, share of values"}),  # two of 12,288 values
        ((100, 100), 3, set()),
        ((100, 100), 4, {"resized image, share of values"}),  # of 30,000
    ],
)
def test_one_image_value_may_differ_by_one_grey_level(tmp_path, size, off, wrong):
    before = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    after = resize_lanczos3(before, *size).copy(order="C")
    after.reshape(-1)[:off] ^= 1
    np.savez(tmp_path / "image_resize.npz", **{"a.in": before, "a.out": after})
    assert failed(Recordings(tmp_path)) == wrong


@torch.no_grad()
def record(folder, model, prompter, image):
    """Recordings of another model in the same layout: what its plain implementation computes."""
    config, side = model.config, model.config.image_size // 14
    ids = torch.tensor([prompter.prompt("pick up the bowl")])
    mask, grid = torch.ones_like(ids), torch.tensor([[1, side, side]])
    positions = rotary_positions(ids.numpy(), mask.numpy(), prompter.ids.image, grid.numpy(), 2)
    inputs = (ids, mask, torch.from_numpy(positions), torch.from_numpy(patches(image[None], 14, 2)[0]), grid)
    prefix, noise = model.prefix(*inputs), torch.randn((1, config.chunk, 7), generator=torch.Generator().manual_seed(0))
    tokens, logits = greedy(model, inputs, 3)
    out = dict(zip(("input_ids", "attention_mask", "position_ids", "pixel_values", "image_grid_thw"), inputs, strict=True))
    out |= {"image_u8": torch.from_numpy(image), "rope_deltas": inputs[2].max().reshape(1, 1) + 1 - ids.shape[1], "noise": noise}
    out |= {"vlm_logits": prefix.logits, "generate_ids": torch.cat([ids, tokens], 1), "generate_logits": logits}
    out |= {"image_embeds": model.vlm.model.visual(inputs[3], grid_thw=grid).pooler_output}
    out |= {"vlm_last_hidden": model.vlm.model(*inputs[:3], pixel_values=inputs[3], image_grid_thw=grid).last_hidden_state}
    out |= {f"kv.{i}.{part}": pair[k] for i, pair in enumerate(prefix.cache) for k, part in enumerate(("key", "value"))}
    out |= {"velocity_t0.5": model.velocity(noise, torch.tensor([0.5]), prefix.cache, mask.bool())}
    out |= {"actions_7steps": model.sample(noise, prefix.cache, mask.bool(), 7)}
    save_file({f"sample.{name}": value.contiguous() for name, value in out.items()}, folder / "inference.safetensors")


@pytest.fixture
def other(tmp_path):
    """Recordings of a model of another size, with other weights, ids, picture and chunk."""
    folder = write_nano(tmp_path, image_size=112, chunk=3, seed=5)
    (folder / "model.safetensors").rename(folder / "weights.safetensors")
    model = open_checkpoint(str(folder / "weights.safetensors")).model("cpu", torch.float32)
    image = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
    record(folder, model, Prompter.load(folder, model.config.image_tokens), image)
    return folder


def test_recordings_of_another_model_size_are_compared(other):
    recordings = Recordings(other)
    quantities = {check.quantity for check in compare(recordings)}
    assert failed(recordings) == set() and recordings.unread() == {}
    assert {"fast path: sampled actions", "sampled actions", "cached keys", "greedy token ids"} <= quantities


def test_other_weights_exceed_tolerance(other):
    weights = load_file(other / "weights.safetensors")
    name = "vlm.model.language_model.layers.2.mlp.down_proj.weight"
    save_file({**weights, name: weights[name] * 1.01}, other / "weights.safetensors")
    assert {"backbone logits", "cached keys", "sampled actions"} <= failed(Recordings(other))


@pytest.mark.parametrize("field, quantity", [("tokens", "FAST token ids"), ("decoded_actions", "FAST decoded actions")])
def test_other_tokenizer_exceeds_tolerance(golden, tmp_path, field, quantity):
    shutil.copytree(golden / "nora" / "fast_tokenizer", tmp_path / "fast_tokenizer")
    recorded = json.loads((golden / "nora" / "fast_cases.json").read_text())
    recorded["cases"][0][field] = recorded["cases"][1][field]
    (tmp_path / "fast_cases.json").write_text(json.dumps(recorded))
    assert quantity in failed(Recordings(tmp_path))


def test_command_lists_recordings_that_were_not_compared(cli, golden, tmp_path):
    for file in ("fast_cases.json", "functions.safetensors"):
        shutil.copy(golden / "nora" / file, tmp_path)
    shutil.copytree(golden / "nora" / "fast_tokenizer", tmp_path / "fast_tokenizer")
    save_file({"train.more": torch.zeros(1)}, tmp_path / "training.safetensors")
    ended = cli("parity", tmp_path)
    assert ended.code == 0 and "checks passed" in ended.out
    assert f"not compared yet: {tmp_path.name}/training.safetensors: train.more" in ended.err
