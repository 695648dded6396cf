"""A rehearsal of the released checkpoints: random weights in their exact layouts, in a local cache of the Hugging Face hub.

    python -m nora_bench.policies.nora.rehearsal --size full --model nora-1.5 --out CACHE
    HF_HUB_CACHE=CACHE HF_HUB_OFFLINE=1 nora-bench run --suite libero_goal --policy nora-1.5 --policy-arg dtype=bfloat16

Names, shapes, type, shards, index, token ids and file names are the released ones; the numbers are random and the texts of the
tokenizers generated. `config.json` says `"trained": false`, so that every table and record tags the results `untrained`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..base import PolicyRequestError
from .action_stats import published
from .config import ACTION_TOKENS, FULL_BACKBONE, ExpertConfig, NoraConfig, expert_intermediate
from .hub_cache import HubFile, put
from .nano import fitted_fast, released_tokenizer
from .random_weights import Tensors, weight_files
from .tokenizers import FAST_PLUS, PROCESSOR
from .weights import REFERENCES, TIED

MARK = "REHEARSAL.txt"
"""File in the cache that says what it holds."""
NOTICE = "Random weights in the layout of a released checkpoint, written by nora-bench for a rehearsal. They are no model.\n"
TINY_BACKBONE: dict[str, Any] = {
    **FULL_BACKBONE,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "rope_scaling": {"type": "mrope", "mrope_section": [4, 6, 6]},
    "vision_config": {
        **FULL_BACKBONE["vision_config"],
        "depth": 2,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_heads": 4,
        "out_hidden_size": 64,
        "fullatt_block_indexes": [1],
    },
}
"""The released vocabulary and image size on few narrow layers: 10 million parameters, almost all of them in the embedding."""
TINY_EXPERT = ExpertConfig(64, 2, expert_intermediate(64))
SHARD = {"full": 5_000_000_000, "tiny": 12_000_000}
"""Largest size of a file of NORA's weights, in bytes."""
EXPERT_SHARD = 10_000_000_000
"""The same for NORA-1.5, whose files were written by another library."""


@dataclass(frozen=True, slots=True)
class Release:
    """One released checkpoint, or one kind of them."""

    repository: str
    """Hub id. Checkpoints whose names are not known have the owner `rehearsal`."""
    expert: bool = False
    """NORA-1.5: its tensor names carry the prefix `vlm.`, and the repository has no tokenizer and no statistics of its own."""
    references: bool = False
    """With the frozen copies that the released preference training leaves."""
    suite: str | None = None
    """The only suite in its statistics; None: all."""


RELEASES: Mapping[str, Release] = {
    "nora": Release("declare-lab/nora"),
    "nora-long": Release("declare-lab/nora-long"),
    "nora-ac": Release("rehearsal/nora-ac-libero_object", suite="libero_object"),
    "nora-1.5": Release("declare-lab/nora-1.5", expert=True),
    "nora-1.5-dpo": Release("rehearsal/nora-1.5-dpo", expert=True, references=True),
}
"""`--policy` -> what it loads. `nora-1.5-fast` loads `nora-1.5`'s."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Size of the checkpoints to write."""

    name: str
    """`full` or `tiny`."""
    depth: int | None = None
    """Layers of language model, expert and vision encoder; None: all."""

    def config(self, expert: bool) -> NoraConfig:
        """Architecture with or without the flow expert."""
        backbone, sizes = (FULL_BACKBONE, ExpertConfig()) if self.name == "full" else (TINY_BACKBONE, TINY_EXPERT)
        if self.depth is not None:
            whole = [self.depth - 1]
            vision = {**backbone["vision_config"], "depth": self.depth, "fullatt_block_indexes": whole}
            backbone = {**backbone, "num_hidden_layers": self.depth, "vision_config": vision}
        return NoraConfig(backbone, sizes if expert else None)


def rehearse(cache: Path, names: Sequence[str], sizes: Sizes, dtype: str = "bfloat16", seed: int = 0) -> Iterator[str]:
    """Write the checkpoints into the cache, one shard after the other; a line of text after each repository.

    Args:
        cache: new, empty, or written by an earlier rehearsal.
        names: keys of `RELEASES`.
        sizes: of the models.
        dtype: `bfloat16` or `float32`, of all tensors.
        seed: of the weights.

    Raises:
        PolicyRequestError: the cache holds other files, or the disk is too small.
    """
    _claim(cache)
    plans = {name: tensors_of(RELEASES[name], sizes) for name in names}
    _require_space(cache, sum(plan.bytes(dtype) for plan in plans.values()))
    put(cache, FAST_PLUS, _fast_files())
    if PROCESSOR not in {RELEASES[name].repository for name in names}:
        put(cache, PROCESSOR, _processor_files())
    for name, plan in plans.items():
        started = time.perf_counter()
        release = RELEASES[name]
        put(cache, release.repository, _files(release, sizes, plan, dtype, seed))
        seconds = time.perf_counter() - started
        yield f"{release.repository}: {plan.parameters:,} random numbers, {plan.bytes(dtype) / 1e9:.2f} GB, {seconds:.0f} s"


