"""Compute estimate of the full size: stages, data and GPU hours from operation counts, because no throughput was measured.

Operations of one pass: 2 per parameter and token forward, 4 backward; attention over at most 300 tokens adds a few per cent
and is omitted. Hours: operations / (peak x utilisation).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..engine.config import TrainConfig, build, recipe_text

PEAK, UTILISATION = 989e12, 0.4
"""bfloat16 operations per second of an H100 SXM (dense, data sheet), and the assumed utilisation."""
DEVICES = 8
TEXT, VISION, EXPERT, VIDEO, PREDICTOR = 3.090e9, 0.669e9, 0.228e9, 1.012e9, 0.305e9
"""Parameters (docs/guide/nora.md, docs/guide/preference.md)."""
PROMPT, PATCHES, CHUNK, ANSWER = 97, 256, 5, 15
"""Tokens of a prompt with image, patches of an image, actions of a chunk, tokens of a chunk (FAST, about 13, and two)."""
FRAME = 258
"""Tokens of a frame in the world model's predictor."""
FRAMES = 270_000
"""Roughly, of the four LIBERO sets without no-ops (LIBERO-Long alone: 101,469 transitions)."""
EULER, CANDIDATES = 10, 5


@dataclass(frozen=True, slots=True)
class PaperStage:
    """One stage of the plan."""

    name: str
    data: str
    operations: float
    published: str = ""
    """Cost stated by the papers."""

    @property
    def hours(self) -> float:
        """GPU hours."""
        return self.operations / (PEAK * UTILISATION) / 3600


def forward(tokens: int = PROMPT) -> float:
    """Operations of the backbone on one image and prompt."""
    return 2 * (TEXT * tokens + VISION * PATCHES)


def stages() -> Iterator[PaperStage]:
    """The stages with their cost."""
    from ..preference.stage import DpoRecipe

    sft = _loop("sft")
    examples = sft.steps * sft.examples_per_update * DEVICES
    each = 3 * (forward(PROMPT + ANSWER) + 2 * EXPERT * CHUNK)
    data = f"{examples:,} examples, {sft.steps:,} updates of {examples // sft.steps}"
    yield PaperStage("train sft", data, examples * each, "about 960 H100 hours in all")
    yield _world()
    yield PaperStage("label-preferences", f"{FRAMES:,} states, {CANDIDATES} chunks each", FRAMES * _label())
    dpo = build(recipe_text("paper", "dpo")[0], "paper", DpoRecipe).loop
    pairs = dpo.steps * dpo.batch_size * DEVICES
    terms = 3 * (forward() + 4 * EXPERT * CHUNK) + forward() + 4 * EXPERT * CHUNK
    yield PaperStage("train dpo", f"{dpo.steps:,} updates of {pairs // dpo.steps} pairs, for each reward", pairs * terms)


def _loop(stage: str) -> TrainConfig:
    from ..sft.stage import SftRecipe

    return build(recipe_text("paper", stage)[0], "paper", SftRecipe).loop


def _world() -> PaperStage:
    from ..world_model.stage import WorldModelRecipe

    recipe = build(recipe_text("paper", "world-model")[0], "paper", WorldModelRecipe)
    loop = recipe.loop
    windows = loop.steps * loop.batch_size * DEVICES
    encoding = FRAMES * 2 * VIDEO * 256
    predicting = windows * 6 * PREDICTOR * FRAME * (recipe.window - 1 + 2)
    return PaperStage("train world-model", f"{loop.steps:,} updates of {windows // loop.steps} windows", encoding + predicting)


def _label() -> float:
    """Operations per state: one prefix, sampling of every candidate, and prediction of its frames one after the other."""
    sampling = CANDIDATES * EULER * 2 * EXPERT * CHUNK
    predicting_frames = CANDIDATES * 2 * PREDICTOR * FRAME * sum(range(1, CHUNK + 1))
    return forward() + sampling + predicting_frames


def lines() -> Iterator[str]:
    """The plan to print."""
    yield "No throughput was measured on a GPU: hours are COMPUTED from operations and an ASSUMED utilisation."
    yield f"One H100: {PEAK / 1e12:.0f} TFLOP/s (bfloat16, data sheet) x {UTILISATION:.0%} assumed. Batches: {DEVICES} devices."
    total = 0.0
    yield "demonstrations     the published LIBERO and Open X-Embodiment sets; nothing to compute"
    yield "tokenizer          the released FAST+; nothing to compute"
    for stage in stages():
        total += stage.hours
        published = f" (the paper states {stage.published})" if stage.published else ""
        yield f"{stage.name:<18} {stage.hours:>8.1f} GPU h computed{published}; {stage.data}"
    yield "run                2000 LIBERO episodes per policy; see `nora-bench run --dry-run`"
    yield f"together           {total:>8.1f} GPU h computed, one reward; {total / DEVICES:.0f} h on {DEVICES} devices"
