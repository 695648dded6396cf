"""The auxiliary heads of supervised training."""

import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[train]'")
import torch
from nora_bench.policies.nora.config import NoraConfig
from nora_bench.training.sft.objective import Auxiliary


def weights(seed, global_seed):
    torch.manual_seed(global_seed)
    return torch.cat([parameter.flatten() for parameter in Auxiliary(NoraConfig(chunk=5), 1.0, 1.0, seed).parameters()])


def test_heads_are_a_function_of_the_seed_alone():
    assert torch.equal(weights(0, global_seed=1), weights(0, global_seed=2))
    assert not torch.equal(weights(0, global_seed=1), weights(1, global_seed=1))


def test_global_generator_is_left_alone():
    weights(0, global_seed=1)
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), drawn)


def test_heads_are_initialised_as_linear_layers_are():
    bound = NoraConfig().text["hidden_size"] ** -0.5
    values = weights(0, global_seed=1)
    assert bound * 0.999 < values.max() <= bound
    assert values.std().item() == pytest.approx(bound / 3**0.5, rel=0.01)
