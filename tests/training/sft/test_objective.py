"""The joint objective: the released losses, what is trained, what a checkpoint is."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("accelerate", reason="no accelerate: pip install 'nora-bench[train]'")
import torch
from nora_bench.envs.errors import InputError, PolicyError
from nora_bench.policies.fast import FastTokenizer
from nora_bench.policies.nora.checkpoint import open_checkpoint
from nora_bench.policies.nora.model.reference import token_loss
from nora_bench.policies.nora.pixels import patches
from nora_bench.policies.nora.policy import NoraPolicy
from nora_bench.training.data.dataset import Batch
from nora_bench.training.data.scene_targets import SceneTargets
from nora_bench.training.engine.config import TrainConfig, read_recipe
from nora_bench.training.engine.trainer import train
from nora_bench.training.models.init import NanoSizes, from_checkpoint, init_nano, with_expert
from nora_bench.training.sft.augmentation import augment
from nora_bench.training.sft.objective import SftObjective, SftSettings, collate_text
from nora_bench.training.sft.stage import SftRecipe

SIZES = NanoSizes(vision_layers=1, vision_hidden=48, vision_mlp=64, hidden=64, mlp=64, layers=2, expert_hidden=64, expert_mlp=64)
ENTRY = {"q01": [-1.0] * 7, "q99": [1.0] * 7, "mask": [True] * 7}
FLOW_ALONE = SftSettings(token_weight=0.0, flow_weight=1.0, flow_samples=4)


@pytest.fixture(scope="module")
def fast():
    return FastTokenizer.fit(list(chunks(200)), vocab_size=512)


def chunks(count, seed=0):
    rng = np.random.default_rng(seed)
    return np.clip(rng.uniform(-1, 1, (count, 1, 7)) + rng.normal(0, 0.2, (count, 5, 7)), -1, 1).astype(np.float32)


@pytest.fixture
def start(fast):
    return init_nano(SIZES, 0, fast, {"libero_object": ENTRY})


def batch(count=4, targets=None):
    rng = np.random.default_rng(1)
    words = ["pick up the milk and place it in the basket", "open the middle drawer of the cabinet"] * count
    images = rng.integers(0, 256, (count, 112, 112, 3), np.uint8)
    return Batch(images, words[:count], chunks(count, 2), np.ones((count, 5), bool), targets)


class Once:
    """A data set that is one batch."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows.images)

    def batch(self, indices):
        return self.rows


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_sum_is_cross_entropy_and_ten_times_the_flow(start):
    loss = SftObjective(start, SftSettings())(batch(), draw())
    assert loss.total.item() == pytest.approx(loss.metrics["tokens"].item() + 10 * loss.metrics["flow"].item(), rel=1e-6)


def test_labels_are_cut_to_the_action_tokenizers_fit_and_counted(start):
    far = batch()
    far = replace(far, actions=far.actions + np.float32(300.0))
    within, beyond = (SftObjective(start, SftSettings())(rows, draw()).metrics["cut"].item() for rows in (batch(), far))
    assert beyond > 0 and beyond > within


def test_the_losses_are_those_of_the_models_own_joint_loss(start):
    """`policies.nora.parity` holds that one against the released code."""
    from nora_bench.policies.nora.pixels import patches
    from nora_bench.training.models.backbone import sample_noise_and_times
    from nora_bench.training.sft.objective import collate_text

    rows, model = batch(), start.model
    text, _ = collate_text(rows, start.prompter, start.fast, model.config)
    pixels = torch.from_numpy(patches(rows.images, 14, 1)).flatten(0, 1)
    inputs = [torch.from_numpy(x) for x in (text.ids, text.mask.astype(np.int64), text.positions)]
    noise, time = sample_noise_and_times((4, 1, 5, 7), draw())
    with torch.no_grad():
        prefix = model.prefix(*inputs, pixels, torch.from_numpy(text.grids))
        labels, seen = torch.from_numpy(text.labels), torch.from_numpy(text.prompt_mask)
        theirs = model.joint_loss(prefix, labels, seen, torch.from_numpy(rows.actions), noise[:, 0], time[:, 0])
        ours = SftObjective(start, SftSettings())(rows, draw())
    assert ours.total.item() == pytest.approx(theirs.total.item(), rel=1e-5)


def test_expert_does_not_attend_to_action_tokens(start):
    """The flow is the same whether the answer's tokens stand behind the prompt or not."""
    objective, rows = SftObjective(start, SftSettings()), batch()
    alone = SftObjective(start, replace(SftSettings(), token_weight=0.0))
    with torch.no_grad():
        assert objective(rows, draw()).metrics["flow"].item() == pytest.approx(
            alone(rows, draw()).metrics["flow"].item(), rel=1e-5
        )


