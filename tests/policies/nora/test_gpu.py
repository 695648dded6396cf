"""What only a GPU can show. Skipped without one."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[nora]'")
import torch

if not torch.cuda.is_available():
    pytest.skip("no CUDA GPU", allow_module_level=True)
from nora_bench.policies.nora.policy import NoraPolicy


@pytest.fixture(scope="module")
def answers(nano, look):
    """Chunks of the same four questions, alone and in batches, on the GPU in bfloat16, and on the CPU in float32."""
    from nora_bench.envs import protocols
    from nora_bench.policies.base import PolicyContext

    def ask(mode, device, dtype):
        policy = NoraPolicy(str(nano), mode=mode, device=device, dtype=dtype, batch=4)
        policy.setup(PolicyContext(protocols.get("libero/openvla"), ("libero_object",), 7))
        questions = [policy._inputs(look(task)) for task in range(4)]
        alone = [policy.predictor.predict([question])[0] for question in questions]
        return alone, policy.predictor.predict(questions[::-1])[::-1]

    return ask


@pytest.mark.parametrize("mode", ["flow", "fast"])
def test_a_batch_equals_single_calls_bit_for_bit_in_bfloat16(answers, mode):
    alone, together = answers(mode, "cuda", "bfloat16")
    for a, b in zip(alone, together, strict=True):
        assert a.status == b.status and (a.normalised is b.normalised or np.array_equal(a.normalised, b.normalised))


def test_captured_graphs_match_the_cpu_in_float32(answers):
    torch.backends.cuda.matmul.allow_tf32 = False
    for gpu, cpu in zip(answers("flow", "cuda", "float32")[0], answers("flow", "cpu", "float32")[0], strict=True):
        np.testing.assert_allclose(gpu.normalised, cpu.normalised, atol=1e-3)
