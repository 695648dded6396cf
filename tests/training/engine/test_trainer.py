"""The training loop: what a run does, and that stopping and going on changes nothing."""

import json
from dataclasses import replace

import pytest

pytest.importorskip("accelerate", reason="no accelerate: pip install 'nora-bench[train]'")

import torch
from nora_bench.training.engine import checkpoints
from nora_bench.training.engine.checkpoints import locked_folder, read_metrics
from nora_bench.training.engine.config import TrainConfig, TrainingError
from nora_bench.training.engine.objective import Loss, Objective
from nora_bench.training.engine.trainer import train
from safetensors.torch import load_file, save_file


class Line(Objective):
    """Fits y = 2x + 1 under drawn noise."""

    def __init__(self, weight=0.0):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        with torch.no_grad():
            self.layer.weight.fill_(weight)
            self.layer.bias.fill_(0.0)

    def forward(self, batch, generator):
        x, y = batch
        noise = 0.01 * torch.randn(x.shape, generator=generator)
        error = (self.layer(x) - y - noise).square().mean()
        return Loss(error, {"error": error.detach()})

    def export(self, folder, weights):
        save_file({"slope": weights["layer.weight"]}, folder / "model.safetensors")


class Points:
    """x in [-1, 1] and 2x + 1."""

    def __init__(self, count=64):
        self.x = torch.linspace(-1, 1, count)[:, None]
        self.asked = []

    def __len__(self):
        return len(self.x)

    def batch(self, indices):
        self.asked.append(indices.tolist())
        x = self.x[torch.from_numpy(indices)]
        return x, 2 * x + 1


SETTINGS = TrainConfig(
    steps=30, batch_size=8, learning_rate=0.1, warmup=3, max_grad_norm=1.0, ema=0.9, log_every=5, save_every=10, keep_last=9
)


def state(out, step, name="weights"):
    return load_file(checkpoints.folder_of(out, step) / checkpoints.STATE / f"{name}.safetensors")


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_a_run_learns_the_line(tmp_path):
    objective = Line()
    train(objective, Points(), replace(SETTINGS, steps=200), tmp_path)
    assert objective.layer.weight.item() == pytest.approx(2, abs=0.05)
    assert objective.layer.bias.item() == pytest.approx(1, abs=0.05)


class Idle(Line):
    """A line with a parameter that no gradient ever reaches, like the last queries of a backbone that only its expert reads."""

    def __init__(self, weight=0.0):
        super().__init__(weight)
        self.unread = torch.nn.Parameter(torch.ones(3))


@pytest.mark.parametrize("name", ["weights", "average", "optimizer"])
@pytest.mark.parametrize("line, accumulation", [(Line, 1), (Line, 3), (Idle, 1)])
def test_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path, name, line, accumulation):
    settings = replace(SETTINGS, gradient_accumulation_steps=accumulation)
    train(line(), Points(), settings, tmp_path / "whole")
    stopped = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        train(line(), Points(), settings, stopped, report=stop_at(15))
    train(line(weight=9.0), Points(), settings, stopped)
    assert same(state(stopped, 30, name), state(tmp_path / "whole", 30, name))


