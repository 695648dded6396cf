"""Training configuration: optimiser, schedule, precision and checkpoints of a run, and the recipes that set them.

A recipe is a YAML file; `--set loop.learning_rate=1e-4` overrides one of its fields. Names and types come from the
dataclass of the training stage.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from ...envs.errors import InputError, UnknownName


class TrainingError(InputError):
    """A training run that cannot start or resume; the message names the cause and the command to type."""


def require_field(name: str, value: object, valid: bool, rule: str) -> None:
    """Raise TrainingError unless `valid`, for the recipe field of that dotted name; `rule` completes "must"."""
    if not valid:
        raise TrainingError(f"{name} must {rule}, got {value}", option=name, value=value)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything about a training run that is neither its objective nor its data."""

    steps: int
    """Optimizer updates."""
    batch_size: int
    """Examples per forward pass on one device; an update uses `batch_size * gradient_accumulation_steps * devices`."""
    gradient_accumulation_steps: int = 1
    """Forward passes per update."""
    learning_rate: float = 5e-5
    """Peak learning rate."""
    warmup: int = 0
    """Updates of linear warm-up."""
    schedule: Literal["cosine", "wsd", "constant"] = "cosine"
    """Learning rate after the warm-up. `cosine`: to 0. `wsd`: constant, then linear to 0 (warmup, stable, decay)."""
    decay_fraction: float = 0.2
    """Last part of the run in which `wsd` decays."""
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 1e-8
    max_grad_norm: float | None = None
    """Gradient norm at which gradients are clipped; None does not clip."""
    ema: float | None = None
    """Decay of the moving average of the weights, which is then evaluated and exported."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of the computation (autocast); weights and optimizer state keep the type of the weights."""
    seed: int = 0
    """Seed for the order of the examples and for everything that the objective samples."""
    log_every: int = 20
    save_every: int = 500
    eval_every: int | None = None
    keep_last: int = 2
    """Checkpoints to keep besides the best one."""
    gradient_accumulation: Literal["correct", "as_released"] = "correct"
    """`as_released` clears the gradients before every pass: an update uses the last pass alone, at 1 / accumulation steps."""
    schedule_stepping: Literal["correct", "as_released"] = "correct"
    """`as_released` advances the schedule once per pass: the learning rate reaches 0 early and rises again."""

    @property
    def examples_per_update(self) -> int:
        """Examples per update on one device."""
        return self.batch_size * self.gradient_accumulation_steps

    def validate(self) -> None:
        """Raise TrainingError for values that no run can have."""
        for name in ("steps", "batch_size", "gradient_accumulation_steps", "log_every", "save_every", "keep_last"):
            self._check(name, getattr(self, name) >= 1, "be at least 1")
        self._check("eval_every", self.eval_every is None or self.eval_every >= 1, "be at least 1 or null")
        self._check("seed", self.seed >= 0, "be at least 0")
        self._check("learning_rate", 0 < self.learning_rate < math.inf, "be a number above 0")
        for name in ("eps", "weight_decay"):
            self._check(name, 0 <= getattr(self, name) < math.inf, "be a number of at least 0")
        self._check("betas", all(0 <= beta < 1 for beta in self.betas), "lie between 0 and 1 (exclusive)")
        self._check("max_grad_norm", self.max_grad_norm is None or self.max_grad_norm > 0, "be above 0 or null")
        self._check("decay_fraction", 0 < self.decay_fraction <= 1, "lie between 0 (exclusive) and 1")
        self._check("ema", self.ema is None or 0 < self.ema < 1, "lie between 0 and 1")
        self._check("warmup", 0 <= self.warmup <= self.steps, f"lie between 0 and the {self.steps} steps")

    def _check(self, name: str, valid: bool, rule: str) -> None:
        require_field(f"loop.{name}", getattr(self, name), valid, rule)

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of the update after `step` updates."""
        at = (step + 1) * self.gradient_accumulation_steps - 1 if self.schedule_stepping == "as_released" else step
        if at < self.warmup:
            return self.learning_rate * (at + 1) / self.warmup
        progress = (at - self.warmup) / max(1, self.steps - self.warmup)
        return self.learning_rate * self._shape(progress)

    def _shape(self, progress: float) -> float:
        if self.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))
        if self.schedule == "wsd":
            return min(1.0, max(0.0, 1 - progress) / self.decay_fraction)
        return 1.0


def folder_of(out: Path, step: int) -> Path:
    """Folder of a run's checkpoint after `step` updates."""
    return out / f"step-{step:06d}"


