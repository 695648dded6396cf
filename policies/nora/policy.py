"""The NORA family as policies: observations in, action chunks out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...envs.base import EvalProtocol, ObservationSpec
from ...envs.errors import PolicyError
from ...envs.specs import ActionDim
from ...envs.types import Array
from ..adapters import GRIPPER, Adapter, adapted_spec
from ..arguments import takes
from ..base import ActionChunk, BasePolicy, Observation, PolicyContext
from ..images import check_steps, model_image
from .action_stats import Statistics
from .checkpoint import Checkpoint, open_checkpoint, read_json
from .decoding import ModelOutput
from .engines import choose_engine, require_before_opening
from .onnx_format import GRAPH
from .onnx_predictor import OnnxPredictor
from .policy_config import NoraPolicyConfig
from .predictor import ModelInputs, Predictor
from .tokenizers import open_fast, open_prompter
from .usage import Usage, weight_bytes
from .weights import digest
from .whole_chunk import TokenRules, token_rules

GPU_ROWS = 16
"""Default batch on a GPU."""


class NoraPolicy(BasePolicy):
    """A checkpoint of the NORA family: a hub id, a folder or a .safetensors file."""

    observation_spec = ObservationSpec(cameras=("primary",))

    @takes(NoraPolicyConfig)
    def __init__(self, *args: Any, **options: Any) -> None:
        """Reads headers and settings; weights are loaded by `setup`. Arguments are the fields of `NoraPolicyConfig`."""
        given = NoraPolicyConfig(*args, **options)
        require_before_opening(given.checkpoint)
        self.checkpoint = open_checkpoint(given.checkpoint)
        self.config = config = given.resolved(self.checkpoint)
        self.engine = choose_engine(config, self.checkpoint)
        assert config.chunk is not None and config.n_action_steps is not None and config.noise_scale is not None
        self.chunk_size, self.noise_scale = config.chunk, config.noise_scale
        self._executed: int = config.n_action_steps
        self.n_action_steps: int | None = self._executed
        own = self.checkpoint.statistics
        self.statistics = Statistics(own.table, config.statistics, source=own.source, scaled_gripper=config.scaled_gripper)
        self.prompter = open_prompter(self.checkpoint, config.tokenizer)
        self.fast = open_fast(self.checkpoint, config.fast) if config.mode == "fast" else None
        self.rules = self._token_rules() if config.decoding == "whole-chunk" else None
        if self.rules and given.max_new_tokens is None:
            self.config = replace(config, max_new_tokens=self.rules.most_tokens)
        self.stochastic = config.mode == "flow" and self.noise_scale > 0
        self.tags: tuple[str, ...] = ("untrained",) if _untrained(self.checkpoint) else ()
        self._last: dict[str, Array] = {}
        self._weights = self._graph = ""
        self._usage = Usage()

    def setup(self, context: PolicyContext) -> None:
        """Load the weights and every suite's statistics. Raises PolicyError for statistics that are missing or do not fit."""
        super().setup(context)
        check_steps(context.protocol.model_image)
        self.adapter = Adapter(context.protocol)
        self._image_steps = {k: v for k, v in context.protocol.model_image.items() if k != "crop" or self.config.crop}
        self._stats = {suite: self.statistics.of(suite) for suite in context.suites}
        self._check_widths()
        if self.checkpoint.config.action_size != context.action_size:
            raise PolicyError(
                f"{self.checkpoint.name} gives {self.checkpoint.config.action_size} numbers per step, not {context.action_size}"
            )
        with self._usage.first("load_s"):
            self.predictor = self._onnx_predictor() if self.engine == "onnx" else self._torch_predictor()
            self._weights = digest(self.checkpoint.files)
        self._graph = digest([self.checkpoint.folder / GRAPH]) if self.engine == "onnx" else ""

    def action_spec_under(self, protocol: EvalProtocol) -> tuple[ActionDim, ...] | None:
        """The gripper as the protocol's adapter converts it; the other numbers follow the statistics."""
        return adapted_spec(protocol, self.checkpoint.config.action_size)

    def act(self, observations: Sequence[Observation]) -> Sequence[ActionChunk]:
        with self._usage.first("first_decision_s"):
            outputs = self.predictor.predict([self._inputs(observation) for observation in observations])
        return [self._chunk_of(observation, output) for observation, output in zip(observations, outputs, strict=True)]

    def end_episode(self, key: str) -> None:
        self.adapter.end_episode(key)
        self._last.pop(key, None)

    def fingerprint(self) -> Mapping[str, Any]:
        return {
            **super().fingerprint(),
            "checkpoint": self.checkpoint.name,
            "weights_sha256": self._weights,
            "engine": self.engine,
            **({"graph_sha256": self._graph} if self._graph else {}),
            "dtype": self.predictor.dtype,
            "device": self.predictor.device,
            "threads": self.config.threads,
            "batch": self.predictor.rows,
            "statistics": {suite: self.statistics.key(suite) for suite in self._stats},
            "statistics_from": {suite: self.statistics.chosen(suite).facts() for suite in self._stats},
            **({} if self.statistics.scaled_gripper is None else {"scaled_gripper": self.statistics.scaled_gripper}),
            **self.config.recorded(),
        }

    def metrics(self) -> Mapping[str, Any]:
        """Seconds of loading and of the first decision, GiB of memory; see `Usage.metrics`."""
        predictor, checkpoint = self.predictor, self.checkpoint
        return self._usage.metrics(
            weight_bytes(checkpoint.tensors, predictor.dtype, tied=checkpoint.config.tied), predictor.device
        )

    def _check_widths(self) -> None:
        """Raises PolicyError for statistics of another action size: nothing is truncated or repeated."""
        size = self.checkpoint.config.action_size
        for suite, stats in self._stats.items():
            if stats.low.size != size:
                raise PolicyError(
                    f"statistics {self.statistics.key(suite)} are of actions of {stats.low.size} numbers, "
                    f"{self.checkpoint.name} gives {size}; add --policy-arg statistics=NAME"
                )

    def _onnx_predictor(self) -> OnnxPredictor:
        return OnnxPredictor(self.checkpoint, self.prompter.ids, self.config.num_inference_steps, self.config.threads)

    def _torch_predictor(self) -> Predictor:
        import torch

        from .model.engine import DecodingConfig

        config, ids = self.config, self.prompter.ids
        device = ("cuda" if torch.cuda.is_available() else "cpu") if config.device == "auto" else config.device
        on_gpu = device.startswith("cuda")
        if config.threads:
            torch.set_num_threads(config.threads)
        dtype = ("bfloat16" if on_gpu else "float32") if config.dtype == "auto" else config.dtype
        allowed = (ids.first_action, ids.last_action) if config.decoding != "free" else None
        decoding = DecodingConfig(ids.end_of_turn, config.repetition_penalty, allowed, self.rules)
        model = self.checkpoint.model(device, getattr(torch, dtype))
        rows = config.batch or (GPU_ROWS if on_gpu else 1)
        backend, steps, tokens = "inductor" if config.compile else None, config.num_inference_steps, config.max_new_tokens or 0
        return Predictor(model, ids, rows, self.chunk_size, steps, tokens, decoding, self.fast, backend)

    def _token_rules(self) -> TokenRules:
        assert self.fast is not None, "resolved options have decoding=whole-chunk with mode=fast alone"
        ids, size = self.prompter.ids, self.checkpoint.config.action_size
        return token_rules(self.fast, ids.last_action - ids.first_action + 1, self.chunk_size * size)

    def _inputs(self, observation: Observation) -> ModelInputs:
        model = self.checkpoint.config
        image = model_image(observation.env_observation.images["primary"], model.image_size, self._image_steps)
        text = observation.instruction.lower() if self.config.lower_case else observation.instruction
        noise = None
        if self.config.mode == "flow":
            standard = observation.rng().standard_normal((self.chunk_size, model.action_size), np.float32)
            noise = np.float32(self.noise_scale) * standard
        return ModelInputs(self.prompter.prompt(text), image, noise)

    def _chunk_of(self, observation: Observation, output: ModelOutput) -> ActionChunk:
        if observation.decision == 0:
            self._last.pop(observation.key, None)
        if output.status != "ok" and self.config.on_invalid != "released":
            return ActionChunk(self._substitute(observation.key), output.status)
        normalised = output.normalised
        if normalised is None:
            normalised = np.zeros((self.chunk_size, self.checkpoint.config.action_size))
        actions = self.adapter.actions(observation, normalised, self._stats[observation.spec.suite], self._executed)
        self._last[observation.key] = actions[: self._steps]
        return ActionChunk(actions, output.status)

    @property
    def _steps(self) -> int:
        """Actions of a chunk up to the next decision."""
        return min(self.context.protocol.replan_steps or self._executed, self._executed)

    def _substitute(self, key: str) -> Array:
        """[steps, action size] executed in the place of an invalid chunk."""
        last = self._last.get(key)
        if self.config.on_invalid == "repeat" and last is not None:
            return last
        still = np.zeros((self._steps, self.context.action_size))
        still[:, GRIPPER] = self.context.protocol.settle_action[GRIPPER] if last is None else last[-1, GRIPPER]
        return still


def _untrained(checkpoint: Checkpoint) -> bool:
    path = checkpoint.folder / "config.json"
    return path.is_file() and read_json(path).get("trained") is False
