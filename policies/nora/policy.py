"""The NORA family as policies: observations in, action chunks out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from ...envs.base import EvalProtocol, ObservationSpec
from ...envs.errors import PolicyError
from ...envs.specs import ActionDim
from ...envs.types import Array
from ..adapters import GRIPPER, Adapter, adapted_spec
from ..base import ActionChunk, BasePolicy, Observation, PolicyContext
from ..images import check_steps, model_image
from .action_stats import Statistics
from .checkpoint import Checkpoint, execute_problem, noise_scale, open_checkpoint, read_json
from .config import INSTALL
from .decoding import ModelOutput, most_tokens
from .predictor import ModelInputs, Predictor
from .tokenizers import open_fast, open_prompter
from .weights import digest

GPU_ROWS = 16
"""Batch on a GPU where none is asked for."""


class NoraPolicy(BasePolicy):
    """A checkpoint of the NORA family: a hub id, a folder or a .safetensors file."""

    observation_spec = ObservationSpec(cameras=("primary",))

    def __init__(
        self,
        checkpoint: str,
        mode: Literal["auto", "flow", "fast"] = "auto",
        chunk: int | None = None,
        execute: int | None = None,
        steps: int = 10,
        noise: float | None = None,
        dtype: Literal["auto", "float32", "bfloat16"] = "auto",
        device: str = "auto",
        threads: int | None = None,
        batch: int | None = None,
        statistics: str | None = None,
        tokenizer: str | None = None,
        fast: str | None = None,
        max_new_tokens: int | None = None,
        repetition_penalty: float = 1.0,
        constrained: bool = False,
        on_bad: Literal["released", "hold", "repeat"] = "released",
        lower_case: bool = False,
        crop: bool | None = None,
        compile: bool = False,
        scaled_gripper: bool | None = None,
    ) -> None:
        """Reads headers and settings; weights are loaded by `start`.

        Args:
            checkpoint: hub id, folder or single file.
            mode: `flow` samples the expert, `fast` generates action tokens; `auto`: the expert where there is one.
            chunk: actions per answer; None takes the checkpoint's.
            execute: actions of each answer that are executed before the next is asked for. None: as the checkpoint's
                `config.json` says, else all.
            steps: Euler steps of the flow.
            noise: scale of the noise that the flow starts from. 1 samples, as released; 0 gives one answer, which follows no
                jitter that demonstrations had. None: as the checkpoint's `config.json` says, else 1.
            dtype: of the weights; `auto` is bfloat16 on a GPU and float32 on a CPU.
            device: a torch device; `auto` is the GPU where there is one.
            threads: of torch on a CPU; None leaves them as they are. The last bits of an answer depend on their number.
            batch: rows per batch, always filled up; None is 16 on a GPU and 1 on a CPU.
            statistics: name of the normalisation statistics; None takes those of the suite's data, the checkpoint's own where it
                has any. `published` takes the published ones of each suite.
            tokenizer, fast: folder or hub id of the text and the action tokenizer; None: the checkpoint's own, else the
                released ones.
            max_new_tokens: limit on generation; None: as many as the longest chunk, plus two. The released code passes none,
                which is 20 unless the checkpoint's files say otherwise.
            repetition_penalty: as in `transformers`; 1 is none.
            constrained: generate action tokens only; the papers decode freely.
            on_bad: what to do with an answer that is no chunk. `released`: zeros before un-normalisation, which is a
                steady drift; `hold`: no motion, gripper as it was; `repeat`: the last good chunk again, else hold.
            lower_case: lower-case the instruction, as in RLDS training.
            compile: fuse small kernels with `torch.compile`: minutes at the first decision of each prompt length.
            crop: follow the protocol's centre crop; false for models that were never trained on crops. None: as the checkpoint's
                `config.json` says, else follow it.
            scaled_gripper: whether the gripper is scaled like the rest, where the statistics have no mask that says so.
        """
        require()
        self.checkpoint = open_checkpoint(checkpoint)
        self.mode = _mode(self.checkpoint, mode)
        self.chunk = _chunk(self.checkpoint, chunk)
        self.execute = _execute(self.checkpoint, execute, self.chunk)
        self.n_action_steps, self.chunk_size = self.execute, self.chunk
        self.steps, self.batch, self.on_bad, self.lower_case = steps, batch, on_bad, lower_case
        self.crop = self.checkpoint.crop if crop is None else crop
        self.dtype, self.device, self.threads, self.compile = dtype, device, threads, compile
        self.constrained, self.repetition_penalty = constrained, repetition_penalty
        self.new_tokens = max_new_tokens or most_tokens(self.chunk, self.checkpoint.config.action_size)
        own = self.checkpoint.statistics
        self.statistics = Statistics(own.table, statistics, source=own.source, scaled_gripper=scaled_gripper)
        self.prompter = open_prompter(self.checkpoint, tokenizer)
        self.fast = open_fast(self.checkpoint, fast) if self.mode == "fast" else None
        self.noise = self.checkpoint.noise if noise is None else noise_scale(noise, "--policy-arg")
        self.stochastic = self.mode == "flow" and self.noise > 0
        self.tags: tuple[str, ...] = ("untrained",) if _untrained(self.checkpoint) else ()
        self._last: dict[str, Array] = {}
        self._weights: str = ""

    def setup(self, context: PolicyContext) -> None:
        """Load the weights; find statistics for every suite, or say which are missing."""
        super().setup(context)
        check_steps(context.protocol.model_image)
        self.adapter = Adapter(context.protocol)
        self._image_steps = {k: v for k, v in context.protocol.model_image.items() if k != "crop" or self.crop}
        self._stats = {suite: self.statistics.of(suite) for suite in context.suites}
        self._check_widths()
        if self.checkpoint.config.action_size != context.action_size:
            raise PolicyError(
                f"{self.checkpoint.name} gives {self.checkpoint.config.action_size} numbers per step, not {context.action_size}"
            )
        self.predictor = self._predictor()
        self._weights = digest(self.checkpoint.files)

    def action_spec_under(self, protocol: EvalProtocol) -> tuple[ActionDim, ...] | None:
        """The gripper as the protocol's adapter converts it; the other numbers follow the statistics."""
        return adapted_spec(protocol, self.checkpoint.config.action_size)

    def act(self, observations: Sequence[Observation]) -> Sequence[ActionChunk]:
        answers = self.predictor.answer([self._question(observation) for observation in observations])
        return [self._chunk_of(observation, answer) for observation, answer in zip(observations, answers, strict=True)]

    def end_episode(self, key: str) -> None:
        self.adapter.end_episode(key)
        self._last.pop(key, None)

    def fingerprint(self) -> Mapping[str, Any]:
        options = (
            "mode",
            "chunk",
            "execute",
            "steps",
            "noise",
            "new_tokens",
            "repetition_penalty",
            "constrained",
            "on_bad",
            "lower_case",
            "crop",
            "compile",
        )
        return {
            **super().fingerprint(),
            "checkpoint": self.checkpoint.name,
            "weights_sha256": self._weights,
            "dtype": str(self.predictor.model.vlm.dtype).removeprefix("torch."),
            "device": self.predictor.model.vlm.device.type,
            "threads": self.threads,
            "batch": self.predictor.rows,
            "statistics": {suite: self.statistics.key(suite) for suite in self._stats},
            "statistics_from": {suite: self.statistics.chosen(suite).facts() for suite in self._stats},
            **({} if self.statistics.scaled_gripper is None else {"scaled_gripper": self.statistics.scaled_gripper}),
            **{option: getattr(self, option) for option in options},
        }

    def _check_widths(self) -> None:
        """Raises PolicyError for statistics of actions of another size: nothing is cut off or repeated."""
        wanted = self.checkpoint.config.action_size
        for suite, stats in self._stats.items():
            if stats.low.size != wanted:
                raise PolicyError(
                    f"statistics {self.statistics.key(suite)} are of actions of {stats.low.size} numbers, "
                    f"{self.checkpoint.name} gives {wanted}; add --policy-arg statistics=NAME"
                )

    def _predictor(self) -> Predictor:
        import torch

        from .model.engine import DecodingConfig

        device = ("cuda" if torch.cuda.is_available() else "cpu") if self.device == "auto" else self.device
        on_gpu = device.startswith("cuda")
        if self.threads:
            torch.set_num_threads(self.threads)
        dtype = ("bfloat16" if on_gpu else "float32") if self.dtype == "auto" else self.dtype
        ids = self.prompter.ids
        greedy = DecodingConfig(
            ids.end_of_turn, self.repetition_penalty, (ids.first_action, ids.last_action) if self.constrained else None
        )
        model = self.checkpoint.model(device, getattr(torch, dtype))
        rows = self.batch or (GPU_ROWS if on_gpu else 1)
        backend = "inductor" if self.compile else None
        return Predictor(model, ids, rows, self.chunk, self.steps, self.new_tokens, greedy, self.fast, backend)

    def _question(self, observation: Observation) -> ModelInputs:
        config = self.checkpoint.config
        image = model_image(observation.env_observation.images["primary"], config.image_size, self._image_steps)
        text = observation.instruction.lower() if self.lower_case else observation.instruction
        shape = (self.chunk, config.action_size)
        noise = np.float32(self.noise) * observation.rng().standard_normal(shape, np.float32) if self.mode == "flow" else None
        return ModelInputs(self.prompter.prompt(text), image, noise)

    def _chunk_of(self, observation: Observation, answer: ModelOutput) -> ActionChunk:
        if observation.decision == 0:
            self._last.pop(observation.key, None)
        if answer.status != "ok" and self.on_bad != "released":
            return ActionChunk(self._instead(observation.key), answer.status)
        normalised = (
            np.zeros((self.chunk, self.checkpoint.config.action_size)) if answer.normalised is None else answer.normalised
        )
        actions = self.adapter.actions(observation, normalised, self._stats[observation.spec.suite], self.execute)
        self._last[observation.key] = actions
        return ActionChunk(actions, answer.status)

    def _instead(self, key: str) -> Array:
        last = self._last.get(key)
        if self.on_bad == "repeat" and last is not None:
            return last
        steps = min(self.context.protocol.replan_steps or self.execute, self.execute)
        still = np.zeros((steps, self.context.action_size))
        still[:, GRIPPER] = self.context.protocol.settle_action[GRIPPER] if last is None else last[-1, GRIPPER]
        return still


