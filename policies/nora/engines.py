"""Which engine computes a NORA policy's answers, torch or ONNX Runtime, and what each needs."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from ...envs.errors import PolicyError
from ..base import PolicyRequestError
from .checkpoint import BUNDLED_NAME, Checkpoint
from .config import INSTALL
from .onnx_format import EXPORT, GRAPH
from .policy_config import NoraPolicyConfig

EngineName = Literal["torch", "onnx"]
INSTALL_ONNX = "pip install 'nora-bench[libero]'"
OTHERS = "or name another policy: nora-bench list policies"


def choose_engine(config: NoraPolicyConfig, checkpoint: Checkpoint) -> EngineName:
    """The engine of a policy with those resolved options.

    `auto` is ONNX Runtime where it can compute the policy and is installed, and the device is the CPU (`device=auto`: where torch
    is missing); else torch. Raises PolicyError naming the missing library, or the option that ONNX Runtime does not have.
    """
    problem = onnx_problem(config, checkpoint)
    if config.engine == "onnx":
        if problem:
            raise PolicyRequestError(f"engine=onnx: {problem}")
        _require_onnx()
        return "onnx"
    if config.engine == "auto" and not problem:
        has_torch = _installed("torch")
        if _installed("onnxruntime") and (config.device == "cpu" or not has_torch):
            return "onnx"
        if not has_torch:
            _require_onnx()
    require_torch()
    return "torch"


def onnx_problem(config: NoraPolicyConfig, checkpoint: Checkpoint) -> str:
    """Why ONNX Runtime cannot compute a policy with those resolved options; empty where it can."""
    only = "needs torch: --policy-arg engine=torch"
    if not (checkpoint.folder / GRAPH).is_file():
        return f"{checkpoint.name} has no {GRAPH}. Type: {EXPORT}"
    if config.mode != "flow":
        return f"mode={config.mode} {only}"
    if config.device not in ("auto", "cpu"):
        return f"device={config.device} {only}"
    if config.dtype not in ("auto", "float32"):
        return f"dtype={config.dtype} {only}"
    if config.batch not in (None, 1):
        return f"batch={config.batch} {only}"
    if config.chunk != checkpoint.config.chunk:
        return f"chunk={config.chunk} {only}"
    return f"compile=true {only}" if config.compile else ""


def require_before_opening(name: str) -> None:
    """Raises PolicyError where torch is missing and the named checkpoint needs it: before gigabytes of it are fetched."""
    if name != BUNDLED_NAME and not (Path(name).expanduser() / GRAPH).is_file():
        require_torch()


def require_torch() -> None:
    """Raises PolicyError where the libraries of the torch engine are missing."""
    try:
        import torch  # noqa: F401
        import transformers
    except ImportError as error:
        raise PolicyError(f"the NORA family needs {error.name}. Type: {INSTALL}, {OTHERS}") from None
    if int(transformers.__version__.partition(".")[0]) < 5:
        raise PolicyError(f"transformers {transformers.__version__} continues padded rows at wrong positions. Type: {INSTALL}")


def _require_onnx() -> None:
    if not _installed("onnxruntime"):
        raise PolicyError(f"this policy needs onnxruntime, or torch and transformers. Type: {INSTALL_ONNX}, {OTHERS}")


def _installed(library: str) -> bool:
    try:
        return find_spec(library) is not None
    except ValueError:  # a module that was imported without a specification, or set to None
        return False
