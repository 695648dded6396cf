"""The stages of `reproduce findings`: each policy, label set and evaluation with everything that it needs, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

from ...harness.config import init_states, parse
from ..engine.config import folder_of
from .experiments import Evaluation, Experiments, Training, Value
from .pipeline import PipelineStage, stage

DEMONSTRATION_S, LEARNER_S, IMAGE_S, IMAGES_S, WORLD_S, LABEL_S, PAIR_S, ROLLOUT_S = 1.0, 4.0, 0.01, 0.039, 0.3, 0.1, 0.03, 1.5
"""Rough seconds on one core per demonstration, demonstration after a learner, rendered image, image in an update of supervised
training, update of a world model, labelled state, pair in an update of DPO, and rolled-out candidate."""
STARTING_S, ENCODER_S = 12.0, 0.15
STEPS = 130
"""Rough number of control steps of a demonstration."""
Variables = Mapping[str, Value]


@dataclass
class StagePlan:
    """Collects stages in an order in which each finds what it reads."""

    settings: Experiments
    out: Path
    variables: Variables
    """Of the choices made so far, and those assumed for the others."""
    workers: int = 1
    tried: tuple[str, str] | None = None
    """Choice and option at hand, while the stages of a choice are planned."""
    stages: dict[str, PipelineStage] = field(default_factory=dict)

    def add(self, name: str, verb: str, options: Mapping[str, object], seconds: float) -> None:
        """Append a stage unless its name is already there."""
        if name not in self.stages:
            self.stages[name] = stage(name, verb, options, seconds)

    # Data

    def collection(self, name: str, seed: int) -> Path:
        """Folder of a collection and its images, which are stages of their own."""
        spec, learner = self.settings.collections[name], None
        if spec.part_of:
            return self.collection(spec.part_of, seed) / spec.suites[0]
        own = f"{name}-seed{seed}" if spec.learner else name
        folder = self.out / "demonstrations" / own
        if spec.learner:
            learner = self.policy(spec.learner, seed)
        tasks = count_tasks(spec.suites, spec.tasks)
        options: dict[str, object] = {"suite": spec.suites, "tasks": spec.tasks, "episodes": spec.episodes}
        if spec.learner:
            options |= {"learner": learner, "learner-steps": spec.learner_steps, "seed": 1000 + seed}
        options |= {"workers": self.workers, "out": folder}
        each = LEARNER_S if spec.learner else DEMONSTRATION_S
        self.add(f"demonstrations-{own}", "collect", options, STARTING_S + each * tasks * spec.episodes)
        images = tasks * spec.episodes * STEPS / self.settings.frame_stride
        render = {"data": folder, "frame-stride": self.settings.frame_stride, "workers": self.workers, "out": self.frames}
        self.add(f"images-{own}", "data render", render, STARTING_S + images * IMAGE_S)
        return folder

    @property
    def frames(self) -> Path:
        """Folder of all images."""
        return self.out / "frames"

    def tokenizer(self, training: Training) -> Path:
        """Folder of the tokenizer fitted to a training's chunks, in the scale of its initial checkpoint."""
        name = f"tokenizer-{'-'.join(training.data)}-{training.chunk}"
        folder = self.out / name
        data = tuple(self.collection(part, self.settings.pilot) for part in training.data)
        scale = self.policy(training.init, self.settings.pilot) if training.init else None
        fit = {
            "data": data,
            "chunk-size": training.chunk,
            "vocab-size": self.settings.vocabulary,
            "label-smoothing-steps": self.settings.label_smoothing_steps,
            "statistics": scale,
            "out": folder,
        }
        self.add(name, "data fit-tokenizer --keep-noops", fit, STARTING_S)
        return folder

    # Policies

    def policy(self, name: str, seed: int, checkpoint: int | None = None) -> Path:
        """Folder of a policy's checkpoint: the last, or that of the given number counted from 1."""
        if name in self.settings.preferences:
            return self._preference(name, seed)
        spec = self.settings.trainings[name]
        steps = self.settings.whole(spec.steps, self.variables)
        folder = self.out / "policies" / f"{self._prefix(name)}{name}-seed{seed}"
        if folder.name not in self.stages:
            self._train(folder, spec, steps, seed)
        every = ceil(steps / spec.checkpoints)
        return folder_of(folder, min(every * (checkpoint or spec.checkpoints), steps))

    def _train(self, folder: Path, spec: Training, steps: int, seed: int) -> None:
        data = tuple(self.collection(part, seed) for part in spec.data)
        values: dict[str, Value] = {**self.settings.sft, **spec.set}
        values |= {"loop.steps": steps, "loop.save_every": ceil(steps / spec.checkpoints), "loop.keep_last": spec.checkpoints}
        values |= {"loop.seed": seed, "start.seed": seed, "data.frame_stride": self.settings.frame_stride}
        values |= {"data.label_smoothing_steps": self.settings.label_smoothing_steps}
        if spec.init:
            values |= {"start.checkpoint": str(self.policy(spec.init, seed)), "start.chunk": spec.chunk}
            values |= {"data.statistics": "start"}
        else:
            values |= {"start.nano.chunk": spec.chunk}
        if spec.tokens:
            values |= {"start.fast": str(self.tokenizer(spec))}
        found = {name: self.settings.resolved(value, self.variables) for name, value in values.items()}
        options = {"data": data, "recipe": "nano", "frames": self.frames, "threads": 1, "set": _assignments(found)}
        batch = found.get("loop.batch_size", 32)
        assert isinstance(batch, int)
        self.add(folder.name, "train sft", {**options, "out": folder}, STARTING_S + steps * batch * IMAGES_S)

    def _preference(self, name: str, seed: int) -> Path:
        spec = self.settings.preferences[name]
        steps = self.settings.whole(spec.steps, self.variables)
        folder = self.out / "policies" / f"{self._prefix(name)}{name}-seed{seed}"
        values = {key: self.settings.resolved(value, self.variables) for key, value in self.settings.dpo.items()}
        values |= {"loop.save_every": steps}
        options = {
            "init-from": self.policy(spec.init, seed),
            "labels": tuple(self.labels(part, seed) for part in spec.labels),
            "reward": spec.reward,
            "steps": steps,
            "seed": seed,
            "set": _assignments(values),
            "out": folder,
        }
        self.add(folder.name, "train dpo", options, STARTING_S + steps * 16 * PAIR_S)
        return folder_of(folder, steps)

    def _prefix(self, name: str) -> str:
        """Policies whose settings the choice at hand varies get a name of their own."""
        return f"{'-'.join(self.tried)}-" if self.tried and self._varies(name, self.tried[0]) else ""

    def _varies(self, name: str, choice: str) -> bool:
        """Whether a policy, or one that it starts from, refers to a variable of a choice."""
        if name in self.settings.preferences:
            values = [self.settings.preferences[name].steps, *self.settings.dpo.values()]
            start: str | None = self.settings.preferences[name].init
        else:
            spec = self.settings.trainings[name]
            values, start = [spec.steps, *self.settings.sft.values(), *spec.set.values()], spec.init
        variables = {f"${name}" for values in self.settings.choices[choice].values.values() for name in values}
        return bool(variables & set(map(str, values))) or bool(start and self._varies(start, choice))

    # Rewards

    def world_model(self, name: str) -> Path:
        """Folder of a world model's checkpoint."""
        spec = self.settings.world_models[name]
        folder = self.out / "world-models" / name
        data = tuple(self.collection(part, self.settings.pilot) for part in spec.data)
        options = {"data": data, "episodes": spec.episodes, "steps": spec.steps, "set": _assignments(spec.set)}
        options |= {"frames": self.frames, "latents": self.out / "latents", "out": folder}
        if spec.encoder_steps:
            options |= {"init-from": self._encoder(name, data)}
        collections = [self.settings.collections[part] for part in spec.data]
        images = spec.episodes * sum(count_tasks(each.suites, each.tasks) for each in collections) * STEPS
        self.add(f"world-model-{name}", "train world-model", options, STARTING_S + 2 * images * IMAGE_S + spec.steps * WORLD_S)
        return folder_of(folder, spec.steps)

    def _encoder(self, name: str, data: tuple[Path, ...]) -> Path:
        """File of the trained encoder of a world model."""
        spec, folder = self.settings.world_models[name], self.out / "world-encoders" / name
        options = {"data": data, "episodes": spec.episodes, "steps": spec.encoder_steps, "frames": self.frames, "out": folder}
        self.add(f"world-encoder-{name}", "train world-encoder", options, STARTING_S + spec.encoder_steps * ENCODER_S)
        return folder / "encoder.safetensors"

    def labels(self, name: str, seed: int) -> Path:
        """Folder of labelled states."""
        spec = self.settings.labels[name]
        folder = self.out / "labels" / f"{name}-seed{seed}"
        options = {
            "policy": self.policy(spec.policy, seed),
            "data": tuple(self.collection(part, seed) for part in spec.data),
            "world-model": self.world_model(spec.world_model),
            "reward": spec.rewards,
            "candidates": self.settings.candidates,
            "states": spec.states,
            "after-takeover": spec.after_takeover,
            "frame-stride": self.settings.frame_stride,
            "seed": seed,
            "frames": self.frames,
            "latents": self.out / "latents",
            "out": folder,
        }
        self.add(f"labels-{folder.name}", "label-preferences", options, STARTING_S + spec.states * LABEL_S)
        return folder

    def measurement(self, name: str, seed: int) -> Path:
        """Folder of a measurement of rewards."""
        spec = self.settings.measurements[name]
        folder = self.out / "measurements" / f"{name}-seed{seed}"
        sets = [self.settings.labels[part] for part in spec.labels]
        data = dict.fromkeys(part for found in sets for part in found.data)
        options = {
            "labels": tuple(self.labels(part, seed) for part in spec.labels),
            "data": tuple(self.collection(part, seed) for part in data),
            "policy": self.policy(sets[0].policy, seed),
            "states": spec.states,
            "out": folder,
        }
        cost = STARTING_S + spec.states * self.settings.candidates * ROLLOUT_S
        self.add(f"measurement-{folder.name}", "measure-rewards", options, cost)
        return folder

    # Episodes

    def evaluation(self, name: str, seed: int, checkpoint: int | None = None) -> Path:
        """Folder of an evaluation's run; on validation states for the pilot seed and for curves."""
        spec = self.settings.evaluations[name]
        own = f"{self._prefix(spec.policy)}{name}-seed{seed}" + (f"-at{checkpoint}" if checkpoint else "")
        folder = self.out / "runs" / own
        states = self.states(spec, seed, curve=checkpoint is not None)
        run = {
            "suite": spec.suites,
            "tasks": spec.tasks,
            "policy": self.policy(spec.policy, seed, checkpoint),
            "policy-arg": ("threads=1", *(f"{key}={value}" for key, value in spec.args.items())),
            "init-states": states,
            "assets": "standin",
            "workers": self.workers,
            "max-steps": self.settings.max_steps,
            "out": folder,
        }
        episodes = count_tasks(spec.suites, spec.tasks) * len(init_states(states))
        self.add(f"evaluate-{own}", "run", run, STARTING_S + episodes * spec.episode_s)
        return folder

    def states(self, spec: Evaluation, seed: int, *, curve: bool = False) -> str:
        """Initial states of an evaluation: the seed's block of fresh ones, or those of choices and curves."""
        if curve:
            return self.settings.curve_states
        if not spec.fresh or seed == self.settings.pilot:
            return self.settings.validation_states
        first = self.settings.seeds.index(seed) * spec.block
        return f"fresh:{first}-{first + spec.fresh - 1}" if spec.fresh > 1 else f"fresh:{first}"