def test_padded_actions_are_masked_in_the_loss(start):
    rows = batch()
    rows.mask[:, 3:] = False
    objective = SftObjective(start, FLOW_ALONE)
    with torch.no_grad():
        before = objective(rows, draw()).total.item()
        model = start.model
        torch.nn.init.zeros_(model.action_out_proj.weight)
        torch.nn.init.zeros_(model.action_out_proj.bias)
        silent = objective(rows, draw()).total.item()
        noise = torch.randn((4, 4, 5, 7), generator=draw())
        wanted = (noise - torch.from_numpy(rows.actions)[:, None])[:, :, :3].square().mean().item()
    assert silent == pytest.approx(wanted, rel=1e-5)
    assert before != silent


def test_only_the_expert_is_trained_on_request(start):
    objective = SftObjective(start, replace(SftSettings(), trained="expert"))
    objective(batch(), draw()).total.backward()
    trained = {name for name, parameter in objective.named_parameters() if parameter.requires_grad}
    assert trained and all(name.startswith("model.action_") for name in trained)
    assert all(parameter.grad is None for name, parameter in start.model.named_parameters() if name.startswith("vlm."))


def test_token_loss_alone_leaves_the_expert_unchanged(start, tmp_path):
    before = {name: value.clone() for name, value in start.model.named_parameters()}
    tokens_alone = SftObjective(start, replace(SftSettings(), flow_weight=0.0))
    assert set(tokens_alone(batch(), draw()).metrics) == {"tokens", "cut"}
    train(tokens_alone, Once(batch()), TrainConfig(steps=2, batch_size=4, learning_rate=1e-3), tmp_path)
    moved = {name for name, value in start.model.named_parameters() if not torch.equal(value, before[name])}
    assert moved and all(name.startswith("vlm.") for name in moved)


def test_token_loss_and_its_gradients_are_those_of_all_positions(start):
    """The objective computes logits at positions before labels alone."""
    rows, objective = batch(), SftObjective(start, replace(SftSettings(), flow_weight=0.0))
    named = [(name, parameter) for name, parameter in start.model.named_parameters() if parameter.requires_grad]

    def gradients(loss):
        found = torch.autograd.grad(loss, [parameter for _, parameter in named], allow_unused=True)
        return {name: gradient for (name, _), gradient in zip(named, found, strict=True) if gradient is not None}

    text, _ = collate_text(rows, start.prompter, start.fast, start.model.config)
    pixels = patches(rows.images, start.model.config.patch, start.model.config.merge)
    inputs = (torch.from_numpy(part) for part in (text.ids, text.positions, pixels))
    whole = token_loss(objective.backbone(*inputs, logits=True).logits, torch.from_numpy(text.labels))
    loss = objective(rows, draw()).total
    assert loss.item() == pytest.approx(whole.item(), rel=1e-6)
    expected, actual = gradients(whole), gradients(loss)
    assert set(actual) == set(expected)
    for name, gradient in expected.items():
        torch.testing.assert_close(actual[name], gradient, atol=1e-6 * float(gradient.abs().max()), rtol=1e-5)


def test_flow_loss_reaches_the_vision_encoder(start):
    SftObjective(start, FLOW_ALONE)(batch(), draw()).total.backward()
    assert start.model.vlm.model.visual.patch_embed.proj.weight.grad.abs().sum() > 0


def test_single_batch_is_overfitted(start, tmp_path):
    """Tokens to near zero; the flow far below the 1.3 of a model that answers nothing."""
    objective = SftObjective(start, replace(SftSettings(), flow_samples=8, flow_weight=1.0))
    settings = TrainConfig(steps=250, batch_size=2, learning_rate=3e-3, warmup=20, max_grad_norm=1.0, save_every=1000)
    train(objective, Once(batch(2)), settings, tmp_path)
    with torch.no_grad():
        loss = objective(batch(2), draw(5))
    assert loss.metrics["tokens"] < 0.02
    assert loss.metrics["flow"] < 0.15


def test_brightness_depends_on_the_generator_alone(start):
    objective = SftObjective(start, replace(FLOW_ALONE, brightness=0.3))
    with torch.no_grad():
        first, again, plain = (o(batch(), draw()).total.item() for o in (objective, objective, SftObjective(start, FLOW_ALONE)))
    assert first == again != plain


def test_validation_sees_unchanged_images(start):
    changed, plain = SftObjective(start, replace(FLOW_ALONE, brightness=0.3)).eval(), SftObjective(start, FLOW_ALONE).eval()
    with torch.no_grad():
        assert changed(batch(), draw()).total.item() == plain(batch(), draw()).total.item()


