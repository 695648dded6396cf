"""The trainer of every stage: objective and examples in, checkpoints and metrics out; resumes exactly.

The state is weights, optimizer, moving average and the number of updates: order of the examples and random numbers are
functions of the seed and that number. An interrupted run resumes from its last checkpoint and gives, on a CPU, the same bits
as an uninterrupted one.

Several devices: start it with `accelerate launch` (DDP or FSDP as configured there). Passes are numbered over all devices, so
that two devices equal one with twice the accumulation.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from . import checkpoints
from .checkpoints import MetricsLogger, locked_folder
from .config import TrainConfig, TrainingError, folder_of, stored_config
from .objective import Examples, Loss, Objective, PrefetchLoader, ThroughputMeter
from .order import MixtureOrder

if TYPE_CHECKING:
    from accelerate import Accelerator

Evaluate = Callable[[Path], Mapping[str, float]]
"""Checkpoint folder -> numbers to log; `score` selects the best checkpoint."""


WAIT = timedelta(hours=12)
"""Time for which the other processes wait while the first evaluates; the default of ten minutes would end the run."""


class ProgressCallback(Protocol):
    """Progress callback, called every `log_every` updates."""

    def __call__(self, step: int, numbers: Mapping[str, float]) -> None: ...


def train(
    objective: Objective,
    examples: Examples,
    settings: TrainConfig,
    out: Path,
    *,
    validation: Examples | None = None,
    evaluate: Evaluate | None = None,
    report: ProgressCallback | None = None,
    accelerator: Accelerator | None = None,
) -> Path:
    """Train to the end, resuming from the folder; the folder of the last checkpoint.

    Args:
        objective: the loss; its parameters that require a gradient are trained in place.
        examples: training data.
        settings: configuration of the run.
        out: folder of the run; a run with other settings in it is an error.
        validation: its mean loss is logged at every evaluation and checkpoint.
        evaluate: called with a checkpoint's folder every `eval_every` updates and at the end, on the first process.
        report: called with the averaged metrics every `log_every` updates, on the first process.
        accelerator: devices and sharding; None: one device.

    Raises:
        TrainingError: invalid settings, settings that differ from those of the run in the folder, or a folder that another
            process writes.
    """
    settings.validate()
    devices = accelerator or _accelerator(settings)
    with locked_folder(out) if devices.is_main_process else contextlib.nullcontext():
        run = _Run(objective, examples, settings, out, devices)
        try:
            run.train(validation, evaluate, report)
        finally:
            run.close()
    return folder_of(out, settings.steps)


def _accelerator(settings: TrainConfig) -> Accelerator:
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

    partly = DistributedDataParallelKwargs(
        find_unused_parameters=True
    )  # flow matching alone leaves the token head without gradient
    waiting = InitProcessGroupKwargs(timeout=WAIT)
    precision = "bf16" if settings.precision == "bfloat16" else "no"
    return Accelerator(mixed_precision=precision, kwargs_handlers=[partly, waiting])


class _Run:
    """Weights, optimiser and counters of one run."""

    def __init__(self, objective: Objective, examples: Examples, settings: TrainConfig, out: Path, devices: Any) -> None:
        self.objective, self.settings, self.out, self.devices = objective, settings, out, devices
        self.loader = PrefetchLoader(examples, settings, devices.process_index, devices.num_processes)
        self.step = _newest(out)
        self._check_same_run()
        self.module, self.optimizer = devices.prepare(objective, _optimizer(objective, settings))
        self.inner = getattr(self.optimizer, "optimizer", self.optimizer)
        self.ema = EMA(self.module, settings.ema) if settings.ema else None
        self._resume()
        self.logger = MetricsLogger(out, self.step) if devices.is_main_process else None

    def train(self, validation: Examples | None, evaluate: Evaluate | None, report: ProgressCallback | None) -> None:
        """Run the remaining updates."""
        meter = ThroughputMeter(self.loader)
        while self.step < self.settings.steps:
            meter.add(self._update())
            if self._due(self.settings.log_every):
                self._log(meter.numbers(), report)
                meter.restart()
            evaluating = evaluate is not None and self._due(self.settings.eval_every)
            if self._due(self.settings.save_every) or evaluating:
                with meter.excluded():
                    self._save(validation)
                    if evaluate is not None and evaluating:
                        self._evaluate(evaluate)

    def close(self) -> None:
        """Stop prefetching and flush the curves."""
        self.loader.close()
        if self.logger:
            self.logger.close()

    def _due(self, every: int | None) -> bool:
        return bool(every and self.step % every == 0) or self.step == self.settings.steps

    def _update(self) -> dict[str, Tensor]:
        """One optimizer update; mean metrics of its passes on this device."""
        passes = self.settings.gradient_accumulation_steps
        metrics: dict[str, Tensor] = {}
        self.optimizer.zero_grad()
        for index in range(passes):
            if self.settings.gradient_accumulation == "as_released":
                self.optimizer.zero_grad()
            last = index == passes - 1
            with contextlib.nullcontext() if last else self.devices.no_sync(self.module):
                loss = self._pass(*self.loader.next(self.step, index))
                self.devices.backward(loss.total / passes)
            for name, value in {"loss": loss.total.detach(), **loss.metrics}.items():
                part = value.float() / passes  # stays on the device: reading it here would wait for every pass
                metrics[name] = metrics[name] + part if name in metrics else part
        metrics["gradient"] = self._clip()
        for group in self.inner.param_groups:
            group["lr"] = self.settings.learning_rate_at(self.step)
        self.optimizer.step()
        self.step += 1
        if self.ema:
            self.ema.update(self.step)
        return metrics

    def _pass(self, batch: Any, number: int) -> Loss:
        generator = torch.Generator().manual_seed(_seed(self.settings.seed, number))
        with self.devices.autocast():
            return self.module(batch, generator)

    def _clip(self) -> Tensor:
        limit = self.settings.max_grad_norm if self.settings.max_grad_norm is not None else float("inf")
        return torch.as_tensor(self.devices.clip_grad_norm_(self.module.parameters(), limit)).detach().float().cpu()

    def _log(self, numbers: dict[str, float], report: ProgressCallback | None) -> None:
        names = sorted(numbers)
        values = torch.tensor([numbers[name] for name in names], device=self.devices.device)
        mean = self.devices.reduce(values, reduction="mean").tolist()
        if self.logger:
            self.logger.write(self.step, dict(zip(names, mean, strict=True)))
            if report:
                report(self.step, dict(zip(names, mean, strict=True)))

    def _save(self, validation: Examples | None) -> None:
        with self.ema.in_place() if self.ema else contextlib.nullcontext():
            held_out = self._validate(validation) if validation else {}
            averaged = _copied(checkpoints.gather(self.module, self.inner)[0]) if self.ema else {}
        weights, moments = checkpoints.gather(self.module, self.inner)
        if self.logger:
            if held_out:
                self.logger.write(self.step, held_out, "validation")
            self._write(weights, moments, averaged)
            checkpoints.drop_old(self.out, self.settings.keep_last)
        self.devices.wait_for_everyone()

    def _write(self, weights: dict[str, Tensor], moments: dict[str, Tensor], averaged: dict[str, Tensor]) -> None:
        building = self.out / "building"
        shutil.rmtree(building, ignore_errors=True)
        (building / checkpoints.STATE).mkdir(parents=True)
        self.objective.export(building, averaged or weights)
        trained = checkpoints.trained_names(self.objective)
        for name, tensors in (("weights", weights), ("average", averaged)):
            if tensors:
                kept = {key: tensors[key] for key in trained}
                checkpoints.write_tensors(kept, building / checkpoints.STATE / f"{name}.safetensors")
        checkpoints.write_tensors(moments, building / checkpoints.STATE / "optimizer.safetensors")
        progress = {"step": self.step, **self._identity()}
        (building / checkpoints.STATE / "progress.json").write_text(json.dumps(progress, indent=1) + "\n", encoding="utf-8")
        checkpoints.finish(building, folder_of(self.out, self.step))

    def _validate(self, validation: Examples) -> dict[str, float]:
        """Mean metrics over all validation examples, on every device and with the same random numbers every time."""
        totals: dict[str, float] = {}
        self.module.eval()
        with torch.no_grad():
            for start in range(0, len(validation), self.settings.batch_size):
                indices = np.arange(start, min(start + self.settings.batch_size, len(validation)))
                loss = self._pass(validation.batch(indices), -1 - start)
                for name, value in {"loss": loss.total, **loss.metrics}.items():
                    totals[name] = totals.get(name, 0.0) + float(value) * len(indices) / len(validation)
        self.module.train()
        return totals

    def _evaluate(self, evaluate: Evaluate) -> None:
        if self.logger:
            numbers = dict(evaluate(folder_of(self.out, self.step)))
            self.logger.write(self.step, numbers, "evaluation")
            if "score" in numbers:
                checkpoints.record_best(self.out, self.step, numbers["score"])
                checkpoints.drop_old(self.out, self.settings.keep_last)
        self.devices.wait_for_everyone()

    def _check_same_run(self) -> None:
        if not self.step:
            return
        path = self._state(self.step) / "progress.json"
        if not path.is_file():
            raise TrainingError(
                f"{path} exists where the first process runs, not here. Give an --out that all nodes share", option="--out"
            )
        progress = json.loads(path.read_text(encoding="utf-8"))
        now = json.loads(json.dumps(self._identity()))
        before = stored_config(progress["settings"])
        changed = [name for name in now["settings"] if now["settings"][name] != before.get(name)]
        if "passes" in progress and now["passes"] == progress["passes"] and before["gradient_accumulation"] == "correct":
            changed = [name for name in changed if name != "gradient_accumulation_steps"]  # on another number of devices
        elif now["passes"] != progress.get("passes", now["passes"]):
            changed += ["number of passes per update (devices times loop.gradient_accumulation_steps)"]
        changed += [name for name, none in (("examples", None), ("mixture", {})) if now[name] != progress.get(name, none)]
        if changed := [name for name in changed if name not in FREE]:
            raise TrainingError(
                f"{self.out} contains a run with another {', '.join(changed)}. Give another --out, or the same settings",
                option="--out",
            )

    def _identity(self) -> dict[str, Any]:
        """What a resumed run must have in common with its first session."""
        order, examples = self.loader.order, len(self.loader.examples)
        mixture = {member.name: member.share for member in order.members} if isinstance(order, MixtureOrder) else {}
        passes = self.settings.gradient_accumulation_steps * self.devices.num_processes
        return {"settings": asdict(self.settings), "examples": examples, "mixture": mixture, "passes": passes}

    def _resume(self) -> None:
        if not self.step:
            return
        state = self._state(self.step)
        average = state / "average.safetensors"
        if self.ema and average.is_file():
            checkpoints.restore_weights(self.module, checkpoints.read_tensors(average))
            self.ema.reset()
        checkpoints.restore_weights(self.module, checkpoints.read_tensors(state / "weights.safetensors"))
        checkpoints.restore_moments(self.module, self.inner, checkpoints.read_tensors(state / "optimizer.safetensors"))

    def _state(self, step: int) -> Path:
        return folder_of(self.out, step) / checkpoints.STATE


class EMA:
    """Moving average of a module's trainable parameters, sharded as they are."""

    def __init__(self, module: torch.nn.Module, decay: float) -> None:
        self.module, self.decay = module, decay
        self.reset()

    def reset(self) -> None:
        """Restart from the current weights."""
        self.values = [parameter.detach().clone() for parameter in self._trained()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Add the current weights. Early updates use a smaller decay, so that the initial weights fade out."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for value, parameter in zip(self.values, self._trained(), strict=True):
            value.lerp_(parameter.detach(), 1 - decay)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Swap the averaged weights into the module for the duration of the context."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for value, parameter in zip(self.values, self._trained(), strict=True):
            kept = parameter.detach().clone()
            parameter.copy_(value)
            value.copy_(kept)

    def _trained(self) -> list[torch.nn.Parameter]:
        return [parameter for parameter in self.module.parameters() if parameter.requires_grad]


FREE = ("steps", "schedule", "decay_fraction", "log_every", "save_every", "eval_every", "keep_last")
"""Settings that may differ in a resumed run: its length, the end of its schedule, reports and checkpoints."""


def _newest(out: Path) -> int:
    """Updates up to the newest checkpoint, 0 without one, as the first process sees it: nodes may see a new file late."""
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([max(checkpoints.steps(out), default=0)])[0]


def _seed(seed: int, number: int) -> int:
    """Seed of the random numbers of one pass; validation passes have negative numbers."""
    return int(np.random.SeedSequence([seed, number < 0, abs(number)]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _copied(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies: gathered tensors share memory with the current weights, which are about to change."""
    return {name: weight.clone() for name, weight in weights.items()}


def _optimizer(objective: Objective, settings: TrainConfig) -> torch.optim.Optimizer:
    trained = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    if not trained:
        raise TrainingError("the objective has no trainable parameter")
    numbers: dict[str, Any] = {"betas": settings.betas, "eps": settings.eps, "weight_decay": settings.weight_decay}
    return torch.optim.AdamW(trained, lr=settings.learning_rate, **numbers)
