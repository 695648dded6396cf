import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[train]'")
import numpy as np
import torch
from nora_bench.policies.nora.weights import CheckpointError
from nora_bench.training.data.demonstrations import DataError
from nora_bench.training.world_model.checkpoint import load, load_weights, save, settings, start_from, untrained
from nora_bench.training.world_model.latents import MEAN, STD, Latents, Window, Windows, frames
from nora_bench.training.world_model.model import NANO, PRESETS, PredictorConfig, WorldModel, WorldModelConfig
from nora_bench.training.world_model.stage import WorldModelObjective
from safetensors.torch import save_file

from ..toy_data import STATS, ToyImages, walk

TINY = WorldModelConfig({**NANO.encoder, "crop_size": 32, "hidden_size": 24}, PredictorConfig(24, 2, 2, 2.0), False)


@pytest.fixture
def world():
    return untrained(TINY, seed=0)


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def window(world, length=4, batch=2):
    return world.encode(draw(batch, length, 3, 32, 32)), draw(batch, length - 1, 7, seed=1)


def test_the_published_sizes_are_those_of_v_jepa_2_ac():
    with torch.device("meta"):
        model = WorldModel(PRESETS["vitg-ac"])
    unused_extrinsics = 1024 * 6 + 1024
    assert sum(p.numel() for p in model.encoder.parameters()) == 1_012_173_952
    assert sum(p.numel() for p in model.predictor.parameters()) == 305_220_992 - unused_extrinsics


def test_prediction_depends_on_earlier_frames_and_actions_alone(world):
    latents, actions = window(world)
    before = world.predict(latents[:, :-1], actions)
    later = latents.clone()
    later[:, 2] += 1.0
    changed = actions.clone()
    changed[:, 2] += 1.0
    assert torch.equal(world.predict(later[:, :-1], actions)[:, :2], before[:, :2])
    assert torch.equal(world.predict(latents[:, :-1], changed)[:, :2], before[:, :2])
    assert not torch.equal(world.predict(latents[:, :-1], changed)[:, 2], before[:, 2])


def test_states_count_where_they_are_given(world):
    latents, actions = window(world)
    assert torch.equal(world.predict(latents[:, :-1], actions), world.predict(latents[:, :-1], actions, torch.zeros(2, 3, 7)))
    assert not torch.equal(world.predict(latents[:, :-1], actions), world.predict(latents[:, :-1], actions, draw(2, 3, 7)))


def test_the_encoder_is_frozen_and_the_predictor_learns(world):
    latents, actions = window(world)
    world.loss(latents, actions).total.backward()
    assert all(p.grad is None and not p.requires_grad for p in world.encoder.parameters())
    assert all(p.grad is not None for p in world.predictor.parameters())
    assert not world.train().encoder.training


def test_the_roll_out_loss_is_that_of_a_roll_out(world):
    latents, actions = window(world)
    rolled = world.rollout(latents[:, 0], actions[:, :2])
    assert torch.allclose(world.loss(latents, actions).rollout, (rolled[:, 1:] - latents[:, 1:3]).abs().mean(), atol=1e-6)


def test_single_window_is_overfitted(world):
    latents, actions = window(world, length=3)
    optimizer = torch.optim.Adam(world.predictor.parameters(), 3e-3)
    losses = []
    for _ in range(300):
        loss = world.loss(latents, actions).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 * losses[0]


def test_model_is_loaded_as_saved(world, tmp_path):
    save(world, tmp_path, {"statistics": {"q01": [0.0]}})
    again = load(tmp_path)
    assert settings(tmp_path)["statistics"] == {"q01": [0.0]}
    assert all(torch.equal(again.state_dict()[name], value) for name, value in world.state_dict().items())


def test_the_objective_exports_what_loads(world, tmp_path):
    objective = WorldModelObjective(world, {"data": "none"})
    loss = objective(Window(*window(world)), torch.Generator())
    objective.export(tmp_path, objective.state_dict())
    assert set(loss.metrics) == {"teacher_forcing", "rollout"}
    assert torch.equal(load(tmp_path).predictor.predictor_proj.weight, world.predictor.predictor_proj.weight)


PUBLISHED = {
    "encoder.": "encoder.module.backbone.",
    "embeddings.patch_embeddings": "patch_embed",
    ".layer.": ".blocks.",
    ".attention.": ".attn.",
    "backbone.layernorm": "backbone.norm",
    "predictor.predictor": "predictor.module.predictor",
}


