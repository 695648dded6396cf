"""A checkpoint by hub id, folder or single file: its files, its configuration, its statistics, its model.

Local files (a path, or the hub's cache) are used without a network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from ...envs import safe_io
from ...envs.errors import PolicyError
from ...envs.safe_io import is_name
from .action_stats_files import OwnStatistics, own_statistics
from .config import FULL_BACKBONE, ExpertConfig, NoraConfig, says_tied, with_tie
from .weights import EMBEDDING, CheckpointError, NotACheckpoint, Stored, contents, head_tied, load_into

if TYPE_CHECKING:
    import torch

    from .model.reference import NoraModel

SETTINGS = ("*.json", "*/*.json")
INDEX = "model.safetensors.index.json"
WEIGHTS = "*.safetensors"
"""Files of a hub repository that are fetched; never code."""
ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin", "adapter_config.json")
"""Files of a LoRA that was not merged."""
MOST_NOISE = 2.0
EXPERT_CHUNK = 5
"""Actions per chunk of the released NORA-1.5."""
TRUSTED = "--policy {kind} --policy-arg checkpoint={name} --policy-arg trust_remote_code=true"
OTHERS = {"openvla": TRUSTED, "spatialvla": TRUSTED, "lerobot": "--policy lerobot --policy-arg path={name}"}
"""Family of checkpoints with its own policy -> the options that select it."""
BUNDLED = Path(__file__).parent / "nano_checkpoint"
BUNDLED_NAME = "nora-1.5-nano"
"""Name of the package's checkpoint, also in records: next to its weights' hash, since its folder differs between machines."""


class Settings(TypedDict, total=False):
    """Fields of `config.json` that are read here."""

    model_type: str | None
    vlm_config: dict[str, Any] | None
    image_size: int
    chunk: int | None
    execute: int | None
    expert: dict[str, Any] | None
    norm_stats: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights and the files beside them."""

    name: str
    """Name as given."""
    folder: Path
    files: tuple[Path, ...]
    config: NoraConfig
    tensors: Mapping[str, Stored]

    @property
    def statistics(self) -> OwnStatistics:
        """The checkpoint's own action statistics, and their file. Raises PolicyError."""
        return own_statistics(self.folder, _settings(self.folder))

    @property
    def norm_stats(self) -> Mapping[str, Any]:
        """Data set -> statistics, in one layout for all files; empty where the checkpoint has none."""
        return self.statistics.table

    @property
    def crop(self) -> bool:
        """Whether to follow a protocol's centre crop: unless config.json records that training had none."""
        return bool(_settings(self.folder).get("crop", True))

    @property
    def noise(self) -> float:
        """Scale of the flow's initial noise at inference: 1 unless config.json has another."""
        return check_noise_scale(_settings(self.folder).get("noise", 1.0), f"config.json of {self.name}")

    @property
    def execute(self) -> int | None:
        """Actions of each chunk that are executed, where config.json has them; None: all."""
        return _settings(self.folder).get("execute")

    @property
    def token_head(self) -> bool:
        """Whether the token head was trained: unless config.json records that it was not."""
        return bool(_settings(self.folder).get("token_head", True))

    def model(self, device: str, dtype: torch.dtype) -> NoraModel:
        """The model with these weights. Raises CheckpointError naming the tensor that does not fit."""
        import torch

        from .model.reference import NoraModel

        if problem := self.config.problem():
            raise CheckpointError(f"{self.name}: {problem}")
        try:
            tied = head_tied(self.tensors, says_tied(self.config.backbone))
        except CheckpointError as error:
            raise CheckpointError(f"{self.name}: {error}") from None
        with torch.device("meta"):
            model = NoraModel(replace(self.config, backbone=with_tie(self.config.backbone, tied)))
        load_into(model, self.tensors, device, dtype)
        return model.eval().requires_grad_(False)


def check_noise_scale(scale: Any, where: str) -> float:
    """The scale as a float. Raises CheckpointError, naming `where` it was given, if it cannot scale the flow's noise."""
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 <= scale <= MOST_NOISE:
        raise CheckpointError(f"noise must be a number from 0 to {MOST_NOISE:g}, not {scale!r} ({where}); 1 is as released")
    return float(scale)


