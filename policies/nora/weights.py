"""Weight files: their tensors, the model's names for them, and checks.

Only safetensors; nothing from a file is ever executed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from ...envs.errors import PolicyError
from ...envs.safe_io import parse_json
from ...envs.types import Array
from ..base import PolicyRequestError

if TYPE_CHECKING:
    import torch

    from .model.reference import NoraModel

EXPERT = ("action_expert.", "action_in_proj.", "action_time_mlp_in.", "action_time_mlp_out.", "action_out_proj.")
REFERENCES = ("ref_action_expert.", "ref_action_out_proj.")
"""Frozen copies that the released preference training leaves in a checkpoint; inference does not need them."""
TIED = "vlm.lm_head.weight"
"""The output head. Mostly it is the embedding, and files omit or repeat it."""
EMBEDDING = "vlm.model.language_model.embed_tokens.weight"
LARGEST_HEADER = 100_000_000
"""Bytes; the format's own limit."""
FLOATS = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
"""Type of weights, as the format names it -> how NumPy reads it."""
ROWS = 8192
"""Rows of a matrix that are compared at once."""
NAMED = 5
"""Tensors named in an error."""


class CheckpointError(PolicyError):
    """Weights that are missing, torn, or of another model; the message names the tensor."""


class NotACheckpoint(CheckpointError, PolicyRequestError):
    """A name or path that leads to no checkpoint of this kind."""


class Entry(TypedDict):
    """Entry of one tensor in a file's header."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor in a file."""

    name: str
    """Name in the file."""
    shape: tuple[int, ...]
    path: Path
    dtype: str
    """Type as the format names it, e.g. `F16`."""
    place: tuple[int, int]
    """First byte of its values in the file, and the byte behind them."""

    def float32(self) -> Array:
        """Values of the tensor. Raises CheckpointError for a type that is no floating-point number of at most 32 bits."""
        start, end = self.place
        if self.dtype not in FLOATS:
            raise CheckpointError(f"{self.path}: tensor {self.name} is of type {self.dtype}, not {', '.join(FLOATS)}")
        kind = np.dtype(FLOATS[self.dtype])
        if end - start != math.prod(self.shape) * kind.itemsize:
            raise CheckpointError(f"{self.path} is not a safetensors file: tensor {self.name} has no place or shape")
        values = np.fromfile(self.path, kind, math.prod(self.shape), offset=start).reshape(self.shape)
        if self.dtype == "BF16":  # the upper half of a float32
            return (values.astype(np.uint32) << 16).view(np.float32)
        return values.astype(np.float32)


def canonical(name: str) -> str | None:
    """The model's name for a tensor, whichever version wrote the file; None for a tensor that it does not need, and for the
    output head, which `contents` stores under `TIED`.

    `transformers` before 4.52 called the parts `visual.*` and `model.*`, later versions `model.visual.*` and
    `model.language_model.*`; NORA-1.5 files prepend `vlm.`.
    """
    name = name.removeprefix("module.")
    if name.startswith(REFERENCES):
        return None
    if name.startswith(EXPERT):
        return name
    name = name.removeprefix("vlm.")
    if name == "lm_head.weight":
        return None
    if name.startswith("visual."):
        name = f"model.{name}"
    elif name.startswith("model.") and not name.startswith(("model.visual.", "model.language_model.")):
        name = f"model.language_model.{name.removeprefix('model.')}"
    return f"vlm.{name}"


def contents(files: Iterable[Path]) -> dict[str, Stored]:
    """The model's name -> tensor, over all files, read from their headers. Raises CheckpointError for a torn file."""
    tensors: dict[str, Stored] = {}
    for path in files:
        first, entries = _header(path)
        for name, entry in entries.items():
            key = TIED if _is_head(name) else canonical(name)
            if key in tensors:
                raise CheckpointError(f"{path.name} and {tensors[key].path.name} both hold {key} ({name}, {tensors[key].name})")
            if key is not None:
                start, end = entry["data_offsets"]
                tensors[key] = Stored(name, tuple(entry["shape"]), path, entry["dtype"], (first + start, first + end))
    return tensors


def _is_head(name: str) -> bool:
    return name.removeprefix("module.").removeprefix("vlm.") == "lm_head.weight"


def head_tied(tensors: Mapping[str, Stored], said: bool | None) -> bool:
    """Whether the output head is the embedding; `said` is the configuration's statement, None without one.

    Raises CheckpointError where the file contradicts the configuration: tokens would come from the wrong head.
    """
    if TIED not in tensors:
        if said is False:
            raise CheckpointError(
                f"config.json says that the output head has its own weights (tie_word_embeddings: false), and there is no {TIED}"
            )
        return True
    if _equal(tensors[TIED], tensors[EMBEDDING]):
        return said is not False
    if said:
        raise CheckpointError(
            f"{tensors[TIED].name} differs from the embedding, and config.json says they are one (tie_word_embeddings: true). "
            "Where the head was trained, as in a merged LoRA, write tie_word_embeddings: false; else remove it from the file"
        )
    return False


