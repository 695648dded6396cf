"""`nora_bench.training.cli.launch` as test_slurm.py starts it: writes down its place, shards on CPUs where it would on GPUs, and
hangs while it writes the second checkpoint of a job that is new, if `HANG` names a file."""

import json
import os
import runpy
import time
from pathlib import Path

from accelerate import FullyShardedDataParallelPlugin
from nora_bench.training.engine import checkpoints, trainer
from two_devices import sharding


def sharded(settings):
    plugin = FullyShardedDataParallelPlugin()  # configured by the environment, as within Accelerator()
    assert (plugin.fsdp_version, plugin.auto_wrap_policy) == (2, None)
    return sharding(plugin)


def hang(building, folder, finish=checkpoints.finish):
    if checkpoints.steps(folder.parent):
        Path(os.environ["HANG"]).touch()
        time.sleep(3600)
    finish(building, folder)


if os.environ.get("ACCELERATE_USE_FSDP"):
    trainer._accelerator = sharded
if os.environ.get("HANG") and "SLURM_RESTART_COUNT" not in os.environ:
    checkpoints.finish = hang
place = {name: int(os.environ.get(name, "0")) for name in ("RANK", "WORLD_SIZE", "SLURM_NODEID", "SLURM_RESTART_COUNT")}
with Path(os.environ["PLACES"]).open("a") as file:
    file.write(json.dumps(place) + "\n")
runpy.run_module("nora_bench.training.cli.launch", run_name="__main__")
