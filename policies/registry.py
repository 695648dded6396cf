"""From `--policy` and `--policy-arg` to a policy: built-in name, plug-in, a checkpoint's path, a server's address,
`package.module:Class` or `path/to/file.py:Class`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

from ..envs.base import ObservationSpec
from ..envs.errors import InputError, PolicyError, nearest
from ..envs.registry import Registry, load_object
from ..envs.source_files import defined_names, is_file
from .arguments import convert
from .base import Policy

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
        "blind": "nora_bench.policies.open_loop_replay:Blind",
        "lerobot": "nora_bench.policies.lerobot:LeRobotPolicy",
        "openvla": "nora_bench.policies.openvla:OpenVLAPolicy",
        "spatialvla": "nora_bench.policies.spatialvla:SpatialVLAPolicy",
        "scripted": "nora_bench.policies.scripted.policy:ScriptedPolicy",
    },
)
"""Name -> class or function that builds the policy. Plug-ins join by entry points of group `nora_bench.policies`."""


class PolicyRequestError(InputError, PolicyError):
    """No such policy, or not with such arguments; the message names the nearest ones."""


def load(name_or_path: str, args: Mapping[str, str]) -> Policy:
    """The policy of that name, of the checkpoint at that path or hub id, or the class at `package.module:Class` (the working
    folder counts as a place to look) or `path/to/file.py:Class`.

    Args:
        name_or_path: what stands after `--policy`.
        args: argument -> text; converted to the types that the constructor's annotations name.

    Raises:
        PolicyRequestError: unknown name, module, class or argument, or a text that is no such value.
        PolicyError: the constructor raised, or what it built is not a policy.
    """
    factory = find(name_or_path)
    values = _arguments(name_or_path, factory, args)
    try:
        policy = factory(**values)
    except PolicyError:
        raise
    except Exception as error:
        raise PolicyError(f"policy {name_or_path} cannot be built: {type(error).__name__}: {error}") from error
    return _checked(name_or_path, policy)


def find(name_or_path: str) -> Callable[..., Policy]:
    """The class or function that builds the policy. Raises PolicyRequestError where there is none."""
    if "://" in name_or_path:
        from .remote import policy_at

        return policy_at(name_or_path)
    if name_or_path.endswith(".py"):
        raise PolicyRequestError(_without_class(Path(name_or_path)))
    if not is_file(name_or_path) and _is_checkpoint(name_or_path):
        from .nora.presets import checkpoint_at

        return checkpoint_at(name_or_path)
    if ":" not in name_or_path:
        try:
            return POLICIES.get(name_or_path)
        except KeyError as error:
            raise PolicyRequestError(
                f"{error.args[0]}; or name a checkpoint folder, or a class as package.module:Class or path/to/file.py:Class"
            ) from None
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        return load_object(name_or_path)
    except (ImportError, ValueError) as error:
        raise PolicyRequestError(f"policy {name_or_path!r} cannot be imported: {error}") from error


def _without_class(path: Path) -> str:
    classes = defined_names(path.expanduser())
    there = (
        f"it has {', '.join(classes)}" if classes else "no class is found there" if path.is_file() else "there is no such file"
    )
    return f"--policy {path} names no class; add it as {path}:{classes[0] if classes else 'Class'} ({there})"


def _is_checkpoint(name_or_path: str) -> bool:
    """Whether it is a path or a hub id; names have no slash, and what is here by a policy's name is the policy."""
    if name_or_path in POLICIES.names():
        return False
    return "/" in name_or_path or name_or_path.endswith(".safetensors") or Path(name_or_path).is_dir()


def parameters(factory: Callable[..., Policy]) -> dict[str, inspect.Parameter]:
    """Name -> parameter of what `--policy-arg` can set, annotations resolved."""
    hints = _hints(factory)
    listed = inspect.signature(factory).parameters
    return {name: found.replace(annotation=hints.get(name, found.annotation)) for name, found in listed.items()}


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
            raise PolicyRequestError(f"policy {policy} has no argument {name!r}{nearest(name, named)}; {takes}")
    missing = [name for name, p in named.items() if p.default is p.empty and name not in args]
    if missing:
        given = " ".join(f"--policy-arg {name}=..." for name in missing)
        raise PolicyRequestError(f"policy {policy} needs {', '.join(missing)}: add {given}")
    return {name: _value(policy, name, text, known.get(name)) for name, text in args.items()}


def _value(policy: str, name: str, text: str, parameter: inspect.Parameter | None) -> Any:
    try:
        return convert(text, parameter.annotation if parameter else str)
    except ValueError as error:
        raise PolicyRequestError(f"policy {policy}: argument {name}={text!r} is {error}") from None


def _checked(name: str, policy: Any) -> Policy:
    if not isinstance(getattr(policy, "observation_spec", None), ObservationSpec):
        raise PolicyError(
            f"{name} built a {type(policy).__name__} without `observation_spec`; subclass nora_bench.policies.base:BasePolicy"
        )
    lacks = [
        method
        for method in ("setup", "act", "end_episode", "fingerprint", "close")
        if not callable(getattr(policy, method, None))
    ]
    lacks += [fact for fact in ("stochastic", "tags") if not hasattr(policy, fact)]
    if lacks:
        raise PolicyError(
            f"{name} built a {type(policy).__name__} without {', '.join(lacks)}; subclass nora_bench.policies.base:BasePolicy"
        )
    return policy
