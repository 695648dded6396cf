"""Held against the released implementation, tensor by tensor, within what rounding can do on any processor."""

import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[nora]'")
import torch
from nora_bench.policies.nora.config import expert_intermediate
from nora_bench.policies.nora.model.expert import attention_mask, rotary, time_embedding
from nora_bench.policies.nora.model.functional import rotate
from nora_bench.policies.nora.model.reference import euler_times
from nora_bench.policies.nora.parity.compare import INPUTS
from nora_bench.policies.nora.parity.tolerance import model_rounding, rounding


@pytest.fixture
def close(checkpoint):
    """Fails where two tensors differ by more than the model's rounding."""

    def check(ours, theirs, share=None):
        share = model_rounding(checkpoint.config) if share is None else share
        torch.testing.assert_close(ours, theirs, atol=share * float(theirs.abs().max()), rtol=0)

    return check


@pytest.fixture
def prefix(model, recorded):
    given = recorded("inference")
    with torch.no_grad():
        return model.prefix(*(given[f"sample.{name}"] for name in INPUTS))


def test_logits_match_recording(prefix, recorded, close):
    close(prefix.logits, recorded("inference")["sample.vlm_logits"])


def swap_rope_axes(model, positions):
    return positions[[0, 2, 1]]


def no_epsilon(model, positions):
    for norm in model.vlm.modules():
        if hasattr(norm, "variance_epsilon"):
            norm.variance_epsilon = 0.0
    return positions


def another_rope_base(model, positions):
    rope = model.vlm.model.language_model.rotary_emb
    rope.inv_freq = rope.inv_freq * 1.0001
    return positions


def bfloat16_head(model, positions):
    with torch.no_grad():
        model.vlm.lm_head.weight.copy_(model.vlm.lm_head.weight.bfloat16().float())
    return positions


@pytest.mark.parametrize("wrong", [swap_rope_axes, no_epsilon, another_rope_base, bfloat16_head])
@torch.no_grad()
def test_wrong_backbone_exceeds_tolerance(model, recorded, close, wrong):
    given = recorded("inference")
    ids, mask, positions, pixels, grid = (given[f"sample.{name}"] for name in INPUTS)
    logits = model.prefix(ids, mask, wrong(model, positions), pixels, grid).logits
    with pytest.raises(AssertionError):
        close(logits, given["sample.vlm_logits"])


@pytest.mark.parametrize("name, value", [("ROPE_BASE", 10_010.0), ("PERIODS", (4e-3, 4.001))])
@torch.no_grad()
def test_wrong_expert_exceeds_tolerance(model, prefix, recorded, close, monkeypatch, name, value):
    given = recorded("inference")
    monkeypatch.setattr(f"nora_bench.policies.nora.model.expert.{name}", value)
    velocity = model.velocity(given["sample.noise"], torch.tensor([0.35]), prefix.cache, given["sample.attention_mask"].bool())
    with pytest.raises(AssertionError):
        close(velocity, given["sample.velocity_t0.35"])


def test_cached_keys_and_values_match_recording(prefix, recorded, close):
    given = recorded("inference")
    for index, (keys, values) in enumerate(prefix.cache):
        close(keys, given[f"sample.kv.{index}.key"])
        close(values, given[f"sample.kv.{index}.value"])


@pytest.mark.parametrize("time", ["0.001", "0.35", "1.0"])
@torch.no_grad()
def test_velocity_matches_recording(model, prefix, recorded, close, time):
    given = recorded("inference")
    mask = given["sample.attention_mask"].bool()
    velocity = model.velocity(given["sample.noise"], torch.tensor([float(time)]), prefix.cache, mask)
    close(velocity, given[f"sample.velocity_t{time}"])


@pytest.mark.parametrize("steps", [4, 10])
@torch.no_grad()
def test_sampled_actions_match_recording(model, prefix, recorded, close, steps):
    given = recorded("inference")
    actions = model.sample(given["sample.noise"], prefix.cache, given["sample.attention_mask"].bool(), steps)
    close(actions, given[f"sample.actions_{steps}steps"])


@pytest.fixture
def training(model, recorded):
    given = {name.removeprefix("train."): value for name, value in recorded("training").items()}
    whole = model.prefix(*(given[name] for name in INPUTS))
    loss = model.joint_loss(
        whole, given["labels"], given["expert_attention"].bool(), given["actions"], given["noise"], given["time"]
    )
    return given, loss


@pytest.mark.parametrize("part, name", [("total", "combined_loss"), ("tokens", "vlm_loss"), ("flow", "expert_loss")])
def test_joint_losses_match_recording(training, close, part, name):
    given, loss = training
    close(getattr(loss, part).detach().reshape(1), given[f"loss.{name}"])


def test_joint_loss_gradients_match_recording_through_the_cache(model, training):
    given, loss = training
    loss.total.backward()
    recorded = {name.removeprefix("grad."): value for name, value in given.items() if name.startswith("grad.")}
    assert any(name.startswith("vlm.") for name in recorded) and any(name.startswith("action_expert.") for name in recorded)
    for name, wanted in recorded.items():
        torch.testing.assert_close(model.get_parameter(name).grad, wanted, atol=1e-4 * float(wanted.abs().max()), rtol=0)


@pytest.mark.parametrize("size", [48, 768])
def test_time_embedding_equals_recording_bit_for_bit(recorded, size):
    given = recorded("functions")
    assert torch.equal(time_embedding(given["fn.time"], size), given[f"fn.time_embedding_{size}"])


def test_rotary_embedding_matches_recording(recorded, close):
    given = recorded("functions")
    x = given["fn.rope_in"].transpose(1, 2)
    ours = rotate(x, *rotary(x.shape[2], x.shape[3], "cpu")).transpose(1, 2)
    close(ours, given["fn.rope_out"], rounding([x.shape[3]]))


def test_mlp_widths_match_recording(recorded):
    given = recorded("functions")
    assert [expert_intermediate(size) for size in given["fn.hidden_sizes"].tolist()] == given["fn.intermediate_sizes"].tolist()


def test_actions_attend_to_valid_prefix_and_each_other(recorded):
    given = recorded("training")
    ours = attention_mask(given["train.expert_attention"].bool(), given["train.actions"].shape[1])
    assert torch.equal(ours, given["train.expert_attention_mask"])


@pytest.mark.parametrize("steps", [4, 10])
def test_euler_times_are_accumulated_in_float32(recorded, steps):
    assert torch.equal(torch.tensor(euler_times(steps)), recorded("inference")[f"sample.traj_{steps}steps.t"])


def test_euler_times_have_the_requested_number():
    assert [len(euler_times(steps)) for steps in (1, 3, 10, 50)] == [1, 3, 10, 50]
