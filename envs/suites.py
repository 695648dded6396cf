"""Suites by name: built-in ones, plug-ins (entry points `nora_bench.suites`), import paths."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, cast

from .base import (
    Array,
    AssetPack,
    Env,
    EnvObservation,
    EnvOptions,
    EpisodeSpec,
    EvalProtocol,
    ObservationSpec,
    Reset,
    Suite,
    Task,
)
from .errors import SuiteError, UnknownName, exit_code
from .moments import Moment, Roles
from .registry import ObjectNotFound, Registry, absolute_reference, load_object
from .specs import action_spec_problem, proprio_spec_problem

LIBERO = ("libero_spatial", "libero_object", "libero_goal", "libero_10")

SIMPLER = ("simpler-vm", "simpler-va")

SIMPLER_PLACE = ("simpler-vm-place", "simpler-va-place")
SIMPLER_SUITES = (*SIMPLER, "simpler-va-camera", *SIMPLER_PLACE)

GROUPS: dict[str, tuple[str, ...]] = {"libero": LIBERO, "simpler": SIMPLER, "simpler-place": SIMPLER_PLACE}
"""Short names for several suites."""

REGISTRY: Registry[Suite] = Registry(
    "suite",
    "nora_bench.suites",
    {
        **{name: f"nora_bench.envs.libero.suite:{name}" for name in (*LIBERO, "libero_90")},
        **{name: f"nora_bench.envs.simpler.suite:{name.replace('-', '_')}" for name in (*SIMPLER_SUITES, "simpler-widowx")},
    },
)


def get(name: str) -> Suite:
    """The suite of that name, `package.module:attribute` or `file.py:attribute`.

    Raises UnknownName, ObjectNotFound; SuiteError for one that cannot be imported or used.
    """
    if ":" not in name and name not in names():
        raise UnknownName("suite", name, (*GROUPS, *names()), "see `nora-bench list suites`")
    try:
        suite = load_object(name) if ":" in name else REGISTRY.get(name)
    except ObjectNotFound as error:
        raise ObjectNotFound(f"--suite {name}: {error}", option="--suite", value=name) from None
    except ImportError as error:
        raise SuiteError(f"suite {name} cannot be used: {error}") from error
    return complete(suite)


def names() -> tuple[str, ...]:
    """All suite names, without groups."""
    return REGISTRY.names()


def expand(name: str) -> tuple[str, ...]:
    """The suites that a name on the command line stands for; one in a file with its absolute path, for workers elsewhere."""
    return GROUPS.get(name, (absolute_reference(name),))


REQUIRED = ("name", "family", "title", "tasks", "default_protocol", "resolve_assets", "make_env", "versions")
"""Members that a suite must have; the others of `Suite` have defaults."""
OPTIONAL = tuple(name for name in vars(Suite) if not name.startswith("_") and name not in REQUIRED)


def complete(suite: Any) -> Suite:
    """The suite itself, or, where it does not subclass `Suite`, with the defaults of the optional members that it lacks.

    Raises SuiteError naming the required members that it lacks, or an invalid declaration.
    """
    kind = suite.__name__ if isinstance(suite, type) else type(suite).__name__
    try:
        if missing := [name for name in REQUIRED if not hasattr(suite, name)]:
            raise SuiteError(f"suite {kind} lacks {', '.join(missing)}; subclass nora_bench.envs.base:Suite")
        if not isinstance(suite, Suite) and not all(hasattr(suite, name) for name in OPTIONAL):
            suite = _CompleteSuite(suite)
        problem = _problem(cast(Suite, suite))
    except SuiteError:
        raise
    except Exception as error:
        raise SuiteError(f"suite {kind}: reading its members raised {type(error).__name__}: {error}") from error
    if problem:
        raise SuiteError(f"suite {suite.name} ({kind}): {problem}")
    return cast(Suite, suite)


def _problem(suite: Suite) -> str:
    """Why a suite's declarations are invalid; empty where they are valid."""
    for name in ("name", "family", "title", "default_protocol"):
        if not isinstance(getattr(suite, name), str):
            return f"{name} must be a text, not {getattr(suite, name)!r}"
    if not suite.tasks or not all(isinstance(task, Task) for task in suite.tasks):
        return f"tasks must be one or more Task, not {suite.tasks!r}"
    for name in ("cameras", "backends"):
        names = getattr(suite, name)
        if isinstance(names, str) or not all(isinstance(part, str) for part in names):
            return f"{name} must be a tuple of names, not {names!r}"
    if not all(isinstance(protocol, EvalProtocol) for protocol in suite.protocols.values()):
        return "protocols must map names to EvalProtocol"
    return action_spec_problem(suite.action_spec) or proprio_spec_problem(suite.proprio_spec) or _cost_problem(suite.cost)


