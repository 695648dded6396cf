"""The functions that the engine captures as CUDA graphs, on a GPU that does not exist (`tests/no_gpu.py`)."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[nora]'")
import torch
from no_gpu import imagined_gpu, inputs_on, model_on
from nora_bench.policies.nora.model.engine import DecodingConfig, Engine, StaticShape
from nora_bench.policies.nora.rehearsal import Sizes
from nora_bench.policies.nora.whole_chunk import TokenRules

ROWS, LENGTH, CHUNK, TOKENS = 2, 96, 5, 9
CONFIG = Sizes("tiny").config(expert=True)
FIRST, LAST, STOP = 151_665, 153_712, 151_645


@pytest.fixture
def gpu(monkeypatch):
    with imagined_gpu(CONFIG, monkeypatch) as device:
        yield device


def engine_on(gpu, decoding, chunk, tokens):
    model = model_on(gpu, CONFIG, torch.bfloat16)
    return Engine(model, StaticShape(ROWS, LENGTH, chunk, 3, tokens), 151_655, decoding)


def test_flow_stays_on_the_gpu(gpu):
    engine = engine_on(gpu, DecodingConfig(-1), CHUNK, 0)
    engine._run_prefill(*inputs_on(gpu, CONFIG, ROWS, LENGTH))
    chunk = engine._run_flow(torch.full((ROWS,), 90, device=gpu), torch.zeros((ROWS, CHUNK, 7), device=gpu))
    assert (chunk.device, chunk.dtype, tuple(chunk.shape)) == (gpu, torch.float32, (ROWS, CHUNK, 7))


RULES = TokenRules(np.ones((8, 3, 2048), bool), np.zeros((3, 2048), np.int64), np.zeros((3, 2048), np.int64), 8)
DECODING = {
    "free": DecodingConfig(STOP),
    "penalty": DecodingConfig(STOP, 1.05),
    "sampled": DecodingConfig(STOP, allowed=(FIRST, LAST)),
    "whole-chunk": DecodingConfig(STOP, allowed=(FIRST, LAST), rules=RULES),
}


@pytest.mark.parametrize("kind", DECODING)
def test_generated_token_stays_on_the_gpu(gpu, kind):
    engine = engine_on(gpu, DECODING[kind], 0, TOKENS)
    hidden = engine._run_prefill(*inputs_on(gpu, CONFIG, ROWS, LENGTH))
    token, position = (torch.zeros(ROWS, dtype=torch.int64, device=gpu) for _ in range(2))
    noise = torch.zeros((ROWS, len(engine.choices) if kind == "sampled" else 0), device=gpu)
    lengths, slot = torch.full((ROWS,), 90, device=gpu), torch.full((1,), LENGTH, device=gpu)
    following = engine._run_step(engine._mark(token), position, slot, lengths, noise)
    assert (following.device, following.dtype, hidden.dtype) == (gpu, torch.int64, torch.bfloat16)


def test_tensors_of_two_devices_are_noticed(gpu):
    engine = engine_on(gpu, DecodingConfig(-1), CHUNK, 0)
    ids, positions, pixels = inputs_on(gpu, CONFIG, ROWS, LENGTH)
    with pytest.raises(RuntimeError, match="device"):
        engine._run_prefill(ids.cpu(), positions, pixels)


def test_numbers_that_are_read_on_the_host_are_noticed(gpu):
    with pytest.raises(RuntimeError):
        bool(torch.zeros(ROWS, device=gpu).any())
