"""Files of a training run: checkpoints, complete or absent, each resumable and each a policy; and metrics.

    OUT/step-000500/          the policy that `--policy` loads, written by the objective's `export`
    OUT/step-000500/training/ trained weights, optimizer state, moving average (safetensors) and progress.json
    OUT/best.json             step and score of the best checkpoint
    OUT/metrics.jsonl         metrics as JSON lines; OUT/tensorboard/ has them as curves

Weights and optimizer state are keyed by parameter name and gathered from all devices, so that a run can resume on another
number of devices.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ...envs.errors import StoreLocked
from ...envs.safe_io import atomic_write
from ...results.store.locking import hold
from .config import TrainingError, folder_of

DDP, FSDP = "module.", "_fsdp_wrapped_module."
"""Prefixes that they add to the names of parameters."""
STATE = "training"
BEST = "best.json"


def steps(out: Path) -> list[int]:
    """Steps of the complete checkpoints in a run's folder, ascending."""
    paths = out.glob(f"step-*/{STATE}/progress.json")
    return sorted(int(path.parent.parent.name.removeprefix("step-")) for path in paths)


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors by name as safetensors."""
    save_file({name: _whole(tensor.detach().cpu().contiguous()) for name, tensor in tensors.items()}, path)


def _whole(tensor: Tensor) -> Tensor:
    """The tensor, copied only where it is a part of a larger storage: at full size a second copy is 50 GB."""
    return tensor if tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size() else tensor.clone()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises TrainingError."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"{path} cannot be read: {error}. Remove {path.parent.parent} to resume from an earlier checkpoint"
        ) from None


def trained_names(module: nn.Module) -> list[str]:
    """Names of the trainable parameters; tied ones once."""
    return [name for name, parameter in module.named_parameters() if parameter.requires_grad]


def gather(module: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(weights, optimizer moments as `parameter/moment`), gathered on the first process from any wrapper of the module."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    weights: Any = get_model_state_dict(module, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    state = _optimizer_state(module, optimizer, cpu=True).get("state", {})
    moments = {f"{name}/{key}": value for name, entries in state.items() for key, value in entries.items()}
    return weights, moments


def restore_weights(module: nn.Module, weights: dict[str, Any]) -> None:
    """Load gathered weights; parameters without one keep theirs."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

    set_model_state_dict(module, weights, options=StateDictOptions(full_state_dict=True, strict=False))


def restore_moments(module: nn.Module, optimizer: torch.optim.Optimizer, moments: dict[str, Tensor]) -> None:
    """Load gathered optimizer moments; a parameter that never had a gradient has none."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_optimizer_state_dict

    state: dict[str, dict[str, Tensor]] = {}
    for key, value in moments.items():
        name, _, moment = key.rpartition("/")
        state.setdefault(name, {})[moment] = value
    fresh = _optimizer_state(module, optimizer, cpu=False)  # creates moments for every parameter
    merged: dict[str, Any] = {**fresh, "state": state}
    set_optimizer_state_dict(module, optimizer, merged, options=StateDictOptions(full_state_dict=True, strict=False))
    idle = fresh["state"].keys() - state.keys()
    for name, parameter in module.named_parameters():
        if name.replace(FSDP, "").removeprefix(DDP) in idle:
            optimizer.state.pop(parameter, None)


def _optimizer_state(module: nn.Module, optimizer: torch.optim.Optimizer, *, cpu: bool) -> dict[str, Any]:
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=cpu)
    return dict(get_optimizer_state_dict(module, optimizer, options=options))


def finish(building: Path, folder: Path) -> None:
    """Rename a completely written checkpoint into place."""
    if folder.exists():
        shutil.rmtree(folder)
    building.rename(folder)


def drop_old(out: Path, keep: int) -> None:
    """Remove all but the `keep` newest checkpoints and the best one."""
    best = read_best(out).get("step")
    for step in steps(out)[:-keep]:
        if step != best:
            shutil.rmtree(folder_of(out, step))


def read_best(out: Path) -> dict[str, Any]:
    """Step and score of the best checkpoint; empty if none was evaluated."""
    path = out / BEST
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def record_best(out: Path, step: int, score: float) -> bool:
    """Record an evaluated checkpoint if it is the best so far, and return whether it is; ties go to the later one."""
    if score < read_best(out).get("score", float("-inf")):
        return False
    with atomic_write(out / BEST) as scratch:
        scratch.write_text(json.dumps({"step": step, "score": score}) + "\n", encoding="utf-8")
    return True


LOCK = ".lock"


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Create the folder if needed and hold its lock. Raises TrainingError if another process holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    with path.open("w") as file:
        try:
            release = hold(file, path)
        except StoreLocked as error:
            raise TrainingError(str(error)) from None
        try:
            yield
        finally:
            release()


METRICS = "metrics.jsonl"


class MetricsLogger:
    """Writes `metrics.jsonl` and, with tensorboard installed, `tensorboard/` in a run's folder."""

    def __init__(self, out: Path, step: int) -> None:
        """Continue after `step`; lines of later steps, left by an interrupted run, are dropped."""
        out.mkdir(parents=True, exist_ok=True)
        self.path = out / METRICS
        kept = [line for line in read_metrics(out) if line["step"] <= step]
        with atomic_write(self.path) as scratch:
            scratch.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        self.curves = _writer(out / "tensorboard", step)

    def write(self, step: int, numbers: Mapping[str, float], kind: str = "train") -> None:
        """Add one report.

        Args:
            step: updates so far.
            numbers: name -> number.
            kind: `train`, `validation` or `evaluation`.
        """
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "kind": kind, **numbers}) + "\n")
        if self.curves:
            for name, number in numbers.items():
                self.curves.add_scalar(f"{kind}/{name}", number, step)

    def close(self) -> None:
        """Flush the curves."""
        if self.curves:
            self.curves.close()


def read_metrics(out: Path) -> list[dict[str, Any]]:
    """The reports of a run, without a torn last line."""
    path = out / METRICS
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _writer(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)