def tensors_of(release: Release, sizes: Sizes) -> Tensors:
    """Names and shapes as in the released files, in the order of the model."""
    import torch

    from .model.reference import NoraModel

    with torch.device("meta"):
        state = NoraModel(sizes.config(release.expert)).state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items() if name != TIED}
    if not release.expert:
        return Tensors({_before_4_52(name): shape for name, shape in shapes.items()})
    if release.references:
        own = [reference.removeprefix("ref_") for reference in REFERENCES]
        shapes |= {f"ref_{name}": shape for name, shape in shapes.items() if name.startswith(tuple(own))}
    return Tensors(shapes)


def _before_4_52(name: str) -> str:
    """A tensor's name in files that `transformers` before 4.52 wrote, as those of NORA."""
    name = name.removeprefix("vlm.model.")
    return f"model.{name.removeprefix('language_model.')}" if name.startswith("language_model.") else name


def _files(release: Release, sizes: Sizes, plan: Tensors, dtype: str, seed: int) -> Iterator[HubFile]:
    """All files of the repository, the weights last."""
    yield _text("README.md", NOTICE)
    if not release.expert:
        yield from _processor_files(notice=False)
        backbone = {**sizes.config(False).backbone, "architectures": ["Qwen2_5_VLForConditionalGeneration"], "torch_dtype": dtype}
        yield _json("config.json", {**backbone, "trained": False})
        known = published()
        suites = known if release.suite is None else {release.suite: known[release.suite]}
        yield _json("norm_stats.json", {suite: {"action": entry} for suite, entry in suites.items()})
        yield from weight_files(plan, dtype, SHARD[sizes.name], seed)
        return
    as_released = sizes == Sizes("full")
    yield _json("config.json", {"trained": False, **({} if as_released else {"vlm_config": sizes.config(True).backbone})})
    yield from weight_files(plan, dtype, EXPERT_SHARD, seed)


def _processor_files(*, notice: bool = True) -> Iterator[HubFile]:
    """Tokenizer and image processor; token ids are the released ones, words those of the known instructions."""
    if notice:
        yield _text("README.md", NOTICE)
    yield HubFile("tokenizer.json", [released_tokenizer().encode()], large=True)
    yield _json("tokenizer_config.json", {"tokenizer_class": "Qwen2Tokenizer", "padding_side": "left"})
    yield _json("preprocessor_config.json", {"patch_size": 14, "merge_size": 2, "min_pixels": 3136, "max_pixels": 12_845_056})
    yield _json("generation_config.json", {"repetition_penalty": 1.05, "eos_token_id": [151_645, 151_643]})


def _fast_files() -> Iterator[HubFile]:
    yield _text("README.md", NOTICE)
    for name, text in fitted_fast(chunk=5, seed=0, vocab_size=ACTION_TOKENS).texts().items():
        yield _text(name, text)


def _json(name: str, value: Any) -> HubFile:
    return _text(name, json.dumps(value, indent=1) + "\n")


def _text(name: str, text: str) -> HubFile:
    return HubFile(name, [text.encode()])


def _claim(cache: Path) -> None:
    """Mark the cache. Raises PolicyRequestError where it holds files of others, which random weights would replace."""
    if cache.is_dir() and any(cache.iterdir()) and not (cache / MARK).is_file():
        raise PolicyRequestError(f"{cache} holds files that no rehearsal wrote; name a new folder: --out CACHE")
    cache.mkdir(parents=True, exist_ok=True)
    (cache / MARK).write_text(NOTICE, encoding="utf-8")


def _require_space(cache: Path, needed: int) -> None:
    free = shutil.disk_usage(cache).free
    if needed > free:
        raise PolicyRequestError(
            f"{cache} has {free / 1e9:.1f} GB free, the checkpoints take {needed / 1e9:.1f} GB: --model NAME"
        )


def main(words: Sequence[str] | None = None) -> None:
    """Command line: `python -m nora_bench.policies.nora.rehearsal --help`."""
    parser = argparse.ArgumentParser(
        prog="python -m nora_bench.policies.nora.rehearsal",
        description="Write random weights in the layouts of the released checkpoints into a local cache of the hub.",
    )
    parser.add_argument("--size", choices=list(SHARD), default="full", help="full: as released; tiny: 10 million parameters")
    parser.add_argument("--depth", type=int, help="layers, fewer than the released ones")
    parser.add_argument("--model", action="append", choices=list(RELEASES), help="repeatable; all where none is given")
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="cache to write: a new folder")
    given = parser.parse_args(words)
    names = given.model or list(RELEASES)
    try:
        if given.depth is not None and given.depth < 1:
            raise PolicyRequestError(f"--depth must be at least 1, not {given.depth}")
        for line in rehearse(given.out, names, replace(Sizes(given.size), depth=given.depth), given.dtype, given.seed):
            print(line, flush=True)
    except (PolicyRequestError, OSError) as error:
        sys.exit(f"error: {error}")
    name = names[0]
    checkpoint = (
        "" if RELEASES[name].repository.startswith("declare-lab/") else f" --policy-arg checkpoint={RELEASES[name].repository}"
    )
    print("These weights are random. Run them with, for example:")
    print(
        f"HF_HUB_CACHE={given.out} HF_HUB_OFFLINE=1 nora-bench run --suite libero_object --tasks 0 --init-states 0 --seeds 1 "
        f"--max-steps 10 --policy {name}{checkpoint} --policy-arg dtype=bfloat16"
    )


if __name__ == "__main__":
    main()
