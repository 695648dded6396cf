"""Passes of training on a GPU that does not exist (`tests/no_gpu.py`): every tensor is on it, and none is read on the host."""

import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[train]'")
import torch
from no_gpu import imagined_gpu, inputs_on, model_on
from nora_bench.policies.nora.model.reference import token_loss
from nora_bench.policies.nora.rehearsal import Sizes
from nora_bench.training.models.backbone import Backbone, sample_noise_and_times, velocities
from nora_bench.training.preference.loss import PromptBatch, flow_dpo, flow_terms
from nora_bench.training.preference.stage import BatchedPrefix

ROWS, LENGTH, SAMPLES, CHUNK = 2, 96, 3, 5
CONFIG = Sizes("tiny").config(expert=True)


@pytest.fixture
def gpu(monkeypatch):
    with imagined_gpu(CONFIG, monkeypatch) as device:
        yield device


def test_supervised_pass_stays_on_the_gpu(gpu):
    """The forward pass; torch starts no backward pass without a CUDA driver."""
    model = model_on(gpu, CONFIG, torch.float32)
    backbone = Backbone(model).to(gpu)
    noise, time = (part.to(gpu) for part in sample_noise_and_times((ROWS, SAMPLES, CHUNK, 7), torch.Generator()))
    visible = torch.ones((ROWS, LENGTH), dtype=torch.bool, device=gpu)
    seen = backbone(*inputs_on(gpu, CONFIG, ROWS, LENGTH), logits=True)
    flow = velocities(model, noise, time, seen.cache, visible)
    loss = token_loss(seen.logits, torch.zeros((ROWS, LENGTH), dtype=torch.int64, device=gpu)) + flow.square().mean()
    assert (loss.device, flow.device, tuple(flow.shape)) == (gpu, gpu, (ROWS, SAMPLES, CHUNK, 7))


class SamePolicy:
    """A reference that is the policy itself: a copy needs numbers."""

    @staticmethod
    def velocity(prompts, policy, cache, x, time, compute_cache):
        with torch.no_grad():
            return policy.velocity(x, time, [(torch.cat([k, k]), torch.cat([v, v])) for k, v in cache], prompts.pair_mask())


def test_preference_pass_stays_on_the_gpu(gpu):
    model = model_on(gpu, CONFIG, torch.float32)
    ids, positions, pixels = inputs_on(gpu, CONFIG, ROWS, LENGTH)
    mask = torch.ones((ROWS, LENGTH), dtype=torch.bool, device=gpu)
    grids = torch.zeros((ROWS, 3), dtype=torch.int64, device=gpu)
    prompts = PromptBatch((ids, mask.long(), positions, pixels.flatten(0, 1), grids), mask)
    chunks, time = torch.zeros((2 * ROWS, CHUNK, 7), device=gpu), torch.zeros(2 * ROWS, device=gpu)
    terms = flow_terms(model, SamePolicy, prompts, chunks, chunks, time, BatchedPrefix())
    loss = flow_dpo(terms, 250.0, "mean")
    assert {value.device for value in (loss.loss, loss.margins, loss.drift, loss.accuracy)} == {gpu}
