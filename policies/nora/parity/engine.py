"""Compares the inference engine with the recordings: the same actions and tokens, padded and repeated over rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ....envs.parity import Check, max_abs_difference
from .recordings import Recordings

if TYPE_CHECKING:
    from ..model.engine import Inputs
    from ..model.reference import NoraModel

ROWS, PADDING = 2, 21
"""Shape of the comparison: rows that must agree, and padding that must not matter."""
FLOAT32 = 1e-5
FILE = "inference.safetensors"


def compare_engine(recordings: Recordings, model: NoraModel) -> Iterator[Check]:
    """Sampled actions and greedy tokens, where the recorded image is as large as the model's."""
    import torch

    from ..model.engine import DecodingConfig, Engine, StaticShape

    config, given = model.config, recordings.config["vlm_config"]
    side = config.image_size // config.patch
    grid = recordings.get(FILE, "sample.image_grid_thw")
    if not torch.equal(grid, torch.tensor([[1, side, side]])):
        return
    inputs, noise = _inputs(recordings), recordings.get(FILE, "sample.noise").expand(ROWS, -1, -1).contiguous()
    length = inputs.ids.shape[1]
    for steps, recorded in recordings.matching(FILE, "sample.actions_", "steps"):
        shape = StaticShape(ROWS, length, noise.shape[1], int(steps), 0)
        computed = Engine(model, shape, given["image_token_id"], DecodingConfig(-1)).sample(inputs, noise)
        error = max_abs_difference(computed, recorded.expand(ROWS, -1, -1)) / max(1.0, float(recorded.abs().max()))
        yield Check(f"sample/{steps} steps", "fast path: sampled actions", error, FLOAT32)
    wanted = recordings.get(FILE, "sample.generate_ids")[:, recordings.get(FILE, "sample.input_ids").shape[1] :]
    shape = StaticShape(ROWS, length, 0, 1, wanted.shape[1])
    tokens = Engine(model, shape, given["image_token_id"], DecodingConfig(-1)).generate(inputs)
    yield Check("sample", "fast path: greedy token ids", max_abs_difference(tokens, wanted.expand(ROWS, -1)), 0.0)


def _inputs(recordings: Recordings) -> Inputs:
    import torch

    from ..model.engine import Inputs

    ids, positions, pixels = (recordings.get(FILE, f"sample.{name}") for name in ("input_ids", "position_ids", "pixel_values"))
    used = ids.shape[1]
    padded = torch.nn.functional.pad(ids, (0, PADDING)).expand(ROWS, -1)
    places = torch.nn.functional.pad(positions, (0, PADDING), value=1).expand(3, ROWS, -1)
    return Inputs(padded, torch.full((ROWS,), used), places, pixels.expand(ROWS, -1, -1))