TIMES = ("step_s", "image_s", "reset_s", "build_s")
"""Figures of `Suite.cost` that estimate a run's time; `picture_s` is the former name of `image_s`."""


def _cost_problem(cost: Any) -> str:
    if not isinstance(cost, Mapping) or not all(_is_figure(figure) for figure in cost.values()):
        return f"cost must map names of figures to numbers from 0, not {cost!r}"
    figures = {"image_s" if name == "picture_s" else name for name in cost}
    missing = [name for name in TIMES if name not in figures]
    return f"cost lacks {', '.join(missing)}" if 0 < len(missing) < len(TIMES) else ""


def _is_figure(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < inf


def call_suite(suite: Suite, method: str, *args: Any) -> Any:
    """The result of a suite's method. Raises SuiteError naming both where the suite's code raises."""
    try:
        return getattr(suite, method)(*args)
    except Exception as error:
        if exit_code(error) is not None:
            raise
        raise SuiteError(f"suite {suite.name}: {method} raised {type(error).__name__}: {error}") from error


def resolve_assets(suite: Suite, wanted: str) -> AssetPack:
    """The suite's asset pack of that name or folder. Raises SuiteError, or InputError for a folder that does not exist."""
    pack = call_suite(suite, "resolve_assets", wanted)
    if not isinstance(pack, AssetPack):
        raise SuiteError(f"suite {suite.name}: resolve_assets must return an AssetPack, not {pack!r}")
    return pack


class _CompleteSuite(Suite):
    """A suite of any class, with the defaults of `Suite` for what it lacks."""

    def __init__(self, suite: Any) -> None:
        self.suite = suite
        for name in (*REQUIRED, *OPTIONAL):
            if hasattr(suite, name):
                setattr(self, name, getattr(suite, name))

    def resolve_assets(self, wanted: str) -> AssetPack:
        return self.suite.resolve_assets(wanted)

    def make_env(self, options: EnvOptions) -> Env:
        return self.suite.make_env(options)

    def versions(self) -> Mapping[str, str]:
        return self.suite.versions()


OPTIONAL_ENV = ("measures", "roles", "moment")
"""Members that an environment may lack."""


def complete_env(env: Any) -> Env:
    """The environment itself, or, where it does not subclass `Env`, with the defaults of the members that it lacks."""
    return cast(Env, env) if isinstance(env, Env) or all(hasattr(env, name) for name in OPTIONAL_ENV) else EnvWrapper(env)


class EnvWrapper(Env):
    """An environment of any class as an `Env`, with the defaults of the members that it lacks (contract: `envs.base.Env`)."""

    def __init__(self, env: Any) -> None:
        self.env, self.action_size = env, env.action_size

    def reset(self, spec: EpisodeSpec, protocol: EvalProtocol, observation_spec: ObservationSpec) -> Reset:
        return self.env.reset(spec, protocol, observation_spec)

    def step(self, action: Array, *, observe: bool) -> bool:
        return self.env.step(action, observe=observe)

    def observation(self) -> EnvObservation:
        return self.env.observation()

    def state(self) -> Array:
        return self.env.state()

    def render_seconds(self) -> float:
        return self.env.render_seconds()

    def close(self) -> None:
        self.env.close()

    def measures(self) -> Mapping[str, bool]:
        return self.env.measures() if hasattr(self.env, "measures") else {}

    def roles(self) -> Roles | None:
        return self.env.roles() if hasattr(self.env, "roles") else None

    def moment(self) -> Moment:
        return self.env.moment()
