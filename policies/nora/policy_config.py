"""Options of a NORA policy: what `--policy-arg` sets and what a record states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..base import PolicyRequestError
from .checkpoint import Checkpoint, check_noise_scale, execute_problem
from .decoding import most_tokens

RECORDED = {
    "mode": "mode",
    "chunk": "chunk",
    "n_action_steps": "execute",
    "num_inference_steps": "steps",
    "noise_scale": "noise",
    "max_new_tokens": "new_tokens",
    "repetition_penalty": "repetition_penalty",
    "on_invalid": "on_bad",
    "lower_case": "lower_case",
    "crop": "crop",
    "compile": "compile",
}
"""Option that decides actions -> its key in a record's fingerprint, which stays as it was first written."""

LARGEST = {"num_inference_steps": 1000, "threads": 1024, "batch": 4096, "chunk": 1000, "max_new_tokens": 100_000}
"""Option that counts something -> its largest value; the smallest is 1."""


@dataclass(frozen=True, slots=True)
class NoraPolicyConfig:
    """Options as given; `resolved` fills in what a checkpoint decides."""

    checkpoint: str
    """Hub id, folder or single .safetensors file."""
    mode: Literal["auto", "flow", "fast"] = "auto"
    """`flow` samples the expert, `fast` generates action tokens; `auto`: the expert where there is one."""
    chunk: int | None = None
    """Actions per chunk; None: the checkpoint's."""
    n_action_steps: int | None = None
    """Actions of each chunk that are executed before the next query. None: as the checkpoint's `config.json` says, else all."""
    num_inference_steps: int = 10
    """Euler steps of the flow."""
    noise_scale: float | None = None
    """Scale of the flow's initial noise. 1 samples, as released; 0 gives one chunk, which follows no jitter of the
    demonstrations. None: as the checkpoint's `config.json` says, else 1."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Type of the weights; `auto` is bfloat16 on a GPU and float32 on a CPU."""
    device: str = "auto"
    """A torch device; `auto` is the GPU where there is one."""
    engine: Literal["auto", "torch", "onnx"] = "auto"
    """Library that computes the model. `onnx`: ONNX Runtime, the flow on a CPU, with a graph (`model.onnx`); its actions
    differ from torch's in the last bits. `auto`: ONNX Runtime where it can and is installed, on `device=cpu` or without torch."""
    threads: int | None = None
    """On a CPU; None leaves torch's as they are. The last bits of the actions depend on their number."""
    batch: int | None = None
    """Rows per batch, always filled up; None is 16 on a GPU and 1 on a CPU."""
    statistics: str | None = None
    """Name of the normalisation statistics; None: those of the suite's data, the checkpoint's own where it has any.
    `published`: the published ones of each suite."""
    tokenizer: str | None = None
    """Folder or hub id of the text tokenizer; None: the checkpoint's own, else the released one."""
    fast: str | None = None
    """The same for the action tokenizer."""
    max_new_tokens: int | None = None
    """Limit on generation; None: as many as the longest chunk, plus two. The released code passes none, which is 20 unless
    the checkpoint's files say otherwise."""
    repetition_penalty: float = 1.0
    """Factor as in `transformers`; 1 is none."""
    decoding: Literal["free", "action-tokens", "whole-chunk"] = "free"
    """Tokens that `mode=fast` may generate. `free`: any, as the papers; `action-tokens`: these and the end of the turn;
    `whole-chunk`: those from which exactly one chunk can still be completed, so that no answer is malformed."""
    on_invalid: Literal["released", "hold", "repeat"] = "released"
    """Actions to execute when the model's output is no chunk. `released`: zeros before un-normalisation, a steady drift;
    `hold`: no motion, gripper as it was; `repeat`: the last valid chunk again, else hold."""
    lower_case: bool = False
    """Lower-case the instruction, as in RLDS training."""
    crop: bool | None = None
    """Follow the protocol's centre crop; false for models that were never trained on crops. None: as the checkpoint's
    `config.json` says, else follow it."""
    compile: bool = False
    """Fuse small kernels with `torch.compile`: minutes at the first decision of each prompt length."""
    scaled_gripper: bool | None = None
    """Whether the gripper is scaled like the rest, where the statistics have no mask that decides it."""

    def resolved(self, checkpoint: Checkpoint) -> NoraPolicyConfig:
        """The options with every default that the checkpoint decides filled in. Raises PolicyRequestError where it cannot."""
        for name, largest in LARGEST.items():
            value = getattr(self, name)
            if value is not None and not 1 <= value <= largest:
                raise PolicyRequestError(f"--policy-arg {name} must be 1 to {largest}, not {value}")
        mode, chunk = self._mode(checkpoint), self._chunk(checkpoint)
        steps = (self.n_action_steps, checkpoint.execute, chunk)
        n_action_steps = next(actions for actions in steps if actions is not None)
        if problem := execute_problem(checkpoint.name, n_action_steps, chunk):
            raise PolicyRequestError(problem)
        if mode == "flow" and self.decoding != "free":
            raise PolicyRequestError(f"decoding={self.decoding} is for action tokens: add --policy-arg mode=fast")
        given = self.noise_scale
        return replace(
            self,
            mode=mode,
            chunk=chunk,
            n_action_steps=n_action_steps,
            noise_scale=checkpoint.noise if given is None else check_noise_scale(given, "--policy-arg noise_scale"),
            max_new_tokens=self.max_new_tokens or most_tokens(chunk, checkpoint.config.action_size),
            crop=checkpoint.crop if self.crop is None else self.crop,
        )

    def recorded(self) -> Mapping[str, Any]:
        """The part of a fingerprint that is made of options."""
        decoding = {"constrained": self.decoding != "free"}
        decoding |= {"decoding": self.decoding} if self.decoding == "whole-chunk" else {}
        return {**{key: getattr(self, name) for name, key in RECORDED.items()}, **decoding}

    def _mode(self, checkpoint: Checkpoint) -> Literal["flow", "fast"]:
        if self.mode == "flow" and not checkpoint.config.expert:
            raise PolicyRequestError(f"{checkpoint.name} has no flow expert; take mode=fast")
        if self.mode == "fast" and not checkpoint.token_head:
            raise PolicyRequestError(f"{checkpoint.name} was trained without action tokens; take mode=flow")
        return self.mode if self.mode != "auto" else "flow" if checkpoint.config.expert else "fast"

    def _chunk(self, checkpoint: Checkpoint) -> int:
        if chunk := self.chunk or checkpoint.config.chunk:
            return chunk
        raise PolicyRequestError(
            f"{checkpoint.name} does not say how many actions it predicts: add --policy-arg chunk=1 (NORA) or chunk=5 (NORA-Long)"
        )