def execute_problem(name: str, execute: int, chunk: int | None) -> str:
    """Why so many actions of a chunk cannot be executed; empty where they can, as far as the chunk's length is known."""
    if execute >= 1 and (chunk is None or execute <= chunk):
        return ""
    return f"{name} predicts chunks of {chunk} actions: 1 to {chunk} can be executed, not {execute}"


def open_checkpoint(name: str) -> Checkpoint:
    """The checkpoint of that hub id or path. Reads headers only. Raises CheckpointError."""
    _refuse_others(name)
    path = locate(name)
    folder = path if path.is_dir() else path.parent
    files = _weight_files(folder) if path.is_dir() else (path,)
    tensors = contents(files)
    settings = _settings(folder)
    try:
        config = _config(settings, tensors, name)
        beyond, _ = layers_beyond(config, tensors), config.problem()  # both can be computed, or this is no configuration
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise CheckpointError(f"{name}: config.json and weights describe no model: {type(error).__name__}: {error}") from None
    if beyond:
        raise CheckpointError(f"{name} has fewer tensors than its config.json has layers")
    return Checkpoint(name, folder, files, config, tensors)


def _refuse_others(name: str) -> None:
    """Raises CheckpointError for a checkpoint of another family, before its weights are fetched."""
    path = Path(name).expanduser()
    folder = path if path.exists() else _settings_from_hub(name) if name.count("/") == 1 else None
    if folder is None or not (folder / "config.json").is_file():
        return
    settings = _read_settings(folder / "config.json")
    kind = "lerobot" if "type" in settings and "input_features" in settings else settings.get("model_type")
    if isinstance(kind, str) and kind in OTHERS:
        raise NotACheckpoint(f"{name} is a checkpoint of {kind}, not of NORA. Type: {OTHERS[kind].format(kind=kind, name=name)}")


def _settings_from_hub(name: str) -> Path | None:
    """A folder with the hub's `config.json`; None where it cannot be fetched, which `locate` reports."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    for cached in (True, False):
        try:
            return Path(snapshot_download(name, allow_patterns="config.json", local_files_only=cached))
        except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError):
            continue
    return None


def layers_beyond(config: NoraConfig, tensors: Mapping[str, Stored]) -> bool:
    """Whether the configuration has more layers than a model of these tensors can have: building it might never finish."""
    parts = (config.text, config.backbone.get("vision_config", {}))
    return any(part.get(name, 0) > len(tensors) for part in parts for name in ("num_hidden_layers", "depth"))


def is_hub_id(name: str) -> bool:
    """Whether a name that is no existing path can be a repository of the hub: OWNER/NAME."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~")) and not name.endswith(".safetensors")


def locate(name: str, *, wanted: str = WEIGHTS, also: Sequence[str] = ()) -> Path:
    """The folder or file of a path, `nora-1.5-nano` or a hub id, fetched where it is not local. Raises CheckpointError.

    `wanted` is a file (or pattern) that must exist; weights are fetched only where they are wanted, and other files than JSON
    only where `also` names them.
    """
    if (path := Path(name).expanduser()).exists():
        if path.is_file() and path.suffix != ".safetensors":
            raise NotACheckpoint(f"{path} is not a .safetensors file; other formats can run code and are not read")
        return path
    if name == BUNDLED_NAME:
        return BUNDLED
    if not is_hub_id(name):
        forms = f"a folder, a .safetensors file, {BUNDLED_NAME} or a hub id: OWNER/NAME"
        raise NotACheckpoint(f"checkpoint not found: {name}. Name {forms}", value=name)
    return _from_hub(name, wanted, also)


