"""Held against the released implementation, tensor by tensor. Tolerance: 1e-5 in float32 on a CPU."""

import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[nora]'")
import torch
from nora_bench.policies.nora.config import expert_intermediate
from nora_bench.policies.nora.expert import attention_mask, rotary, rotate, time_embedding
from nora_bench.policies.nora.model import clock

close = {"atol": 1e-5, "rtol": 0}


@pytest.fixture
def prefix(model, recorded):
    given = recorded("inference")
    with torch.no_grad():
        names = ("input_ids", "attention_mask", "position_ids", "pixel_values", "image_grid_thw")
        return model.prefix(*(given[f"sample.{name}"] for name in names))


def test_logits_are_those_of_the_backbone(prefix, recorded):
    torch.testing.assert_close(prefix.logits, recorded("inference")["sample.vlm_logits"], **close)


def test_cached_keys_and_values_are_those_of_the_backbone(prefix, recorded):
    given = recorded("inference")
    for index, (keys, values) in enumerate(prefix.cache):
        torch.testing.assert_close(keys, given[f"sample.kv.{index}.key"], **close)
        torch.testing.assert_close(values, given[f"sample.kv.{index}.value"], **close)


@pytest.mark.parametrize("time", ["0.001", "0.35", "1.0"])
@torch.no_grad()
def test_one_denoise_step_points_where_the_released_expert_points(model, prefix, recorded, time):
    given = recorded("inference")
    mask = given["sample.attention_mask"].bool()
    velocity = model.velocity(given["sample.noise"], torch.tensor([float(time)]), prefix.cache, mask)
    torch.testing.assert_close(velocity, given[f"sample.velocity_t{time}"], **close)


@pytest.mark.parametrize("steps", [4, 10])
@torch.no_grad()
def test_sampling_from_fixed_noise_ends_at_the_released_actions(model, prefix, recorded, steps):
    given = recorded("inference")
    actions = model.sample(given["sample.noise"], prefix.cache, given["sample.attention_mask"].bool(), steps)
    torch.testing.assert_close(actions, given[f"sample.actions_{steps}steps"], **close)


@pytest.fixture
def training(model, recorded):
    given = {name.removeprefix("train."): value for name, value in recorded("training").items()}
    names = ("input_ids", "attention_mask", "position_ids", "pixel_values", "image_grid_thw")
    whole = model.prefix(*(given[name] for name in names))
    loss = model.joint_loss(
        whole, given["labels"], given["expert_attention"].bool(), given["actions"], given["noise"], given["time"]
    )
    return given, loss


@pytest.mark.parametrize("part, name", [("total", "combined_loss"), ("tokens", "vlm_loss"), ("flow", "expert_loss")])
def test_joint_losses_are_the_released_ones(training, part, name):
    given, loss = training
    torch.testing.assert_close(getattr(loss, part).detach().reshape(1), given[f"loss.{name}"], atol=0, rtol=1e-6)


def test_gradients_of_the_joint_loss_are_the_released_ones_through_the_cache_into_the_backbone(model, training):
    given, loss = training
    loss.total.backward()
    recorded = {name.removeprefix("grad."): value for name, value in given.items() if name.startswith("grad.")}
    assert any(name.startswith("vlm.") for name in recorded) and any(name.startswith("action_expert.") for name in recorded)
    for name, wanted in recorded.items():
        torch.testing.assert_close(model.get_parameter(name).grad, wanted, atol=1e-4 * float(wanted.abs().max()), rtol=0)


@pytest.mark.parametrize("size", [48, 768])
def test_time_embedding_is_the_released_one_to_the_last_bit(recorded, size):
    given = recorded("functions")
    assert torch.equal(time_embedding(given["fn.time"], size), given[f"fn.time_embedding_{size}"])


def test_rotary_embedding_is_the_released_one(recorded):
    given = recorded("functions")
    x = given["fn.rope_in"].transpose(1, 2)
    ours = rotate(x, *rotary(x.shape[2], x.shape[3], "cpu")).transpose(1, 2)
    torch.testing.assert_close(ours, given["fn.rope_out"], **close)


def test_mlp_widths_are_the_released_ones(recorded):
    given = recorded("functions")
    assert [expert_intermediate(size) for size in given["fn.hidden_sizes"].tolist()] == given["fn.intermediate_sizes"].tolist()


def test_actions_see_the_valid_prefix_and_each_other(recorded):
    given = recorded("training")
    ours = attention_mask(given["train.expert_attention"].bool(), given["train.actions"].shape[1])
    assert torch.equal(ours, given["train.expert_attention_mask"])


@pytest.mark.parametrize("steps", [4, 10])
def test_the_clock_is_accumulated_in_float32(recorded, steps):
    assert torch.equal(torch.tensor(clock(steps)), recorded("inference")[f"sample.traj_{steps}steps.t"])


def test_the_clock_makes_as_many_steps_as_asked():
    assert [len(clock(steps)) for steps in (1, 3, 10, 50)] == [1, 3, 10, 50]
