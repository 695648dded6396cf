"""docs/slurm/train.sbatch on a fake Slurm: two nodes train one model; a job resumes after its time limit and on other nodes."""

import json
from pathlib import Path

import pytest
from fake_slurm import Slurm
from test_docs import DOCS

from . import others

pytest.importorskip("accelerate", reason="no accelerate: pip install 'nora-bench[train]'")
import torch
from nora_bench.training.engine import checkpoints
from nora_bench.training.engine.config import read_recipe
from nora_bench.training.sft.stage import SftRecipe, main
from safetensors.torch import load_file

SCRIPT = DOCS / "slurm" / "train.sbatch"
SIXTEEN = ("image_size", "window", "vision_hidden", "vision_mlp", "hidden", "mlp", "expert_hidden", "expert_mlp")
ONE = ("vision_layers", "vision_heads", "layers", "heads", "expert_heads")
TINY = {
    **{f"start.nano.{name}": 16 for name in SIXTEEN},
    **{f"start.nano.{name}": 1 for name in ONE},
    "start.nano.patch": 8,
    "start.nano.chunk": 2,
    "data.image_cache": "false",
    "data.validation": 0,
    "loop.steps": 4,
    "loop.save_every": 2,
    "loop.keep_last": 9,
    "loop.batch_size": 2,
    "loop.precision": "float32",
    "loop.schedule": "constant",
    "loop.warmup": 0,
}


@pytest.fixture
def slurm(tmp_path):
    with Slurm(tmp_path / "slurm") as slurm:
        yield slurm


@pytest.fixture
def submit(slurm, tmp_path):
    """Submits the script: `submit("run", nodes=2, gpus=1)`."""
    script = tmp_path / "train.sbatch"
    script.write_text(SCRIPT.read_text().replace("nora_bench.training.cli.launch", "launched"))
    data = others.lerobot(tmp_path / "kitchen")
    variables = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent)}
    variables |= {"PLACES": str(tmp_path / "places"), "PASSES": "4"}

    def start(out, *, nodes=2, gpus=1, steps=4, **more):
        sets = [word for name, value in {**TINY, "loop.steps": steps}.items() for word in ("--set", f"{name}={value}")]
        words = ("sft", "--data", data, "--frames", tmp_path / "frames", "--recipe", "nano-plain", "--out", tmp_path / out)
        options = [f"--nodes={nodes}", f"--gpus-per-node={gpus}"]
        return slurm.submit(script, *words, *sets, options=options, **{**variables, **more})

    return start


def places(tmp_path):
    return [json.loads(line) for line in (tmp_path / "places").read_text().splitlines()]


def assert_like_one_process(tmp_path, out):
    """The last checkpoint equals that of one process with four passes per update."""
    values = {name: str(value) for name, value in {**TINY, "loop.gradient_accumulation_steps": 4}.items()}
    recipe = read_recipe("nano-plain", "sft", SftRecipe, values)
    alone = main(recipe, [tmp_path / "kitchen"], tmp_path / "frames", tmp_path / "alone").last_checkpoint
    for name in ("weights", "optimizer"):
        one, other = (load_file(folder / "training" / f"{name}.safetensors") for folder in (alone, tmp_path / out / alone.name))
        assert one.keys() == other.keys()
        for key, value in one.items():
            torch.testing.assert_close(other[key], value, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_run_on_four_gpus_resumes_sharded_on_two(submit, tmp_path):
    assert submit("run", nodes=2, gpus=2, steps=2).succeeds()
    assert sorted((one["RANK"], one["WORLD_SIZE"]) for one in places(tmp_path)) == [(0, 4), (1, 4), (2, 4), (3, 4)]
    assert sorted(one["SLURM_NODEID"] for one in places(tmp_path)) == [0, 0, 1, 1]
    assert checkpoints.steps(tmp_path / "run") == [2]
    assert submit("run", nodes=2, gpus=1, FSDP="1").succeeds()
    assert checkpoints.steps(tmp_path / "run") == [2, 4]
    assert_like_one_process(tmp_path, "run")


@pytest.mark.slow
def test_job_that_ends_while_it_writes_a_checkpoint_is_requeued_and_resumes(submit, tmp_path):
    job = submit("run", HANG=str(tmp_path / "hanging"))
    job.wait_for((tmp_path / "hanging").exists)
    job.reach_time_limit()
    assert job.succeeds()
    assert sorted((one["SLURM_RESTART_COUNT"], one["RANK"]) for one in places(tmp_path)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert not (tmp_path / "run" / "building").exists()
    assert "2 left of 4" in job.output.read_text()
    assert_like_one_process(tmp_path, "run")


def test_passes_that_the_gpus_do_not_divide_are_rejected(submit):
    job = submit("run", nodes=3, gpus=1)
    assert job.wait() == 2
    assert "no multiple of the job's 3 GPUs" in job.output.read_text()
