"""Recipe of `reproduce findings`: experiments as data. Trainings, evaluations and comparisons are named and refer to each other.

Fields whose type contains `Value` may be `$NAME`, a variable that a choice sets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...envs.errors import UnknownName
from ..engine.config import TrainingError, require_field
from ..preference.rewards import REWARDS

Value = int | float | str


@dataclass(frozen=True, slots=True)
class Collection:
    """Demonstrations. With a learner, one collection per training seed."""

    suites: tuple[str, ...]
    episodes: int
    """Per task."""
    tasks: str | None = None
    """Task ids like `0,3-5`; None: all."""
    learner: str | None = None
    """Training whose policy acts until the expert takes over."""
    learner_steps: str = "10-80"
    part_of: str | None = None
    """Collection that contains this one, a single suite of it: nothing is collected anew."""


@dataclass(frozen=True, slots=True)
class Training:
    """One supervised training per seed."""

    data: tuple[str, ...]
    """Collections."""
    steps: Value
    init: str | None = None
    """Training to start from, of the same seed; None: random initialisation."""
    chunk: int = 5
    tokens: bool = False
    """Whether the token head is trained; its tokenizer is fitted to the same chunks."""
    checkpoints: int = 1
    """Checkpoints to keep, evenly spread over the updates, the last included."""
    set: Mapping[str, Value] = field(default_factory=dict)
    """Dotted field of the recipe of `train sft` -> value, over those of `Experiments.sft`."""


@dataclass(frozen=True, slots=True)
class Preference:
    """One preference optimisation per seed."""

    init: str
    labels: tuple[str, ...]
    reward: str
    steps: Value


@dataclass(frozen=True, slots=True)
class WorldModelTraining:
    """One world model, for all seeds."""

    data: tuple[str, ...]
    episodes: int
    """Per task."""
    steps: int
    encoder_steps: int = 0
    """Updates that train the encoder before it is frozen; 0 leaves it random."""
    set: Mapping[str, Value] = field(default_factory=dict)
    """Dotted field of the recipe of `train world-model` -> value."""


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Labelled states, per seed."""

    policy: str
    data: tuple[str, ...]
    world_model: str
    states: int
    rewards: tuple[str, ...]
    after_takeover: int | None = None
    """Only states so many steps after the expert took over; for collections with a learner."""


@dataclass(frozen=True, slots=True)
class RewardMeasurement:
    """Rewards against the simulator's truth, per seed."""

    labels: tuple[str, ...]
    """Label sets with equal states and candidates, which differ in their world models."""
    states: int
    """States whose candidates are rolled out."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Episodes of one policy, per seed."""

    policy: str
    """Training or preference optimisation."""
    args: Mapping[str, Value] = field(default_factory=dict)
    """Options of the policy."""
    suites: tuple[str, ...] = ("libero_object",)
    tasks: str | None = None
    """Task ids like `0,3-5`; None: all."""
    fresh: int = 0
    """Fresh states per task; 0: the validation states."""
    block: int = 0
    """Distance of the fresh states of one seed and the next; states of evaluations with equal blocks overlap."""
    curve: bool = False
    """Evaluate the earlier checkpoints, too, on the states of the curves."""
    episode_s: float = 5.0
    """Rough seconds of an episode on one core."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Variables set by validation episodes of the pilot seed."""

    values: Mapping[str, Mapping[str, Value]]
    """Name of an option -> value of each variable."""
    assumed: str
    """Option of the plan's cost before the choice is made."""
    evaluations: tuple[str, ...]
    """Their mean rate decides."""
    nearest: float | None = None
    """Rate to come close to; None: the best rate. Of equals the first option counts."""
    within: float | None = None
    """Largest distance from `nearest`: beyond it nothing more is run, and the recipe needs other options. None: any distance."""


@dataclass(frozen=True, slots=True)
class ArmComparison:
    """B minus A. Names of evaluations, or of rewards in `measurement/labels/reward`; A may be a number."""

    name: str
    a: str | float
    b: str
    primary: bool = False
    suite: str | None = None
    """Only this suite; None: all, weighing equally."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A claim and the comparisons that test it."""

    claim: str
    comparisons: tuple[ArmComparison, ...]
    descriptive: tuple[str, ...] = ()
    """Evaluations that are listed without a test."""