def test_a_resumed_run_reports_every_step_once(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(Line(), Points(), SETTINGS, tmp_path, report=stop_at(15))
    train(Line(), Points(), SETTINGS, tmp_path)
    assert [line["step"] for line in read_metrics(tmp_path)] == [5, 10, 15, 20, 25, 30]


def stop_at(step):
    def report(now, numbers):
        if now == step:
            raise KeyboardInterrupt

    return report


def test_every_example_comes_once_per_epoch(tmp_path):
    points = Points(32)
    train(Line(), points, replace(SETTINGS, steps=8), tmp_path)
    seen = [index for batch in points.asked for index in batch]
    assert sorted(seen[:32]) == sorted(seen[32:64]) == list(range(32))
    assert seen[:32] != seen[32:64]


def test_accumulation_steps_as_one_large_batch_would(tmp_path):
    class Exact(Line):
        def forward(self, batch, generator):
            x, y = batch
            return Loss((self.layer(x) - y).square().mean())

    split, whole = Exact(), Exact()
    train(split, Points(), replace(SETTINGS, batch_size=4, gradient_accumulation_steps=4), tmp_path / "split")
    train(whole, Points(), replace(SETTINGS, batch_size=16), tmp_path / "whole")
    assert split.layer.weight.item() == pytest.approx(whole.layer.weight.item(), rel=1e-5)


def test_released_accumulation_uses_the_last_pass_alone(tmp_path):
    class Recorded(Line):
        def forward(self, batch, generator):
            x, y = batch
            self.gradients.append((2 * (self.layer(x) - y) * x).mean().item())
            return Loss((self.layer(x) - y).square().mean())

    objective = Recorded()
    objective.gradients = []
    settings = replace(
        SETTINGS, steps=1, warmup=0, gradient_accumulation_steps=2, gradient_accumulation="as_released", max_grad_norm=None
    )
    train(objective, Points(), settings, tmp_path)
    moment = state(tmp_path, 1, "optimizer")["layer.weight/exp_avg"]
    assert moment.item() == pytest.approx(0.1 * objective.gradients[1] / 2, rel=1e-5)


def test_the_cosine_falls_to_zero_at_the_end():
    settings = replace(SETTINGS, steps=1000, warmup=100, learning_rate=1.0)
    assert settings.learning_rate_at(0) == pytest.approx(0.01)
    assert settings.learning_rate_at(99) == settings.learning_rate_at(100) == 1.0
    assert settings.learning_rate_at(550) == pytest.approx(0.5)
    assert settings.learning_rate_at(999) < 1e-5


def test_the_released_schedule_climbs_back_to_its_peak():
    settings = replace(
        SETTINGS, steps=1000, warmup=0, learning_rate=1.0, gradient_accumulation_steps=2, schedule_stepping="as_released"
    )
    assert settings.learning_rate_at(500) < 1e-4
    assert settings.learning_rate_at(999) == pytest.approx(1.0, abs=1e-4)


def test_wsd_schedule_is_constant_until_the_decay():
    settings = replace(SETTINGS, steps=100, warmup=0, learning_rate=1.0, schedule="wsd", decay_fraction=0.2)
    assert settings.learning_rate_at(79) == 1.0
    assert settings.learning_rate_at(90) == pytest.approx(0.5)


def test_the_exported_weights_are_the_average(tmp_path):
    train(Line(), Points(), SETTINGS, tmp_path)
    slope = load_file(checkpoints.folder_of(tmp_path, 30) / "model.safetensors")["slope"]
    assert torch.equal(slope, state(tmp_path, 30, "average")["layer.weight"])
    assert not torch.equal(slope, state(tmp_path, 30)["layer.weight"])


def test_the_best_checkpoint_is_kept(tmp_path):
    scores = iter([0.1, 0.9, 0.3])
    settings = replace(SETTINGS, eval_every=10, keep_last=1)
    train(Line(), Points(), settings, tmp_path, evaluate=lambda folder: {"score": next(scores)})
    assert checkpoints.read_best(tmp_path) == {"step": 20, "score": 0.9}
    assert checkpoints.steps(tmp_path) == [20, 30]


def test_validation_loss_is_logged_without_training_on_it(tmp_path):
    points = Points()
    train(Line(), points, SETTINGS, tmp_path, validation=Points(5))
    lines = [line for line in read_metrics(tmp_path) if line["kind"] == "validation"]
    assert [line["step"] for line in lines] == [10, 20, 30]
    assert lines[-1]["loss"] < lines[0]["loss"]


def test_run_with_other_settings_is_rejected(tmp_path):
    train(Line(), Points(), SETTINGS, tmp_path)
    with pytest.raises(TrainingError, match="another learning_rate"):
        train(Line(), Points(), replace(SETTINGS, learning_rate=0.2), tmp_path)


FORMER = {
    "learning_rate": "rate",
    "batch_size": "batch",
    "gradient_accumulation_steps": "accumulation",
    "max_grad_norm": "clip",
    "keep_last": "keep",
    "schedule": "decay",
    "decay_fraction": "tail",
    "gradient_accumulation": "accumulation_form",
    "schedule_stepping": "schedule_form",
}


def test_run_with_former_names_in_its_checkpoint_resumes(tmp_path):
    train(Line(), Points(), SETTINGS, tmp_path)
    path = checkpoints.folder_of(tmp_path, 30) / checkpoints.STATE / "progress.json"
    progress = json.loads(path.read_text())
    values = {**progress["settings"], "gradient_accumulation": "mended", "schedule_stepping": "mended"}
    progress["settings"] = {FORMER.get(name, name): value for name, value in values.items()}
    path.write_text(json.dumps(progress))
    train(Line(), Points(), replace(SETTINGS, steps=40), tmp_path)
    assert checkpoints.steps(tmp_path)[-1] == 40
    with pytest.raises(TrainingError, match="another learning_rate"):
        train(Line(), Points(), replace(SETTINGS, steps=40, learning_rate=0.2), tmp_path)


def test_folder_locked_by_another_training_is_rejected(tmp_path):
    with locked_folder(tmp_path), pytest.raises(TrainingError, match="being written by another process"):
        train(Line(), Points(), SETTINGS, tmp_path)
    train(Line(), Points(), SETTINGS, tmp_path)


def test_finished_run_resumes_with_more_steps(tmp_path):
    train(Line(), Points(), replace(SETTINGS, schedule="constant"), tmp_path)
    train(Line(), Points(), replace(SETTINGS, schedule="constant", steps=40), tmp_path)
    assert checkpoints.steps(tmp_path)[-1] == 40


def test_partly_written_checkpoint_is_ignored(tmp_path):
    train(Line(), Points(), SETTINGS, tmp_path)
    (checkpoints.folder_of(tmp_path, 30) / checkpoints.STATE / "progress.json").unlink()
    train(Line(), Points(), SETTINGS, tmp_path)
    assert checkpoints.steps(tmp_path)[-1] == 30


@pytest.mark.parametrize("change", [{"batch_size": 0}, {"ema": 1.5}, {"warmup": 31}])
def test_invalid_settings_are_named(tmp_path, change):
    with pytest.raises(TrainingError, match=next(iter(change))):
        train(Line(), Points(), replace(SETTINGS, **change), tmp_path)


def test_frozen_weights_are_unchanged(tmp_path):
    objective = Line()
    objective.layer.bias.requires_grad_(False)
    train(objective, Points(), SETTINGS, tmp_path)
    assert objective.layer.bias.item() == 0.0
    assert list(state(tmp_path, 30)) == ["layer.weight"]


def test_nothing_to_train_is_an_error(tmp_path):
    with pytest.raises(TrainingError, match="trainable"):
        train(Line().requires_grad_(False), Points(), SETTINGS, tmp_path)


def test_progress_names_the_settings(tmp_path):
    train(Line(), Points(), SETTINGS, tmp_path)
    progress = json.loads((checkpoints.folder_of(tmp_path, 30) / "training" / "progress.json").read_text())
    assert progress["settings"]["learning_rate"] == 0.1
    assert progress["step"] == 30