RENAMED: Mapping[str, str] = {
    "loop.rate": "loop.learning_rate",
    "loop.batch": "loop.batch_size",
    "loop.accumulation": "loop.gradient_accumulation_steps",
    "loop.clip": "loop.max_grad_norm",
    "loop.keep": "loop.keep_last",
    "loop.decay": "loop.schedule",
    "loop.tail": "loop.decay_fraction",
    "loop.accumulation_form": "loop.gradient_accumulation",
    "loop.schedule_form": "loop.schedule_stepping",
    "objective.draws": "objective.flow_samples",
    "data.every": "data.frame_stride",
    "data.smooth": "data.label_smoothing_steps",
    "data.no_ops": "data.keep_noops",
    "data.end": "data.pad_actions",
    "every": "frame_stride",
    "dpo_rate": "dpo_learning_rate",
    "start": "init_from",
}
"""Former recipe fields -> their names today."""
RENAMED_VALUES: Mapping[str, str] = {"tail": "wsd", "mended": "correct", "released": "as_released"}
"""Former values of `loop.schedule`, `loop.gradient_accumulation` and `loop.schedule_stepping` -> today's."""


def stored_config(values: Mapping[str, Any]) -> dict[str, Any]:
    """The training configuration in a checkpoint's `progress.json` under today's names and values."""
    out = {}
    for name, value in values.items():
        if new := RENAMED.get(f"loop.{name}"):
            name, value = new.removeprefix("loop."), RENAMED_VALUES.get(value, value) if isinstance(value, str) else value
        out[name] = value
    return out


T = TypeVar("T")
PACKAGE = __name__.removesuffix(".engine.config")
"""Package that contains the shipped recipes."""
SHIPPED = ("nano", "nano-plain", "quick", "scratch", "paper", "released", "released-rlds")


def read_recipe(name: str, stage: str, cls: type[T], overrides: Mapping[str, str] | None = None) -> T:
    """The recipe of a training stage.

    Args:
        name: a shipped recipe (`nano`, `paper`, `released`), or a path that ends in .yaml.
        stage: `world-model`, `dpo`, ...
        cls: dataclass of the stage.
        overrides: dotted field -> value as typed, such as `{"loop.learning_rate": "1e-4"}`; see `parse_overrides`.

    Raises:
        TrainingError: unknown recipe, or an invalid value.
        UnknownName: a field that the stage does not have.
    """
    text, origin = recipe_text(name, stage)
    recipe = build(text, origin, cls, overrides)
    for section in (getattr(recipe, field.name) for field in fields(cls)):  # pyright: ignore[reportArgumentType]  a dataclass
        if validate := getattr(section, "validate", None):
            validate()
    return recipe


def parse_overrides(assignments: Sequence[str]) -> dict[str, str]:
    """Dotted field -> value, both as typed, of `--set FIELD=VALUE` options. Raises TrainingError."""
    overrides = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise TrainingError(
                f"--set {assignment}: value missing. Type: --set FIELD=VALUE, such as --set loop.learning_rate=1e-4",
                option="--set",
                value=assignment,
            )
        overrides[name.strip()] = value.strip()
    return overrides


def build(text: str, origin: str, cls: type[T], overrides: Mapping[str, str] | None = None) -> T:
    """The dataclass that a YAML text describes; `origin` names the text in errors. Raises TrainingError, UnknownName."""
    import msgspec

    from ...envs.safe_io import parse_yaml

    known = dict(recipe_fields(cls))
    try:
        values = parse_yaml(text) or {}
        if not isinstance(values, dict):
            raise TrainingError(f"{origin} is not a recipe: no fields")
        _check_names(values, cls, origin, known)
        _override(values, overrides or {}, known)
        _check_choices(values, cls, origin)
        return msgspec.convert(values, cls)
    except (ValueError, TypeError, msgspec.ValidationError) as error:
        raise TrainingError(f"{origin}: {error}") from None


def recipe_text(name: str, stage: str) -> tuple[str, str]:
    """A recipe's YAML, and its name in errors. Raises TrainingError."""
    if name.endswith((".yaml", ".yml")):
        try:
            return Path(name).read_text(encoding="utf-8"), name
        except OSError as error:
            raise TrainingError(f"--recipe {name}: {error.strerror}", option="--recipe", value=name) from None
        except UnicodeDecodeError as error:
            raise TrainingError(f"--recipe {name} is not text: {error}", option="--recipe", value=name) from None
    file = files(PACKAGE).joinpath("recipes", f"{name}-{stage}.yaml")
    if not file.is_file():
        known = [known for known in SHIPPED if files(PACKAGE).joinpath("recipes", f"{known}-{stage}.yaml").is_file()]
        raise UnknownName(f"recipe for {stage}", name, known, f"take one of {', '.join(known)}, or a .yaml file")
    return file.read_text(encoding="utf-8"), f"recipe {name}"


