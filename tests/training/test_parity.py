import json
import shutil

import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[train]'")
import numpy as np
import torch
from nora_bench.policies.nora.checkpoint import open_checkpoint
from nora_bench.policies.nora.model.reference import token_loss
from nora_bench.policies.nora.nano import write_nano
from nora_bench.policies.nora.parity.recordings import Recordings
from nora_bench.policies.nora.prompt import Prompter
from nora_bench.training.parity import compare
from nora_bench.training.preference.loss import (
    FrozenReference,
    flow_dpo,
    flow_terms,
    squared_error,
    token_dpo,
    token_log_probabilities,
)
from nora_bench.training.preference.pairs import PromptCollator
from nora_bench.training.preference.rewards import Reward, imagine, score
from nora_bench.training.world_model.checkpoint import untrained
from nora_bench.training.world_model.model import PredictorConfig, WorldModelConfig, block_causal_mask
from safetensors.torch import load_file, save_file

INPUTS = ("input_ids", "attention_mask", "position_ids", "pixel_values", "image_grid_thw")
SIDES = ("winner", "loser")


def failed(recordings):
    return {check.quantity for check in compare(recordings) if not check.passed}


def save(folder, file, **tensors):
    save_file({name.replace("__", "."): tensor.detach().contiguous().clone() for name, tensor in tensors.items()}, folder / file)


def one(value):
    return torch.as_tensor(value, dtype=torch.float32).reshape(1)


def test_every_recorded_quantity_of_training_is_compared_and_within_tolerance(golden):
    recordings = Recordings(golden / "nora")
    assert failed(recordings) == set()
    assert [file for file in recordings.unread() if "dpo" in file or "world_model" in file] == []


def test_the_command_compares_training_beside_the_models(cli, golden):
    ended = cli("parity", golden / "nora", "--json")
    quantities = {json.loads(line)["quantity"] for line in ended.out.splitlines()}
    assert ended.code == 0 and "not compared" not in ended.err
    assert {"sampled actions", "DPO loss", "token DPO loss", "world model losses", "winner and loser"} <= quantities


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def record_dpo(folder, chunk=3):
    """Preference losses of another model, in the recordings' layout."""
    (write_nano(folder, chunk=chunk, seed=5) / "model.safetensors").rename(folder / "weights.safetensors")
    before, policy = (open_checkpoint(str(folder / "weights.safetensors")).model("cpu", torch.float32) for _ in range(2))
    changed = {
        name: value + 0.02 * draw(*value.shape) for name, value in policy.named_parameters() if "vlm.model.visual" not in name
    }
    save_file(changed, folder / "dpo_policy_weights.safetensors")
    policy.load_state_dict(changed, strict=False)
    policy.vlm.tie_weights()
    collator = PromptCollator(policy.config, Prompter.load(folder, policy.config.image_tokens))
    answers = {
        side: [collator.prompter.answer(t) for t in tokens]
        for side, tokens in zip(SIDES, ([[3, 4], [9]], [[5], [7, 8]]), strict=True)
    }
    images = np.random.default_rng(0).integers(0, 256, (2, 84, 84, 3), np.uint8)
    prompts = {side: collator.collate(images, ["open the drawer", "turn on the stove"], rows) for side, rows in answers.items()}
    settings = json.loads((folder / "config.json").read_text())
    settings["vlm_config"]["image_token_id"] = collator.prompter.ids.image
    (folder / "config.json").write_text(json.dumps(settings))
    out = record_flow(folder, before, policy.requires_grad_(True), prompts["winner"], collator.labels(prompts["winner"]), chunk)
    save(folder, "dpo.safetensors", **out, **record_tokens(before, policy, collator, prompts))


