"""The inference engine: computes what `reference.py` does, for one fixed shape, without decisions on the host.

All shapes are fixed when it is built (rows, prompt length, image size); indices, masks and times are computed once; keys and
values live in one cache that is written in place; projections of the same input are one matrix. Rows are padded on the
right, where a causal mask hides padding. So a row's numbers do not depend on its neighbours, and on a GPU a whole decision is
a few captured graphs (`cuda_graphs.py`). Shapes: B rows, P prompt length, N actions of a chunk, A action size, H hidden,
T new tokens, K tokens to choose from, d head size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import euler_times
from ..whole_chunk import TokenRules
from .cuda_graphs import capture
from .expert import rotary, time_embedding
from .functional import Rope, attend, decoder_block
from .fused_linear import FUSED, join_projections
from .reference import NoraModel
from .vision import VisionPath


@dataclass(frozen=True, slots=True)
class StaticShape:
    """Shapes of an engine, fixed when it is built."""

    rows: int
    length: int
    """Prompt tokens, padding included."""
    chunk: int
    """Actions that the flow samples: N."""
    steps: int
    """Euler steps of the flow."""
    new_tokens: int
    """Limit on generated tokens: T."""


@dataclass(frozen=True, slots=True)
class DecodingConfig:
    """Choice of the next token from the scores."""

    stop: int
    """Generation of a row ends with this token."""
    penalty: float = 1.0
    """Repetition penalty over prompt and generated tokens; 1 is none."""
    allowed: tuple[int, int] | None = None
    """First and last token id that may be generated besides `stop`; None for all."""
    rules: TokenRules | None = None
    """Which of the `allowed` tokens can follow the ones before; `stop` only after a complete chunk. None: any."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """One batch, on the engine's device."""

    ids: Tensor
    """[B, P] int64, padded on the right."""
    lengths: Tensor
    """[B] int64 number of tokens without padding."""
    positions: Tensor
    """[3, B, P] int64 rotary positions."""
    pixels: Tensor
    """[B, patches, values] float32."""


