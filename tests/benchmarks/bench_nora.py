"""Milliseconds per decision of the NORA family: the fast path beside the straightforward implementation, in one run.

    python tests/benchmarks/bench_nora.py                          # nano, on a CPU
    python tests/benchmarks/bench_nora.py --size full --rows 1 16 32   # released sizes, random weights, on a CUDA GPU
    python tests/benchmarks/bench_nora.py --size full --rows 1 --once --parts flow   # on a CPU: one decision of each
    python tests/benchmarks/bench_nora.py --floor H200             # by the data sheet: what no implementation can exceed

Straightforward is what was released: the eager `transformers` forward and eager expert steps, one question at a time;
`generate()` for tokens. Rounds alternate between the sides, so that other programs on the machine hit both; medians are
printed. Weights are random: speed does not depend on them, and the tokens of both sides are compared.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from nora_bench.policies.nora.checkpoint import open_checkpoint
from nora_bench.policies.nora.model.engine import DecodingConfig, Engine, Inputs, StaticShape
from nora_bench.policies.nora.model.reference import NoraModel
from nora_bench.policies.nora.nano import untrained, write_nano
from nora_bench.policies.nora.prompt import rotary_positions
from nora_bench.policies.nora.rehearsal import Sizes

CHUNK, ACTION_SIZE, STEPS, NEW_TOKENS = 5, 7, 10, 16
INSTRUCTION = 12
"""Tokens of the instruction."""
PAPER_GB = 8.3
"""NORA's memory on a GPU as its paper prints it."""
KNOWN = {"H100": (3.35e12, 989e12), "H200": (4.8e12, 989e12)}
"""Name of a GPU -> bytes per second, bfloat16 operations per second, from its data sheet (SXM)."""