def published(model):
    """The weights as the authors' file has them: other names, one fused projection, a layer that nobody uses."""
    state = {}
    for name, value in model.state_dict().items():
        for ours, theirs in PUBLISHED.items():
            name = name.replace(ours, theirs)
        state[name] = value
    for place in {name.rpartition(".query.")[0] for name in state if ".query." in name}:
        for part in ("weight", "bias"):
            state[f"{place}.qkv.{part}"] = torch.cat([state.pop(f"{place}.{w}.{part}") for w in ("query", "key", "value")])
    return {**state, "predictor.module.extrinsics_encoder.weight": torch.zeros(24, 6)}


def test_weights_under_the_published_names_are_loaded(world):
    other = untrained(TINY, seed=1)
    load_weights(other, published(world))
    assert all(torch.equal(other.state_dict()[name], value) for name, value in world.state_dict().items())


def test_world_model_initialises_from_an_encoder_alone(world, tmp_path):
    whole = published(untrained(TINY, seed=1))
    save_file({name: value for name, value in whole.items() if name.startswith("encoder.")}, tmp_path / "vitg.safetensors")
    before = world.predictor.predictor_proj.weight.clone()
    start_from(world, tmp_path / "vitg.safetensors")
    assert torch.equal(world.encoder.layernorm.weight, untrained(TINY, seed=1).encoder.layernorm.weight)
    assert torch.equal(world.encoder.layer[0].mlp.fc1.weight, untrained(TINY, seed=1).encoder.layer[0].mlp.fc1.weight)
    assert torch.equal(world.predictor.predictor_proj.weight, before)


def test_world_model_initialises_from_a_full_checkpoint(world, tmp_path):
    start_from(world, save(untrained(TINY, seed=1), tmp_path, {}))
    assert torch.equal(world.predictor.predictor_proj.weight, untrained(TINY, seed=1).predictor.predictor_proj.weight)


def test_file_that_can_run_code_is_rejected(world, tmp_path):
    (tmp_path / "vjepa2-ac-vitg.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match="can run code"):
        start_from(world, tmp_path / "vjepa2-ac-vitg.pt")


class Counted(ToyImages):
    """Counts how often images are asked for."""

    asked = 0

    def get(self, demonstration):
        Counted.asked += 1
        return super().get(demonstration)


def test_frames_are_encoded_once_per_encoder(world, tmp_path):
    Counted.asked = 0
    for encoder in (world, world, untrained(TINY, seed=1)):
        latents = Latents(tmp_path, encoder, Counted())
        latents.encode_all([walk(0), walk(1)])
    assert Counted.asked == 4 and not latents.missing([walk(0)]) and latents.missing([walk(2)])
    assert np.allclose(latents.get(walk(0))[3], latents._encode(ToyImages().get(walk(0))[3:4], 1)[0], atol=2e-3)


def test_windows_contain_consecutive_frames_and_their_actions(world, tmp_path):
    latents = Latents(tmp_path, world, ToyImages())
    windows = Windows.of([walk(0), walk(1)], latents, STATS, 6)
    assert len(windows) == 2 * (16 - 6 + 1)
    window = windows.batch(np.array([12]))
    assert torch.equal(window.latents[0], torch.from_numpy(np.array(latents.get(walk(1))[1:7])).float())
    assert np.allclose(window.actions[0, :, :6], walk(1).actions[1:6, :6], atol=1e-6)


def test_demonstrations_shorter_than_a_window_are_named(world, tmp_path):
    with pytest.raises(DataError, match="17 frames"):
        Windows.of([walk(0)], Latents(tmp_path, world, ToyImages()), STATS, 17)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("predictor.predictor_proj.bias"), "lacks predictor.predictor_proj.bias"),
        (lambda state: state.update(more=torch.zeros(1)), "has unknown more"),
        (lambda state: state.update({"predictor.predictor_proj.bias": torch.zeros(1)}), "has other sizes of"),
    ],
)
def test_mismatched_weights_are_named(world, change, said):
    state = dict(world.state_dict())
    change(state)
    with pytest.raises(CheckpointError, match=said):
        load_weights(world, state)


def test_folder_without_world_model_names_the_command(tmp_path):
    with pytest.raises(CheckpointError, match="nora-bench train world-model"):
        settings(tmp_path)


def test_frames_are_standardised_and_resized():
    white = np.full((2, 48, 48, 3), 255, np.uint8)
    shown = frames(white, 32)
    assert shown.shape == (2, 3, 32, 32)
    assert torch.allclose(shown[0, :, 0, 0], (1 - torch.tensor(MEAN)) / torch.tensor(STD), atol=1e-5)


def test_untrained_encoder_distinguishes_images(world):
    one, other = world.encode(torch.stack([draw(1, 3, 32, 32), draw(1, 3, 32, 32, seed=3)]))
    assert (one - other).abs().mean() > 0.3