class Engine:
    """A model prepared for one shape."""

    def __init__(
        self, model: NoraModel, shape: StaticShape, image_token: int, decoding: DecodingConfig, backend: str | None = None
    ) -> None:
        """`backend` names the compiler of `torch.compile` (`inductor` fuses small kernels); None compiles nothing."""
        self.model, self.shape, self.decoding, self.image_token = model, shape, decoding, image_token
        self.text: Any = model.vlm.model.language_model
        self.device, self.dtype = self.text.embed_tokens.weight.device, self.text.embed_tokens.weight.dtype
        config = model.config
        join_projections([*self.text.layers, *(model.action_expert.layers if config.expert else ())])
        self.vision = VisionPath(model, shape.rows)
        tail = max(shape.chunk, shape.new_tokens)
        heads = config.text["num_key_value_heads"]
        sizes = (config.text["num_hidden_layers"], shape.rows, heads, shape.length + tail, config.head_size)
        self.keys, self.values = (torch.zeros(sizes, device=self.device, dtype=self.dtype) for _ in range(2))
        vocabulary = self.text.embed_tokens.num_embeddings
        self.counted = torch.zeros((shape.rows, vocabulary), dtype=torch.bool, device=self.device)
        self.allowed = _allowed(decoding, vocabulary, self.device)
        self.choices = torch.tensor(_choices(decoding, vocabulary), device=self.device)
        self.order = _TokenOrder(decoding, shape.rows, self.device) if decoding.rules else None
        self.columns = torch.arange(shape.length + tail, device=self.device)
        self._prefill = capture(self._run_prefill, backend)
        self._flow = capture(self._run_flow, backend)
        self._step = capture(self._run_step, backend)
        if config.expert:
            self._prepare_flow()

    @torch.inference_mode()
    def sample(self, inputs: Inputs, noise_BNA: Tensor) -> Tensor:
        """[B, N, A] float32 normalised actions of the flow, from that noise."""
        self._prefill(inputs.ids, inputs.positions, inputs.pixels)
        return self._flow(inputs.lengths, noise_BNA).clone()

    @torch.inference_mode()
    def generate(self, inputs: Inputs, noise_BTK: Tensor | None = None) -> Tensor:
        """[B, at most T] token ids, the likeliest ones; ids after a row's stop token are undefined.

        `noise_BTK` is added to the scores: Gumbel noise times a temperature samples at that temperature. An engine is called
        with noise always or never.
        """
        noise = torch.zeros((self.shape.rows, self.shape.new_tokens, 0), device=self.device) if noise_BTK is None else noise_BTK
        hidden = self._prefill(inputs.ids, inputs.positions, inputs.pixels)
        rows = torch.arange(self.shape.rows, device=self.device)
        self._count_prompt(inputs)
        if self.order:
            self.order.restart()
        token = self._mark(self._choose(hidden[rows, inputs.lengths - 1], noise[:, 0]))
        position = inputs.positions[0].gather(1, inputs.lengths[:, None] - 1)[:, 0]
        tokens, ended = [token], token == self.decoding.stop
        for number in range(1, self.shape.new_tokens):
            if bool(ended.all()):
                break
            position = position + 1
            slot = torch.full((1,), self.shape.length + number - 1, device=self.device)
            token = self._mark(self._step(token, position, slot, inputs.lengths, noise[:, number].contiguous()))
            tokens.append(token)
            ended = ended | (token == self.decoding.stop)
        return torch.stack(tokens, dim=1)

    def _run_prefill(self, ids: Tensor, positions: Tensor, pixels: Tensor) -> Tensor:
        """[B, P, H] of the last layer before the final norm; fills the cache."""
        x, length = self._embed(ids, pixels), ids.shape[1]
        rope = self._rope(x, positions)
        for index, layer in enumerate(self.text.layers):

            def attend_to_prompt(q: Tensor, k: Tensor, v: Tensor, index: int = index) -> Tensor:
                self.keys[index, :, :, :length] = k
                self.values[index, :, :, :length] = v
                return attend(q, k, v, causal=True)

            x = decoder_block(layer, x, rope, attend_to_prompt, FUSED)[0]
        return x

    def _rope(self, x: Tensor, positions: Tensor) -> Rope:
        """The language model's rotary tables [B, 1, P, d/2] at positions [3, B, P]."""
        cos, sin = (table.chunk(2, dim=-1)[0][:, None] for table in self.text.rotary_emb(x, positions))
        return cos, sin

    def _embed(self, ids: Tensor, pixels: Tensor) -> Tensor:
        """[B, P, H] token embeddings, with the image's in the place of its tokens."""
        embedded, is_image = self.text.embed_tokens(ids), ids == self.image_token
        images = self.vision(pixels).to(embedded.dtype).unflatten(0, (len(ids), -1))
        place = (is_image.cumsum(1) - 1).clamp(0, images.shape[1] - 1)
        placed = images.gather(1, place[..., None].expand(-1, -1, images.shape[-1]))
        return torch.where(is_image[..., None], placed, embedded)

    def _run_step(self, token: Tensor, position: Tensor, slot: Tensor, lengths: Tensor, noise: Tensor) -> Tensor:
        """[B] next token after `token`, whose keys and values are written to `slot` of the cache."""
        x = self.text.embed_tokens(token)[:, None]
        rope = self._rope(x, position.expand(3, -1)[..., None])
        visible = (self.columns < lengths[:, None]) | ((self.columns >= self.shape.length) & (self.columns <= slot))
        mask = visible[:, None, None]
        for index, layer in enumerate(self.text.layers):

            def attend_to_cache(q: Tensor, k: Tensor, v: Tensor, index: int = index) -> Tensor:
                self.keys[index].index_copy_(2, slot, k)
                self.values[index].index_copy_(2, slot, v)
                return attend(q, self.keys[index], self.values[index], mask=mask)

            x = decoder_block(layer, x, rope, attend_to_cache, FUSED)[0]
        return self._choose(x[:, 0], noise)

    def _count_prompt(self, inputs: Inputs) -> None:
        """Reset the tokens that the repetition penalty counts to the prompt's."""
        if self.decoding.penalty != 1.0:
            valid = self.columns[: self.shape.length] < inputs.lengths[:, None]
            counts = torch.zeros(self.counted.shape, device=self.device).scatter_add_(1, inputs.ids, valid.float())
            self.counted.copy_(counts > 0)

    def _mark(self, token: Tensor) -> Tensor:
        """A copy of the token, now counted by the repetition penalty and the order of tokens."""
        if self.decoding.penalty != 1.0:
            self.counted.scatter_(1, token[:, None], True)
        if self.order:
            self.order.advance(token)
        return token.clone()

    def _choose(self, hidden: Tensor, noise_BK: Tensor) -> Tensor:
        """[B] most likely token, after adding noise where there is any."""
        scores = self.model.vlm.lm_head(self.text.norm(hidden)).float()
        if (penalty := self.decoding.penalty) != 1.0:
            scores = torch.where(self.counted, torch.where(scores < 0, scores * penalty, scores / penalty), scores)
        if self.allowed is not None:
            scores = scores.masked_fill(~self.allowed, -torch.inf)
        if self.order:
            scores = scores.masked_fill(~self.order.allowed(scores.shape[1]), -torch.inf)
        if noise_BK.shape[1]:
            scores = scores.index_add(1, self.choices, noise_BK)
        return scores.argmax(dim=-1)

    def _prepare_flow(self) -> None:
        """Compute once: the times' half of the input MLP's first layer, and the expert's rotary table."""
        model = self.model
        self.rope = rotary(self.shape.chunk, model.config.head_size, self.device)
        hidden = model.action_in_proj.out_features
        # On the CPU: the fastest angle is 1571 rad, where a GPU's last bit of a frequency moves the sine by 1e-4.
        embedded = time_embedding(torch.tensor(euler_times(self.shape.steps)), hidden).to(self.device, self.dtype)
        weight = model.action_time_mlp_in.weight
        self.action_half = weight[:, :hidden].contiguous()
        self.time_half = F.linear(embedded, weight[:, hidden:], model.action_time_mlp_in.bias)

    def _run_flow(self, lengths: Tensor, noise_BNA: Tensor) -> Tensor:
        chunk = noise_BNA.shape[1]
        end = self.shape.length + chunk
        visible = (self.columns[:end] < lengths[:, None]) | (self.columns[:end] >= self.shape.length)
        mask = visible[:, None, None].expand(-1, 1, chunk, -1)
        x = noise_BNA
        for share in self.time_half:
            x = x - self._velocity(x, share, mask, end) / self.shape.steps
        return x

    def _velocity(self, x: Tensor, time_share: Tensor, mask: Tensor, end: int) -> Tensor:
        model = self.model
        actions = model.action_in_proj(x.to(self.dtype))
        hidden = model.action_time_mlp_out(F.silu(F.linear(actions, self.action_half) + time_share))
        for index, layer in enumerate(model.action_expert.layers):

            def attend_to_prefix(q: Tensor, k: Tensor, v: Tensor, index: int = index) -> Tensor:
                keys, values = self.keys[index, :, :, :end], self.values[index, :, :, :end]
                keys[:, :, self.shape.length :] = k
                values[:, :, self.shape.length :] = v
                return attend(q, keys, values, mask=mask)

            hidden = decoder_block(layer, hidden, self.rope, attend_to_prefix, FUSED)[0]
        return model.action_out_proj(model.action_expert.norm(hidden)).float()


