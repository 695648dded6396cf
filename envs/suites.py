"""Suites by name: built-in ones, plug-ins (entry points `nora_bench.suites`), import paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from .base import Array, AssetPack, Env, EnvObservation, EnvOptions, EpisodeSpec, EvalProtocol, ObservationSpec, Reset, Suite
from .errors import SuiteError, UnknownName
from .registry import Registry, absolute_reference, load_object

LIBERO = ("libero_spatial", "libero_object", "libero_goal", "libero_10")

SIMPLER = ("simpler-vm", "simpler-va")

GROUPS: dict[str, tuple[str, ...]] = {"libero": LIBERO, "simpler": SIMPLER}
"""Short names for several suites."""

REGISTRY: Registry[Suite] = Registry(
    "suite",
    "nora_bench.suites",
    {
        **{name: f"nora_bench.envs.libero.suite:{name}" for name in (*LIBERO, "libero_90")},
        **{name: f"nora_bench.envs.simpler.suite:{name.replace('-', '_')}" for name in (*SIMPLER, "simpler-va-camera")},
    },
)


def get(name: str) -> Suite:
    """The suite of that name, `package.module:attribute` or `file.py:attribute`.

    Raises UnknownName, SuiteError; for import paths ValueError and ImportError (`registry.load_object`).
    """
    if ":" not in name and name not in names():
        raise UnknownName("suite", name, (*GROUPS, *names()), "see `nora-bench list suites`")
    return complete(load_object(name) if ":" in name else REGISTRY.get(name))


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

    Raises SuiteError naming the required members that it lacks.
    """
    if isinstance(suite, Suite):
        return suite
    if missing := [name for name in REQUIRED if not hasattr(suite, name)]:
        kind = suite.__name__ if isinstance(suite, type) else type(suite).__name__
        raise SuiteError(f"suite {kind} lacks {', '.join(missing)}; subclass nora_bench.envs.base:Suite")
    return cast(Suite, suite) if all(hasattr(suite, name) for name in OPTIONAL) else _CompleteSuite(suite)


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


def complete_env(env: Any) -> Env:
    """The environment itself, or, where it does not subclass `Env`, with the defaults of the members that it lacks."""
    return cast(Env, env) if isinstance(env, Env) or hasattr(env, "measures") else EnvWrapper(env)


class EnvWrapper(Env):
    """An environment of any class as an `Env`, without measures. See `envs.base.Env` for the contract."""

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