def record_flow(folder, before, policy, prompts, labels, chunk):
    train = dict(zip(INPUTS, prompts.inputs, strict=True)) | {"expert_attention": prompts.mask_BP.long(), "labels": labels}
    save(folder, "training.safetensors", **{f"train__{name}": value for name, value in train.items()})
    pairs, noise, time = draw(4, chunk, 7, seed=1), draw(4, chunk, 7, seed=2), torch.tensor([0.2, 0.9, 0.5, 0.3])
    out = {"actions_winner": pairs[:2], "actions_loser": pairs[2:], "noise": noise, "time": time}
    terms = flow_terms(policy, FrozenReference(before, released=True), prompts, pairs, noise, time)
    loss = flow_dpo(terms, 250.0, "mean")
    loss.loss.backward()
    for who, velocity in (("policy", terms.policy), ("ref", terms.reference)):
        for side, part in zip(SIDES, (slice(2), slice(2, 4)), strict=True):
            out[f"released__{who}_velocity_{side}"] = velocity[part]
            out[f"released__{who}_mse_{side}"] = squared_error(velocity, terms.target, "mean")[part]
    out |= {"released__dpo_loss": one(loss.loss.detach()), "released__combined_loss": one(loss.loss.detach())}
    out |= {"released__implicit_acc": one(loss.accuracy), "released__lm_last_layer_q_grad_is_none_or_zero": one(1.0)}
    out |= {"released__vlm_loss": one(token_loss(policy.prefix(*prompts.inputs).logits, labels).detach())}
    out |= {"released__grad__action_out_proj__weight": policy.action_out_proj.weight.grad}
    with torch.no_grad():
        both = torch.cat([noise[:2], noise[:2]]), torch.cat([time[:2], time[:2]])
        terms = flow_terms(policy, FrozenReference(before), prompts, pairs, *both)
        for who, velocity in (("policy", terms.policy), ("ref", terms.reference)):
            for side, part in zip(SIDES, (slice(2), slice(2, 4)), strict=True):
                out[f"paper__{who}_sse_{side}"] = squared_error(velocity, terms.target, "sum")[part]
        out |= {"paper__noise": noise[:2], "paper__time": time[:2], "paper__beta": one(0.3)}
        out |= {"paper__loss": one(flow_dpo(terms, 0.3, "sum").loss)}
    return {f"dpo__{name}": value for name, value in out.items()}


@torch.no_grad()
def record_tokens(before, policy, collator, prompts):
    out, scores = {}, {"policy": [], "ref": []}
    for side in SIDES:
        labels = collator.labels(prompts[side])
        out |= {
            f"{side}__input_ids": prompts[side].inputs[0],
            f"{side}__attention_mask": prompts[side].inputs[1],
            f"{side}__labels": labels,
        }
        for who, model in (("policy", policy), ("ref", before)):
            scores[who].append(token_log_probabilities(model.prefix(*prompts[side].inputs).logits, labels))
            out[f"{who}_logp_{side}"] = scores[who][-1]
    out |= {"beta": one(0.2), "loss": one(token_dpo(torch.cat(scores["policy"]), torch.cat(scores["ref"]), 0.2).loss)}
    return {f"dpo_fast__{name}": value for name, value in out.items()}


ENCODER = {
    "img_size": 48,
    "patch_size": 16,
    "tubelet_size": 2,
    "encoder": {"embed_dim": 36, "depth": 1, "num_heads": 3, "mlp_ratio": 2.0},
}
PREDICTOR = {"predictor": {"predictor_embed_dim": 32, "depth": 1, "num_heads": 2}}


