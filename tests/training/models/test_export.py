"""What is handed on of a training run: everything that a policy reads, and nothing else."""

import numpy as np
import pytest

pytest.importorskip("accelerate", reason="no accelerate: pip install 'nora-bench[train]'")
import torch
from nora_bench.policies.nora.checkpoint import CheckpointError, open_checkpoint
from nora_bench.policies.nora.nano import write_nano
from nora_bench.policies.nora.policy import NoraPolicy
from nora_bench.training.engine.config import TrainingError
from nora_bench.training.models.export import publish
from nora_bench.training.models.init import from_checkpoint
from safetensors.torch import load_file, save_file


@pytest.fixture
def checkpoint(tmp_path):
    folder = write_nano(tmp_path / "trained")
    (folder / "training").mkdir()
    (folder / "training" / "optimizer.safetensors").write_bytes(b"moments")
    return folder


def test_exported_checkpoint_is_half_as_large_without_training_state(checkpoint, tmp_path):
    out = publish(str(checkpoint), tmp_path / "handed")
    assert sorted(path.name for path in out.iterdir()) == ["config.json", "fast_tokenizer", "model.safetensors", "tokenizer.json"]
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (out, checkpoint)]
    assert sizes[0] == pytest.approx(sizes[1] / 2, rel=0.02)


def test_exported_weights_are_the_checkpoints_rounded(checkpoint, tmp_path):
    out = publish(str(checkpoint), tmp_path / "handed")
    before, after = (open_checkpoint(str(path)).model("cpu", torch.float32) for path in (checkpoint, out))
    for a, b in zip(before.parameters(), after.parameters(), strict=True):
        assert torch.equal(a.half().float(), b)
    assert NoraPolicy(str(out), mode="fast").chunk_size == 5


def test_export_is_deterministic(checkpoint, tmp_path):
    folders = [publish(str(checkpoint), tmp_path / name) for name in ("one", "two")]
    assert len({(folder / "model.safetensors").read_bytes() for folder in folders}) == 1


def test_export_includes_the_model_card(checkpoint, tmp_path):
    (tmp_path / "about.md").write_text("# What it reaches\n", encoding="utf-8")
    out = publish(str(checkpoint), tmp_path / "handed", card=tmp_path / "about.md")
    assert (out / "MODEL_CARD.md").read_text(encoding="utf-8") == "# What it reaches\n"


def test_export_sets_execute(checkpoint, tmp_path):
    out = publish(str(checkpoint), tmp_path / "handed", n_action_steps=2)
    assert (NoraPolicy(str(out), mode="fast").chunk_size, NoraPolicy(str(out), mode="fast").n_action_steps) == (5, 2)


def test_export_sets_noise(checkpoint, tmp_path):
    out = publish(str(checkpoint), tmp_path / "handed", noise_scale=0.0)
    assert (open_checkpoint(str(checkpoint)).noise, open_checkpoint(str(out)).noise) == (1.0, 0.0)


def test_export_rejects_an_invalid_noise_scale(checkpoint, tmp_path):
    with pytest.raises(CheckpointError, match="--noise-scale"):
        publish(str(checkpoint), tmp_path / "handed", noise_scale=-1.0)
    assert not (tmp_path / "handed").exists()


def test_new_chunk_size_drops_execute(checkpoint, tmp_path):
    out = str(publish(str(checkpoint), tmp_path / "handed", n_action_steps=2))
    assert from_checkpoint(out, tokens=False).settings["execute"] == 2
    assert "execute" not in from_checkpoint(out, tokens=False, chunk=1).settings


def test_export_rejects_execute_beyond_the_chunk(checkpoint, tmp_path):
    with pytest.raises(TrainingError, match="1 to 5 can be executed, not 6"):
        publish(str(checkpoint), tmp_path / "handed", n_action_steps=6)


def test_export_overwrites_nothing(checkpoint, tmp_path):
    with pytest.raises(TrainingError, match="exists; name a new folder"):
        publish(str(checkpoint), checkpoint)


def test_weight_that_overflows_the_type_is_named(checkpoint, tmp_path):
    weights = load_file(checkpoint / "model.safetensors")
    name = "action_out_proj.weight"
    save_file({**weights, name: torch.from_numpy(np.full_like(weights[name].numpy(), 1e6))}, checkpoint / "model.safetensors")
    with pytest.raises(TrainingError, match=f"{name} cannot be held in float16"):
        publish(str(checkpoint), tmp_path / "handed")
