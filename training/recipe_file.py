"""A stage's recipe: a YAML file, shipped or one's own, as the dataclass that the stage wants."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from .settings import TrainingError

T = TypeVar("T")
SHIPPED = ("nano", "nano-plain", "quick", "scratch", "paper", "released", "released-rlds")


def read_recipe(name: str, stage: str, wanted: type[T]) -> T:
    """The recipe of that name for a stage, or of a file whose name ends in .yaml.

    Args:
        name: `nano`, `paper`, `released`, or a path.
        stage: `world-model`, `dpo`, ...
        wanted: dataclass of the stage's settings.

    Raises:
        TrainingError: no such recipe, or a field in it that the stage does not know.
    """
    text, where = recipe_text(name, stage)
    return build(text, where, wanted)


def build(text: str, where: str, wanted: type[T]) -> T:
    """The dataclass that a YAML text describes; `where` is what errors call it. Raises TrainingError."""
    import msgspec

    from ..envs.untrusted import parse_yaml

    try:
        values = parse_yaml(text) or {}
        _check_names(values, wanted, where)
        return msgspec.convert(values, wanted)
    except (ValueError, TypeError, msgspec.ValidationError) as error:
        raise TrainingError(f"{where}: {error}") from None


def recipe_text(name: str, stage: str) -> tuple[str, str]:
    """A recipe's YAML, and what errors call it. Raises TrainingError."""
    if name.endswith((".yaml", ".yml")):
        try:
            return Path(name).read_text(encoding="utf-8"), name
        except OSError as error:
            raise TrainingError(f"--recipe {name}: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise TrainingError(f"--recipe {name} is not text: {error}") from None
    file = files(__package__ or "").joinpath("recipes", f"{name}-{stage}.yaml")
    if not file.is_file():
        known = [known for known in SHIPPED if files(__package__ or "").joinpath("recipes", f"{known}-{stage}.yaml").is_file()]
        raise TrainingError(f"no recipe {name!r} for {stage}; take one of {', '.join(known)}, or a .yaml file")
    return file.read_text(encoding="utf-8"), f"recipe {name}"


def _check_names(values: Any, wanted: Any, where: str) -> None:
    """Raises TrainingError for a name that is no field, at any depth."""
    if not isinstance(values, dict) or not is_dataclass(wanted):
        return
    known, hints = {field.name for field in fields(wanted)}, get_type_hints(wanted)
    if unknown := sorted(set(values) - known):
        raise TrainingError(f"{where}: unknown {', '.join(map(str, unknown))}; known are {', '.join(sorted(known))}")
    for name, value in values.items():
        _check_names(value, hints[name], f"{where}: {name}")