def test_augmentation_of_strength_0_samples_nothing():
    images, generator = batch().images, draw()
    before = generator.get_state()
    assert augment(images, SftSettings(), generator) is images
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("brightness", value) for value in (-0.1, 1.5, float("nan"))),
        ("flow_samples", 0),
        *((name, -1.0) for name in ("token_weight", "flow_weight", "detection_weight", "regression_weight")),
    ],
)
def test_setting_out_of_range_is_rejected(field, value):
    with pytest.raises(InputError) as caught:
        read_recipe("nano", "sft", SftRecipe, {f"objective.{field}": str(value)})
    assert (caught.value.option, str(caught.value.value)) == (f"objective.{field}", str(value))


def test_objective_without_a_loss_is_rejected():
    with pytest.raises(InputError):
        SftSettings(token_weight=0.0, flow_weight=0.0).validate()


def test_auxiliary_losses_learn_object_positions(start, tmp_path):
    places = np.full((4, 3, 2), np.nan, np.float32)
    places[:, 0] = [[0.1, 0.2], [0.9, 0.4], [0.5, 0.7], [0.3, 0.3]]
    known = SceneTargets(places, np.zeros((4, 3), np.int64), np.zeros((4, 10), np.float32))
    objective = SftObjective(start, replace(FLOW_ALONE, detection_weight=1.0, regression_weight=1.0))
    rows = Once(batch(4, known))
    before = objective(rows.rows, draw()).metrics
    train(objective, rows, TrainConfig(steps=80, batch_size=4, learning_rate=3e-3, max_grad_norm=1.0, save_every=1000), tmp_path)
    after = objective(rows.rows, draw()).metrics
    assert after["detection"] < 0.2 * before["detection"]
    assert after["chunk"] < 0.7 * before["chunk"]


def test_a_checkpoint_is_a_policy(start, tmp_path):
    settings = TrainConfig(steps=2, batch_size=4, ema=0.9)
    folder = train(SftObjective(start, FLOW_ALONE), Once(batch()), settings, tmp_path)
    policy = NoraPolicy(str(folder))
    assert policy.config.mode == "flow" and policy.chunk_size == 5 and policy.config.crop is False
    assert policy.tags == ()
    assert policy.statistics.of("libero_object").high.tolist() == [1.0] * 7


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_token_head_that_was_never_trained_is_not_played(start, tmp_path, weight):
    objective = SftObjective(start, replace(FLOW_ALONE, token_weight=weight))
    folder = train(objective, Once(batch()), TrainConfig(steps=1, batch_size=4), tmp_path)
    if weight:
        assert NoraPolicy(str(folder), mode="fast").config.mode == "fast"
    else:
        with pytest.raises(PolicyError, match="mode=flow"):
            NoraPolicy(str(folder), mode="fast")


def test_a_checkpoint_holds_the_average_alone(start, tmp_path):
    objective = SftObjective(start, replace(FLOW_ALONE, regression_weight=0.5))
    folder = train(objective, Once(batch()), TrainConfig(steps=3, batch_size=4, ema=0.9, learning_rate=1e-2), tmp_path)
    stored = open_checkpoint(str(folder)).model("cpu", torch.float32)
    trained = dict(start.model.named_parameters())
    assert not any(name.startswith("auxiliary") for name in open_checkpoint(str(folder)).tensors)
    assert any(not torch.equal(value, trained[name]) for name, value in stored.named_parameters())


def test_training_can_start_from_a_checkpoint(start, tmp_path):
    folder = train(SftObjective(start, SftSettings()), Once(batch()), TrainConfig(steps=1, batch_size=4), tmp_path)
    again = from_checkpoint(str(folder))
    assert all(torch.equal(a, b) for a, b in zip(again.model.parameters(), start.model.parameters(), strict=True))
    assert again.fast.encode(chunks(3)) == start.fast.encode(chunks(3))


def test_training_continues_with_longer_chunks_and_without_a_token_head(start, tmp_path):
    folder = train(
        SftObjective(replace(start, fast=None), FLOW_ALONE), Once(batch()), TrainConfig(steps=1, batch_size=4), tmp_path
    )
    longer = from_checkpoint(str(folder), chunk=9, tokens=False)
    assert longer.fast is None
    assert longer.settings["chunk"] == longer.model.config.chunk == 9


def test_backbone_gets_a_fresh_expert(start):
    grown = with_expert(start.model, 128, 0)
    assert grown.config.expert.num_attention_heads == 4
    assert grown.vlm is start.model.vlm


def test_a_drawn_model_is_the_same_for_the_same_seed():
    first, again, other = (init_nano(SIZES, seed, None, {}).model for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.action_in_proj.weight, other.action_in_proj.weight)