def recipe_fields(cls: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, type) of every field of a recipe's dataclass, sections included."""
    hints = get_type_hints(cls)
    for field in fields(cls):
        name, kind = f"{prefix}{field.name}", hints[field.name]
        yield name, kind
        if is_dataclass(kind):
            yield from recipe_fields(kind, f"{name}.")


def _check_names(values: Any, cls: Any, origin: str, known: Mapping[str, Any], prefix: str = "") -> None:
    """Raise UnknownName or TrainingError for a name that is no field, at any depth."""
    if not isinstance(values, dict) or not is_dataclass(cls):
        return
    for name, value in values.items():
        if "." in str(name):
            raise TrainingError(f"{origin}: {name} is no field. Write the field below its section", option=str(name))
        _check_name(f"{prefix}{name}", origin, known, value)
        _check_names(value, known[f"{prefix}{name}"], origin, known, f"{prefix}{name}.")


def _check_name(name: str, origin: str, known: Mapping[str, Any], value: Any = None) -> None:
    if name in known:
        return
    if (new := RENAMED.get(name, "")) in known:
        renamed = _renamed_value(value, get_args(known[new]))
        values = f", and its value {value} is now {renamed}" if renamed else ""
        raise TrainingError(f"{origin}: {name} is now {new}{values}", option=name, value=value)
    siblings = [other for other in known if other.rpartition(".")[0] == name.rpartition(".")[0]]
    raise UnknownName(f"field in {origin}:", name, siblings or known)


def _renamed_value(value: Any, choices: Sequence[Any]) -> str | None:
    """The present name of a former value, where it is among a field's choices."""
    new = RENAMED_VALUES.get(value) if isinstance(value, str) else None
    return new if new in choices else None


def _check_choices(value: Any, kind: Any, origin: str, name: str = "") -> None:
    """Raise TrainingError for a former value of a field with choices and UnknownName for an unknown one, at any depth."""
    if is_dataclass(kind) and isinstance(value, dict):
        hints = get_type_hints(kind)
        for field, item in value.items():
            _check_choices(item, hints[field], origin, f"{name}.{field}".lstrip("."))
    elif get_origin(kind) is Literal and isinstance(value, str):
        choices = get_args(kind)
        if new := _renamed_value(value, choices):
            raise TrainingError(f"{origin}: {name}={value} is now {name}={new}", option=name, value=value)
        if value not in choices:
            raise UnknownName(f"{name} in {origin}:", value, choices)
    elif get_origin(kind) in (tuple, list, dict) and isinstance(value, list | dict):
        item_kind = get_args(kind)[1 if get_origin(kind) is dict else 0]
        for item in value.values() if isinstance(value, dict) else value:
            _check_choices(item, item_kind, origin, name)


def _override(values: dict[str, Any], overrides: Mapping[str, str], known: Mapping[str, Any]) -> None:
    """Put values of the command line into a recipe's, converted to the types of their fields."""
    for name, text in overrides.items():
        _check_name(name, "--set", known, text)
        *sections, last = name.split(".")
        place = values
        for section in sections:
            place[section] = place.get(section) or {}
            place = place[section]
        place[last] = _converted(name, text, known[name])
    loop = values.get("loop")
    if "loop.steps" in overrides and "loop.warmup" not in overrides and isinstance(loop, dict):
        loop["warmup"] = min(loop.get("warmup", 0), loop["steps"])  # a shortened run warms up within its steps


def _converted(name: str, text: str, kind: Any) -> Any:
    """The value of an override in the field's type: `null`, `true`, numbers, lists as `a,b`, and tables as `a=1,b=2`."""
    import msgspec

    kinds = get_args(kind) if type(None) in get_args(kind) else (kind,)
    if type(None) in kinds and text.lower() in ("null", "none"):
        return None
    is_list = any(get_origin(one) in (tuple, list) for one in kinds)
    items: Any = [item.strip() for item in text.strip("[]()").split(",")] if is_list else text
    if any(get_origin(one) is dict for one in kinds):
        pairs = [item.partition("=") for item in text.split(",") if item.strip()]
        items = {key.strip(): value.strip() for key, _, value in pairs}
    if is_dataclass(kind):
        raise TrainingError(f"--set {name}: a section. Set one of its fields, such as --set {name}.{fields(kind)[0].name}=VALUE")
    _check_choices(items, kind, "--set", name)
    try:
        return msgspec.to_builtins(msgspec.convert(items, kind, strict=False))
    except msgspec.ValidationError as error:
        raise TrainingError(f"--set {name}={text}: {error}", option=name, value=text) from None
