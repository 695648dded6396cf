"""The family by name: what `--policy nora-long` means.

Defaults follow the released code behind the published numbers. A checkpoint whose name on the hub is uncertain, or differs per
suite, must be given.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from ..base import Policy
from .nano_policy import BundledNano, UntrainedNano
from .policy import NoraPolicy


def _preset(what: str, build: Callable[..., Policy], **fixed: Any) -> Callable[..., Policy]:
    preset = partial(build, **fixed)
    preset.__doc__ = what
    return preset


# NORA was trained on RLDS data, whose loader lower-cases instructions; NORA-1.5 was not.
_NORA: dict[str, Any] = {"mode": "fast", "lower_case": True}
NORA = _preset("NORA: one action per chunk.", NoraPolicy, checkpoint="declare-lab/nora", chunk=1, **_NORA)
NORA_LONG = _preset("NORA-Long: chunks of five actions.", NoraPolicy, checkpoint="declare-lab/nora-long", chunk=5, **_NORA)
NORA_AC = _preset("NORA fine-tuned to chunks of five actions.", NoraPolicy, chunk=5, **_NORA)
NORA_15 = _preset("NORA-1.5: actions from the flow expert.", NoraPolicy, checkpoint="declare-lab/nora-1.5", mode="flow")
NORA_15_FAST = _preset(
    "NORA-1.5-FAST: action tokens of the same weights.", NoraPolicy, checkpoint="declare-lab/nora-1.5", mode="fast"
)
NORA_15_DPO = _preset("NORA-1.5 after preference optimisation.", NoraPolicy, mode="flow")
NORA_15_NANO = _preset("NORA-1.5, tiny, trained on LIBERO's suites; bundled with the package.", BundledNano)
NORA_15_UNTRAINED = _preset("NORA-1.5, tiny, untrained, generated on use.", UntrainedNano, expert=True)
NORA_UNTRAINED = _preset("NORA, tiny, untrained, generated on use.", UntrainedNano, expert=False)


def checkpoint_at(path: str) -> Callable[..., Policy]:
    """Factory of the policy for the checkpoint at a path or hub id."""
    return _preset(f"The checkpoint at {path}.", NoraPolicy, checkpoint=path)