class _TokenOrder:
    """Per row, the coefficients that are missing and the state of the character: buffers that captured graphs read."""

    def __init__(self, decoding: DecodingConfig, rows: int, device: torch.device) -> None:
        rules = decoding.rules
        assert rules is not None and decoding.allowed is not None, "rules need the range of action tokens"
        self.stop, self.first = decoding.stop, decoding.allowed[0]
        self.table, self.completed, self.following = (
            torch.from_numpy(table).to(device) for table in (rules.allowed, rules.completed, rules.following)
        )
        self.missing, self.state = (torch.zeros(rows, dtype=torch.int64, device=device) for _ in range(2))

    def restart(self) -> None:
        """Begin a chunk in every row."""
        self.missing.fill_(self.table.shape[0] - 1)
        self.state.zero_()

    def allowed(self, vocabulary: int) -> Tensor:
        """[B, vocabulary] bool."""
        mask = torch.zeros((len(self.missing), vocabulary), dtype=torch.bool, device=self.missing.device)
        mask[:, self.first : self.first + self.table.shape[2]] = self.table[self.missing, self.state]
        mask[:, self.stop] = (self.missing == 0) & (self.state == 0)
        return mask

    def advance(self, token_B: Tensor) -> None:
        """Follow the tokens; rows that have stopped stay where they are."""
        stopped, index = token_B == self.stop, (token_B - self.first).clamp(0, self.table.shape[2] - 1)
        self.missing -= torch.where(stopped, 0, self.completed[self.state, index])
        self.state.copy_(torch.where(stopped, self.state, self.following[self.state, index]))


def _choices(decoding: DecodingConfig, vocabulary: int) -> list[int]:
    """Ids of the tokens to choose from, ascending; the order of the noise's columns."""
    if decoding.allowed is None:
        return list(range(vocabulary))
    first, last = decoding.allowed
    return sorted(token for token in {*range(first, last + 1), decoding.stop} if 0 <= token < vocabulary)


def _allowed(decoding: DecodingConfig, vocabulary: int, device: torch.device) -> Tensor | None:
    """[vocabulary] bool, or None where every token is allowed."""
    if decoding.allowed is None:
        return None
    tokens = torch.arange(vocabulary, device=device)
    return ((tokens >= decoding.allowed[0]) & (tokens <= decoding.allowed[1])) | (tokens == decoding.stop)