def _from_hub(name: str, wanted: str, also: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns, partial = [*SETTINGS, wanted, *also], None
    try:
        folder = Path(snapshot_download(name, allow_patterns=patterns, local_files_only=True))
        if any(folder.glob(wanted)):
            if wanted != WEIGHTS or not _missing_shards(folder):
                return folder
            partial = folder
    except LocalEntryNotFoundError:
        pass
    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        if partial:
            return partial  # whoever reads it names the missing files
        first = str(error).strip().partition("\n")[0]
        raise CheckpointError(
            f"{name} is not on this machine and cannot be fetched from the hub ({type(error).__name__}: {first}). "
            f"Fetch it where there is a network: hf download {name}, or name a folder: --policy-arg checkpoint=FOLDER"
        ) from None


def _missing_shards(folder: Path) -> list[str]:
    """Files that the index of the weights names and the folder lacks: an interrupted download left them out."""
    index = folder / INDEX
    named = _read_settings(index).get("weight_map") if index.is_file() else None
    names = {name for name in named.values() if isinstance(name, str)} if isinstance(named, dict) else set()
    return sorted(name for name in names if is_name(name) and not (folder / name).exists())


def read_json(path: Path) -> Any:
    """The file's content. Raises PolicyError naming it."""
    try:
        return safe_io.read_json(path)
    except (OSError, ValueError) as error:
        raise PolicyError(f"{path} cannot be read as JSON: {error}") from None


def _read_settings(path: Path) -> dict[str, Any]:
    settings = read_json(path)
    if not isinstance(settings, dict):
        raise CheckpointError(f"{path} holds no JSON object")
    return settings


def _weight_files(folder: Path) -> tuple[Path, ...]:
    """The files that the index names, else all of the folder. Raises CheckpointError where one is missing, and for an adapter."""
    if adapters := [name for name in ADAPTERS if (folder / name).is_file()]:
        raise CheckpointError(
            f"{folder} holds an adapter ({adapters[0]}) beside or in the place of whole weights. Merge it into them (peft: "
            "merge_and_unload), save the merged model and name that folder"
        )
    index = folder / INDEX
    if index.is_file():
        named = _read_settings(index).get("weight_map")
        if not isinstance(named, dict) or not all(is_name(name) for name in named.values()):
            raise CheckpointError(f"{index} does not say which files beside it hold the weights")
        names = sorted(set(named.values()))
        if missing := [name for name in names if not (folder / name).is_file()]:
            raise CheckpointError(f"{folder} lacks {', '.join(missing)}, which {index.name} names")
        return tuple(folder / name for name in names)
    files = tuple(sorted(folder.glob("*.safetensors")))
    if not files:
        raise NotACheckpoint(f"{folder} holds no .safetensors file")
    return files


def _settings(folder: Path) -> Mapping[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        return {}
    import msgspec

    settings = read_json(path)
    try:
        msgspec.convert(settings, Settings)
    except msgspec.ValidationError as error:
        raise CheckpointError(f"{path} is not a checkpoint's configuration: {error}") from None
    return settings


def _config(settings: Mapping[str, Any], tensors: Mapping[str, Stored], name: str) -> NoraConfig:
    """Sizes from the configuration file where it has them, else from the tensors and the released models."""
    backbone = settings.get("vlm_config") or (settings if settings.get("model_type") == "qwen2_5_vl" else FULL_BACKBONE)
    if EMBEDDING not in tensors:
        raise CheckpointError(f"{name} lacks {EMBEDDING}; it is not a NORA checkpoint")
    backbone = _with_rows(backbone, tensors[EMBEDDING].shape[0])
    config = NoraConfig(backbone, image_size=settings.get("image_size", 224))
    if "action_in_proj.weight" not in tensors:
        return NoraConfig(backbone, None, settings.get("chunk"), image_size=config.image_size)
    hidden, action_size = tensors["action_in_proj.weight"].shape
    queries = _size(tensors, "action_expert.layers.0.self_attn.q_proj.weight")
    expert = ExpertConfig(hidden, queries // config.head_size, _size(tensors, "action_expert.layers.0.mlp.gate_proj.weight"))
    recorded = settings.get("expert") or {}
    chunk = settings.get("chunk") or recorded.get("action_chunk_length", EXPERT_CHUNK)
    return NoraConfig(backbone, expert, chunk, action_size, config.image_size)


def _with_rows(backbone: Mapping[str, Any], rows: int) -> Mapping[str, Any]:
    """The embedding has as many rows as the file says; configurations are often wrong about it."""
    if "text_config" in backbone:
        return {**backbone, "vocab_size": rows, "text_config": {**backbone["text_config"], "vocab_size": rows}}
    return {**backbone, "vocab_size": rows}


def _size(tensors: Mapping[str, Stored], name: str) -> int:
    if name not in tensors:
        raise CheckpointError(f"the checkpoint lacks {name}")
    return tensors[name].shape[0]
