import json

import numpy as np
import pytest


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """The order of additions, and so the last bits, depend on the number of threads."""
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def recorded(golden):
    """Reads a recorded file of the reference models: `recorded("inference")["sample.noise"]`."""
    from safetensors.torch import load_file

    return lambda name: load_file(golden / "nora" / f"{name}.safetensors")


@pytest.fixture(scope="session")
def checkpoint(golden):
    """The reference weights, a single file with `config.json` beside it."""
    from nora_bench.policies.nora.checkpoint import open_checkpoint

    return open_checkpoint(str(golden / "nora" / "weights.safetensors"))


@pytest.fixture(scope="session")
def inventory(golden):
    """Names and shapes of the released files, `nora_state_dict.json`, kept beside the recordings."""
    path = golden.parent / "specs" / "nora_state_dict.json"
    if not path.is_file():
        pytest.skip("no inventory of the released state dicts beside NORA_BENCH_GOLDEN")
    return json.loads(path.read_text())


@pytest.fixture
def model(checkpoint):
    """A reference model of our own to change and to train."""
    import torch

    return checkpoint.model("cpu", torch.float32).requires_grad_(True)


@pytest.fixture(scope="session")
def nano(tmp_path_factory):
    """An untrained NORA-1.5 checkpoint folder."""
    from nora_bench.policies.nora.nano import write_nano

    return write_nano(tmp_path_factory.mktemp("nora-1.5-nano"))


@pytest.fixture(scope="session")
def nano_model(nano):
    """The model in it."""
    import torch
    from nora_bench.policies.nora.checkpoint import open_checkpoint

    return open_checkpoint(str(nano)).model("cpu", torch.float32)


@pytest.fixture
def settings(nano):
    """What the nano checkpoint's configuration says."""
    return json.loads((nano / "config.json").read_text())


@pytest.fixture(scope="session")
def look():
    """Makes observations: `look(3)` is the first decision of the third task, over a noisy picture."""
    from nora_bench.envs import suites
    from nora_bench.envs.base import EnvObservation, EpisodeSpec
    from nora_bench.policies.base import Observation

    def build(task, decision=0, suite="libero_object"):
        spec = EpisodeSpec(suite, task, 0, 0, "libero/openvla")
        image = np.random.default_rng(task).integers(0, 256, (256, 256, 3), np.uint8)
        return Observation(
            spec, decision, 5 * decision, suites.get(suite).tasks[task].instruction, EnvObservation({"primary": image})
        )

    return build


@pytest.fixture
def context():
    """A run of libero_object under OpenVLA's protocol."""
    from nora_bench.envs import protocols
    from nora_bench.policies.base import PolicyContext

    return PolicyContext(protocols.get("libero/openvla"), ("libero_object",), 7)