@dataclass(frozen=True, slots=True)
class Experiments:
    """Recipe of `reproduce findings`."""

    seeds: tuple[int, ...]
    pilot: int
    """Seed of the choices; enters no result."""
    collections: Mapping[str, Collection]
    trainings: Mapping[str, Training]
    evaluations: Mapping[str, Evaluation]
    findings: Mapping[str, Finding]
    preferences: Mapping[str, Preference] = field(default_factory=dict)
    world_models: Mapping[str, WorldModelTraining] = field(default_factory=dict)
    labels: Mapping[str, LabelSet] = field(default_factory=dict)
    measurements: Mapping[str, RewardMeasurement] = field(default_factory=dict)
    choices: Mapping[str, Choice] = field(default_factory=dict)
    sft: Mapping[str, Value] = field(default_factory=dict)
    """Fields of the recipe `nano` of `train sft`, for every training."""
    dpo: Mapping[str, Value] = field(default_factory=dict)
    """The same of `train dpo`."""
    validation_states: str = "35-36"
    """Initial states of the choices."""
    curve_states: str = "37"
    """Initial states of the learning curves."""
    frame_stride: int = 2
    label_smoothing_steps: float = 0.0
    vocabulary: int = 1024
    candidates: int = 5
    """Sampled chunks of a labelled state."""
    max_steps: int | None = None
    """Of an evaluation's episode; None: the protocol's."""
    note: str | None = None
    """Sentence on top of every page of the results."""

    def validate(self) -> None:
        """Raise TrainingError or UnknownName for references to nothing and for states that two seeds would share."""
        require_field("seeds", self.seeds, len(set(self.seeds)) == len(self.seeds) >= 2, "be two or more different seeds")
        require_field("pilot", self.pilot, self.pilot not in self.seeds, "be none of the seeds")
        for kind, name, known in self._references():
            if name not in known:
                raise UnknownName(kind, name, tuple(known))
        for name, evaluation in self.evaluations.items():
            fits = evaluation.block >= evaluation.fresh
            require_field(f"evaluations.{name}.block", evaluation.block, fits, "be at least its number of fresh states")
        for name, choice in self.choices.items():
            variables = {frozenset(values) for values in choice.values.values()}
            require_field(f"choices.{name}.values", sorted(choice.values), len(variables) == 1, "all set the same variables")
        for name, finding in self.findings.items():
            primaries = sum(comparison.primary for comparison in finding.comparisons)
            require_field(f"findings.{name}.comparisons", primaries, primaries == 1, "have one primary comparison")
        self.check_variables()

    def _references(self) -> Iterable[tuple[str, str, Iterable[str]]]:
        """(kind, name, known names) of every reference."""
        policies = {*self.trainings, *self.preferences}
        for training in self.trainings.values():
            yield from (("collection", name, self.collections) for name in training.data)
            yield from (("training", name, self.trainings) for name in (training.init,) if name)
        for collection in self.collections.values():
            yield from (("training", name, self.trainings) for name in (collection.learner,) if name)
            yield from (("collection", name, self.collections) for name in (collection.part_of,) if name)
        for preference in self.preferences.values():
            yield "training", preference.init, self.trainings
            yield from (("label set", name, self.labels) for name in preference.labels)
            yield "reward", preference.reward, REWARDS
        for model in self.world_models.values():
            yield from (("collection", name, self.collections) for name in model.data)
        for labels in self.labels.values():
            yield "training", labels.policy, self.trainings
            yield "world model", labels.world_model, self.world_models
            yield from (("collection", name, self.collections) for name in labels.data)
            yield from (("reward", name, REWARDS) for name in labels.rewards)
        for measurement in self.measurements.values():
            yield from (("label set", name, self.labels) for name in measurement.labels)
        yield from (("policy", evaluation.policy, policies) for evaluation in self.evaluations.values())
        for choice in self.choices.values():
            yield "option of a choice", choice.assumed, choice.values
            yield from (("evaluation", name, self.evaluations) for name in choice.evaluations)
        yield from self._arms()

    def _arms(self) -> Iterable[tuple[str, str, Iterable[str]]]:
        measured = {
            f"{name}/{labels}/{reward}"
            for name, measurement in self.measurements.items()
            for labels in measurement.labels
            if labels in self.labels
            for reward in self.labels[labels].rewards
        }
        for finding in self.findings.values():
            for comparison in finding.comparisons:
                arms = [arm for arm in (comparison.a, comparison.b) if isinstance(arm, str)]
                yield from (("arm", arm, {*self.evaluations, *measured}) for arm in arms)
            yield from (("evaluation", name, self.evaluations) for name in finding.descriptive)

    def check_variables(self) -> None:
        """Raise UnknownName for a variable that no choice sets."""
        known = {variable for choice in self.choices.values() for values in choice.values.values() for variable in values}
        values: list[Any] = [*self.sft.values(), *self.dpo.values()]
        for training in self.trainings.values():
            values += [training.steps, *training.set.values()]
        values += [preference.steps for preference in self.preferences.values()]
        for value in values:
            if isinstance(value, str) and value.startswith("$") and value[1:] not in known:
                raise UnknownName("variable", value[1:], tuple(known))

    def resolved(self, value: Value, variables: Mapping[str, Value]) -> Value:
        """The value, or that of the variable it names."""
        return variables[value[1:]] if isinstance(value, str) and value.startswith("$") else value

    def whole(self, value: Value, variables: Mapping[str, Value]) -> int:
        """A resolved number of updates. Raises TrainingError for others than whole numbers above 0."""
        found = self.resolved(value, variables)
        if not isinstance(found, int) or found < 1:
            raise TrainingError(f"steps must be a whole number above 0, got {found!r}", option="steps", value=found)
        return found