def record_world(folder):
    """Losses, roll-outs and rewards of another world model, in the recordings' layout."""
    encoder = {"crop_size": 48, "patch_size": 16, "tubelet_size": 2, "hidden_size": 36, "num_hidden_layers": 1}
    config = WorldModelConfig(
        {**encoder, "num_attention_heads": 3, "mlp_ratio": 2.0}, PredictorConfig(32, 1, 2, 3.0, 4, 5), False
    )
    world = untrained(config, seed=3)
    with torch.no_grad():
        for parameter in world.predictor.parameters():
            parameter.mul_(10 if parameter.ndim > 1 else 1)
    save_file(world.state_dict(), folder / "world_model_weights.safetensors")
    (folder / "world_model_config.json").write_text(json.dumps({**ENCODER, **PREDICTOR}))
    clips, actions, states = draw(1, 3, 3, 48, 48), draw(1, 2, 4, seed=1), draw(1, 3, 5, seed=2)
    doubled = clips.flatten(0, 1)[:, None].expand(-1, 2, -1, -1, -1)
    latents, before = world.encode(clips), world.encode(clips)[:, :-1]
    loss = world.loss(latents, actions)
    loss.total.backward()
    out = {"clips": clips.transpose(1, 2), "actions": actions, "states_nonzero": states, "attn_mask": block_causal_mask(4, 11)}
    out |= {
        "encoder_multiframe_in": draw(1, 4, 3, 48, 48).transpose(1, 2),
        "encoder_multiframe_out": world.encode_raw(draw(1, 4, 3, 48, 48)),
    }
    out |= {"encoder_raw": world.encode_raw(doubled), "target_latents": latents.flatten(1, 2)}
    out |= {"predictor_raw_zero_state": world.predictor(before, actions, states[:, :2] * 0).flatten(1, 2)}
    out |= {"predictor_raw_nonzero_state": world.predictor(before, actions, states[:, :2]).flatten(1, 2)}
    out |= {"teacher_forced": world.predict(before, actions).flatten(1, 2)}
    out |= {"autoregressive": world.rollout(latents[:, 0], actions)[:, 1:].flatten(1, 2)}
    out |= {"loss_teacher_forcing": one(loss.teacher_forcing.detach()), "loss_rollout": one(loss.rollout.detach())}
    out |= {"loss_total": one(loss.total.detach()), "grad__state_encoder__bias": world.predictor.state_encoder.bias.grad}
    save(folder, "world_model.safetensors", **out, **record_rewards(world))


def record_rewards(world):
    current, goal = draw(1, 1, 3, 48, 48, seed=4), draw(1, 1, 3, 48, 48, seed=5)
    now, then, candidates, best = world.encode(current), world.encode(goal), draw(4, 3, 4, seed=6), draw(5, 4, seed=7)
    scores = score(Reward(), candidates, best[:3], imagine(world, now[0, 0], candidates), then[0, 0])
    latents = world.rollout(now[:, 0].expand(4, -1, -1), candidates)
    return {
        "current_frame": current.transpose(1, 2),
        "goal_frame": goal.transpose(1, 2),
        "current_latent": now[0],
        "goal_latent": then[0],
        "candidates": candidates,
        "ground_truth_actions": best,
        "action_l1_mean": -scores.action,
        "rollout_3__latents": latents.flatten(1, 2),
        "rollout_3__cost_w0__5": -scores.total,
        "rollout_3__goal_energy": -scores.goal,
        "rollout_3__chosen_rejected_w0__5": torch.stack([scores.total.argmax(), scores.total.argmin()]),
    }


@pytest.fixture(scope="session")
def other(tmp_path_factory):
    """Recordings of models of other sizes."""
    folder = tmp_path_factory.mktemp("other")
    record_dpo(folder)
    record_world(folder)
    return folder


def test_recordings_of_other_sizes_are_compared_by_the_same_code(other):
    recordings = Recordings(other)
    quantities = {check.quantity for check in compare(recordings)}
    assert failed(recordings) == set()
    assert [file for file in recordings.unread() if "training" not in file] == []
    assert {"DPO loss", "token DPO loss", "rolled-out latents", "winner and loser"} <= quantities


@pytest.mark.parametrize(
    ("file", "name", "noticed"),
    [
        ("dpo_policy_weights", "action_out_proj.weight", {"DPO loss", "velocities of DPO's terms", "gradients of the DPO loss"}),
        ("dpo_policy_weights", "vlm.model.language_model.norm.weight", {"token DPO loss", "token loss beside DPO"}),
        ("dpo", "dpo.paper.time", {"squared errors of DPO's terms"}),
        ("world_model_weights", "predictor.action_encoder.weight", {"world model losses", "predictions fed back", "rewards"}),
        ("world_model_weights", "encoder.layernorm.weight", {"encoder, frame by frame", "encoder, several frames"}),
    ],
)
def test_changed_numbers_are_detected(other, tmp_path, file, name, noticed):
    shutil.copytree(other, tmp_path, dirs_exist_ok=True)
    tensors = load_file(tmp_path / f"{file}.safetensors")
    save_file({**tensors, name: tensors[name] * 1.1 + 0.1 * draw(*tensors[name].shape)}, tmp_path / f"{file}.safetensors")
    assert noticed <= failed(Recordings(tmp_path))
