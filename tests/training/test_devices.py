"""Two processes do what one does with twice the accumulation, and either goes on where the other stopped."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("accelerate", reason="no accelerate: pip install 'nora-bench[train]'")
import torch
from nora_bench.training.engine import checkpoints
from nora_bench.training.engine.config import TrainingError
from nora_bench.training.engine.trainer import train
from safetensors.torch import load_file

from .two_devices import Curve, Rows, settings

PROGRAM = Path(__file__).with_name("two_devices.py")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def launch(kind, *outs, steps=6, processes=2, accumulation=1):
    """Run the program on several processes with torch's own environment variables; the last folder is that of all others."""
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(processes)}
    shared |= {"OMP_NUM_THREADS": "1", "LOCAL_WORLD_SIZE": str(processes), "ACCELERATE_USE_CPU": "true"}
    started = [
        subprocess.Popen(
            [sys.executable, PROGRAM, kind, outs[min(rank, len(outs) - 1)], str(steps), str(accumulation)],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]
    errors = [process.communicate(timeout=300)[1] for process in started]
    assert [process.returncode for process in started] == [0] * processes, errors


def weights(out, step, name="weights"):
    return load_file(checkpoints.folder_of(out, step) / checkpoints.STATE / f"{name}.safetensors")


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_devices_equal_one_with_twice_the_accumulation(tmp_path, kind):
    train(Curve(), Rows(), settings(2), tmp_path / "one")
    launch(kind, tmp_path / "two")
    for name in ("weights", "average", "optimizer"):
        one, two = (weights(tmp_path / out, 6, name) for out in ("one", "two"))
        assert one.keys() == two.keys()
        for key, value in one.items():
            torch.testing.assert_close(two[key], value, atol=1e-6, rtol=1e-5)


def test_sharded_run_resumes_and_exports_full_weights(tmp_path):
    train(Curve(), Rows(), settings(2), tmp_path / "one")
    for steps in (3, 6):
        launch("fsdp", tmp_path / "two", steps=steps)
    for key, value in weights(tmp_path / "one", 6).items():
        torch.testing.assert_close(weights(tmp_path / "two", 6)[key], value, atol=1e-6, rtol=1e-5)
    exported = load_file(checkpoints.folder_of(tmp_path / "two", 6) / "model.safetensors")
    assert torch.equal(exported["layers.0.weight"], weights(tmp_path / "two", 6, "average")["layers.0.weight"])


@pytest.mark.parametrize(("first", "second"), [(2, 4), (4, 2)])
def test_sharded_run_resumes_on_another_number_of_processes(tmp_path, first, second):
    train(Curve(), Rows(), settings(4), tmp_path / "one")
    for processes, steps in ((first, 3), (second, 6)):
        launch("fsdp", tmp_path / "several", steps=steps, processes=processes, accumulation=4 // processes)
    for name in ("weights", "average", "optimizer"):
        for key, value in weights(tmp_path / "one", 6, name).items():
            torch.testing.assert_close(weights(tmp_path / "several", 6, name)[key], value, atol=1e-6, rtol=1e-5)


def test_resume_with_another_number_of_examples_per_update_is_rejected(tmp_path):
    train(Curve(), Rows(), settings(2, 3), tmp_path)
    with pytest.raises(TrainingError, match="gradient_accumulation_steps"):
        train(Curve(), Rows(), settings(4), tmp_path)
    with pytest.raises(AssertionError, match="passes per update"):
        launch("ddp", tmp_path, accumulation=2)


def test_run_whose_folder_the_processes_do_not_share_is_not_resumed(tmp_path):
    launch("ddp", tmp_path / "one", steps=3)
    with pytest.raises(AssertionError, match="--out that all nodes share"):
        launch("ddp", tmp_path / "one", tmp_path / "other")
    assert checkpoints.steps(tmp_path / "one") == [3]
