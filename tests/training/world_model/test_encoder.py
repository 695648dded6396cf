import numpy as np
import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[train]'")
import torch
from nora_bench.training.world_model import checkpoint
from nora_bench.training.world_model.encoder import save_encoder, train_encoder
from nora_bench.training.world_model.model import NANO


class Squares:
    """Images with one white square on black, whose place is to be found."""

    def batch(self, generator, size):
        images, places = torch.zeros(16, 3, size, size), torch.full((16, 2, 2), float("nan"))
        for row in range(16):
            y, x = generator.integers(0, size - 8, 2)
            images[row, :, y : y + 8, x : x + 8] = 2.0
            places[row, 0] = torch.tensor([(y + 4) / size, (x + 4) / size])
        return images, places, torch.zeros(16, 2, dtype=torch.int64)


def test_trained_encoder_locates_objects_and_starts_a_world_model(tmp_path):
    world = checkpoint.untrained(NANO, 0)
    before = world.encoder.state_dict()["layer.0.mlp.fc1.weight"].clone()
    losses = train_encoder(world, Squares(), 40, seed=0)
    assert np.mean(losses[-5:]) < 0.7 * losses[0]
    assert not any(parameter.requires_grad for parameter in world.encoder.parameters())
    save_encoder(world, tmp_path / "encoder.safetensors")
    other = checkpoint.untrained(NANO, 1)
    predictor = other.predictor.predictor_proj.weight.clone()
    checkpoint.start_from(other, tmp_path / "encoder.safetensors")
    found = other.encoder.state_dict()["layer.0.mlp.fc1.weight"]
    assert not torch.equal(found, before) and torch.equal(found, world.encoder.state_dict()["layer.0.mlp.fc1.weight"])
    assert torch.equal(other.predictor.predictor_proj.weight, predictor)
