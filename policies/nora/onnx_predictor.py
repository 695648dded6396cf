"""The flow policy on ONNX Runtime: no torch, one row after the other, so that no output depends on its neighbours.

The graph (`model.onnx` beside the weights, written by `model/onnx_graph.py`) holds no weights and depends on the architecture
alone; a session receives the weights from the checkpoint's file, in float32 whatever type the file has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...envs.errors import PolicyError
from ...envs.types import Array
from .checkpoint import Checkpoint
from .collate import collate_prompts
from .config import NoraConfig, euler_times
from .decoding import ModelOutput, read_flow
from .onnx_format import ARCHITECTURE, EXPORT, GRAPH, INPUTS, LANGUAGE, OUTPUT, UNUSED, UNUSED_OF_LAST, architecture
from .pixels import patches
from .prompt import TokenIds
from .weights import EMBEDDING, CheckpointError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from .predictor import ModelInputs

REINSTALL = "pip install --force-reinstall --no-deps onnxruntime, or add --policy-arg engine=torch"


def graph_weights(checkpoint: Checkpoint) -> dict[str, Array]:
    """Name -> float32 values of the weights that the checkpoint's graph takes. Raises CheckpointError."""
    last = f"{LANGUAGE}.layers.{checkpoint.config.text['num_hidden_layers'] - 1}."
    unused = (*UNUSED, *(last + name for name in UNUSED_OF_LAST))
    return {name: stored.float32() for name, stored in checkpoint.tensors.items() if not name.startswith(unused)}


def open_session(checkpoint: Checkpoint, threads: int | None) -> InferenceSession:
    """A session of the checkpoint's graph with its weights.

    Raises CheckpointError where the graph is missing, damaged, or of another architecture than the checkpoint's, and PolicyError
    where ONNX Runtime cannot be imported.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise PolicyError(f"onnxruntime cannot be imported ({_first_line(error)}). Type: {REINSTALL}") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads or 0, 1
    options.use_deterministic_compute = True
    options.log_severity_level = 3  # errors: warnings concern devices that are not used
    weights = graph_weights(checkpoint)
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(value) for value in weights.values()]
    options.add_external_initializers(list(weights), values)
    path = checkpoint.folder / GRAPH
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}. Type: {EXPORT}") from None
    except Exception as error:  # ONNX Runtime raises classes of its own, derived from Exception
        raise CheckpointError(f"{path} is no graph for the weights beside it ({_first_line(error)}). Type: {EXPORT}") from None
    _check_architecture(path, session.get_modelmeta().custom_metadata_map, checkpoint.config)
    _check_signature(path, session, checkpoint.config)
    return session


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]


def _check_architecture(path: Path, metadata: Mapping[str, str], config: NoraConfig) -> None:
    """Raises CheckpointError naming the fields in which the graph differs: shapes alone do not show all of them."""
    try:
        of_graph = json.loads(metadata.get(ARCHITECTURE, "null"))
    except ValueError:
        of_graph = None
    expected = json.loads(json.dumps(architecture(config)))
    if of_graph == expected:
        return
    fields = [name for name in expected if not isinstance(of_graph, dict) or of_graph.get(name) != expected[name]]
    raise CheckpointError(f"{path} is of another architecture than config.json ({', '.join(fields)}). Type: {EXPORT}")


def _check_signature(path: Path, session: InferenceSession, config: NoraConfig) -> None:
    """Raises CheckpointError where the graph has other inputs or another output than those that `OnnxPredictor` uses."""
    inputs, outputs = {one.name for one in session.get_inputs()}, {one.name: one.shape for one in session.get_outputs()}
    if inputs != {*INPUTS} or outputs != {OUTPUT: [config.chunk, config.action_size]}:
        raise CheckpointError(f"{path} has other inputs or outputs than nora-bench's graphs. Type: {EXPORT}")


class OnnxPredictor:
    """The flow of one checkpoint. The last bits of its output depend on the number of threads, never on the batch."""

    rows, dtype, device = 1, "float32", "cpu"

    def __init__(self, checkpoint: Checkpoint, ids: TokenIds, steps: int, threads: int | None) -> None:
        """`steps` of the flow; `threads` within an operator, None: one per core. Raises CheckpointError."""
        self.config, self.ids = checkpoint.config, ids
        self.embedding = checkpoint.tensors[EMBEDDING].float32()
        self.times = np.array(euler_times(steps), np.float32)
        self._session = open_session(checkpoint, threads)

    def predict(self, inputs: Sequence[ModelInputs]) -> list[ModelOutput]:
        """One output per input, in order."""
        return [read_flow(self._chunk(row)) for row in inputs]

    def _chunk(self, row: ModelInputs) -> Array:
        """[chunk, action size] float32 normalised actions."""
        prompt = np.asarray(row.prompt)
        image = np.flatnonzero(prompt == self.ids.image)
        values = (
            self.embedding[prompt[: image[0]]],
            self.embedding[prompt[image[-1] + 1 :]],
            collate_prompts([row.prompt], self.ids, self.config).positions[:, 0],
            patches(row.image[None], self.config.patch, self.config.merge)[0],
            row.noise,
            self.times,
        )
        feeds = dict(zip(INPUTS, values, strict=True))
        return np.asarray(self._session.run([OUTPUT], feeds)[0])