def require() -> None:
    """Raises PolicyError where the extra's libraries are missing."""
    try:
        import torch  # noqa: F401
        import transformers
    except ImportError as error:
        raise PolicyError(
            f"the NORA family needs {error.name}. Type: {INSTALL}, or name another policy: nora-bench list policies"
        ) from None
    if int(transformers.__version__.partition(".")[0]) < 5:
        raise PolicyError(f"transformers {transformers.__version__} continues padded rows at wrong positions. Type: {INSTALL}")


def _mode(checkpoint: Checkpoint, wanted: str) -> str:
    if wanted == "flow" and not checkpoint.config.expert:
        raise PolicyError(f"{checkpoint.name} has no flow expert; take mode=fast")
    if wanted == "fast" and not checkpoint.token_head:
        raise PolicyError(f"{checkpoint.name} was trained without action tokens; take mode=flow")
    return wanted if wanted != "auto" else "flow" if checkpoint.config.expert else "fast"


def _chunk(checkpoint: Checkpoint, wanted: int | None) -> int:
    chunk = wanted or checkpoint.config.chunk
    if chunk is None:
        raise PolicyError(
            f"{checkpoint.name} does not say how many actions it predicts: add --policy-arg chunk=1 (NORA) or chunk=5 (NORA-Long)"
        )
    return chunk


def _execute(checkpoint: Checkpoint, wanted: int | None, chunk: int) -> int:
    execute = next(actions for actions in (wanted, checkpoint.execute, chunk) if actions is not None)
    if problem := execute_problem(checkpoint.name, execute, chunk):
        raise PolicyError(problem)
    return execute


def _untrained(checkpoint: Checkpoint) -> bool:
    path = checkpoint.folder / "config.json"
    return path.is_file() and read_json(path).get("trained") is False
