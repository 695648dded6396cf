"""Compares with recordings of the released NORA models: FAST, images, backbone, expert, sampling, tokens, losses, gradients.

Nothing here knows the sizes or numbers of one recording: any folder of that layout is compared (docs/evidence/parity.md).
Differences of model outputs are divided by the recorded quantity's largest magnitude where that is above 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ....envs.parity import Check, max_abs_difference
from ....envs.types import Array
from ...adapters import NormStats
from ...fast import FastTokenizer
from ...images import resize_lanczos3
from ..pixels import patches
from ..prompt import rotary_positions
from .recordings import Recordings
from .tolerance import model_rounding

if TYPE_CHECKING:
    from ..config import NoraConfig
    from ..model.reference import NoraModel, Prefix

FLOAT32 = 1e-5
"""Least tolerance of what a model computes in float32, on any processor; larger models round more often (`tolerance.py`)."""
GRADIENT = 1e-4
"""Tolerance of gradients, relative to the largest entry of each tensor."""
IMAGE_TOLERANCE = 1e-4
"""Share of image values that may differ, by one grey level; one value may in any image, however small."""
INPUTS = ("input_ids", "attention_mask", "position_ids", "pixel_values", "image_grid_thw")


def compare(recordings: Recordings) -> Iterator[Check]:
    """Every check that the folder's files allow."""
    yield from _fast(recordings)
    yield from _images(recordings)
    if recordings.names("functions.safetensors"):
        yield from _functions(recordings)
    if not (recordings.folder / "weights.safetensors").is_file():
        return
    import torch

    from ..checkpoint import open_checkpoint

    checkpoint = open_checkpoint(str(recordings.folder / "weights.safetensors"))
    with torch.no_grad():
        yield from _rounded(_inference(recordings, checkpoint.model("cpu", torch.float32)), checkpoint.config)
    yield from _rounded(_training(recordings, checkpoint.model("cpu", torch.float32).requires_grad_(True)), checkpoint.config)


def _rounded(checks: Iterable[Check], config: NoraConfig) -> Iterator[Check]:
    """The checks, those of model outputs with the tolerance of a model of that size."""
    for check in checks:
        yield replace(check, tolerance=max(FLOAT32, model_rounding(config))) if check.tolerance == FLOAT32 else check


def close(case: str, quantity: str, computed: Any, recorded: Any, tolerance: float = FLOAT32) -> Check:
    """Check of arrays or tensors, relative to the largest recorded magnitude where that is above 1."""
    recorded = np.asarray(recorded.detach() if hasattr(recorded, "detach") else recorded, np.float64)
    computed = np.asarray(computed.detach() if hasattr(computed, "detach") else computed, np.float64)
    scale = max(1.0, float(np.abs(recorded).max(initial=0.0)))
    return Check(case, quantity, max_abs_difference(computed, recorded) / scale, tolerance)


def _exact(case: str, quantity: str, computed: Any, recorded: Any) -> Check:
    return Check(case, quantity, max_abs_difference(computed, recorded), 0.0)


def _fast(recordings: Recordings) -> Iterator[Check]:
    for path in sorted(recordings.folder.glob("fast_cases*.json")):
        folder = recordings.folder / f"fast_tokenizer{path.stem.removeprefix('fast_cases')}"
        tokenizer, recorded = FastTokenizer.load(folder), json.loads(path.read_text(encoding="utf-8"))
        for case in recorded["cases"]:
            yield from _fast_case(f"{path.stem}/{case['name']}", tokenizer, case)
    if recordings.names("fast_fit_actions.npz"):
        yield _refit(recordings)


def _fast_case(name: str, tokenizer: FastTokenizer, case: dict[str, Any]) -> Iterator[Check]:
    if "actions" in case:
        actions = np.array([case["actions"]])
        yield _exact(name, "FAST coefficients", tokenizer.quantise(actions)[0], case["coefficients"])
        yield Check(name, "FAST token ids", float(tokenizer.encode(actions)[0] != case["tokens"]), 0.0)
    decoded = tokenizer.decode([case["tokens"]], case["time_horizon"], case["action_dim"])[0]
    yield _exact(name, "FAST decoded coefficients", decoded.coefficients, case["decoded_coefficients"])
    # The released decoder returns zeros for an invalid chunk; nora-bench reports it, and the policy substitutes zeros.
    actions = np.zeros((case["time_horizon"], case["action_dim"])) if decoded.actions is None else decoded.actions
    check = close(name, "FAST decoded actions", actions, case["decoded_actions"], 1e-12)
    yield check if decoded.status == "ok" else Check(check.case, check.quantity, check.error, check.tolerance, decoded.status)


