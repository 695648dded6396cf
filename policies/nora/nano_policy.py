"""Policies of the family that need no download: the trained nano model of the package, and untrained ones."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ...envs.errors import PolicyError
from ..base import PolicyContext
from .checkpoint import BUNDLED, BUNDLED_NAME
from .engines import require_torch
from .policy import NoraPolicy


class BundledNano(NoraPolicy):
    """The trained nano model that comes with the package: LIBERO's four suites, from image and instruction, on a CPU."""

    def __init__(
        self,
        n_action_steps: int | None = None,
        num_inference_steps: int = 10,
        noise_scale: float | None = None,
        threads: int | None = 1,
        batch: int | None = None,
        device: str = "cpu",
        compile: bool = False,
        engine: Literal["auto", "torch", "onnx"] = "auto",
    ) -> None:
        """Arguments of `NoraPolicyConfig`. Training data and results: `nano_checkpoint/MODEL_CARD.md`.

        On ONNX Runtime where it is installed and no option needs torch (`device`, `batch`, `compile`).

        One thread: for a model of this size, synchronising more costs more time than it saves.
        """
        super().__init__(
            str(BUNDLED),
            "flow",
            n_action_steps=n_action_steps,
            num_inference_steps=num_inference_steps,
            noise_scale=noise_scale,
            threads=threads,
            batch=batch,
            device=device,
            compile=compile,
            engine=engine,
        )

    def setup(self, context: PolicyContext) -> None:
        """Load the weights. Raises PolicyError for a suite outside its training data: other statistics would not fit."""
        if unseen := [suite for suite in context.suites if suite not in self.checkpoint.norm_stats]:
            seen = ", ".join(sorted(self.checkpoint.norm_stats))
            raise PolicyError(
                f"{BUNDLED_NAME} was trained on {seen} alone, not on {', '.join(unseen)}. Others: nora-bench list policies"
            )
        super().setup(context)

    def fingerprint(self) -> Mapping[str, Any]:
        return {**super().fingerprint(), "checkpoint": BUNDLED_NAME}


class UntrainedNano(NoraPolicy):
    """An untrained model of the same classes, generated on construction: for tests and the quick start, on a CPU."""

    def __init__(
        self,
        expert: bool = True,
        mode: Literal["auto", "flow", "fast"] = "auto",
        image_size: int = 84,
        chunk: int = 5,
        num_inference_steps: int = 10,
        seed: int = 0,
        threads: int | None = 1,
        batch: int | None = None,
        decoding: Literal["free", "action-tokens", "whole-chunk"] = "free",
        on_invalid: Literal["released", "hold", "repeat"] = "released",
        device: str = "cpu",
    ) -> None:
        """`seed` initialises the weights, `expert` selects NORA-1.5 over NORA; the others are those of `NoraPolicyConfig`.

        One thread: for a model of this size, synchronising more costs more time than it saves.
        """
        require_torch()
        from .nano import write_nano

        self._folder = tempfile.TemporaryDirectory(prefix="nora-bench-nano-")
        write_nano(Path(self._folder.name), expert=expert, image_size=image_size, chunk=chunk, seed=seed)
        super().__init__(
            self._folder.name,
            mode,
            num_inference_steps=num_inference_steps,
            threads=threads,
            batch=batch,
            decoding=decoding,
            on_invalid=on_invalid,
            device=device,
        )

    def fingerprint(self) -> Mapping[str, Any]:
        return {**super().fingerprint(), "checkpoint": "nano, untrained"}

    def close(self) -> None:
        self._folder.cleanup()