def _equal(a: Stored, b: Stored) -> bool:
    """Whether two stored tensors are equal."""
    import torch
    from safetensors import safe_open

    if a.shape != b.shape:
        return False
    with safe_open(a.path, framework="pt") as one, safe_open(b.path, framework="pt") as other:
        left, right = one.get_slice(a.name), other.get_slice(b.name)
        starts = range(0, a.shape[0] if a.shape else 0, ROWS)
        return all(torch.equal(left[i : i + ROWS].float(), right[i : i + ROWS].float()) for i in starts)


def _header(path: Path) -> tuple[int, Mapping[str, Entry]]:
    """Offset of the values of a safetensors file, and name -> entry, after checking that every tensor's bytes are there."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(size - 8, LARGEST_HEADER):
                raise CheckpointError(f"{path} is not a safetensors file, or is cut off within its header ({size} bytes)")
            header = parse_json(file.read(length))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise CheckpointError(f"{path} is not a safetensors file: its header is no JSON") from None
    return 8 + length, _checked(path, header, size - 8 - length)


def _checked(path: Path, header: Any, available: int) -> Mapping[str, Entry]:
    import msgspec

    try:
        named = msgspec.convert(header, dict[str, Any])
        entries = {name: msgspec.convert(entry, Entry) for name, entry in named.items() if name != "__metadata__"}
    except msgspec.ValidationError as error:
        raise CheckpointError(f"{path} is not a safetensors file: in its header {error}") from None
    for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
        start, end = entry["data_offsets"]
        if end > available:
            raise CheckpointError(
                f"{path} is cut off: tensor {name} lacks its last {end - available} bytes. Fetch the file again"
            )
        if start > end or min([start, *entry["shape"]]) < 0:
            raise CheckpointError(f"{path} is not a safetensors file: tensor {name} has no place or shape")
    return entries


def check(model: NoraModel, tensors: Mapping[str, Stored]) -> None:
    """Raises CheckpointError where names or shapes are not exactly the model's. Works on the meta device."""
    repeated = {TIED} if model.config.tied else set()
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items() if name not in repeated}
    problems = [f"lacks {name} {list(expected[name])}" for name in expected if name not in tensors]
    problems += [
        f"has {tensors[name].name}, which the model does not" for name in tensors if name not in expected and name not in repeated
    ]
    problems += [
        f"has {tensors[name].name} as {list(tensors[name].shape)} where the model has {list(shape)}"
        for name, shape in expected.items()
        if name in tensors and tensors[name].shape != shape
    ]
    if problems:
        more = f" (and {len(problems) - NAMED} more)" if len(problems) > NAMED else ""
        raise CheckpointError(f"the checkpoint {'; '.join(problems[:NAMED])}{more}. Is config.json the one of these weights?")


def load_into(model: NoraModel, tensors: Mapping[str, Stored], device: str, dtype: torch.dtype) -> None:
    """Fill a model that was built on the meta device. Raises CheckpointError."""
    from safetensors import safe_open

    check(model, tensors)
    state: dict[str, torch.Tensor] = {}
    for path in sorted({stored.path for stored in tensors.values()}):
        with safe_open(path, framework="pt", device=device) as file:
            for key, stored in tensors.items():
                if stored.path == path and not (key == TIED and model.config.tied):
                    state[key] = _loaded(stored, file, device, dtype)
    if model.config.tied:
        state[TIED] = state[EMBEDDING]
    model.load_state_dict(state, strict=True, assign=True)
    model.vlm.tie_weights()
    model.restore_rotary()
    model.to(device)


def _loaded(stored: Stored, file: Any, device: str, dtype: torch.dtype) -> torch.Tensor:
    """The tensor in the model's type, on the device, with as little memory as possible.

    On a CPU a tensor of that type stays mapped from its file. One of another type is read by itself: if it were mapped, all of
    the file would stay in memory beside the converted weights until the last of them.
    """
    import torch

    if device != "cpu" or stored.dtype not in FLOATS or _torch_type(stored) == dtype or 0 in stored.shape:
        return file.get_tensor(stored.name).to(dtype)
    kind = _torch_type(stored)
    values = np.fromfile(stored.path, np.uint8, math.prod(stored.shape) * kind.itemsize, offset=stored.place[0])
    return torch.from_numpy(values).view(kind).view(stored.shape).to(dtype)


def _torch_type(stored: Stored) -> torch.dtype:
    import torch

    return {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[stored.dtype]


def digest(files: Iterable[Path]) -> str:
    """SHA-256 over the files' bytes, in the order of their names."""
    total = hashlib.sha256()
    for path in sorted(files):
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
