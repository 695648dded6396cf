"""From `--policy` and `--policy-arg` to a policy: built-in name, plug-in, a checkpoint's path, a server's address,
`package.module:Class` or `path/to/file.py:Class`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

from ..envs.base import ObservationSpec
from ..envs.errors import NoraBenchError, PolicyError, nearest
from ..envs.registry import ObjectNotFound, Registry, defined_names, is_file, load_object
from ..envs.specs import action_spec_problem
from .arguments import convert
from .base import BasePolicy, Policy, PolicyRequestError

BASELINES = "nora_bench.policies.baselines"
NORA = "nora_bench.policies.nora.presets"

POLICIES: Registry[Callable[..., Policy]] = Registry(
    "policy",
    "nora_bench.policies",
    {
        "zero": f"{BASELINES}:Zero",
        "random": f"{BASELINES}:Random",
        "replay": f"{BASELINES}:Replay",
        "nora": f"{NORA}:NORA",
        "nora-long": f"{NORA}:NORA_LONG",
        "nora-ac": f"{NORA}:NORA_AC",
        "nora-1.5": f"{NORA}:NORA_15",
        "nora-1.5-fast": f"{NORA}:NORA_15_FAST",
        "nora-1.5-dpo": f"{NORA}:NORA_15_DPO",
        "nora-1.5-nano": f"{NORA}:NORA_15_NANO",
        "nora-untrained": f"{NORA}:NORA_UNTRAINED",
        "nora-1.5-untrained": f"{NORA}:NORA_15_UNTRAINED",
        "blind": "nora_bench.policies.open_loop_replay:OpenLoopReplay",
        "lerobot": "nora_bench.policies.lerobot:LeRobotPolicy",
        "openvla": "nora_bench.policies.openvla:OpenVLAPolicy",
        "spatialvla": "nora_bench.policies.spatialvla:SpatialVLAPolicy",
        "scripted": "nora_bench.policies.scripted.policy:ScriptedPolicy",
    },
)
"""Name -> class or function that builds the policy. Plug-ins join by entry points of group `nora_bench.policies`."""


def load(name_or_path: str, args: Mapping[str, str]) -> Policy:
    """The policy of that name, of the checkpoint at that path or hub id, or the class at `package.module:Class` (the working
    folder counts as a place to look) or `path/to/file.py:Class`.

    Args:
        name_or_path: the value of `--policy`.
        args: argument -> text; converted to the types that the constructor's annotations name.

    Raises:
        PolicyRequestError: unknown name, module, class or argument, or a value that the policy cannot have.
        PolicyError: its code cannot be imported, the constructor raised, or returned something that is not a policy.
    """
    factory = find(name_or_path)
    values = _arguments(name_or_path, factory, args)
    try:
        policy = factory(**values)
    except NoraBenchError:
        raise
    except (Exception, SystemExit) as error:
        raise PolicyError(f"policy {name_or_path} cannot be built: {type(error).__name__}: {error}") from error
    return complete(policy, name_or_path)


def find(name_or_path: str) -> Callable[..., Policy]:
    """The class or function that builds the policy. Raises PolicyRequestError for an unknown one, PolicyError."""
    if "://" in name_or_path:
        from .remote import policy_at

        return policy_at(name_or_path)
    if name_or_path.endswith(".py"):
        raise PolicyRequestError(_without_class(Path(name_or_path)))
    if not is_file(name_or_path) and _is_checkpoint(name_or_path):
        return load_object(f"{NORA}:checkpoint_at")(name_or_path)
    if ":" not in name_or_path:
        try:
            return POLICIES.get(name_or_path)
        except KeyError as error:
            raise PolicyRequestError(
                f"{error.args[0]}; or name a checkpoint folder, or a class as package.module:Class or path/to/file.py:Class"
            ) from None
        except ImportError as error:
            raise PolicyError(f"policy {name_or_path} cannot be imported: {error}") from error
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        return load_object(name_or_path)
    except ObjectNotFound as error:
        raise PolicyRequestError(f"policy {name_or_path!r} cannot be imported: {error}") from None
    except ImportError as error:
        raise PolicyError(f"policy {name_or_path!r} cannot be imported: {error}") from error


def _without_class(path: Path) -> str:
    classes = defined_names(path.expanduser())
    content = f"it has {', '.join(classes)}" if classes else "it has no class" if path.is_file() else "file not found"
    return f"--policy {path} names no class; add it as {path}:{classes[0] if classes else 'Class'} ({content})"


def _is_checkpoint(name_or_path: str) -> bool:
    """Whether it is a path or a hub id; names have no slash, and a folder by a policy's name is not a checkpoint."""
    if name_or_path in POLICIES.names():
        return False
    return "/" in name_or_path or name_or_path.endswith(".safetensors") or Path(name_or_path).is_dir()


def parameters(factory: Callable[..., Policy]) -> dict[str, inspect.Parameter]:
    """Name -> parameter that `--policy-arg` can set, annotations resolved."""
    hints = _hints(factory)
    listed = inspect.signature(factory).parameters
    return {name: parameter.replace(annotation=hints.get(name, parameter.annotation)) for name, parameter in listed.items()}


def _hints(factory: Callable[..., Policy]) -> dict[str, Any]:
    if isinstance(factory, partial):
        return _hints(factory.func)
    try:
        return get_type_hints(factory.__init__ if inspect.isclass(factory) else factory)
    except (NameError, TypeError, AttributeError):
        return {}


