"""The device that models are loaded onto before `accelerate` has prepared anything."""

import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[train]'")
import torch
import torch.nn.functional as F
from nora_bench.training.engine.checkpoints import read_tensors, write_tensors
from nora_bench.training.engine.devices import training_device
from nora_bench.training.sft.objective import _loss


@pytest.fixture
def eight_gpus(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 8)
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)


@pytest.mark.parametrize(("rank", "device"), [(None, "cuda:0"), ("3", "cuda:3"), ("11", "cuda:3")])
def test_every_process_has_its_own_gpu(eight_gpus, monkeypatch, rank, device):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert training_device() == torch.device(device)


def test_processes_that_accelerate_keeps_on_the_cpu_stay_there(eight_gpus, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    assert training_device() == torch.device("cpu")


def test_parts_of_one_storage_are_written_whole(tmp_path):
    both = torch.arange(6.0)
    write_tensors({"first": both[:2], "second": both[2:]}, tmp_path / "weights.safetensors")
    assert {name: value.tolist() for name, value in read_tensors(tmp_path / "weights.safetensors").items()} == {
        "first": [0.0, 1.0],
        "second": [2.0, 3.0, 4.0, 5.0],
    }


def test_batch_without_targets_has_a_loss_of_zero_with_a_gradient():
    predicted = torch.zeros((0, 2), requires_grad=True)
    loss = _loss(F.l1_loss, predicted, torch.zeros((0, 2)))
    loss.backward()
    assert loss.item() == 0.0 and predicted.grad is not None