@dataclass(frozen=True)
class Case:
    """One model with one prompt."""

    model: NoraModel
    ids: torch.Tensor
    """[1, used] of one row."""
    image: int
    """Id of an image token."""

    @property
    def used(self) -> int:
        return self.ids.shape[1]

    @property
    def length(self) -> int:
        return -(-self.used // 32) * 32

    def side(self) -> int:
        return self.model.config.image_size // self.model.config.patch

    def inputs(self, rows: int, length: int) -> Inputs:
        device, grid = self.ids.device, np.tile([1, self.side(), self.side()], (rows, 1))
        ids = torch.nn.functional.pad(self.ids, (0, length - self.used)).expand(rows, -1).contiguous()
        valid = np.tile(np.arange(length) < self.used, (rows, 1))
        positions = rotary_positions(ids.cpu().numpy(), valid, self.image, grid, self.model.config.merge)
        values = 3 * 2 * self.model.config.patch**2
        pixels = torch.randn((1, self.side() ** 2, values), generator=torch.Generator().manual_seed(0)).to(device)
        lengths = torch.full((rows,), self.used, device=device)
        return Inputs(ids, lengths, torch.from_numpy(positions).to(device), pixels.expand(rows, -1, -1).contiguous())


def nano() -> NoraModel:
    with tempfile.TemporaryDirectory() as folder:
        return open_checkpoint(str(write_nano(Path(folder)))).model("cpu", torch.float32)


def full(device: str, depth: int | None) -> NoraModel:
    config = replace(Sizes("full", depth).config(expert=True), chunk=CHUNK)
    return untrained(config, 0, device, "bfloat16").requires_grad_(False)


def case(model: NoraModel, device: str) -> Case:
    backbone, tokens = model.config.backbone, model.config.image_tokens
    words = list(range(20, 20 + INSTRUCTION))
    ids = [*range(1, 15), backbone["vision_start_token_id"], *[backbone["image_token_id"]] * tokens, *words, 1, 2, 3, 4, 5]
    return Case(model, torch.tensor([ids], device=device), backbone["image_token_id"])


def plain_sample(c: Case, noise: torch.Tensor) -> Callable[[], torch.Tensor]:
    given = c.inputs(1, c.used)
    mask, grid = torch.ones_like(c.ids), torch.tensor([[1, c.side(), c.side()]], device=c.ids.device)

    @torch.inference_mode()
    def run() -> torch.Tensor:
        prefix = c.model.prefix(given.ids, mask, given.positions, given.pixels[0], grid)
        return c.model.sample(noise[:1], prefix.cache, mask.bool(), STEPS)

    return run


def plain_generate(c: Case) -> Callable[[], torch.Tensor]:
    given, grid = c.inputs(1, c.used), torch.tensor([[1, c.side(), c.side()]], device=c.ids.device)

    @torch.inference_mode()
    def run() -> torch.Tensor:
        return c.model.vlm.generate(
            input_ids=given.ids,
            attention_mask=torch.ones_like(given.ids),
            pixel_values=given.pixels[0],
            image_grid_thw=grid,
            mm_token_type_ids=(given.ids == c.image).int(),
            do_sample=False,
            min_new_tokens=NEW_TOKENS,
            max_new_tokens=NEW_TOKENS,
            pad_token_id=0,
        )[:, c.used :]

    return run


def fast_sample(c: Case, rows: int, noise: torch.Tensor, backend: str | None) -> Callable[[], torch.Tensor]:
    engine = Engine(c.model, StaticShape(rows, c.length, CHUNK, STEPS, 0), c.image, DecodingConfig(-1), backend)
    given, noise = c.inputs(rows, c.length), noise[:1].expand(rows, -1, -1).contiguous()
    return lambda: engine.sample(given, noise)


def fast_generate(c: Case, rows: int, backend: str | None) -> Callable[[], torch.Tensor]:
    stop = c.model.config.backbone["eos_token_id"]
    vocabulary = c.model.vlm.model.language_model.embed_tokens.num_embeddings
    # The same ban on the stop token that `min_new_tokens` is: both sides generate equally many tokens.
    engine = Engine(c.model, StaticShape(rows, c.length, 0, 1, NEW_TOKENS), c.image, DecodingConfig(-1), backend)
    engine.allowed = torch.arange(vocabulary, device=c.ids.device) != stop
    given = c.inputs(rows, c.length)
    return lambda: engine.generate(given)


def seconds(function: Callable[[], torch.Tensor], cuda: bool) -> float:
    start = time.perf_counter()
    function()
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(sides: dict[str, Callable[[], torch.Tensor]], rounds: int, cuda: bool) -> dict[str, float]:
    """Name -> median seconds per call, after two calls to warm up."""
    for function in sides.values():
        seconds(function, cuda), seconds(function, cuda)
    times = {name: [] for name in sides}
    for _ in range(rounds):
        for name, function in sides.items():
            times[name].append(seconds(function, cuda))
    return {name: statistics.median(values) for name, values in times.items()}


def work(c: Case, rows: int, tokens: int) -> tuple[float, float]:
    """(bytes of weights read, operations of matrix products) of one batch: what no implementation can avoid.

    `tokens` generated; 0 is the flow's ten expert steps. Attention and cache are left out: together below 2 % at this length.
    """
    visual = sum(p.numel() for p in c.model.vlm.model.visual.parameters())
    text = sum(p.numel() for name, p in c.model.vlm.model.language_model.named_parameters() if "embed" not in name)
    head = c.model.vlm.lm_head.weight.numel()
    expert = sum(p.numel() for name, p in c.model.named_parameters() if name.startswith("action"))
    size = c.model.vlm.dtype.itemsize
    prefill = 2.0 * rows * (visual * c.side() ** 2 + text * c.used)
    if tokens:
        return size * (visual + text * tokens + head * tokens), prefill + 2.0 * rows * (text * (tokens - 1) + head * tokens)
    return size * (visual + text + expert * STEPS), prefill + 2.0 * rows * expert * CHUNK * STEPS


def once(c: Case, what: str, rows_list: list[int], backend: str | None) -> None:
    """One decision of each side, the first: no warm-up, no median. The fast path's is of a batch of `rows`."""
    noise = torch.randn((1, CHUNK, ACTION_SIZE), generator=torch.Generator().manual_seed(1)).to(c.ids.device)
    sides = {"straightforward": plain_sample(c, noise) if what == "flow" else plain_generate(c)}
    for rows in rows_list:
        sides[f"fast, {rows} rows"] = fast_sample(c, rows, noise, backend) if what == "flow" else fast_generate(c, rows, backend)
    answers: dict[str, Callable[[], torch.Tensor]] = {}
    for name, function in sides.items():
        started = time.perf_counter()
        answer = function()
        print(f"{what}: {name}: first decision in {time.perf_counter() - started:.1f} s", flush=True)
        answers[name] = lambda answer=answer: answer
    agree(what, answers)


def report(c: Case, what: str, rows_list: list[int], rounds: int, device: str, backend: str | None) -> None:
    cuda = device == "cuda"
    noise = torch.randn((1, CHUNK, ACTION_SIZE), generator=torch.Generator().manual_seed(1)).to(device)
    plain = plain_sample(c, noise) if what == "flow" else plain_generate(c)
    sides = {"straightforward": plain}
    for rows in rows_list:
        sides[f"fast, {rows} rows"] = fast_sample(c, rows, noise, backend) if what == "flow" else fast_generate(c, rows, backend)
    agree(what, sides)
    times = measure(sides, rounds, cuda)
    base = times["straightforward"]
    print(f"{what}: straightforward {1000 * base:.2f} ms per decision, one at a time")
    for rows in rows_list:
        each = times[f"fast, {rows} rows"] / rows
        line = f"  fast path, {rows:2} rows: {1000 * each:8.2f} ms per decision, {base / each:6.2f} times as many decisions"
        print(line + floor(c, rows, 0 if what == "flow" else NEW_TOKENS, times[f"fast, {rows} rows"], cuda))


def least_seconds(c: Case, rows: int, tokens: int, rates: tuple[float, float]) -> float:
    """Seconds of one batch at the GPU's data sheet."""
    moved, operations = work(c, rows, tokens)
    return max(moved / rates[0], operations / rates[1])


def print_floors(gpu: str, parts: list[str], rows_list: list[int]) -> None:
    """What no implementation can exceed at full size, computed without a GPU and without weights."""
    with torch.device("meta"):
        model = NoraModel(Sizes("full", None).config(expert=True)).to(torch.bfloat16)
    c = case(model, "meta")
    for what in parts:
        for rows in rows_list:
            least = least_seconds(c, rows, 0 if what == "flow" else NEW_TOKENS, KNOWN[gpu])
            print(
                f"{what}, {rows:2} rows, {gpu}: at least {1000 * least:.2f} ms, at most {rows / least:.0f} decisions per second"
            )


def floor(c: Case, rows: int, tokens: int, took: float, cuda: bool) -> str:
    if not cuda:
        return ""
    moved, operations = work(c, rows, tokens)
    counted = f"; {moved / 1e9:.1f} GB, {operations / 1e12:.2f} TFLOP per batch"
    rates = next((rates for name, rates in KNOWN.items() if name in torch.cuda.get_device_name()), None)
    if rates is None:
        return counted + " (no data sheet for this GPU)"
    least = least_seconds(c, rows, tokens, rates)
    return f"{counted}: floor {1000 * least:.2f} ms, {took / least:.2f} times that"


def agree(what: str, sides: dict[str, Callable[[], torch.Tensor]]) -> None:
    """Print how far the sides are apart, or whether their tokens are equal."""
    first = sides["straightforward"]().cpu()
    for name, function in sides.items():
        other = function().cpu()
        if what == "flow":
            print(f"{what}: {name} is within {float((other - first).abs().max()):.2g} of straightforward")
        else:
            equal = int((other == first).all(dim=0).long().cumprod(0).sum())
            print(f"{what}: {name} has the same first {equal} of {first.shape[1]} tokens")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["nano", "full"], default="nano")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true", help="torch.compile the fast path: minutes per shape")
    parser.add_argument("--parts", nargs="+", choices=["flow", "tokens"], default=["flow", "tokens"])
    parser.add_argument("--once", action="store_true", help="one decision of each side, without warm-up")
    parser.add_argument("--depth", type=int, help="layers of the full size, fewer than the released ones")
    parser.add_argument("--floor", choices=KNOWN, help="print the floor of that GPU at full size, without running anything")
    options = parser.parse_args()
    if options.floor:
        return print_floors(options.floor, options.parts, options.rows)
    torch.set_num_threads(options.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    device = device if options.size == "full" else "cpu"
    model = full(device, options.depth) if options.size == "full" else nano()
    name = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {options.threads} thread(s)"
    count = sum(p.numel() for p in model.parameters())
    layers = f", {options.depth} layers" if options.depth else ""
    kind = f"{str(model.vlm.dtype)[6:]}, {name}, torch {torch.__version__}"
    print(f"{options.size} NORA-1.5{layers}, random weights, {count:,} parameters, {kind}")
    c = case(model, device)
    backend = "inductor" if options.compile else None
    for what in options.parts:
        if options.once:
            once(c, what, options.rows, backend)
        else:
            report(c, what, options.rows, options.rounds, device, backend)
    if device == "cuda":
        print(f"peak memory {torch.cuda.max_memory_allocated() / 1e9:.1f} GB (NORA's paper: {PAPER_GB} GB)")
    else:
        peak, weights = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, count * model.vlm.dtype.itemsize / 2**30
        print(f"peak memory {peak:.2f} GiB of the process, {weights:.2f} GiB of weights")
        print("GPU: not measured (no CUDA device, or nano asked for)")


if __name__ == "__main__":
    main()