def _arguments(policy: str, factory: Callable[..., Policy], args: Mapping[str, str]) -> dict[str, Any]:
    known = parameters(factory)
    named = {name: p for name, p in known.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    if not any(p.kind == p.VAR_KEYWORD for p in known.values()):
        for name in args.keys() - named.keys():
            takes = f"it takes {', '.join(named)}" if named else "it takes none"
            raise PolicyRequestError(f"policy {policy} has no argument {name!r}{_suggestion(name, named)}; {takes}")
    missing = [name for name, p in named.items() if p.default is p.empty and name not in args]
    if missing:
        given = " ".join(f"--policy-arg {name}=..." for name in missing)
        raise PolicyRequestError(f"policy {policy} needs {', '.join(missing)}: add {given}")
    return {name: _value(policy, name, text, known.get(name)) for name, text in args.items()}


def _suggestion(name: str, known: Iterable[str]) -> str:
    """` (did you mean a?)` for an argument that was renamed, else the nearest names."""
    renamed = [new for new in RENAMED_ARGUMENTS.get(name, ()) if new in known]
    return f" (did you mean {renamed[0]}?)" if renamed else nearest(name, known)


def _value(policy: str, name: str, text: str, parameter: inspect.Parameter | None) -> Any:
    try:
        return convert(text, parameter.annotation if parameter else str)
    except ValueError as error:
        raise PolicyRequestError(f"policy {policy}: argument {name}={text!r} is {error}") from None


RENAMED_ARGUMENTS = {
    "deadline_s": ("request_timeout_s",),
    "patience_s": ("connect_timeout_s",),
    "steps": ("num_inference_steps", "n_action_steps"),
    "execute": ("n_action_steps",),
    "noise": ("noise_scale",),
    "on_bad": ("on_invalid",),
}
"""Earlier name of an argument of a shipped policy -> its present ones."""
REQUIRED = ("setup", "act", "end_episode", "fingerprint", "close", "observation_spec", "stochastic", "tags")
"""Members that a policy must have; the others of `Policy` have defaults."""
OPTIONAL = ("n_action_steps", "chunk_size", "action_spec", "action_spec_under", "metrics")
SUBCLASS = "subclass nora_bench.policies.base:BasePolicy"


def complete(policy: Any, name: str = "the policy") -> Policy:
    """The policy itself, or, where it does not subclass `BasePolicy`, with the defaults of the optional members that it lacks.

    Raises PolicyError naming the required members that are missing, and members of another type than declared.
    """
    kind = type(policy).__name__
    try:
        return _completed(policy, kind, name)
    except PolicyError:
        raise
    except Exception as error:
        raise PolicyError(f"{name} ({kind}): reading its members raised {type(error).__name__}: {error}") from error


def _completed(policy: Any, kind: str, name: str) -> Policy:
    if isinstance(getattr(policy, "needs", None), ObservationSpec):  # it would get an empty observation, silently
        raise PolicyError(f"{name} built a {kind} with `needs`, which is now `observation_spec`")
    if missing := [member for member in REQUIRED if not hasattr(policy, member)]:
        raise PolicyError(f"{name} built a {kind} without {', '.join(missing)}; {SUBCLASS}")
    wrong = [member for member in REQUIRED[:5] if not callable(getattr(policy, member))]
    if not isinstance(policy.observation_spec, ObservationSpec):
        wrong.append("observation_spec")
    if wrong:
        raise PolicyError(f"{name} built a {kind} with {', '.join(wrong)} of another type; {SUBCLASS}")
    if not all(hasattr(policy, member) for member in OPTIONAL):
        policy = type(kind, (_CompletePolicy,), {})(policy)  # messages name the policy by its class
    _check_members(policy, f"{name} ({kind})")
    return policy


def _check_members(policy: Any, name: str) -> None:
    """Raises PolicyError for a member of another type, such as a method of the same name, or an impossible specification."""
    steps, size, tags, spec = policy.n_action_steps, policy.chunk_size, policy.tags, policy.action_spec
    if problem := policy.observation_spec.problem():
        raise PolicyError(f"{name}: observation_spec: {problem}")
    if not (isinstance(tags, tuple | list) and all(isinstance(tag, str) for tag in tags)):
        raise PolicyError(f"{name}: tags must be a tuple of texts such as ('untrained',), not {tags!r}")
    if steps is not None and not (isinstance(steps, int) and steps > 0):
        raise PolicyError(f"{name}: n_action_steps must be a positive int or None, not {steps!r}")
    if not (isinstance(size, int) and size > 0):
        raise PolicyError(f"{name}: chunk_size must be a positive int, not {size!r}")
    if spec is not None and (problem := action_spec_problem(spec)):
        raise PolicyError(f"{name}: {problem}")


class _CompletePolicy:
    """A policy of any class, with the defaults of `BasePolicy` for the optional members that it lacks."""

    def __init__(self, policy: Any) -> None:
        self._policy = policy

    def __getattr__(self, member: str) -> Any:
        try:
            return getattr(self._policy, member)
        except AttributeError:
            if member == "action_spec_under":
                return lambda protocol: self.action_spec
            if member not in OPTIONAL:
                raise
        return getattr(BasePolicy(), member)