def _refit(recordings: Recordings) -> Check:
    recorded = json.loads((recordings.folder / "fast_tokenizer" / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    settings = json.loads((recordings.folder / "fast_tokenizer" / "processor_config.json").read_text(encoding="utf-8"))
    chunks = list(recordings.get("fast_fit_actions.npz", "actions"))
    computed = FastTokenizer.fit(chunks, scale=settings["scale"], vocab_size=settings["vocab_size"], whole_alphabet=False)
    model = json.loads(computed.backend.to_str())["model"]
    same = model["vocab"] == recorded["vocab"] and model["merges"] == recorded["merges"]
    return Check(
        "fast_fit_actions", "FAST fitted vocabulary", float(not same or computed.min_token != settings["min_token"]), 0.0
    )


def _images(recordings: Recordings) -> Iterator[Check]:
    for path in sorted(recordings.folder.glob("image_resize*.npz")):
        for name, before in recordings.matching(path.name, "", ".in"):
            after = recordings.get(path.name, f"{name}.out")
            off = np.abs(resize_lanczos3(before, *after.shape[:2]).astype(int) - after)
            yield Check(f"{path.stem}/{name}", "resized image, grey levels", float(off.max()), 1.0)
            yield Check(
                f"{path.stem}/{name}",
                "resized image, share of values",
                float((off > 0).mean()),
                max(IMAGE_TOLERANCE, 1 / off.size),
            )


def _functions(recordings: Recordings) -> Iterator[Check]:
    from ..config import expert_intermediate
    from ..model.expert import attention_mask, rotary, time_embedding
    from ..model.functional import rotate

    file, case = "functions.safetensors", "functions"
    times = recordings.get(file, "fn.time")
    for size, wanted in recordings.matching(file, "fn.time_embedding_"):
        yield close(f"{case}/{size}", "time embedding", time_embedding(times, int(size)), wanted)
    x = recordings.get(file, "fn.rope_in").transpose(1, 2)
    turned = rotate(x, *rotary(x.shape[2], x.shape[3], "cpu")).transpose(1, 2)
    yield close(case, "expert's rotary embedding", turned, recordings.get(file, "fn.rope_out"))
    widths = [expert_intermediate(size) for size in recordings.get(file, "fn.hidden_sizes").tolist()]
    yield _exact(case, "expert's MLP width", widths, recordings.get(file, "fn.intermediate_sizes"))
    mask = recordings.get(file, "fn.mask_2d")
    valid = recordings.get(file, "fn.mask_prefix_valid").bool()
    recordings.get(file, "fn.mask_prefix_ar")  # decides rows of prefix tokens, which the expert does not use
    actions = mask.shape[1] - valid.shape[1]
    yield _exact(case, "expert's attention mask", attention_mask(valid, actions)[:, 0], mask[:, -actions:])


def _prefix(recordings: Recordings, model: NoraModel, file: str, case: str) -> Prefix:
    return model.prefix(*(recordings.get(file, f"{case}.{name}") for name in INPUTS))


def _prompt(recordings: Recordings, model: NoraModel, file: str, case: str) -> Iterator[Check]:
    """Rotary positions of the recorded prompts."""
    ids, mask, recorded, grid = (
        recordings.get(file, f"{case}.{name}").numpy()
        for name in ("input_ids", "attention_mask", "position_ids", "image_grid_thw")
    )
    computed = rotary_positions(ids, mask, recordings.config["vlm_config"]["image_token_id"], grid, model.config.merge)
    valid = mask.astype(bool)
    yield _exact(case, "rotary positions", computed[:, valid], recorded[:, valid])
    deltas = computed.max(axis=(0, 2))[:, None] + 1 - ids.shape[1]
    yield _exact(case, "rotary offset", deltas, recordings.get(file, f"{case}.rope_deltas"))


def _backbone(recordings: Recordings, prefix: Prefix, file: str, case: str) -> Iterator[Check]:
    """Logits and cache outside padding."""
    valid = recordings.get(file, f"{case}.attention_mask").bool()
    yield close(case, "backbone logits", prefix.logits[valid], recordings.get(file, f"{case}.vlm_logits")[valid])
    for part, place in (("key", 0), ("value", 1)):
        for layer, recorded in recordings.matching(file, f"{case}.kv.", f".{part}"):
            computed = prefix.cache[int(layer)][place]
            computed, recorded = (tensor.transpose(1, 2)[valid] for tensor in (computed, recorded))
            yield close(f"{case}/layer {layer}", f"cached {part}s", computed, recorded)


def _inference(recordings: Recordings, model: NoraModel) -> Iterator[Check]:
    file, case = "inference.safetensors", "sample"
    image = recordings.get(file, f"{case}.image_u8").numpy()[None]
    pixels = recordings.get(file, f"{case}.pixel_values")
    yield close(case, "image patches", patches(image, model.config.patch, model.config.merge)[0], pixels)
    yield from _prompt(recordings, model, file, case)
    yield from _hidden(recordings, model)
    prefix = _prefix(recordings, model, file, case)
    yield from _backbone(recordings, prefix, file, case)
    yield from _flow(recordings, model, prefix)
    yield from _tokens(recordings, model)
    from .engine import compare_engine

    yield from compare_engine(recordings, model)


def _hidden(recordings: Recordings, model: NoraModel) -> Iterator[Check]:
    file, case = "inference.safetensors", "sample"
    ids, mask, positions, pixels, grid = (recordings.get(file, f"{case}.{name}") for name in INPUTS)
    image = model.vlm.model.visual(pixels, grid_thw=grid).pooler_output
    yield close(case, "image embeddings", image, recordings.get(file, f"{case}.image_embeds"))
    out = model.vlm.model(
        input_ids=ids, attention_mask=mask, position_ids=positions, pixel_values=pixels, image_grid_thw=grid, use_cache=False
    )
    yield close(case, "last hidden state", out.last_hidden_state, recordings.get(file, f"{case}.vlm_last_hidden"))


def _flow(recordings: Recordings, model: NoraModel, prefix: Prefix) -> Iterator[Check]:
    import torch

    from ..config import euler_times

    file, case = "inference.safetensors", "sample"
    noise, valid = recordings.get(file, f"{case}.noise"), recordings.get(file, f"{case}.attention_mask").bool()
    for time, recorded in recordings.matching(file, f"{case}.velocity_t"):
        at = torch.full((len(noise),), float(time))
        yield close(f"{case}/t={time}", "one denoise step", model.velocity(noise, at, prefix.cache, valid), recorded)
    for steps, recorded in recordings.matching(file, f"{case}.actions_", "steps"):
        computed = model.sample(noise, prefix.cache, valid, int(steps))
        yield close(f"{case}/{steps} steps", "sampled actions", computed, recorded)
        yield from _unnormalised(recordings, computed.numpy(), steps)
    for steps, times in recordings.matching(file, f"{case}.traj_", "steps.t"):
        yield _exact(f"{case}/{steps} steps", "times of the steps", euler_times(int(steps)), times)
        states = recordings.get(file, f"{case}.traj_{steps}steps.x")
        recorded = recordings.get(file, f"{case}.traj_{steps}steps.v")
        computed = [model.velocity(x[None], time[None], prefix.cache, valid)[0] for x, time in zip(states, times, strict=True)]
        yield close(f"{case}/{steps} steps", "velocity at each step", torch.stack(computed), recorded)


def _unnormalised(recordings: Recordings, actions: Array, steps: str) -> Iterator[Check]:
    file = "inference.safetensors"
    if f"sample.unnormalized_{steps}steps" not in recordings.names(file):
        return
    (entry,) = recordings.config["norm_stats"].values()
    stats = NormStats(*(np.array(entry["action"][key]) for key in ("q01", "q99", "mask")))
    recorded = recordings.get(file, f"sample.unnormalized_{steps}steps")
    yield close(f"sample/{steps} steps", "un-normalised actions", stats.unnormalise(actions.astype(np.float64)), recorded)


def _tokens(recordings: Recordings, model: NoraModel) -> Iterator[Check]:
    file = "inference.safetensors"
    inputs = tuple(recordings.get(file, f"sample.{name}") for name in INPUTS)
    recorded = recordings.get(file, "sample.generate_logits")
    tokens, logits = greedy(model, inputs, recorded.shape[1])
    wanted = recordings.get(file, "sample.generate_ids")[:, inputs[0].shape[1] :]
    yield _exact("sample", "greedy token ids", tokens, wanted)
    yield close("sample", "logits while generating", logits, recorded)
    file = "training.safetensors"
    if "gen.input_ids" in recordings.names(file):
        ids, mask = (recordings.get(file, f"gen.{name}") for name in ("input_ids", "attention_mask"))
        pixels, grid = (recordings.get(file, f"train.{name}") for name in ("pixel_values", "image_grid_thw"))
        image_token = recordings.config["vlm_config"]["image_token_id"]
        positions = rotary_positions(ids.numpy(), mask.numpy(), image_token, grid.numpy(), model.config.merge)
        wanted = recordings.get(file, "gen.new_tokens")
        tokens, logits = greedy(model, (ids, mask, ids.new_tensor(positions), pixels, grid), wanted.shape[1])
        yield _exact("gen", "greedy token ids of a padded batch", tokens, wanted)
        yield close("gen", "logits of a padded batch", logits[:, 0], recordings.get(file, "gen.first_logits"))


def greedy(model: NoraModel, inputs: tuple[Any, ...], count: int) -> tuple[Any, Any]:
    """(token ids [B, count], logits [B, count, vocabulary]) by passing the whole sequence again for every token."""
    import torch

    ids, mask, positions, pixels, grid = inputs
    start, logits = ids.shape[1], []
    for _ in range(count):
        logits.append(model.prefix(ids, mask, positions, pixels, grid).logits[:, -1])
        ids = torch.cat([ids, logits[-1].argmax(-1, keepdim=True)], dim=1)
        mask = torch.cat([mask, mask.new_ones((len(mask), 1))], dim=1)
        positions = torch.cat([positions, positions[..., -1:] + 1], dim=2)
    return ids[:, start:], torch.stack(logits, dim=1)


def _training(recordings: Recordings, model: NoraModel) -> Iterator[Check]:
    file, case = "training.safetensors", "train"
    if not recordings.names(file):
        return
    from ..model.expert import attention_mask
    from ..model.reference import interpolate

    yield from _prompt(recordings, model, file, case)
    prefix = _prefix(recordings, model, file, case)
    yield from _backbone(recordings, prefix, file, case)
    labels, actions, noise, time = (recordings.get(file, f"{case}.{name}") for name in ("labels", "actions", "noise", "time"))
    seen = recordings.get(file, f"{case}.expert_attention").bool()
    mask = attention_mask(seen, actions.shape[1])
    yield _exact(case, "expert's attention mask", mask, recordings.get(file, f"{case}.expert_attention_mask"))
    noisy = interpolate(actions, noise, time)
    embedded = model.embed_actions(noisy, time)
    yield close(case, "expert's input", embedded, recordings.get(file, f"{case}.expert_inputs_embeds"))
    velocity = model.velocity(noisy, time, prefix.cache, seen)
    yield close(case, "one denoise step", velocity, recordings.get(file, f"{case}.pred_velocity"))
    loss = model.joint_loss(prefix, labels, seen, actions, noise, time)
    for name, computed in (("vlm_loss", loss.tokens), ("expert_loss", loss.flow), ("combined_loss", loss.total)):
        yield close(f"{case}/{name}", "joint losses", computed.reshape(1), recordings.get(file, f"{case}.loss.{name}"))
    loss.total.backward()
    yield from gradients(recordings, file, ("train.grad.", "train/"), model, "gradients of the joint loss")
    squares = sum(float(p.grad.double().pow(2).sum()) for p in model.parameters() if p.grad is not None)
    norm = recordings.get(file, "train.grad_global_norm")
    yield Check("train", "norm of all gradients", abs(squares**0.5 / float(norm) - 1), GRADIENT, "relative")


def gradients(
    recordings: Recordings, file: str, prefixes: tuple[str, str], model: Any, quantity: str, tolerance: float = GRADIENT
) -> Iterator[Check]:
    """Checks of the gradients of a model's parameters; `prefixes` precede their names in the file and in the cases."""
    for name, recorded in recordings.matching(file, prefixes[0]):
        computed = model.get_parameter(name).grad
        scale = max(float(recorded.abs().max()), 1e-12)
        error = float("inf") if computed is None else max_abs_difference(computed, recorded) / scale
        yield Check(f"{prefixes[1]}{name}", quantity, error, tolerance, "of the largest entry")
