"""The nano model on ONNX Runtime: the same actions as on torch, from one weights file and a graph without weights."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[nora]'")
pytest.importorskip("onnxruntime", reason="no onnxruntime: pip install 'nora-bench[libero]'")
import nora_bench.policies.nora.model.engine  # noqa: F401  torch's compiler must be loaded before OpenGL, which brings another LLVM
from nora_bench.envs import protocols, suites
from nora_bench.envs.base import EnvObservation, EnvOptions, EpisodeSpec
from nora_bench.envs.errors import PolicyError, SuiteError
from nora_bench.policies.base import Observation, PolicyRequestError
from nora_bench.policies.nora import engines
from nora_bench.policies.nora.checkpoint import BUNDLED, open_checkpoint
from nora_bench.policies.nora.config import NoraConfig
from nora_bench.policies.nora.nano import write_nano
from nora_bench.policies.nora.onnx_format import GRAPH, architecture
from nora_bench.policies.nora.onnx_predictor import OnnxPredictor, open_session
from nora_bench.policies.nora.policy import NoraPolicy
from nora_bench.policies.nora.weights import CheckpointError
from nora_bench.policies.registry import load

CLOSE = 1e-5
"""Largest difference of two engines' normalised actions."""
LIBERO = ("libero_spatial", "libero_object", "libero_goal", "libero_10")


def opened(engine, context, checkpoint="nora-1.5-nano", **options):
    """A policy of that engine, ready to act."""
    if checkpoint == "nora-1.5-nano":
        policy = load(checkpoint, {"engine": engine, **{name: str(value) for name, value in options.items()}})
    else:
        policy = NoraPolicy(str(checkpoint), engine=engine, device="cpu", threads=1, **options)
    policy.setup(context)
    return policy


def normalised(policy, observations):
    """[observations, chunk, action size] outputs before un-normalisation."""
    outputs = policy.predictor.predict([policy._inputs(observation) for observation in observations])
    assert {output.status for output in outputs} == {"ok"}
    return np.array([output.normalised for output in outputs])


def difference(observations, context, **options):
    """Largest difference between the engines' outputs."""
    sides = [normalised(opened(engine, context, **options), observations) for engine in ("torch", "onnx")]
    return np.abs(sides[0] - sides[1]).max()


@pytest.fixture
def exported(tmp_path):
    """Makes an untrained checkpoint with its graph."""
    pytest.importorskip("onnx", reason="no onnx: pip install 'nora-bench[train]'")
    from nora_bench.policies.nora.model.onnx_graph import build_graph

    def make(name="exported", **options):
        folder = write_nano(tmp_path / name, **options)
        (folder / GRAPH).write_bytes(build_graph(open_checkpoint(str(folder)).config).SerializeToString(deterministic=True))
        shutil.copyfile(BUNDLED / "norm_stats.json", folder / "norm_stats.json")
        return folder

    return make


@pytest.fixture
def copy(tmp_path):
    """A copy of the package's checkpoint."""
    return shutil.copytree(BUNDLED, tmp_path / "copy")


@pytest.mark.parametrize(("noise", "steps"), [(0.0, 10), (1.0, 10), (1.0, 3)])
def test_both_engines_give_the_same_actions(context, look, noise, steps):
    seen = [_smooth(look(task), task) for task in range(4)]
    assert difference(seen, context, noise_scale=noise, num_inference_steps=steps) < CLOSE


