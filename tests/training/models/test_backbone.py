"""The batched passes for training give what the models' own passes give."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[nora]'")
import torch
from nora_bench.policies.nora.model.functional import attend
from nora_bench.policies.nora.parity.tolerance import model_rounding, rounding
from nora_bench.policies.nora.pixels import patches
from nora_bench.policies.nora.prompt import rotary_positions
from nora_bench.training.models.backbone import Backbone, sample_noise_and_times, velocities
from nora_bench.training.models.init import NanoSizes, init_nano

ONE_WINDOW = NanoSizes(vision_layers=2, layers=2)
FOUR_WINDOWS = NanoSizes(vision_layers=2, layers=2, patch=7, merge=2, window=56)
WORDS = ("pick up the milk and place it in the basket", "open the middle drawer of the cabinet")


def close(ours, theirs, config):
    """Fails where two tensors differ by more than the model's rounding."""
    torch.testing.assert_close(ours, theirs, atol=model_rounding(config) * float(theirs.abs().max()), rtol=0)


@pytest.fixture(params=[ONE_WINDOW, FOUR_WINDOWS], ids=["one window", "four windows"])
def start(request):
    return init_nano(request.param, 0, None, {})


@pytest.fixture
def inputs(start):
    """Two prompts of different length, padded on the right, and noisy pictures."""
    rows = [start.prompter.prompt(text) for text in WORDS]
    ids = np.full((2, max(map(len, rows))), start.prompter.ids.pad, np.int64)
    for row, tokens in enumerate(rows):
        ids[row, : len(tokens)] = tokens
    mask = np.arange(ids.shape[1]) < np.array([[len(tokens)] for tokens in rows])
    config = start.model.config
    side = config.image_size // config.patch
    grids = np.tile([1, side, side], (2, 1))
    positions = rotary_positions(ids, mask, start.prompter.ids.image, grids, config.merge)
    images = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), np.uint8)
    arrays = (ids, mask, positions, patches(images, config.patch, config.merge), grids)
    return tuple(map(torch.from_numpy, arrays))


def test_keys_and_values_match_the_reference_model(start, inputs):
    ids, mask, positions, pixels, grids = inputs
    with torch.no_grad():
        theirs = start.model.prefix(ids, mask.long(), positions, pixels.flatten(0, 1), grids)
        ours = Backbone(start.model)(ids, positions, pixels, logits=True)
    for own, other in zip(ours.cache, theirs.cache, strict=True):
        for a, b in zip(own, other, strict=True):
            close(a.transpose(1, 2)[mask], b.transpose(1, 2)[mask], start.model.config)
    close(ours.logits[mask], theirs.logits[mask], start.model.config)


def test_logits_of_some_positions_are_those_of_all(start, inputs):
    ids, mask, positions, pixels, _ = inputs
    wanted = mask & (torch.arange(ids.shape[1]) % 7 == 3)
    backbone = Backbone(start.model)
    with torch.no_grad():
        some, whole = (backbone(ids, positions, pixels, logits=logits).logits for logits in (wanted, True))
    assert len(some) == wanted.sum() > 2
    torch.testing.assert_close(some, whole[wanted], atol=1e-6 * float(whole.abs().max()), rtol=0)


def test_omitting_logits_changes_no_key(start, inputs):
    ids, _, positions, pixels, _ = inputs
    backbone = Backbone(start.model)
    with torch.no_grad():
        short, whole = (backbone(ids, positions, pixels, logits=wanted) for wanted in (False, True))
    assert short.logits is None
    assert all(torch.equal(a, b) for x, y in zip(short.cache, whole.cache, strict=True) for a, b in zip(x, y, strict=True))


def test_gradient_checkpointing_changes_no_gradient(start, inputs):
    ids, _, positions, pixels, _ = inputs

    def gradient(checkpointing):
        start.model.zero_grad()
        Backbone(start.model, gradient_checkpointing=checkpointing)(ids, positions, pixels, logits=False).last.sum().backward()
        return start.model.vlm.model.visual.patch_embed.proj.weight.grad.clone()

    torch.testing.assert_close(gradient(True), gradient(False))


def test_velocities_of_several_samples_match_single_ones(start):
    generator = torch.Generator().manual_seed(0)
    torch.nn.init.normal_(start.model.action_out_proj.weight, std=0.1, generator=generator)
    cache = [tuple(torch.randn(3, 1, 20, 64, generator=generator) for _ in range(2)) for _ in range(2)]
    mask = torch.arange(20)[None] < torch.tensor([[20], [15], [7]])
    noise, time = sample_noise_and_times((3, 4, 5, 7), generator)
    with torch.no_grad():
        ours = velocities(start.model, noise, time, cache, mask)
        alone = [start.model.velocity(noise[:, k], time[:, k], cache, mask) for k in range(4)]
    close(ours, torch.stack(alone, dim=1), start.model.config)


def test_sampled_times_follow_the_released_distribution():
    _, time = sample_noise_and_times((20_000, 1, 5, 7), torch.Generator().manual_seed(0))
    assert time.mean().item() == pytest.approx(0.6004, abs=0.005)
    assert time.min().item() >= 0.001
    assert time.max().item() <= 1.0


@pytest.mark.parametrize("causal", [True, False])
def test_training_attention_matches_the_fused_kernel(causal):
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 4, 9, 16, generator=generator)
    k, v = (torch.randn(2, 2, 9, 16, generator=generator) for _ in range(2))
    theirs = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True)
    torch.testing.assert_close(
        attend(q, k, v, causal=causal, training=True), theirs, atol=rounding([16, 9]) * float(theirs.abs().max()), rtol=0
    )