def count_tasks(suites: Sequence[str], tasks: str | None) -> int:
    """Number of tasks, for the cost; ten per suite where all are meant."""
    return len(suites) * (len(parse({"suite": suites, "tasks": tasks}).tasks) or 10)


def plan_choice(plan: StagePlan, name: str) -> dict[str, list[Path]]:
    """Add the stages of a choice; option -> runs that decide."""
    choice, before = plan.settings.choices[name], plan.variables
    runs: dict[str, list[Path]] = {}
    for option, values in choice.values.items():
        plan.variables, plan.tried = {**before, **values}, (name, option)
        runs[option] = [plan.evaluation(part, plan.settings.pilot) for part in choice.evaluations]
    plan.variables, plan.tried = before, None
    return runs


def plan_seeds(plan: StagePlan) -> None:
    """Add the stages of all results, one seed after the other."""
    for seed in plan.settings.seeds:
        for name in plan.settings.measurements:
            plan.measurement(name, seed)
        for name, spec in plan.settings.evaluations.items():
            plan.evaluation(name, seed)
            training = plan.settings.trainings.get(spec.policy)
            if spec.curve and training:
                for checkpoint in range(1, training.checkpoints):
                    plan.evaluation(name, seed, checkpoint)


def _assignments(values: Mapping[str, Value]) -> tuple[str, ...]:
    """`--set` words: booleans as YAML writes them."""
    return tuple(f"{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in values.items())
