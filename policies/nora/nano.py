"""Untrained models of the family, small enough for a CPU, in a checkpoint folder laid out like the released ones.

Every file is written here: random weights, a word-level tokenizer over the suites' instructions, a FAST tokenizer fitted on
sampled chunks. Tests and the quick start use such a folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...envs import suites
from ...envs.base import EpisodeSpec, Suite
from ..base import PolicyRequestError
from ..fast import FastTokenizer
from .config import ACTION_TOKENS, ExpertConfig, NoraConfig, expert_intermediate
from .prompt import SPECIAL
from .weights import TIED

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from .model.reference import NoraModel

IMAGE_SIZES = (84, 112)
"""One window of the vision encoder, or less."""
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
RELEASED_WORDS = 151_643
"""Ids before the first special token of the released tokenizer."""
RELEASED_SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
)
"""The released tokenizer's special tokens, in the order of their ids; the action tokens follow."""
TEMPLATE_WORDS = ("system", "user", "assistant", "You", "are", "a", "helpful", "assistant", ".", "\n")
UNKNOWN = "<unk>"
EXPERT = ExpertConfig(hidden_size=128, num_attention_heads=4, intermediate_size=expert_intermediate(128))


def write_nano(folder: Path, *, expert: bool = True, image_size: int = 84, chunk: int = 5, seed: int = 0) -> Path:
    """Make an untrained nano checkpoint in the folder and return it. The same arguments give the same bytes.

    Args:
        folder: made where it does not exist.
        expert: NORA-1.5 with its flow expert, else NORA.
        image_size: side of the image, 84 or 112 px.
        chunk: actions per chunk.
        seed: for weights and the chunks that FAST is fitted on.
    """
    if image_size not in IMAGE_SIZES:
        raise PolicyRequestError(f"nano models take images of {' or '.join(map(str, IMAGE_SIZES))} px, not {image_size}")
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = write_tokenizer(folder / "tokenizer.json")
    fitted_fast(chunk, seed).save(folder / "fast_tokenizer")
    config = NoraConfig(base_backbone(vocabulary), EXPERT if expert else None, chunk, image_size=image_size)
    settings = {"vlm_config": config.backbone, "chunk": chunk, "image_size": image_size, "trained": False}
    (folder / "config.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    save_weights(untrained(config, seed), folder / "model.safetensors")
    return folder


def untrained(config: NoraConfig, seed: int, device: str = "cpu", dtype: str = "float32") -> NoraModel:
    """A model initialised as the backbone's authors do: weights normal with 0.02, norms one, biases zero."""
    import torch

    from .model.reference import NoraModel

    with torch.device("meta"):
        model = NoraModel(config)
    model.to(getattr(torch, dtype)).to_empty(device=device)
    model.restore_rotary()
    model.to(device)
    generator = torch.Generator(device).manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.02, generator=generator)
            else:
                parameter.fill_(0.0 if name.endswith(".bias") else 1.0)
    model.vlm.tie_weights()
    return model.eval()


def save_weights(model: NoraModel, path: Path) -> None:
    """Write the weights under the released NORA-1.5 names; an output head that is the embedding is omitted."""
    from safetensors.torch import save_file

    state = {name: value.contiguous() for name, value in model.state_dict().items() if name != TIED or not model.config.tied}
    save_file(state, path, metadata={"format": "pt"})


def words() -> list[str]:
    """All words of all known suites' instructions, sorted."""
    instructions = {text for name in suites.names() for text in _instructions(suites.get(name))}
    return sorted({word for text in instructions for word in text.lower().split()})


def _instructions(suite: Suite) -> Iterator[str]:
    """All instructions of a suite, episode by episode."""
    for task in suite.tasks:
        for variant, state in product(task.variants or ("",), range(task.init_states)):
            yield suite.instruction(EpisodeSpec(suite.name, task.id, state, 0, suite.default_protocol, variant))


def write_tokenizer(path: Path) -> dict[str, int]:
    """Write a word-level tokenizer file with the family's special and action tokens; returns its vocabulary."""
    backend = _word_tokenizer(list(dict.fromkeys([UNKNOWN, *TEMPLATE_WORDS, *words()])), SPECIAL_TOKENS)
    backend.save(str(path))
    return backend.get_vocab(with_added_tokens=True)


@cache
def released_tokenizer() -> str:
    """A tokenizer file with the released token ids: special tokens, action tokens, and as many others before them.

    Of the words only those of the template and of the suites' instructions mean something, and their ids are invented.
    """
    known = list(dict.fromkeys([UNKNOWN, *TEMPLATE_WORDS, *words()]))
    return _word_tokenizer(
        known + [f"<unused_{index}>" for index in range(len(known), RELEASED_WORDS)], RELEASED_SPECIAL
    ).to_str()


def _word_tokenizer(known: Sequence[str], special: Sequence[str]) -> Tokenizer:
    """Ids from 0: the known words, the special tokens, the action tokens."""
    from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

    backend = Tokenizer(models.WordLevel({word: index for index, word in enumerate(known)}, unk_token=UNKNOWN))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n|\w+|[^\w\s]"), "removed", invert=True)
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    actions = [f"<robot_action_{index}>" for index in range(ACTION_TOKENS)]
    backend.add_tokens([AddedToken(token, normalized=False) for token in actions])
    return backend


def fitted_fast(chunk: int, seed: int, vocab_size: int = 1024) -> FastTokenizer:
    """FAST for normalised chunks: fitted on drifting, clipped walks and grippers that switch at most once."""
    rng = np.random.default_rng(seed)
    walks = rng.uniform(-1, 1, (1500, 1, 6)) + np.cumsum(rng.normal(0, 0.15, (1500, chunk, 6)), axis=1)
    switch = rng.integers(0, chunk + 1, (1500, 1, 1)) <= np.arange(chunk)[:, None]
    grippers = np.where(rng.random((1500, 1, 1)) < 0.5, switch, ~switch)
    chunks = np.concatenate([np.clip(walks, -1, 1), grippers], axis=2)
    return FastTokenizer.fit(list(chunks), scale=10, vocab_size=vocab_size)


def base_backbone(vocabulary: dict[str, int]) -> dict[str, Any]:
    """A Qwen2.5-VL configuration, flat, of the untrained nano model's sizes."""
    return {
        "model_type": "qwen2_5_vl",
        "hidden_size": 192,
        "intermediate_size": 512,
        "num_hidden_layers": 6,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000.0,
        "rope_scaling": {"type": "mrope", "mrope_section": [4, 6, 6]},
        "use_sliding_window": False,
        "tie_word_embeddings": True,
        "vocab_size": len(vocabulary),
        "bos_token_id": vocabulary["<|endoftext|>"],
        "eos_token_id": vocabulary["<|im_end|>"],
        "image_token_id": vocabulary[SPECIAL["image"]],
        "video_token_id": vocabulary["<|video_pad|>"],
        "vision_start_token_id": vocabulary["<|vision_start|>"],
        "vision_end_token_id": vocabulary["<|vision_end|>"],
        "vision_config": {
            "depth": 4,
            "hidden_size": 128,
            "intermediate_size": 344,
            "num_heads": 4,
            "in_channels": 3,
            "out_hidden_size": 192,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            "fullatt_block_indexes": [3],
            "tokens_per_second": 2,
        },
    }