def _smooth(observation, task):
    """The observation with a gradient as its image: on noise, which no training saw, the flow magnifies rounding."""
    rows, columns = np.mgrid[0:256, 0:256]
    image = np.stack([rows, columns, (rows + columns) // (task + 2)], axis=2).astype(np.uint8)
    return replace(observation, env_observation=EnvObservation({"primary": image}))


@pytest.mark.parametrize("image_size", [84, 112])
def test_graph_of_another_architecture_gives_the_same_actions(exported, context, look, image_size):
    folder = exported(image_size=image_size, chunk=7)
    assert difference([look(0), look(1)], context, checkpoint=folder) < CLOSE


def test_one_graph_serves_other_weights_of_its_architecture(exported, context, look):
    one, other = exported("one", seed=0), exported("other", seed=1)
    assert (one / GRAPH).read_bytes() == (other / GRAPH).read_bytes()
    assert not np.array_equal(*(normalised(opened("onnx", context, folder), [look(0)]) for folder in (one, other)))


@pytest.mark.parametrize("threads", [1, 2])
def test_row_of_a_batch_equals_the_row_alone_bit_for_bit(context, look, threads):
    policy, seen = opened("onnx", context, threads=threads), [look(task) for task in range(7)]
    alone = [normalised(policy, [observation])[0] for observation in seen]
    for size in (7, 4, 2):
        assert np.array_equal(normalised(policy, seen[:size]), alone[:size])
    assert np.array_equal(normalised(policy, seen[::-1])[::-1], alone)


def test_two_sessions_give_the_same_bits(context, look):
    seen = [look(0), look(1)]
    assert np.array_equal(*(normalised(opened("onnx", context), seen) for _ in range(2)))


def test_committed_graph_equals_a_fresh_export():
    onnx = pytest.importorskip("onnx", reason="no onnx: pip install 'nora-bench[train]'")
    from nora_bench.policies.nora.model.onnx_graph import build_graph

    committed, fresh = onnx.load(BUNDLED / GRAPH, load_external_data=False), build_graph(open_checkpoint(str(BUNDLED)).config)
    again = "type: nora-bench export-checkpoint --onnx --checkpoint nora-1.5-nano --out FOLDER, and copy its model.onnx"
    constants = [{t.name: onnx.numpy_helper.to_array(t) for t in g.graph.initializer if t.raw_data} for g in (committed, fresh)]
    for name, value in constants[1].items():  # a processor may compute the last bit of an angle otherwise
        np.testing.assert_allclose(constants[0][name], value, rtol=1e-6, atol=1e-7, err_msg=again)
    for graph in (committed, fresh):
        _without_constants(graph.graph)
    assert committed.SerializeToString(deterministic=True) == fresh.SerializeToString(deterministic=True), again


def _without_constants(graph):
    for tensor in graph.initializer:
        tensor.ClearField("raw_data")


def test_graph_holds_no_weights():
    weights = (BUNDLED / "model.safetensors").stat().st_size
    assert (BUNDLED / GRAPH).stat().st_size < 0.02 * weights


def test_bundled_graph_is_of_the_bundled_configuration():
    checkpoint = open_checkpoint(str(BUNDLED))
    metadata = open_session(checkpoint, 1).get_modelmeta().custom_metadata_map
    assert json.loads(metadata["architecture"]) == json.loads(json.dumps(architecture(checkpoint.config)))


@pytest.mark.parametrize(("field", "value"), [("rope_theta", 20.0), ("rms_norm_eps", 1e-5)])
def test_graph_that_disagrees_with_the_configuration_is_rejected(copy, field, value):
    settings = json.loads((copy / "config.json").read_text())
    settings["vlm_config"][field] = value
    (copy / "config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match=r"another architecture than config.json \(text\)"):
        open_session(open_checkpoint(str(copy)), 1)


def test_weights_that_do_not_fit_the_graph_are_rejected(copy, exported):
    shutil.copyfile(exported() / GRAPH, copy / GRAPH)
    with pytest.raises(CheckpointError, match=r"no graph for the weights beside it .* Type: nora-bench export-checkpoint --onnx"):
        open_session(open_checkpoint(str(copy)), 1)


@pytest.mark.parametrize(("former", "name"), [("noise", "noisy"), ("actions", "acts")], ids=["input", "output"])
def test_graph_with_other_names_of_inputs_or_outputs_is_rejected(copy, former, name):
    onnx = pytest.importorskip("onnx", reason="no onnx: pip install 'nora-bench[train]'")
    model = onnx.load(copy / GRAPH, load_external_data=False)
    for value in (*model.graph.input, *model.graph.output):
        value.name = name if value.name == former else value.name
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [name if one == former else one for one in names]
    (copy / GRAPH).write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match=r"other inputs or outputs .* Type: nora-bench export-checkpoint --onnx"):
        open_session(open_checkpoint(str(copy)), 1)


def test_graph_that_reads_another_file_is_rejected(copy):
    onnx = pytest.importorskip("onnx", reason="no onnx: pip install 'nora-bench[train]'")
    model = onnx.load(copy / GRAPH, load_external_data=False)
    constant = next(tensor for tensor in model.graph.initializer if tensor.raw_data)
    size = len(constant.raw_data)
    (copy / "secret").write_bytes(bytes(size))
    constant.ClearField("raw_data")
    constant.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": "secret", "offset": "0", "length": str(size)}.items():
        constant.external_data.add(key=key, value=value)
    (copy / GRAPH).write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match="no graph"):
        open_session(open_checkpoint(str(copy)), 1)


def test_onnx_runtime_that_cannot_be_imported_is_named(copy, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(PolicyError, match=r"onnxruntime cannot be imported .*engine=torch"):
        open_session(open_checkpoint(str(copy)), 1)


@pytest.mark.parametrize("engine", ["torch", "onnx"])
@pytest.mark.parametrize("given", ["num_inference_steps=0", "num_inference_steps=-3", "threads=0", "threads=1000000"])
def test_counts_outside_their_range_are_rejected(engine, given):
    option, _, value = given.partition("=")
    with pytest.raises(PolicyRequestError, match=f"{option} must be 1 to"):
        load("nora-1.5-nano", {"engine": engine, option: value})


def test_damaged_graph_is_rejected(copy):
    (copy / GRAPH).write_bytes((copy / GRAPH).read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="no graph"):
        open_session(open_checkpoint(str(copy)), 1)


@pytest.mark.parametrize("options", [{"expert": False}, {"image_size": 112}])
def test_model_that_a_graph_does_not_cover_is_rejected(tmp_path, options):
    pytest.importorskip("onnx", reason="no onnx: pip install 'nora-bench[train]'")
    from nora_bench.policies.nora.model.onnx_graph import build_graph

    config = open_checkpoint(str(write_nano(tmp_path, **options))).config
    if config.expert:
        config = replace(config, image_size=224)
    with pytest.raises(CheckpointError, match="ONNX graph"):
        build_graph(config)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_stored_weights_are_read_as_float32_whatever_their_type(tmp_path, dtype):
    import torch
    from safetensors.torch import save_file

    folder = write_nano(tmp_path)
    names = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    checkpoint = open_checkpoint(str(folder))
    expected = {name: value.to(names[dtype]) for name, value in checkpoint.model("cpu", torch.float32).state_dict().items()}
    expected.pop("vlm.lm_head.weight")
    save_file({name: value.contiguous().clone() for name, value in expected.items()}, folder / "model.safetensors")
    tensors = open_checkpoint(str(folder)).tensors
    assert tensors.keys() == expected.keys()
    assert all(np.array_equal(tensors[name].float32(), value.float().numpy()) for name, value in expected.items())


def test_weights_of_integers_are_rejected(tmp_path):
    folder = write_nano(tmp_path)
    header = (folder / "model.safetensors").read_bytes().replace(b'"F32"', b'"I32"', 1)
    (folder / "model.safetensors").write_bytes(header)
    with pytest.raises(CheckpointError, match="of type I32"):
        OnnxPredictor(replace(open_checkpoint(str(folder))), None, 10, 1)


def missing(*libraries):
    return lambda name: name not in libraries


@pytest.mark.parametrize(
    ("args", "engine"),
    [
        ({}, "onnx"),
        ({"engine": "torch"}, "torch"),
        ({"batch": "4"}, "torch"),
        ({"compile": "true"}, "torch"),
        ({"batch": "1"}, "onnx"),
    ],
)
def test_bundled_nano_uses_onnx_runtime_unless_an_option_needs_torch(args, engine):
    assert load("nora-1.5-nano", args).engine == engine


def test_bundled_nano_uses_torch_where_onnx_runtime_is_missing(monkeypatch):
    monkeypatch.setattr(engines, "_installed", missing("onnxruntime"))
    assert load("nora-1.5-nano", {}).engine == "torch"


def test_bundled_nano_without_any_engine_names_the_extra(monkeypatch):
    monkeypatch.setattr(engines, "_installed", missing("onnxruntime", "torch"))
    with pytest.raises(PolicyError, match=r"pip install 'nora-bench\[libero\]'"):
        load("nora-1.5-nano", {})


@pytest.mark.parametrize("args", [{"batch": "4"}, {"compile": "true"}, {"device": "cuda"}])
def test_option_that_onnx_runtime_does_not_have_is_rejected(args):
    with pytest.raises(PolicyError, match=f"engine=onnx: {next(iter(args))}=.* needs torch"):
        load("nora-1.5-nano", {"engine": "onnx", **args})


def test_checkpoint_without_a_graph_is_rejected_on_onnx_runtime(nano):
    with pytest.raises(PolicyError, match=r"has no model.onnx. Type: nora-bench export-checkpoint --onnx"):
        NoraPolicy(str(nano), engine="onnx")


def test_checkpoint_with_a_graph_uses_torch_on_any_device_but_the_cpu(exported, monkeypatch):
    folder = str(exported())
    assert NoraPolicy(folder).engine == "torch"
    assert NoraPolicy(folder, device="cpu").engine == "onnx"
    assert NoraPolicy(folder, device="cpu", chunk=3).engine == "torch"
    assert NoraPolicy(folder, device="cpu", mode="fast").engine == "torch"
    monkeypatch.setattr(engines, "_installed", missing("torch"))
    assert NoraPolicy(folder).engine == "onnx"


def test_fingerprint_states_the_engine(context):
    of = {engine: opened(engine, context).fingerprint() for engine in ("torch", "onnx")}
    assert {engine: facts["engine"] for engine, facts in of.items()} == {"torch": "torch", "onnx": "onnx"}
    assert "graph_sha256" in of["onnx"] and "graph_sha256" not in of["torch"]
    assert of["onnx"]["weights_sha256"] == of["torch"]["weights_sha256"]
    assert (of["onnx"]["dtype"], of["onnx"]["device"], of["onnx"]["batch"]) == ("float32", "cpu", 1)


def test_architecture_does_not_depend_on_the_vocabulary():
    config = open_checkpoint(str(BUNDLED)).config
    other = NoraConfig({**config.backbone, "vocab_size": 7}, config.expert, config.chunk, config.action_size, config.image_size)
    assert architecture(other) == architecture(config)


WITHOUT_TORCH = """
import sys
for name in ("torch", "transformers", "safetensors"):
    sys.modules[name] = None
import numpy as np
from nora_bench.envs import protocols, suites
from nora_bench.envs.base import EnvObservation, EpisodeSpec
from nora_bench.policies.base import Observation, PolicyContext
from nora_bench.policies.registry import load
policy = load("nora-1.5-nano", {"n_action_steps": "5", "noise_scale": "1"})
policy.setup(PolicyContext(protocols.get("libero/openvla"), ("libero_object",), 7))
spec = EpisodeSpec("libero_object", 0, 0, 0, "libero/openvla")
image = EnvObservation({"primary": np.zeros((256, 256, 3), np.uint8)})
(chunk,) = policy.act([Observation(spec, 0, 0, suites.get("libero_object").tasks[0].instruction, image)])
print(policy.engine, chunk.status, chunk.actions.shape)
"""


def test_bundled_nano_runs_without_torch_and_transformers():
    ended = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, env={**os.environ})
    assert ended.stdout.strip() == "onnx ok (5, 7)", ended.stderr


@pytest.fixture(scope="module", params=["standin", "official"])
def rendered(request, tmp_path_factory):
    """The first observation of a task of each suite, and one after twelve steps, in that asset pack."""
    if importlib.util.find_spec("libero") is None:
        pytest.skip("LIBERO is not installed: nora-bench doctor --fix")
    from nora_bench.harness.rendering.gl import find_gl

    try:
        pack = suites.get("libero_goal").resolve_assets(request.param).path
    except SuiteError as error:
        pytest.skip(f"no {request.param} assets: {error}")
    gl = os.environ.get("MUJOCO_GL") or find_gl().name
    env = suites.get("libero_goal").make_env(EnvOptions(assets=pack, gl=gl, cache=str(tmp_path_factory.mktemp("cache"))))
    yield list(_observations(env))
    env.close()


def _observations(env):
    protocol, needs = protocols.get("libero/openvla"), NoraPolicy.observation_spec
    for suite, task in zip(LIBERO, (4, 0, 3, 2), strict=True):
        spec = EpisodeSpec(suite, task, 3, 0, protocol.name)
        instruction = suites.get(suite).tasks[task].instruction
        env.reset(spec, protocol, needs)
        yield Observation(spec, 0, 0, instruction, env.observation())
        for step in range(12):
            env.step(np.array([0.4, -0.2, -0.5, 0.0, 0.1, 0.0, -1.0]), observe=step == 11)
        yield Observation(spec, 1, 12, instruction, env.observation())


@pytest.mark.libero
def test_both_engines_give_the_same_actions_on_rendered_images(context, rendered):
    context = replace(context, suites=LIBERO)
    assert difference(rendered, context) < CLOSE
